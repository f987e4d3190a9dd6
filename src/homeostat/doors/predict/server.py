"""The prediction server: plans in, segments out, and workers that answer, until SIGTERM.

Started by `homeostat serve`. This process holds the connection to the server and supervises;
it answers nobody itself, so its workers go on while it waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import site
from pathlib import Path
from typing import Any, Final

from homeostat.doors.predict import (
    channel,
    control,
    follower,
    handover,
    sockets,
    succession,
    supervisor,
    warnings,
)
from homeostat.foundation import errors, log, settings
from homeostat.lifecycle.predictions import spool, spooled
from homeostat.lifecycle.serving import entities, meters

FIRST_S: Final = 5.0
LAST_S: Final = 5.0
LOOK_S: Final = 5.0
_MEMORY_SHARE: Final = 0.5

_log = log.get(__name__)


def run(
    told: settings.Settings,
    *,
    address: sockets.Address,
    server_url: str,
    durability: spool.Durability = "process",
    before: succession.Before | None = None,
) -> None:
    """Serve predictions until SIGTERM or SIGINT, then answer, log and hand over what is left.

    Parameters
    ----------
    told
        Home and project, workers and their memory.
    address
        Reserved already.
    server_url
        Where plans come from and segments go.
    durability
        When a prediction counts as logged.
    before
        What the release before left, where this process was of another one.

    Raises
    ------
    UnavailableError
        When no worker stays up.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line per request says nothing new
    here = _Server(told, address, server_url=server_url, durability=durability, before=before)
    asyncio.run(here.serve())


class _Server:
    def __init__(
        self,
        told: settings.Settings,
        address: sockets.Address,
        *,
        server_url: str,
        durability: spool.Durability,
        before: succession.Before | None,
    ) -> None:
        folder = told.home / "predict"
        n_workers = told.predict_workers or cores()
        memory_bytes = (told.predict_memory_mb * 2**20) or int(machine_bytes() * _MEMORY_SHARE)
        self._address = address
        self._folder = folder
        self._is_ready = False
        self._succeeding = asyncio.Event()
        self._trying: asyncio.Task[None] | None = None
        self._control = control.Control(server_url, project=told.project, token=told.token)
        self._follower = follower.Follower(self._control, folder=folder, deliver=self._deliver)
        self._spool = folder / "spool"
        self._handover = handover.Handover(self._spool, self._control)
        self._warnings = warnings.Warnings(self._control)
        self._duties: list[asyncio.Task[None]] = []
        self._recovering: set[asyncio.Task[None]] = set()
        begin = channel.Begin(
            folder=str(folder),
            durability=durability,
            n_workers=n_workers,
            memory_bytes=memory_bytes // n_workers,
            log_level=told.log_level,
            log_format=told.log_format,
            release=succession.RELEASE,
        )
        self._supervisor = supervisor.Supervisor(
            address,
            n_workers=n_workers,
            begin=begin,
            on_closed=self._handover.wake,
            on_ended=self._recover,
            on_damaged=self._follower.mend,
            on_seen=self._warnings.tell,
            measured=self._measured,
            before=before,
        )

    async def serve(self) -> None:
        ending = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
        loop.add_signal_handler(signal.SIGHUP, self._renewed)
        self._spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(spooled.offer_again, self._spool)
        await self._handover.recover()
        over = asyncio.create_task(ending.wait())
        tasks: list[asyncio.Task[Any]] = [over]
        is_over = True
        try:
            # Know the plans, then have workers that answer by them, until another release can.
            for step in (self._know_plans, self._start, self._succeeding.wait):
                now = asyncio.create_task(step())
                tasks.append(now)
                await asyncio.wait({over, now}, return_when=asyncio.FIRST_COMPLETED)
                if over.done():
                    return
                now.result()
            is_over = False
        finally:
            for task in (*tasks, *self._duties):
                task.cancel()
            await asyncio.gather(*tasks, *self._duties, return_exceptions=True)
            if is_over:
                await self._end()
        loop.remove_signal_handler(signal.SIGHUP)
        await self._follower.close()
        await self._control.close()
        _log.info("running what is installed now; the workers answer meanwhile")
        succession.leave(await self._supervisor.leave(), self._folder)

    async def _start(self) -> None:
        duties = (
            self._follow,
            self._handover.run,
            self._warnings.run,
            self._follower.prune,
            self._renew,
        )
        self._duties += [asyncio.create_task(one()) for one in duties]
        self._supervisor.know(is_ready=self._is_ready)
        await self._supervisor.start()
        host = settings.in_url(self._address.host)
        _log.info("prediction server listens", url=f"http://{host}:{self._address.port}")

    async def _end(self) -> None:
        await self._supervisor.stop()
        await self._follower.close()
        await self._handover.recover()
        with contextlib.suppress(TimeoutError, errors.HomeostatError):
            async with asyncio.timeout(LAST_S):
                await self._handover.flush()
        await self._control.close()

    async def _know_plans(self) -> None:
        """Know the plans before the first request; without the server, those kept."""
        self._is_ready = await self._follower.recall()
        limit_s = FIRST_S if self._is_ready else None
        try:
            async with asyncio.timeout(limit_s):
                await self._follower.follow_once()
            self._is_ready = True
        except Exception as error:  # noqa: BLE001 - what was kept is served whatever it says
            _log.warning("plans not followed; serving what was kept", why=str(error))

    async def _follow(self) -> None:
        while not self._is_ready:
            try:
                await self._follower.follow_once()
                self._is_ready = True
                self._supervisor.know(is_ready=True)
            except Exception as error:  # noqa: BLE001 - this task must not end
                _log.warning("no plans yet", why=str(error))
                await asyncio.sleep(follower.BACKOFF_S[-1])
        await self._follower.run()

    def _renewed(self) -> None:
        """Let new workers take every place; of another release, a new supervisor too."""
        if succession.installed_release() in {None, succession.RELEASE}:
            self._supervisor.replace()
        elif self._trying is None or self._trying.done():
            self._trying = asyncio.create_task(self._try_release())

    async def _try_release(self) -> None:
        if await succession.is_sound():
            self._succeeding.set()

    async def _renew(self) -> None:
        """Replace the workers once what is installed here has changed, and rests again."""
        known = await asyncio.to_thread(installed)
        before = known
        while True:
            await asyncio.sleep(LOOK_S)
            now = await asyncio.to_thread(installed)
            if now != known and now == before:
                known = now
                _log.info("what is installed has changed; replacing the workers")
                self._renewed()
            before = now

    def _deliver(self, document: entities.PlanDocument) -> None:
        self._supervisor.deliver(document)

    def _recover(self) -> None:
        task = asyncio.create_task(self._handover.recover())
        self._recovering.add(task)
        task.add_done_callback(self._recovering.discard)

    async def _measured(self) -> meters.Snapshot:
        waiting = await asyncio.to_thread(self._handover.numbers)
        return meters.Snapshot(
            numbers={
                **waiting.numbers,
                "plans_waiting": [((), len(self._follower.waiting))],
                "control_plane_up": [((), int(self._follower.is_answered))],
            }
        )


def cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_bytes() -> int:
    """Return the memory of this machine, or of the container where that is less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        return min(physical, limit)
    return physical


def installed() -> tuple[tuple[str, int], ...]:
    """Return what tells one state of the installed distributions from another."""
    found: list[tuple[str, int]] = []
    for folder in (*site.getsitepackages(), site.getusersitepackages()):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            found += [
                (one.name, one.stat().st_mtime_ns)
                for one in entries
                if one.name.endswith((".dist-info", ".egg-info"))
            ]
    return tuple(sorted(found))
