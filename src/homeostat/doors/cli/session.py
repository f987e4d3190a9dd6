"""What a command starts from: the settings, and a client to a server or in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from homeostat.doors import local
from homeostat.doors.cli.options import chosen, load, speak
from homeostat.doors.client import Client

__all__ = ["chosen", "client", "load", "speak"]


@contextmanager
def client() -> Iterator[Client]:
    """Open the SDK as the settings say: a server where `url` is set, else in this process."""
    with local.open_client(load()) as opened:
        yield opened
