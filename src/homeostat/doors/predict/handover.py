"""Brings closed segments to the server, each until it says that it has it; run by `server`."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import quote

from homeostat.doors.predict import control
from homeostat.foundation import errors, log
from homeostat.lifecycle.predictions import spool, spooled

BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LOOK_S = 1.0
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
    logged
        Where they wait.
    server
        Who takes them.
    """

    def __init__(self, logged: spool.Spool, server: control.Control) -> None:
        self._spool = logged
        self._server = server
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for closed segments now; called on the loop."""
        self._wake.set()

    async def run(self) -> None:
        """Hand over until cancelled; while the server is away segments wait on disk."""
        failures = 0
        while True:
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
        """Hand over everything that is closed, oldest first.

        Returns
        -------
        int
            How many the server has now.

        Raises
        ------
        UnavailableError
            When the server is away or the disk refuses; what was not taken stays.
        """
        taken = 0
        first_error: errors.HomeostatError | None = None
        held: set[str] = set()
        for closed in await asyncio.to_thread(self._spool.closed):
            if closed.deployment in held:  # rows are numbered in the order of arrival
                continue
            try:
                taken += await self._send(closed)
            except errors.UnavailableError:
                raise
            except FileNotFoundError:  # another process of this spool has handed it over
                continue
            except OSError as error:
                raise errors.UnavailableError(
                    f"{closed.path} cannot be handed over: {error.strerror}"
                ) from error
            except errors.HomeostatError as error:
                # Another deployment's segments need not wait for this one's.
                first_error = first_error or error
                held.add(closed.deployment)
        if first_error is not None:
            raise first_error
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
