"""Brings closed segments to the server, each until it says that it has it; run by `server`."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from homeostat.doors.predict import app, control
from homeostat.foundation import errors, log
from homeostat.lifecycle.predictions import spool

BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LOOK_S = 1.0
# What will be refused however often it is sent; kept on disk for a person to look at.
_FINAL = (errors.ConflictError, errors.InvalidInputError, errors.CorruptError)

_log = log.get(__name__)


class Handover:
    """Hands over the segments of a spool.

    Parameters
    ----------
    spooled
        Where they wait.
    server
        Who takes them.
    standing
        Told of refused ones.
    """

    def __init__(
        self, spooled: spool.Spool, server: control.Control, *, standing: app.Standing
    ) -> None:
        self._spool = spooled
        self._server = server
        self._standing = standing
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
            except errors.HomeostatError as error:
                if failures == 0:
                    _log.warning("segments wait", url=self._server.url, why=str(error))
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
                continue
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
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

    async def _send(self, closed: spool.Closed) -> int:
        data = await asyncio.to_thread(closed.path.read_bytes)
        path = f"/api/deployments/{quote(closed.deployment, safe='')}/segments/{closed.segment}"
        try:
            await self._server.ask("POST", path, content=data)
        except _FINAL as error:
            _log.error("segment refused", path=str(closed.path), why=str(error))
            closed.path.rename(closed.path.with_suffix(".refused"))
            self._standing.n_refused += 1
            return 0
        closed.path.unlink(missing_ok=True)
        return 1
