"""The prediction server process: spool, engine, follower, hand-over and door, until SIGTERM.

Started by `homeostat serve`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import signal
import socket
from collections.abc import Callable

import uvloop

from homeostat.doors.predict import app, control, follower, handover
from homeostat.doors.wire import listening as wire
from homeostat.foundation import errors, log, settings
from homeostat.lifecycle.predictions import spool, spooled
from homeostat.lifecycle.serving import engine

DRAIN_S = 10
LAST_S = 5.0

_log = log.get(__name__)


def run(
    told: settings.Settings,
    *,
    listening: socket.socket,
    server_url: str,
    durability: spool.Durability = "process",
) -> None:
    """Serve predictions until SIGTERM or SIGINT, then answer, log and hand over what is left.

    Parameters
    ----------
    told
        Home and project.
    listening
        Bound already.
    server_url
        Where plans come from and segments go.
    durability
        When a prediction counts as logged.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line per request says nothing new
    uvloop.run(_serve(told, listening=listening, server_url=server_url, durability=durability))


async def _serve(
    told: settings.Settings,
    *,
    listening: socket.socket,
    server_url: str,
    durability: spool.Durability,
) -> None:
    folder = told.home / "predict"
    server = control.Control(server_url, project=told.project, token=told.token)
    standing = app.Standing()
    woken: list[Callable[[], None]] = []
    loop = asyncio.get_running_loop()

    def closed() -> None:
        for wake in woken:
            with contextlib.suppress(
                RuntimeError
            ):  # the loop has ended: the last flush sees it
                loop.call_soon_threadsafe(wake)

    logged = spool.Spool(folder / "spool", durability=durability, on_closed=closed)
    spooled.offer_again(folder / "spool")
    answering = engine.Engine(logged)
    handing = handover.Handover(logged, server)
    woken.append(handing.wake)
    following = follower.Follower(answering, server, folder=folder)
    await _know_plans(following, standing)
    tasks = [
        asyncio.create_task(_follow(following, standing)),
        asyncio.create_task(handing.run()),
        # Seconds of imports that the first deployment would wait for.
        asyncio.create_task(asyncio.to_thread(importlib.import_module, "skops.io")),
    ]
    try:
        await _listen(app.Predictions(answering, standing), listening)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await answering.close()
        await asyncio.to_thread(logged.close)
        with contextlib.suppress(TimeoutError, errors.HomeostatError):
            async with asyncio.timeout(LAST_S):
                await handing.flush()
        await server.close()


async def _know_plans(following: follower.Follower, standing: app.Standing) -> None:
    """Know the plans before the first request; without the server, those that were kept."""
    standing.is_ready = await following.recall()
    try:
        await following.follow_once()
        standing.is_ready = True
    except Exception as error:  # noqa: BLE001 - what was kept is served whatever the server says
        _log.warning("plans not followed; serving what was kept", why=str(error))


async def _follow(following: follower.Follower, standing: app.Standing) -> None:
    while not standing.is_ready:
        try:
            await following.follow_once()
            standing.is_ready = True
        except Exception as error:  # noqa: BLE001 - this task must not end
            _log.warning("no plans yet", why=str(error))
            await asyncio.sleep(follower.BACKOFF_S[-1])
    await following.run()


async def _listen(served: app.Predictions, listening: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT, then what has begun."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    listener = wire.Listener(served)
    await listener.listen(listening)
    host, port = listening.getsockname()[:2]
    _log.info("prediction server listens", url=f"http://{host}:{port}")
    await told.wait()
    await listener.close(drain_s=DRAIN_S)
