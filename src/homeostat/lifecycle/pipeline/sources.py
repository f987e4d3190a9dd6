"""Inputs of a pipeline whose content is known by digest before anybody reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Source(msgspec.Struct, frozen=True):
    """Data by reference; read only when a step that needs it is not cached.

    Parameters
    ----------
    reference
        `snapshot:<id>`, ….
    digest
        Any text that is equal when, and only when, the content is.
    read
        Gives the value.

    Examples
    --------
    >>> Source("snapshot:7", "ab" * 32, lambda: [1, 2]).read()
    [1, 2]
    """

    reference: str
    digest: str
    read: Callable[[], Any]
