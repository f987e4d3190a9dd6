"""Brings what the workers found unexpected to the server's alerts, at once; run by `server`."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from homeostat.doors.predict import control, handover
from homeostat.foundation import errors, log
from homeostat.lifecycle.serving import guarding

MOST_WAITING: Final = 100
TRIES: Final = 5
_log = log.get(__name__)


class Warnings:
    """Opens an alert for each decision that a person should hear of.

    Parameters
    ----------
    server
        Who tells people.
    """

    def __init__(self, server: control.Control) -> None:
        self._server = server
        self._waiting: asyncio.Queue[guarding.Unexpected] = asyncio.Queue(MOST_WAITING)

    def tell(self, told: guarding.Unexpected) -> None:
        """Have an alert opened soon; while too many wait, the log alone is told.

        Parameters
        ----------
        told
            Of a worker.
        """
        _log.warning(told.sentence, deployment=told.deployment, kind=told.kind)
        try:
            self._waiting.put_nowait(told)
        except asyncio.QueueFull:
            _log.error("alerts wait already", waiting=MOST_WAITING)

    async def run(self) -> None:
        """Open alerts until cancelled; one that is refused is left to the log."""
        while True:
            told = await self._waiting.get()
            try:
                await self._open(told)
            except Exception as error:  # noqa: BLE001 - the outermost loop of this task
                _log.error("alert not opened", deployment=told.deployment, why=str(error))

    async def _open(self, told: guarding.Unexpected) -> None:
        alert = {
            "deployment": told.deployment,
            "kind": told.kind,
            "cause": "unknown",
            "column": told.column or None,
            "sentence": told.sentence[:1000],
            "evidence": [line[:1000] for line in told.evidence],
        }
        for pause_s in handover.BACKOFF_S[:TRIES]:
            try:
                await self._server.ask(
                    "POST", "/api/alerts", content=msgspec.json.encode(alert)
                )
            except errors.UnavailableError:
                await asyncio.sleep(pause_s)
            else:
                return
        raise errors.UnavailableError(f"{self._server.url} does not answer")
