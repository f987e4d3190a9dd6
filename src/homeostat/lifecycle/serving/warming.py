"""Which deployments a process has in memory; run by every prediction worker.

A worker knows all plans and has as many deployments in memory as its budget allows. What is
asked for while cold is loaded then; what was not asked for longest goes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Final

from homeostat.foundation import errors, log
from homeostat.lifecycle.serving import composite, engine, entities, loading, served

# A version that would not load is not tried for every request.
_AGAIN_S: Final = 10.0
_log = log.get(__name__)


class Warmer:
    """Takes plans, and has deployments loaded in time.

    Parameters
    ----------
    answering
        The engine; its `load` is set.
    files
        Folder of files by digest.
    budget_bytes
        What loaded versions may take together; one deployment is held whatever it takes.
    told
        Called with a plan that is in force from the next request on.
    damaged
        Called with a deployment whose files are not whole.
    resident
        Says how many bytes of memory this process takes.
    """

    def __init__(
        self,
        answering: engine.Engine,
        *,
        files: Path,
        budget_bytes: int,
        told: Callable[[entities.PlanDocument], None],
        damaged: Callable[[str], None],
        resident: Callable[[], int] = loading.resident_bytes,
    ) -> None:
        self._engine = answering
        self._shelf = loading.Shelf(files, counted=answering.meters, resident=resident)
        self._budget_bytes = budget_bytes
        self._told = told
        self._damaged = damaged
        self._documents: dict[str, entities.PlanDocument] = {}
        self._good: dict[str, entities.PlanDocument] = {}
        self._bad: dict[str, tuple[int, float, str]] = {}  # sequence number, since, why
        self._locks: dict[str, asyncio.Lock] = {}
        self._soon: deque[str] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._warming: asyncio.Task[None] | None = None
        answering.load = self._reach

    @property
    def held_bytes(self) -> int:
        """What the loaded versions take."""
        return self._shelf.size_bytes

    def take(self, document: entities.PlanDocument) -> None:
        """Let a plan be in force: at once where its versions are in memory, else once loaded.

        Parameters
        ----------
        document
            One that is older than the present one is ignored.
        """
        name = document.deployment
        known = self._documents.get(name)
        if known is not None and known.changed > document.changed:
            return
        self._documents[name] = document
        now = self._engine.holds(name)
        loaded = None if now is None else self._shelf.find(document)
        if now is not None and now.changed >= document.changed:
            self._told(document)
        elif loaded is not None:
            self._install(document, loaded)
        elif now is not None:
            self._start(self._renew(name))
        else:
            self._engine.expect(name, document.classes)
            self._told(document)
            self._soon.append(name)
            if self._warming is None:
                self._warming = asyncio.create_task(self._warm())

    async def settle(self, *, limit_s: float) -> None:
        """Wait until everything there is room for is in memory, or the time is over.

        Parameters
        ----------
        limit_s
            Seconds; the rest is loaded while requests are answered.
        """
        if self._warming is not None:
            await asyncio.wait({self._warming}, timeout=limit_s)

    async def close(self) -> None:
        """Load nothing more."""
        tasks = [*self._tasks, *([self._warming] if self._warming else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._shelf.close()

    async def _warm(self) -> None:
        """Load what is told and not asked for yet, while there is room."""
        while self._soon:
            name = self._soon.popleft()
            if self._engine.holds(name) is not None:
                continue
            guess_bytes = self._shelf.mean_bytes * len(self._documents[name].versions)
            if self._shelf.size_bytes + guess_bytes > self._budget_bytes:
                self._soon.clear()
                break
            await self._renew(name)
        self._warming = None

    async def _renew(self, name: str) -> None:
        with contextlib.suppress(errors.HomeostatError):  # told already
            await self._reach(name)

    async def _reach(self, name: str) -> None:
        """Have the newest plan of a deployment in force, however many ask for it."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            while True:
                now, document = self._engine.holds(name), self._documents[name]
                if now is not None and now.changed >= document.changed:
                    return
                try:
                    await self._load(document)
                except errors.HomeostatError:
                    if now is None:
                        raise
                    return  # the plan before answers on

    async def _load(self, document: entities.PlanDocument) -> None:
        """Load a plan and let it answer; where it will not load, the last one that did."""
        name = document.deployment
        changed, until, why = self._bad.get(name, (0, 0.0, ""))
        clock = asyncio.get_running_loop().time
        if changed != document.changed or clock() > until:
            try:
                loaded = await self._shelf.load(document)
                self._install(document, loaded)
            except loading.DamagedError as error:
                _log.warning("files of a plan are not whole", name=name, why=str(error))
                self._damaged(name)
                raise errors.UnavailableError(
                    f"files of deployment {name!r} are being fetched again", retry_after_s=1
                ) from None
            except loading.UnusableError as error:
                why = str(error)
                self._report(document, composite.Fault(error.version, "load", why))
            except Exception as error:  # noqa: BLE001 - a plan that no engine takes
                why = f"its plan cannot be served: {type(error).__name__}: {error}"
                _log.exception("plan not served", name=name)
            else:
                return
            self._bad[name] = (document.changed, clock() + _AGAIN_S, why)
        good = self._good.get(name)
        if good is not None and self._engine.holds(name) is None:
            with contextlib.suppress(loading.UnusableError, loading.DamagedError):
                self._engine.install(good, await self._shelf.load(good))
                return
        raise errors.UserCodeError(f"deployment {name!r}: {why}", deployment=name)

    def _report(self, document: entities.PlanDocument, fault: composite.Fault) -> None:
        _log.error("plan not served", name=document.deployment, why=fault.sentence)
        with contextlib.suppress(errors.UnavailableError):
            self._engine.report(document, fault)

    def _install(
        self, document: entities.PlanDocument, loaded: Mapping[int, served.Loaded]
    ) -> None:
        name = document.deployment
        self._engine.install(document, loaded)
        self._good[name] = document
        self._bad.pop(name, None)
        self._told(document)
        self._make_room(name)

    def _make_room(self, coming: str) -> None:
        """Put out of memory what was not asked for longest, until the rest fits."""
        self._shelf.keep(self._engine.digests_in_use())
        if self._shelf.size_bytes <= self._budget_bytes:
            return
        for one in self._engine.warm():
            name = one.document.deployment
            if name == coming or not self._engine.evict(name):
                continue
            self._engine.meters.evictions += 1
            self._shelf.keep(self._engine.digests_in_use())
            if self._shelf.size_bytes <= self._budget_bytes:
                return

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
