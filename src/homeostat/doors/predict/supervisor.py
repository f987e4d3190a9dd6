"""Keeps the workers of a prediction server: starts, tells, measures and replaces them.

Run by `server`. Every worker has a place with a socket of the common address. A worker that
dies is started again in its place, and callers go to the others meanwhile; a new release or
environment takes the places one by one, the new worker ready before the old one drains.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from homeostat.doors.predict import channel, sockets, succession, supervised
from homeostat.foundation import errors, log
from homeostat.lifecycle.serving import entities, guarding, meters

MEASURE_S: Final = 0.2
READY_S: Final = 60.0
DRAIN_S: Final = 15.0
IDLE_S: Final = 2.0
SETTLED_S: Final = 2.0
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 30.0
# A place that stays empty for longer keeps nobody waiting.
CLOSE_S: Final = 1.0
TRIES: Final = 6
PING_S: Final = 5.0
SILENT_S: Final = 60.0

_log = log.get(__name__)


class Place:
    """Where one worker stands after the other."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.listening: socket.socket | None = None
        self.worker: supervised.Supervised | None = None
        self.turn = asyncio.Event()
        self.failures = 0


class Supervisor:
    """All workers of one address.

    Parameters
    ----------
    address
        Theirs; closed by `stop`.
    n_workers
        1 or more.
    begin
        What every worker is told first.
    on_closed
        Called when a worker has closed a segment.
    on_ended
        Called when a worker has ended; it may have left a segment open.
    on_damaged
        Called with a deployment whose files are not whole.
    on_seen
        Called with a decision that a person should hear of.
    measured
        What the supervisor's own process counts.
    before
        What the release before left in this process; its workers answer until these are ready.
    """

    def __init__(
        self,
        address: sockets.Address,
        *,
        n_workers: int,
        begin: channel.Begin,
        on_closed: Callable[[], None],
        on_ended: Callable[[], None],
        on_damaged: Callable[[str], None],
        on_seen: Callable[[guarding.Unexpected], None],
        measured: Callable[[], Awaitable[meters.Snapshot]],
        before: succession.Before | None = None,
    ) -> None:
        self.restarts = 0 if before is None else before.restarts
        self._address = address
        self._begin = begin
        self._on_closed = on_closed
        self._on_ended = on_ended
        self._on_damaged = on_damaged
        self._on_seen = on_seen
        self._measured = measured
        self._documents: dict[str, entities.PlanDocument] = {}
        self._is_ready = False
        self._places = [Place(number) for number in range(n_workers)]
        self._leaving: set[supervised.Supervised] = set()
        self._retired = meters.Snapshot() if before is None else before.counted
        self._before = before
        self._former = {one.pid: one.counted for one in (before.workers if before else ())}
        self._turning = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeping: list[asyncio.Task[None]] = []
        self._was_ready = before is not None
        self._is_ending = False
        for place in self._places:
            if before is not None and before.listening:
                place.listening = before.listening.pop()

    async def start(self) -> None:
        """Start every worker; return once all accept connections.

        Raises
        ------
        UnavailableError
            When none of them stays up.
        """
        self._keeping = [asyncio.create_task(self._keep(one)) for one in self._places]
        self._keeping.append(asyncio.create_task(self._watch()))
        while not all(one.worker and one.worker.ready.is_set() for one in self._places):
            for task in self._keeping:
                if task.done():
                    task.result()
            if self._is_ending:
                return
            await asyncio.sleep(0.01)
        self._was_ready = True
        if self._before is not None:
            _log.info("workers of this release answer", release=self._begin.release)
            former = self._before.workers
            await asyncio.gather(*(self._dismiss(one) for one in former))
            for taken in self._before.listening:
                taken.close()

    async def _dismiss(self, former: succession.Former) -> None:
        counted = await succession.dismiss(former)
        del self._former[former.pid]
        self._retired = meters.add([self._retired, counted])
        self._on_ended()

    async def leave(self) -> succession.Left:
        """Keep no worker any more, and return what they need to go on without this process."""
        await self.total()  # each says what it counted
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        places = [one.listening for one in self._places if one.listening is not None]
        workers = [one for one in self._workers() if one.line >= 0]
        nothing = meters.Snapshot()
        return succession.Left(
            reserved=self._address.reserved,
            listening=tuple(one.fileno() for one in places),
            workers=tuple(
                succession.Former(one.pid, one.line, meters.lasting(one.last or nothing))
                for one in workers
            ),
            restarts=self.restarts,
            counted=self._retired,
        )

    def deliver(self, document: entities.PlanDocument) -> None:
        """Tell all workers a plan.

        Parameters
        ----------
        document
            Its files are in the folder.
        """
        self._documents[document.deployment] = document
        for worker in self._workers():
            worker.tell([document])

    def know(self, *, is_ready: bool) -> None:
        """Tell all workers whether they know the plans that the server has."""
        self._is_ready = is_ready
        for worker in self._workers():
            worker.know(is_ready=is_ready)

    def replace(self) -> None:
        """Let a new worker take every place, one after the other."""
        for place in self._places:
            place.turn.set()

    async def total(self) -> meters.Snapshot:
        """Ask all workers what they counted, and add it up.

        Returns
        -------
        Snapshot
            Counts never fall: of a worker that does not answer in time, or has ended, those
            that it told last are in; how many did not answer is told too.
        """
        present = [one for one in self._workers() if one.ready.is_set()]
        tasks = {asyncio.create_task(one.measure()): one for one in present}
        own = asyncio.create_task(self._own())
        if tasks:
            await asyncio.wait(tasks, timeout=MEASURE_S)
        parts = [self._retired, *self._former.values()]
        missing = sum(not one.worker or not one.worker.is_alive for one in self._places)
        for task, worker in tasks.items():
            if task.done():
                parts.append(task.result())
                continue
            task.cancel()
            missing += 1
            if worker.last is not None:
                parts.append(meters.lasting(worker.last))
        parts.append(await own)
        parts.append(meters.Snapshot(numbers={"workers_missing": [((), missing)]}))
        return meters.add(parts)

    async def stop(self) -> None:
        """Let every worker end what it has begun; return when all have ended."""
        self._is_ending = True
        for place in self._places:
            if place.listening is not None:
                place.listening.close()
        self._address.close()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for worker in self._workers():
            self._let_go(worker)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _workers(self) -> list[supervised.Supervised]:
        placed = [one.worker for one in self._places if one.worker is not None]
        return [one for one in {*placed, *self._leaving} if one.is_alive]

    async def _own(self) -> meters.Snapshot:
        measured = await self._measured()
        restarts: list[tuple[meters.Labels, float]] = [((), self.restarts)]
        return meters.Snapshot(numbers={**measured.numbers, "worker_restarts_total": restarts})

    async def _keep(self, place: Place) -> None:
        """Have a worker in a place until cancelled."""
        while True:
            worker = place.worker
            if worker is None:
                worker = await self._start(place)
                if worker is None:
                    await self._pause(place)
                    continue
            turn = asyncio.create_task(place.turn.wait())
            await asyncio.wait({worker.ended, turn}, return_when=asyncio.FIRST_COMPLETED)
            turn.cancel()
            if worker.is_alive:
                async with self._turning:
                    await self._turn(place, worker)
                continue
            await self._lost(place, worker)

    async def _start(self, place: Place) -> supervised.Supervised | None:
        """Start a worker in a place, and tell it all that is known; None when it cannot be."""
        try:
            if place.listening is None:
                place.listening = self._address.take()
            worker = await supervised.start(place.listening, hear=self._hear)
        except (OSError, errors.UnavailableError) as error:
            place.failures += 1
            _log.error("worker not started", place=place.number, why=str(error))
            return None
        place.worker = worker
        worker.begin(self._begin)
        worker.tell(list(self._documents.values()))
        worker.know(is_ready=self._is_ready)
        return worker

    async def _turn(self, place: Place, old: supervised.Supervised) -> None:
        """Put a new worker in the place of one that serves on until it is ready."""
        place.turn.clear()
        if not old.is_alive:
            return
        new = await self._start(place)
        if new is not None:
            self._leaving.add(old)  # it still hears of plans
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READY_S):
                    await self._ready_or_ended(new)
            if new.ready.is_set():
                _log.info("worker replaced", place=place.number, pid=new.pid, old=old.pid)
                self._let_go(old, idle_s=IDLE_S)
                return
            new.kill()
            self._leaving.discard(old)
        _log.error("new worker does not get ready; the old one stays", place=place.number)
        place.worker = old

    async def _ready_or_ended(self, worker: supervised.Supervised) -> None:
        ready = asyncio.create_task(worker.ready.wait())
        await asyncio.wait({ready, worker.ended}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    def _let_go(self, worker: supervised.Supervised, *, idle_s: float = 0.0) -> None:
        """Drain a worker; kill it when it takes too long."""

        async def leave() -> None:
            worker.drain(idle_s=idle_s)
            done, _ = await asyncio.wait({worker.ended}, timeout=DRAIN_S)
            if not done:
                _log.error("worker did not drain in time; killed", pid=worker.pid)
                worker.kill()
                await asyncio.wait({worker.ended})
            self._leaving.discard(worker)
            self._retire(worker)

        self._leaving.add(worker)
        task = asyncio.create_task(leave())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lost(self, place: Place, worker: supervised.Supervised) -> None:
        """Count a worker that ended, and wait before the next where it ended soon."""
        code = worker.ended.result()
        place.worker = None
        self._retire(worker)
        self.restarts += 1
        place.failures = 0 if worker.answered_s > SETTLED_S else place.failures + 1
        _log.warning(
            "worker ended; starting another",
            place=place.number,
            pid=worker.pid,
            code=code,
            answered_s=round(worker.answered_s, 1),
            failures=place.failures,
        )
        if any(one.worker and one.worker.ready.is_set() for one in self._places):
            self._close(place)
        await self._pause(place)

    async def _pause(self, place: Place) -> None:
        if place.failures >= TRIES and not self._was_ready:
            raise errors.UnavailableError(
                "no prediction worker stays up",
                hint="its last lines above say why; `homeostat doctor` checks the rest",
            )
        if place.failures <= 1:
            return
        pause_s = min(FIRST_PAUSE_S * 2.0 ** (place.failures - 2), LONGEST_PAUSE_S)
        if pause_s > CLOSE_S:
            self._close(place)
        await asyncio.sleep(pause_s)

    def _close(self, place: Place) -> None:
        """Let new connections go to the other places."""
        if place.listening is not None:
            place.listening.close()
            place.listening = None

    def _retire(self, worker: supervised.Supervised) -> None:
        if worker.last is not None:
            self._retired = meters.add([self._retired, meters.lasting(worker.last)])
            worker.last = None
        self._on_ended()

    def _hear(self, worker: supervised.Supervised, said: channel.ToSupervisor) -> None:
        match said:
            case channel.SegmentClosed():
                self._on_closed()
            case channel.Damaged():
                self._on_damaged(said.deployment)
            case channel.Seen():
                self._on_seen(said.told)
            case channel.AskTotal():
                task = asyncio.create_task(self._answer(worker, said.number))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case channel.Worn():
                for place in self._places:
                    if place.worker is worker:
                        place.turn.set()
            case _:
                pass

    async def _answer(self, worker: supervised.Supervised, number: int) -> None:
        worker.answer(channel.Total(number, await self.total()))

    async def _watch(self) -> None:
        """End a worker that has not given a sign of life for long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PING_S)
            for place in self._places:
                worker = place.worker
                if worker is None or not worker.is_alive or not worker.ready.is_set():
                    continue
                if loop.time() - worker.heard_at > SILENT_S:
                    _log.error("worker is silent; killed", pid=worker.pid, silent_s=SILENT_S)
                    worker.kill()
                worker.ping()
