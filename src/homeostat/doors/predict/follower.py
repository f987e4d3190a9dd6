"""Knows the plans that the server has, and has their files; run by `server`, one per machine.

Plans and files are kept in the home, so that prediction goes on, and starts again, while the
server is away. A plan is delivered once all its files are there; one whose files cannot be had
is tried again by itself and holds up no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import blake3
import msgspec

from homeostat.doors.predict import control
from homeostat.foundation import clock, errors, ids, log
from homeostat.lifecycle.serving import entities

WAIT_S: Final = 25.0
BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0)
_AGAIN_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_AT_ONCE: Final = 8
_PAGE: Final = 100  # as many as the server tells at a time
PRUNE_EVERY_S: Final = 3600.0
UNNAMED_MS: Final = 24 * 3600 * 1000

_log = log.get(__name__)
_documents = msgspec.json.Decoder(list[entities.PlanDocument])


class Follower:
    """Follows the plans of all deployments of a project.

    Parameters
    ----------
    server
        Where they come from.
    folder
        Where plans and files are kept.
    deliver
        Gets every plan whose files are there, a later one of a deployment after an earlier.

    Attributes
    ----------
    documents
        The plans that were delivered last, by deployment.
    waiting
        Those that are newer, and wait for files.
    is_answered
        Whether the server answered when it was asked last.
    """

    def __init__(
        self,
        server: control.Control,
        *,
        folder: Path,
        deliver: Callable[[entities.PlanDocument], None],
    ) -> None:
        self.documents: dict[str, entities.PlanDocument] = {}
        self.waiting: dict[str, entities.PlanDocument] = {}
        self.is_answered = False
        self._server = server
        self._deliver = deliver
        self._files = folder / "files"
        self._kept = folder / "plans.json"
        self._after = 0
        self._whole: set[str] = set()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._fetching = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._files.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def recall(self) -> bool:
        """Deliver the plans that were kept, as far as their files are there.

        The server is asked for every plan afterwards: one that cannot be delivered now may be
        as old as those that can.

        Returns
        -------
        bool
            Whether any was delivered.
        """
        if not self._kept.is_file():
            return False
        try:
            known = _documents.decode(await asyncio.to_thread(self._kept.read_bytes))
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("kept plans cannot be read", path=str(self._kept), why=str(error))
            return False
        for document in known:
            self.waiting[document.deployment] = document
            if await asyncio.to_thread(self._has, document):
                self._hand_on(document)
            else:
                self._start(self._bring_later(document))
        return bool(self.documents)

    async def follow_once(self, *, wait_s: float = 0.0) -> int:
        """Ask for plans that changed, and try once to have their files.

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
            When the server cannot be asked now, or the disk refuses to keep the plans.
        """
        changed = await self._ask(wait_s=wait_s)
        # Also those that were kept without their files: the server can be asked for them now.
        await asyncio.gather(*(self._bring(one) for one in list(self.waiting.values())))
        return len(changed)

    async def run(self) -> None:
        """Follow until cancelled."""
        failures = 0
        while True:
            try:
                for one in await self._ask(wait_s=WAIT_S):
                    if self._waits(one):
                        self._start(self._bring(one))
                failures = 0
            except Exception as error:  # noqa: BLE001 - the outermost loop of this task
                if failures == 0:
                    self._tell(error)
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1

    async def prune(self) -> None:
        """Remove, now and then until cancelled, files that no plan has named for a day."""
        while True:
            await asyncio.to_thread(self.prune_once, list(self._plans()))
            await asyncio.sleep(PRUNE_EVERY_S)

    def prune_once(self, plans: list[entities.PlanDocument]) -> int:
        """Remove files that no plan has named for a day.

        Parameters
        ----------
        plans
            Whose files stay.

        Returns
        -------
        int
            How many are gone.
        """
        named = {digest for one in plans for digest in _digests(one)}
        before = clock.now_ms() - UNNAMED_MS
        gone = 0
        for place in self._files.iterdir():
            with contextlib.suppress(OSError):
                is_old = place.stat().st_mtime_ns // 1_000_000 < before
                if place.name not in named and is_old:
                    place.unlink()
                    gone += 1
        return gone

    def mend(self, name: str) -> None:
        """Have the files of a plan again: a worker says that one is damaged.

        Parameters
        ----------
        name
            A deployment.
        """
        document = self.documents.pop(name, None)
        if document is not None:
            self._whole.difference_update(one.digest for one in document.versions)
            self.waiting.setdefault(name, document)
            self._start(self._bring(self.waiting[name]))

    async def close(self) -> None:
        """Stop fetching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, *, wait_s: float) -> list[entities.PlanDocument]:
        """Return all that changed; what changed is known, and kept, when this returns."""
        found: list[entities.PlanDocument] = []
        while True:
            try:
                body = await self._server.ask(
                    "GET", "/api/plans", params={"after": self._after, "wait_s": wait_s}
                )
            except errors.HomeostatError:
                self.is_answered = False
                raise
            self.is_answered = True
            page = _documents.decode(body)
            fresh = [one for one in page if self._is_fresh(one)]
            for one in fresh:
                self.waiting[one.deployment] = one
                if self._whole.issuperset(version.digest for version in one.versions):
                    self._hand_on(one)  # a change of weights waits for nothing
            found += fresh
            if page:
                await asyncio.to_thread(self._keep, list(self._plans()))
                self._after = page[-1].changed  # only now: what is not kept comes again
            if len(page) < _PAGE:
                return found
            wait_s = 0.0

    def _is_fresh(self, document: entities.PlanDocument) -> bool:
        for known in (self.documents, self.waiting):
            before = known.get(document.deployment)
            if before is not None and before.changed >= document.changed:
                return False
        return True

    async def _bring(self, document: entities.PlanDocument) -> None:
        """Try once to have the files of a plan, then deliver it; later again if it fails."""
        try:
            async with self._gate:
                await self._have(document)
        except Exception as error:  # noqa: BLE001 - other plans go on
            self._start(self._bring_later(document, _tell_missing(document, error)))
            return
        self._hand_on(document)

    async def _bring_later(self, document: entities.PlanDocument, told: str = "") -> None:
        failures = 0
        while True:
            await asyncio.sleep(_AGAIN_S[min(failures, len(_AGAIN_S) - 1)])
            if not self._waits(document):
                return
            try:
                async with self._gate:
                    await self._have(document)
                self._hand_on(document)
            except Exception as error:  # noqa: BLE001 - other plans go on
                told = _tell_missing(document, error, told=told)
                failures += 1
            else:
                return

    def _hand_on(self, document: entities.PlanDocument) -> None:
        name = document.deployment
        if not self._waits(document):
            return
        del self.waiting[name]
        before = self.documents.get(name)
        self.documents[name] = document
        self._whole.update(one.digest for one in document.versions)
        self._deliver(document)
        if before is not None:
            for digest in _digests(before) - _digests(document):
                with contextlib.suppress(OSError):
                    os.utime(self._files / digest)  # its day begins

    def _waits(self, document: entities.PlanDocument) -> bool:
        return self.waiting.get(document.deployment) is document

    def _plans(self) -> Iterator[entities.PlanDocument]:
        yield from {**self.documents, **self.waiting}.values()

    def _start(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self, error: Exception) -> None:
        is_known = isinstance(error, errors.HomeostatError)
        tell = _log.warning if is_known else _log.exception
        tell("plans not followed", url=self._server.url, why=str(error))

    def _has(self, document: entities.PlanDocument) -> bool:
        return all(_is_whole(self._files / one, one) for one in _digests(document))

    async def _have(self, document: entities.PlanDocument) -> None:
        for version in document.versions:
            if version.digest not in self._whole:
                await self._have_version(document.model, version)

    async def _have_version(self, model: str, version: entities.VersionFiles) -> None:
        where = f"/api/models/{quote(model, safe='')}/versions/{version.version}"
        wanted = [
            (f"{where}/files/{quote(path)}", digest) for path, digest in version.files.items()
        ]
        if version.description:
            wanted.append((f"{where}/description", version.description))
        if version.baseline:
            wanted.append((f"{where}/baseline", version.baseline))
        await asyncio.gather(*(self._have_file(*one) for one in wanted))

    async def _have_file(self, where: str, digest: str) -> None:
        place = self._files / digest
        async with self._fetching:
            if await asyncio.to_thread(_is_whole, place, digest):
                return
            data = await self._server.ask("GET", where)
            if blake3.blake3(data).hexdigest() != digest:
                raise errors.UnavailableError(
                    f"{self._server.url} sent other bytes than {digest}"
                )
            await asyncio.to_thread(_write, place, data)

    def _keep(self, plans: list[entities.PlanDocument]) -> None:
        _write(self._kept, msgspec.json.encode(plans), is_forced=True)


