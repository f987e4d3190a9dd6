"""`homeostat server`: the API and the pages in one process."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

import click
import uvicorn

from homeostat.doors import local
from homeostat.doors.api import application
from homeostat.doors.cli import ports, session
from homeostat.doors.mlflow import door, wire
from homeostat.foundation import addresses, house, log, settings

DRAIN_S = 10
# Of malloc.h: M_ARENA_MAX, M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in bytes.
_MALLOC: Final = ((-8, 1), (-1, 4 * 1024 * 1024), (-3, 2 * 1024 * 1024))
_TRIM_EVERY: Final = 50  # ticks of a tenth of a second


@click.command()
@click.option("--port", type=int, help="Where to listen; 5000 unless set, 0 for any free one.")
def server(port: int | None) -> None:
    """Start the API and the pages; SIGTERM drains."""
    serve(session.load(port=port))


class Draining(uvicorn.Server):
    """Ends streams and long polls first, so that open pages do not hold up the stop."""

    async def on_tick(self, counter: int) -> bool:
        """Give back what large bodies left behind; uvicorn asks ten times a second."""
        if counter % _TRIM_EVERY == _TRIM_EVERY - 1:
            _trim(0)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain the application, then stop as uvicorn does."""
        served: application.Application = self.config.app  # type: ignore[assignment]
        served.drain()
        await super().shutdown(sockets)


def _protocol(app: application.Application) -> type[wire.Wire]:
    """Return the HTTP protocol with the short way to MLflow's door."""
    return wire.over(next(side for side in app.sides if isinstance(side, door.Door)))


def _of_libc(name: str) -> Callable[..., int]:
    """Return a function of glibc; on other systems one that does nothing."""
    found: Callable[..., int] | None = None
    if sys.platform == "linux":
        found = getattr(ctypes.CDLL(None), name, None)
    return found or (lambda *_: 0)


_trim: Final = _of_libc("malloc_trim")


def _stay_small() -> None:
    """Ask glibc for one heap that gives back what is free: threads' heaps keep all they had.

    Must come before the first thread.
    """
    tune = _of_libc("mallopt")
    for option, value in _MALLOC:
        tune(option, value)


def _make_first(told: settings.Settings) -> None:
    """Make tables and keys in a process that ends: what makes them need not stay in memory.

    Whatever is wrong is said when this process opens the house itself.
    """
    is_elsewhere = not told.database_url.startswith("sqlite")
    is_made = is_elsewhere or (told.home / "homeostat.db").exists()
    if is_made or not hasattr(os, "fork"):
        return
    child = os.fork()
    if child == 0:
        try:
            house.open_house(told).close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def serve(told: settings.Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what has begun and close the house.

    Parameters
    ----------
    told
        Where to listen and what to open.

    Raises
    ------
    UnavailableError
        When the port is in use or the database cannot be opened.
    """
    session.speak(told)
    _stay_small()
    taken = ports.bind(told.host, told.port, option="--port")
    # uvicorn raises the signal again when it is done; we still have a house to close.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    with taken:
        _make_first(told)
        opened = house.open_house(told)
        try:
            app = local.build(opened)
            config = uvicorn.Config(
                app,
                loop="uvloop",
                http=_protocol(app),
                proxy_headers=False,
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=DRAIN_S,
            )
            at = taken.getsockname()[1]
            url = f"http://{settings.in_url(told.host)}:{at}"
            log.get(__name__).info("server listens", url=url, sign_in=told.sign_in)
            near = f"http://{settings.in_url(told.near_host)}:{at}"
            with addresses.kept(told.home, "server", near):
                Draining(config).run(sockets=[taken])
            app.close()
        finally:
            opened.close()
