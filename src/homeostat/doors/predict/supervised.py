"""One worker process as its supervisor sees it; started and read by `supervisor`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import socket
import sys
from collections.abc import Callable
from typing import Final

from homeostat.doors.predict import channel
from homeostat.foundation import log
from homeostat.lifecycle.serving import entities, meters

MODULE: Final = "homeostat.doors.predict.start"
END_S: Final = 10.0
_numbers = itertools.count(1)
_log = log.get(__name__)


class Supervised:
    """A worker that was started.

    Parameters
    ----------
    process
        Of the worker.
    talk
        The supervisor's side of their socket.
    hear
        Gets what the worker says, itself first; what is only about the worker is kept here.

    Attributes
    ----------
    serving
        Sequence number of the plan in force there, by deployment.
    last
        What it said last of its counts.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        talk: channel.Channel[channel.ToSupervisor],
        *,
        hear: Callable[[Supervised, channel.ToSupervisor], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.pid = process.pid
        self.ready = asyncio.Event()
        self.serving: dict[str, int] = {}
        self.last: meters.Snapshot | None = None
        self.heard_at = loop.time()
        self._ready_at = math.inf
        self._process = process
        self._talk = talk
        self._hear = hear
        self._measuring: dict[int, asyncio.Future[meters.Snapshot]] = {}
        self.ended = asyncio.create_task(self._live())

    @property
    def answered_s(self) -> float:
        """For how long it has been ready, in seconds."""
        return max(asyncio.get_running_loop().time() - self._ready_at, 0.0)

    @property
    def line(self) -> int:
        """File descriptor of this side of their socket; the worker ends when it is closed."""
        return self._talk.number

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self.ended.done()

    def begin(self, told: channel.Begin) -> None:
        """Tell it what it must know first."""
        self._talk.send(told)

    def tell(self, documents: list[entities.PlanDocument]) -> None:
        """Tell it plans, a few at a time."""
        for at in range(0, len(documents), channel.PAGE):
            self._talk.send(channel.Plans(tuple(documents[at : at + channel.PAGE])))

    def know(self, *, is_ready: bool) -> None:
        """Tell it that it knows every plan now."""
        self._talk.send(channel.Known(is_ready))

    def answer(self, told: channel.Total) -> None:
        """Tell it the numbers of all."""
        self._talk.send(told)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._talk.send(channel.Ping())

    def drain(self, *, idle_s: float) -> None:
        """Ask it to end what it has begun, and then itself; see `channel.Drain`."""
        self._talk.send(channel.Drain(idle_s))

    def kill(self) -> None:
        """End it now."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def measure(self) -> meters.Snapshot:
        """Ask what it counted; cancel this to stop waiting.

        Returns
        -------
        Snapshot
            Of this moment; what was said last when it ends meanwhile.
        """
        number = next(_numbers)
        future: asyncio.Future[meters.Snapshot] = asyncio.get_running_loop().create_future()
        self._measuring[number] = future
        self._talk.send(channel.Measure(number))
        try:
            return await future
        finally:
            self._measuring.pop(number, None)

    async def _live(self) -> int:
        """Hear the worker until it has ended; return its exit code."""
        try:
            while (said := await self._talk.receive()) is not None:
                self.heard_at = asyncio.get_running_loop().time()
                self._take(said)
        except Exception:  # noqa: BLE001 - the outermost of this task: its end must be seen
            _log.exception("worker is not understood; killed", pid=self.pid)
            self.kill()
        try:
            async with asyncio.timeout(END_S):
                code = await self._process.wait()
        except TimeoutError:  # a thread that hangs keeps it
            self.kill()
            code = await self._process.wait()
        await self._talk.close()
        for future in self._measuring.values():
            if not future.done():
                future.set_result(self.last or meters.Snapshot())
        return code

    def _take(self, said: channel.ToSupervisor) -> None:
        match said:
            case channel.Ready():
                self._ready_at = self.heard_at
                self.ready.set()
            case channel.Serving():
                self.serving[said.deployment] = said.changed
            case channel.Measured():
                self.last = said.told
                future = self._measuring.get(said.number)
                if future is not None and not future.done():
                    future.set_result(said.told)
            case _:
                pass
        self._hear(self, said)


async def start(
    listening: socket.socket, *, hear: Callable[[Supervised, channel.ToSupervisor], None]
) -> Supervised:
    """Start a worker process.

    Parameters
    ----------
    listening
        Bound; the worker inherits it and listens once it knows its plans.
    hear
        As in `Supervised`.

    Returns
    -------
    Supervised
        It waits for `Supervised.begin`.

    Raises
    ------
    OSError
        When the system has no process left.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        given = (theirs.fileno(), listening.fileno())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", MODULE, *map(str, given)),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=given,
        )
    ours.setblocking(False)
    return Supervised(process, await channel.of_supervisor(ours), hear=hear)
