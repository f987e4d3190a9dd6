"""What answers predictions, whatever door they come through; holds a plan per deployment.

Called by `doors.predict`; framework-free, one per process, on that process's event loop.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from homeostat.foundation import clock, errors
from homeostat.lifecycle.predictions import frames, labelling, spool
from homeostat.lifecycle.serving import (
    answered,
    answering,
    asking,
    composite,
    entities,
    meters,
    plan,
    served,
)
from homeostat.lifecycle.serving import threads as threading

Prediction = answered.Prediction


class Label(NamedTuple):
    """A late label, by key; `event_at` is when it came true, where that is known."""

    key: str
    label: str | float
    event_at: int | None = None


class Engine:
    """Answers for every deployment it was given a plan of.

    Parameters
    ----------
    log
        Where predictions and labels are written before they are acknowledged.
    threads
        How many batches may be scored at once; one per core unless said.
    on_worn
        Called once too many threads hang in models; the process should be replaced.

    Notes
    -----
    `install` replaces a deployment's plan by one assignment. A request that began under the old
    plan ends under it. The plan before stays in memory, so going back needs no loading.

    A deployment that is expected is known but cold: `reach` has it loaded. One that has not
    been asked for longest may be put out of memory again, by `evict`.
    """

    def __init__(
        self,
        log: spool.Spool,
        *,
        threads: int | None = None,
        on_worn: Callable[[], None] = lambda: None,
    ) -> None:
        self.meters = meters.Meters()
        self.log = log
        self._threads = threading.Threads(threads, on_worn=on_worn)
        self._post = answering.Post(log, self._threads, self.meters)
        self._served: dict[str, served.Served] = {}
        self._previous: dict[str, served.Served] = {}
        self._cold: dict[
            str, tuple[str, ...]
        ] = {}  # their classes, in the order they were told
        self._n_asked = 0
        self.load: Callable[[str], Awaitable[None]] = _cannot_load

    @property
    def names(self) -> tuple[str, ...]:
        """The deployments that it answers for, those in memory first."""
        return (*self._served, *self._cold)

    def expect(self, name: str, classes: tuple[str, ...] = ()) -> None:
        """Let a deployment be known that `load` can load; one in memory stays as it is."""
        if name not in self._served:
            self._cold[name] = classes

    def holds(self, name: str) -> entities.PlanDocument | None:
        """Return the plan by which a deployment in memory answers; None when it is cold."""
        found = self._served.get(name)
        return None if found is None else found.document

    def warm(self) -> tuple[served.Served, ...]:
        """Return the deployments in memory, the one not asked for longest first."""
        return tuple(sorted(self._served.values(), key=lambda one: one.asked))

    def evict(self, name: str) -> bool:
        """Put a deployment out of memory; it is cold then.

        Parameters
        ----------
        name
            A deployment.

        Returns
        -------
        bool
            False when it is at work, or not in memory.
        """
        held = [one[name] for one in (self._served, self._previous) if name in one]
        if name not in self._served or any(one.is_busy for one in held):
            return False
        self._cold[name] = self._served.pop(name).document.classes
        self._previous.pop(name, None)
        return True

    def install(
        self, document: entities.PlanDocument, loaded: Mapping[int, served.Loaded]
    ) -> None:
        """Let a plan answer from the next request on.

        Parameters
        ----------
        document
            The plan; one that is not newer than the present one is ignored.
        loaded
            Every version that the plan names, warm: it has scored its own example.
        """
        now = self._served.get(document.deployment)
        if now is not None and now.document.changed >= document.changed:
            return
        coming = served.Served(document, loaded=loaded, post=self._post)
        if now is not None:
            self._previous[document.deployment] = now
            coming.asked = now.asked
        else:
            coming.asked = self._n_asked
        self._served[document.deployment] = coming
        self._cold.pop(document.deployment, None)

    def report(
        self, document: entities.PlanDocument, fault: composite.Fault, *, n_rows: int = 1
    ) -> None:
        """Tell the log of a version that cannot take its place, for the judge of a rollout.

        Parameters
        ----------
        document
            The plan that names the version.
        fault
            What is wrong with it.
        n_rows
            Rows it failed on, 1 or more.
        """
        members = [(one.version, arm.name) for arm in document.plan.arms for one in arm.members]
        arm = dict(reversed(members)).get(fault.version, plan.SHADOW)
        name = document.deployment
        self.meters.faults[name, str(fault.version), fault.kind] += n_rows
        frame = frames.Failure(
            clock.now_ms(),
            document.plan.generation,
            arm,
            str(fault.version),
            n_rows,
            fault.kind,
            fault.sentence,
        )
        self.log.write(name, frame)

    def digests_in_use(self) -> frozenset[str]:
        """Return digests of the versions of all plans and of the ones before."""
        plans = (*self._served.values(), *self._previous.values())
        return frozenset(one.digest for held in plans for one in held.document.versions)

    def get(self, name: str) -> served.Served:
        """Return a deployment's present generation.

        Parameters
        ----------
        name
            A deployment.

        Returns
        -------
        Served
            What answers now.

        Raises
        ------
        NotFoundError
            When nothing is served under that name.
        UnavailableError
            When it is known but not in memory; see `reach`.
        """
        found = self.find(name)
        if found is None:
            if name in self._cold:
                raise errors.UnavailableError(
                    f"deployment {name!r} is not in memory yet", retry_after_s=1
                )
            known = ", ".join(sorted(self._served))
            raise errors.NotFoundError(
                f"no deployment {name!r} is served here",
                hint=f"served: {known}" if known else "nothing is yet: homeostat deploy MODEL",
            )
        return found

    def find(self, name: str) -> served.Served | None:
        """Return a deployment's present generation; None when it is not in memory."""
        found = self._served.get(name)
        if found is not None:
            self._n_asked += 1
            found.asked = self._n_asked
        return found

    async def reach(self, name: str) -> served.Served:
        """Return a deployment's present generation, once it is in memory.

        Parameters
        ----------
        name
            A deployment.

        Returns
        -------
        Served
            What answers now.

        Raises
        ------
        NotFoundError
            When nothing is served under that name.
        UserCodeError
            When its versions cannot be loaded.
        UnavailableError
            When a file of it is being fetched again.
        """
        if name in self._cold:
            await self.load(name)
        return self.get(name)

    def begin(
        self,
        now: served.Served,
        request: asking.Request,
        *,
        done: Callable[[Prediction | BaseException], None],
    ) -> None:
        """Score an admitted request, log it, and say what was decided.

        Parameters
        ----------
        now
            From `get`; the request ends under this generation.
        request
            From `now`.
        done
            Gets the answer, in the order of the request's rows; every row is in the log then.
            Or an exception: UserCodeError when a model fails on a row and no stable arm can
            answer in its place, UnavailableError when the log cannot be written. Never called
            before this returns.

        Raises
        ------
        UnavailableError
            When too much is waiting.
        """
        dealt = now.route(request)
        if isinstance(dealt, int):
            self._ask(
                now, dealt, request, done=functools.partial(answered.whole, now, request, done)
            )
            return
        parts = answered.Parts(now, request, dealt, done)
        for arm, at in dealt.items():
            try:
                self._ask(now, arm, request.pick(at), done=functools.partial(parts.put, arm))
            except errors.UnavailableError as error:
                asyncio.get_running_loop().call_soon(parts.put, arm, error)

    async def predict(
        self,
        name: str,
        rows: Sequence[dict[str, Any]],
        *,
        keys: Sequence[str | None] | None = None,
    ) -> Prediction:
        """Score rows that came as objects; as `begin` otherwise.

        Parameters
        ----------
        name
            A deployment.
        rows
            1 to 10,000 rows: features, and columns named as protected or as the key.
        keys
            One per row, or None.

        Returns
        -------
        Prediction
            In the order of `rows`; every row is in the log when this returns.

        Raises
        ------
        NotFoundError
            When nothing is served under that name.
        InvalidInputError
            When a row does not fit the schema.
        UserCodeError
            When a model fails on a row and no stable arm can answer in its place.
        UnavailableError
            When the log cannot be written or too much is waiting.
        """
        now = await self.reach(name)
        waiter: asyncio.Future[Prediction | BaseException]
        waiter = asyncio.get_running_loop().create_future()
        told_to = functools.partial(answered.tell, waiter)
        self.begin(now, now.admit_rows(rows, keys), done=told_to)
        told = await waiter
        if isinstance(told, BaseException):
            raise told
        return told

    async def label(self, name: str, labels: Sequence[Label]) -> int:
        """Put late labels into the log.

        Parameters
        ----------
        name
            A deployment.
        labels
            1 to 100,000; a key may be unknown or labelled before, both are kept and reported.

        Returns
        -------
        int
            How many are in the log now.

        Raises
        ------
        NotFoundError
            When nothing is served under that name.
        InvalidInputError
            When a label is not one of the model's classes; then none is logged.
        UnavailableError
            When the log cannot be written.
        """
        held = self.holds(name)
        classes = self._cold.get(name, ()) if held is None else held.classes
        classes = classes or (await self.reach(name)).takes  # without loading, where told
        known = labelling.meant([one.label for one in labels], classes, deployment=name)
        frame = frames.Labels(
            clock.now_ms(),
            [one.key for one in labels],
            known,
            [one.event_at for one in labels],
        )
        self.log.write(name, frame)
        if self.log.durability == "ack":
            await self._threads.call(self.log.sync)
        self.meters.labels[name] += len(labels)
        return len(labels)

    async def close(self) -> None:
        """Answer what was admitted, finish the shadows, then let the threads go."""
        for one in (*self._previous.values(), *self._served.values()):
            await one.idle()
        self._threads.close()

    def _ask(
        self,
        now: served.Served,
        arm: int,
        request: asking.Request,
        *,
        done: Callable[[answering.Answer | BaseException], None],
    ) -> None:
        """Let an arm answer; where a canary fails, the stable arm does, and the log says so."""

        def told(answer: answering.Answer | BaseException) -> None:
            if not isinstance(answer, answering.FaultedError):
                done(answer)
                return
            name = now.document.deployment
            if arm == 0:
                done(answered.refused(name, answer.faults))
                return
            self.meters.fallbacks[name, now.arms[arm].place.arm] += request.n_rows
            try:
                self._ask(now, 0, request, done=done)
            except errors.UnavailableError as error:
                done(error)

        now.arms[arm].lane.submit(request, told)


async def _cannot_load(name: str) -> None:
    raise errors.UnavailableError(f"nothing loads deployment {name!r} here")