def _tell_missing(document: entities.PlanDocument, error: Exception, *, told: str = "") -> str:
    """Tell the log why files are not there, unless that was told last; return what is told."""
    why = f"{type(error).__name__}: {error}"
    if why != told:
        tell = _log.warning if isinstance(error, errors.HomeostatError) else _log.exception
        tell("files not fetched", name=document.deployment, why=why)
    return why


def _digests(document: entities.PlanDocument) -> set[str]:
    return {
        digest
        for version in document.versions
        for digest in (*version.files.values(), version.description, version.baseline)
        if digest
    }


def _is_whole(place: Path, digest: str) -> bool:
    try:
        return blake3.blake3(place.read_bytes()).hexdigest() == digest
    except OSError:
        return False


def _write(place: Path, data: bytes, *, is_forced: bool = False) -> None:
    """Put bytes in place whole or not at all; UnavailableError when the disk refuses."""
    # A name of its own: two plans may name the same file and have it brought at once.
    draft = place.with_name(f"{place.name}.{ids.new_id()}.part")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            if is_forced:
                os.fsync(file.fileno())
        draft.chmod(0o600)
        draft.replace(place)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise errors.UnavailableError(
            f"{place} cannot be written: {error.strerror}",
            hint="free space there; plans are followed again by themselves",
        ) from error
