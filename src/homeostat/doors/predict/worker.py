"""A process that answers predictions; run by `start`, as many as there are cores.

It holds the HTTP door, the engine and its own spool. Plans come from the supervisor over a
socket, files from the folder; it imports nothing that speaks to the server or the database.
When the supervisor is gone it ends what it has begun, and itself.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from homeostat.doors.predict import answers, app, channel, explaining, metrics
from homeostat.doors.wire import listening as wire
from homeostat.foundation import log
from homeostat.lifecycle.predictions import spool
from homeostat.lifecycle.serving import (
    engine,
    entities,
    guarding,
    meters,
    warming,
    weighing,
)

DRAIN_S: Final = 10.0
IDLE_S: Final = 2.0
DONE, DEAF, OTHER, LEFT = 0, 1, 5, 7
"""Exit codes: asked to end; cannot hear; of another release; its supervisor is gone."""
WARM_S: Final = 2.0
TOTAL_S: Final = 1.0

_NAMED: Final = 20
_AGAIN_S: Final = 60.0
_RUBBISH: Final = (20_000, 20, 50)
_log = log.get(__name__)


class Worker:
    """What one process answers with.

    Parameters
    ----------
    talk
        Its side of the socket.
    begin
        What the supervisor told first.
    """

    def __init__(self, talk: channel.Channel[channel.ToWorker], begin: channel.Begin) -> None:
        folder = Path(begin.folder)
        self._weight = weighing.Weight(begin.memory_bytes)
        loop = asyncio.get_running_loop()
        self._talk = talk
        self._n_workers = begin.n_workers
        self._asking: dict[int, asyncio.Future[meters.Snapshot]] = {}
        self._numbers = itertools.count(1)
        self._guard = guarding.Guard(
            folder / "files",
            tell=lambda told: talk.send(channel.Seen(told)),
            n_workers=begin.n_workers,
        )
        self._log = spool.Spool(
            folder / "spool",
            durability=begin.durability,
            on_closed=lambda: _call(loop, lambda: talk.send(channel.SegmentClosed())),
            on_batch=self._guard.see,
        )
        self._engine = engine.Engine(
            self._log, on_worn=lambda: _call(loop, lambda: talk.send(channel.Worn()))
        )
        self._warmer = warming.Warmer(
            self._engine,
            files=folder / "files",
            budget_bytes=begin.memory_bytes,
            told=self._tell,
            damaged=lambda name: talk.send(channel.Damaged(name)),
        )
        self._explains = explaining.Explaining(folder / "files")
        self._standing = app.Standing()
        door = app.Predictions(self._engine, self._standing, explains=self._explains)
        door.pages["/metrics"] = self._metrics
        self._listener = wire.Listener(door)
        self._opening: asyncio.Task[None] | None = None
        self._weighing: asyncio.Task[None] | None = None
        self._idle_s = 0.0

    async def run(self, taken: socket.socket, *, ending: asyncio.Event) -> int:
        """Hear the supervisor until it says that this ends, or is gone.

        Parameters
        ----------
        taken
            Bound; listened on once the plans are known.
        ending
            Set when the process was asked to end by a signal.

        Returns
        -------
        int
            The exit code. Why a worker ends that no supervisor asked to is in the log.
        """
        over = asyncio.create_task(ending.wait())
        hearing = asyncio.create_task(self._hear(taken))
        await asyncio.wait({over, hearing}, return_when=asyncio.FIRST_COMPLETED)
        code = self._tell_why(hearing)
        await self._drain()
        over.cancel()
        hearing.cancel()
        await asyncio.gather(over, hearing, return_exceptions=True)
        await self._talk.close()
        return code

    def _tell_why(self, hearing: asyncio.Task[bool]) -> int:
        """Say in the log why this process ends unasked; return its exit code."""
        if not hearing.done():
            _log.warning("worker ends: a signal asked it to, not its supervisor")
            return DONE
        error = hearing.exception()
        if error is not None:
            _log.error("worker ends: it cannot go on hearing its supervisor", exc_info=error)
            return DEAF
        if hearing.result():
            return DONE
        if self._talk.is_cut:
            _log.warning("worker ends: its supervisor is gone")
            return LEFT
        self._idle_s = IDLE_S  # others answer here already; open connections get a last request
        _log.info("worker ends: those of another release answer")
        return DONE

    async def _hear(self, taken: socket.socket) -> bool:
        """Do what the supervisor says; true when it asks to end, false when it is gone."""
        while (said := await self._talk.receive()) is not None:
            match said:
                case channel.Drain():
                    self._idle_s = said.idle_s
                    return True
                case channel.Plans():
                    for document in said.documents:
                        self._guard.know(document)
                        self._warmer.take(document)
                case channel.Known():
                    self._standing.is_ready = said.is_ready
                    if self._opening is None:
                        self._opening = asyncio.create_task(self._open(taken))
                case _:
                    self._answer(said)
        return False

    def _answer(self, said: channel.ToWorker) -> None:
        match said:
            case channel.Measure():
                self._talk.send(channel.Measured(said.number, self._measure()))
            case channel.Ping():
                self._talk.send(channel.Pong())
            case channel.Total():
                future = self._asking.get(said.number)
                if future is not None and not future.done():
                    future.set_result(said.told)
            case _:
                pass

    async def _open(self, taken: socket.socket) -> None:
        """Accept connections, now that the plans are known."""
        await self._warmer.settle(limit_s=WARM_S)
        # What was imported and loaded stays: looking through it for rubbish, every few hundred
        # requests, cost as much as reading them. Requests themselves leave no cycles.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_RUBBISH)
        await self._listener.listen(taken)
        self._talk.send(channel.Ready())
        self._weighing = asyncio.create_task(self._weigh())

    async def _weigh(self) -> None:
        """Ask for another process in this place once a model has taken too much memory."""
        while True:
            await asyncio.sleep(weighing.LOOK_S)
            held_bytes = self._warmer.held_bytes
            if not self._weight.is_too_much(held_bytes):
                continue
            warm = [one.document.deployment for one in self._engine.warm()]
            _log.error(
                "worker takes more memory than its models explain: one leaks; replacing it",
                memory_mb=self._weight.seen_bytes // 2**20,
                most_mb=self._weight.most_bytes(held_bytes) // 2**20,
                deployments=warm[-_NAMED:],
            )
            self._talk.send(channel.Worn())
            await asyncio.sleep(_AGAIN_S)  # if none could take the place meanwhile

    async def _drain(self) -> None:
        started = [one for one in (self._opening, self._weighing) if one is not None]
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)
        await self._listener.close(drain_s=DRAIN_S, idle_s=self._idle_s)
        await self._warmer.close()
        self._explains.close()
        await self._engine.close()
        await self._guard.close()
        await asyncio.to_thread(self._log.close)
        self._talk.send(channel.Measured(0, self._measure()))

    def _tell(self, document: entities.PlanDocument) -> None:
        self._talk.send(channel.Serving(document.deployment, document.changed))

    def _measure(self) -> meters.Snapshot:
        return metrics.measure(self._engine, held_bytes=self._warmer.held_bytes)

    async def _metrics(self) -> answers.Reply:
        """Show the numbers of all workers; only its own when the supervisor is silent."""
        number = next(self._numbers)
        future = self._asking[number] = asyncio.get_running_loop().create_future()
        self._talk.send(channel.AskTotal(number))
        try:
            async with asyncio.timeout(TOTAL_S):
                told = await future
        except TimeoutError:
            missing = meters.Snapshot(numbers={"workers_missing": [((), self._n_workers - 1)]})
            told = meters.add([self._measure(), missing])
        finally:
            self._asking.pop(number, None)
        return answers.Reply(200, metrics.expose(told), answers.TEXT)


def _call(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    """Do something on the loop, from any thread; nothing once the loop has ended."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)


async def _work(talking: socket.socket, taken: socket.socket) -> int:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    talk = await channel.of_worker(talking)
    begin = await talk.receive()
    if not isinstance(begin, channel.Begin):
        return LEFT
    log.configure(level=begin.log_level, output=begin.log_format)
    if begin.release != app.VERSION:
        _log.error(
            "the supervisor is of another release; restart `homeostat serve`",
            supervisor=begin.release,
            worker=app.VERSION,
        )
        return OTHER
    return await Worker(talk, begin).run(taken, ending=ending)


def main(arguments: list[str]) -> None:
    """Work until told to end.

    Parameters
    ----------
    arguments
        Numbers of two inherited file descriptors: the socket of the supervisor, and the one to
        listen on.
    """
    talking, taken = (socket.socket(fileno=int(one)) for one in arguments)
    for one in (talking, taken):
        one.setblocking(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the supervisor, which drains
    code = uvloop.run(_work(talking, taken))
    sys.stderr.flush()
    os._exit(code)  # a thread of a model that hangs must not keep the process
