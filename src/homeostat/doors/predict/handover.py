"""Brings closed segments to the server, each until it says that it has it; run by `server`.

One process hands over for all workers, those that died included: whose file is not locked has
no writer any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from homeostat.doors.predict import control
from homeostat.foundation import clock, errors, log
from homeostat.lifecycle.predictions import spooled
from homeostat.lifecycle.serving import meters

BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LOOK_S: Final = 1.0
_RECOVER_S: Final = 30.0
_AT_ONCE: Final = 4
# Refused however often it is sent, until a person changed something; kept on disk, sent again
# at the next start, shown by /metrics and `homeostat doctor`.
_FINAL = (
    errors.ConflictError,
    errors.InvalidInputError,
    errors.CorruptError,
    errors.TooLargeError,
)

_log = log.get(__name__)


class Handover:
    """Hands over the segments of a spool.

    Parameters
    ----------
    folder
        Where they wait.
    server
        Who takes them.
    """

    def __init__(self, folder: Path, server: control.Control) -> None:
        self._folder = folder
        self._server = server
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for closed segments now; called on the loop."""
        self._wake.set()

    async def recover(self) -> None:
        """Close what dead workers left open; those that live are not touched."""
        try:
            if await asyncio.to_thread(spooled.recover, self._folder):
                self.wake()
        except OSError as error:
            _log.warning("segments not recovered", folder=str(self._folder), why=str(error))

    async def run(self) -> None:
        """Hand over until cancelled; while the server is away segments wait on disk."""
        loop = asyncio.get_running_loop()
        recovered_at = loop.time()
        failures = 0
        while True:
            if loop.time() - recovered_at > _RECOVER_S:
                await self.recover()
                recovered_at = loop.time()
            try:
                await self.flush()
                failures = 0
            except Exception as error:  # noqa: BLE001 - the outermost loop of this task
                if failures == 0:
                    is_known = isinstance(error, errors.HomeostatError)
                    tell = _log.warning if is_known else _log.exception
                    tell("segments wait", url=self._server.url, why=str(error))
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            self._wake.clear()

    async def flush(self) -> int:
        """Hand over everything that is closed, each deployment's oldest first.

        Returns
        -------
        int
            How many the server has now.

        Raises
        ------
        UnavailableError
            When the server is away or the disk refuses; what was not taken stays.
        """
        logs: dict[str, list[spooled.Closed]] = {}
        for closed in await asyncio.to_thread(spooled.closed, self._folder):
            logs.setdefault(closed.deployment, []).append(closed)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def send(one: Sequence[spooled.Closed]) -> int:
            async with gate:
                return await self._send_all(one)

        done = await asyncio.gather(
            *(send(one) for one in logs.values()), return_exceptions=True
        )
        failed = [one for one in done if isinstance(one, BaseException)]
        if failed:  # another deployment's segments did not wait for this one's
            raise failed[0]
        return sum(one for one in done if isinstance(one, int))

    def numbers(self) -> meters.Snapshot:
        """Return what waits, for metrics; reads the folder, so call it in a thread."""
        closed = spooled.closed(self._folder)
        lag_s = 0.0
        with contextlib.suppress(FileNotFoundError, IndexError):  # handed over meanwhile
            oldest_ms = closed[0].path.stat().st_mtime_ns // 1_000_000
            lag_s = max(clock.now_ms() - oldest_ms, 0) / 1000
        refused = len(spooled.refused(self._folder))
        return meters.Snapshot(
            numbers={
                "spool_waiting_segments": [((), len(closed))],
                "spool_refused_segments": [((), refused)],
                "spool_lag_seconds": [((), lag_s)],
            }
        )

    async def _send_all(self, segments: Sequence[spooled.Closed]) -> int:
        """Hand over the segments of a deployment: rows are numbered in order of arrival."""
        taken = 0
        for closed in segments:
            try:
                taken += await self._send(closed)
            except FileNotFoundError:  # another process of this spool has handed it over
                continue
            except OSError as error:
                raise errors.UnavailableError(
                    f"{closed.path} cannot be handed over: {error.strerror}"
                ) from error
        return taken

    async def _send(self, closed: spooled.Closed) -> int:
        data = await asyncio.to_thread(closed.path.read_bytes)
        path = f"/api/deployments/{quote(closed.deployment, safe='')}/segments/{closed.segment}"
        try:
            await self._server.ask("POST", path, content=data)
        except _FINAL as error:
            _log.error("segment refused", path=str(closed.path), why=str(error))
            spooled.set_aside(closed)
            return 0
        closed.path.unlink(missing_ok=True)
        return 1
