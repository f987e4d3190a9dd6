"""Keeps the engine on the plans that the server has; run by `server` for as long as it lives.

Plans and files are kept in the home, so that this process serves on, and starts again, while
the server is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from urllib.parse import quote

import blake3
import msgspec

from homeostat.doors.predict import control
from homeostat.foundation import errors, log
from homeostat.lifecycle.registry import format as formats
from homeostat.lifecycle.serving import composite, engine, entities, loading, served

WAIT_S = 25.0
BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_AT_ONCE = 8

_log = log.get(__name__)
_documents = msgspec.json.Decoder(list[entities.PlanDocument])


class Follower:
    """Follows the plans of all deployments of a project.

    Parameters
    ----------
    answering
        The engine that gets the plans.
    server
        Where they come from.
    folder
        Where plans and files are kept.
    """

    def __init__(
        self, answering: engine.Engine, server: control.Control, *, folder: Path
    ) -> None:
        self._engine = answering
        self._server = server
        self._files = folder / "files"
        self._kept = folder / "plans.json"
        self._documents: dict[str, entities.PlanDocument] = {}
        self._waiting: dict[str, entities.PlanDocument] = {}
        self._after = 0
        self._loaded: dict[str, served.Loaded] = {}
        self._files.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def recall(self) -> bool:
        """Take up the plans that were kept, as far as that goes without the server.

        The server is asked for every plan afterwards: one that cannot be taken up now may be
        as old as those that can.

        Returns
        -------
        bool
            Whether any is served.
        """
        if not self._kept.is_file():
            return False
        try:
            known = _documents.decode(self._kept.read_bytes())
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("kept plans cannot be read", path=str(self._kept), why=str(error))
            return False
        for document in known:
            self._waiting[document.deployment] = document
            try:
                await self._take(document)
            except Exception as error:  # noqa: BLE001 - other deployments must be served
                _log.warning("kept plan not served", name=document.deployment, why=str(error))
        return bool(self._documents)

    async def follow_once(self, *, wait_s: float = 0.0) -> int:
        """Ask for plans that changed and serve them.

        Parameters
        ----------
        wait_s
            How long the server may wait for one.

        Returns
        -------
        int
            How many changed.

        Raises
        ------
        UnavailableError
            When the server, or a file of a version, cannot be had now, or the disk refuses.
        Exception
            Whatever else went wrong with a plan. In every case nothing is forgotten, and the
            plans of other deployments are served.
        """
        body = await self._server.ask(
            "GET", "/api/plans", params={"after": self._after, "wait_s": wait_s}
        )
        changed = _documents.decode(body)
        failed: list[Exception] = []
        reached = self._after
        for document in changed:
            try:
                await self._take(document)
            except Exception as error:  # noqa: BLE001 - the next one may be well
                failed.append(error)
            if not failed:
                reached = document.changed
        if changed:
            await asyncio.to_thread(self._keep)
        self._after = reached  # only now: a plan that could not be kept comes again
        if failed:
            raise failed[0]
        return len(changed)

    async def run(self) -> None:
        """Follow until cancelled; the engine serves on whatever happens here."""
        failures = 0
        while True:
            try:
                await self.follow_once(wait_s=WAIT_S)
                failures = 0
            except Exception as error:  # noqa: BLE001 - the outermost loop of this task
                if failures == 0:
                    self._tell(error)
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1

    def _tell(self, error: Exception) -> None:
        is_known = isinstance(error, errors.HomeostatError)
        tell = _log.warning if is_known else _log.exception
        tell("plans not followed", url=self._server.url, why=str(error))

    async def _take(self, document: entities.PlanDocument) -> None:
        """Load and warm what a plan names, then let it answer by one assignment."""
        served_now = self._documents.get(document.deployment)
        if served_now is not None and served_now.changed >= document.changed:
            return
        try:
            loaded = {
                one.version: await self._version(document, one) for one in document.versions
            }
        except _UnusableError as error:
            fault = composite.Fault(error.version, "load", str(error))
            _log.error("plan not served", name=document.deployment, why=str(error))
            with contextlib.suppress(errors.UnavailableError):
                self._engine.report(document, fault)
            return
        self._engine.install(document, loaded)
        self._documents[document.deployment] = document
        self._waiting.pop(document.deployment, None)
        in_use = self._engine.digests_in_use()
        self._loaded = {key: one for key, one in self._loaded.items() if key in in_use}

    async def _version(
        self, document: entities.PlanDocument, version: entities.VersionFiles
    ) -> served.Loaded:
        known = self._loaded.get(version.digest)
        if known is not None:
            return known
        gate = asyncio.Semaphore(_AT_ONCE)

        where = f"/api/models/{quote(document.model, safe='')}/versions/{version.version}"

        async def fetch(path: str, digest: str) -> tuple[str, bytes]:
            async with gate:
                return path, await self._file(f"{where}/files/{quote(path)}", digest)

        files = dict(await asyncio.gather(*(fetch(*one) for one in version.files.items())))
        if version.description:
            described = await self._file(f"{where}/description", version.description)
            files[formats.DESCRIPTION] = described
        try:
            loaded = await asyncio.to_thread(loading.load, files, is_trusted=version.is_trusted)
        except errors.HomeostatError as error:
            told = f"version {version.version} cannot be loaded: {error.message}"
            raise _UnusableError(told, version=version.version) from error
        self._loaded[version.digest] = loaded
        return loaded

    async def _file(self, where: str, digest: str) -> bytes:
        place = self._files / digest
        if place.is_file():
            data = await asyncio.to_thread(place.read_bytes)
            if blake3.blake3(data).hexdigest() == digest:
                return data
        data = await self._server.ask("GET", where)
        if blake3.blake3(data).hexdigest() != digest:
            raise errors.UnavailableError(f"{self._server.url} sent other bytes than {digest}")
        await asyncio.to_thread(_write, place, data)
        return data

    def _keep(self) -> None:
        known = {**self._waiting, **self._documents}
        _write(self._kept, msgspec.json.encode(list(known.values())))


class _UnusableError(Exception):
    """A version that will not load however often it is tried."""

    def __init__(self, told: str, *, version: int) -> None:
        super().__init__(told)
        self.version = version


def _write(place: Path, data: bytes) -> None:
    """Put bytes in place whole or not at all; UnavailableError when the disk refuses."""
    draft = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        draft.write_bytes(data)
        draft.chmod(0o600)
        draft.replace(place)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise errors.UnavailableError(
            f"{place} cannot be written: {error.strerror}",
            hint="free space there; plans are followed again by themselves",
        ) from error
