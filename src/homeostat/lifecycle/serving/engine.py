"""What answers predictions, whatever door they come through; holds a plan per deployment.

Called by `doors.predict`; framework-free, one per process, on that process's event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from homeostat.foundation import clock, errors
from homeostat.lifecycle.predictions import frames, labelling, spool
from homeostat.lifecycle.serving import answering, composite, entities, meters, plan, served


class Prediction(NamedTuple):
    """What is answered; lists run over the rows of the request."""

    ids: list[str]
    keys: list[str]
    scores: list[float]
    answers: list[Any]
    versions: list[str]
    arms: list[str]
    generation: int


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

    Notes
    -----
    `install` replaces a deployment's plan by one assignment. A request that began under the old
    plan ends under it. The plan before stays in memory, so going back needs no loading.
    """

    def __init__(self, log: spool.Spool, *, threads: int | None = None) -> None:
        self.meters = meters.Meters()
        self.log = log
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, "homeostat-score")
        self._post = answering.Post(log, self._pool, self.meters)
        self._served: dict[str, served.Served] = {}
        self._previous: dict[str, served.Served] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The deployments that it answers for."""
        return tuple(self._served)

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
        self._served[document.deployment] = coming

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
        """Return which versions must stay loaded: of all plans and of the ones before.

        Returns
        -------
        frozenset of str
            Digests of versions.
        """
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
        """
        found = self._served.get(name)
        if found is None:
            known = ", ".join(sorted(self._served)) or "none yet"
            raise errors.NotFoundError(
                f"no deployment {name!r} is served here", hint=f"served: {known}"
            )
        return found

    async def predict(
        self,
        name: str,
        rows: Sequence[dict[str, Any]],
        *,
        keys: Sequence[str | None] | None = None,
    ) -> Prediction:
        """Score rows, log them, and say what was decided.

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
        now = self.get(name)
        request = now.admit(rows, keys)
        dealt = now.route(request)
        if len(dealt) == 1:
            (arm,) = dealt
            parts = [(list(range(request.n_rows)), await self._answer(now, arm, request))]
        else:
            answers = await asyncio.gather(
                *(self._answer(now, arm, request.pick(at)) for arm, at in dealt.items()),
                return_exceptions=True,
            )
            for one in answers:
                if isinstance(one, BaseException):
                    raise one
            parts = list(zip(dealt.values(), answers, strict=True))  # type: ignore[arg-type]
        now.shadows.offer(request)
        return _assemble(request, parts, generation=now.document.plan.generation)

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
        classes = self.get(name).classes
        known = labelling.meant([one.label for one in labels], classes, deployment=name)
        frame = frames.Labels(
            clock.now_ms(),
            [one.key for one in labels],
            known,
            [one.event_at for one in labels],
        )
        self.log.write(name, frame)
        if self.log.durability == "ack":
            await asyncio.get_running_loop().run_in_executor(self._pool, self.log.sync)
        self.meters.labels[name] += len(labels)
        return len(labels)

    async def close(self) -> None:
        """Answer what was admitted, finish the shadows, then let the threads go."""
        for one in (*self._previous.values(), *self._served.values()):
            await one.idle()
        self._pool.shutdown(wait=True)

    async def _answer(
        self, now: served.Served, arm: int, request: answering.Request
    ) -> answering.Answer:
        """Let an arm answer; where a canary fails, the stable arm does, and the log says so."""
        try:
            return await now.arms[arm].lane.submit(request)
        except answering.FaultedError as error:
            name = now.document.deployment
            if arm == 0:
                raise _refused(name, error.faults) from None
            self.meters.fallbacks[name, now.arms[arm].place.arm] += request.n_rows
        try:
            return await now.arms[0].lane.submit(request)
        except answering.FaultedError as error:
            raise _refused(name, error.faults) from None


def _assemble(
    request: answering.Request,
    parts: Sequence[tuple[list[int], answering.Answer]],
    *,
    generation: int,
) -> Prediction:
    n = request.n_rows
    scores, answers = [0.0] * n, [None] * n
    versions, arms = [""] * n, [""] * n
    for indices, answer in parts:
        for at, score, said in zip(indices, answer.scores, answer.answers, strict=True):
            scores[at], answers[at] = score, said
            versions[at], arms[at] = answer.version, answer.arm
    return Prediction(request.ids, request.keys, scores, answers, versions, arms, generation)


def _refused(name: str, faults: Mapping[int, composite.Fault]) -> errors.UserCodeError:
    first = min(faults)
    which = ", ".join(f"rows[{at}]" for at in sorted(faults)[:5])
    more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""  # noqa: PLR2004
    return errors.UserCodeError(
        f"the model of deployment {name!r} failed on {which}{more}: {faults[first].sentence}",
        hint="no other request is affected; see the version's run, or roll the plan back",
        deployment=name,
        version=faults[first].version,
        kind=faults[first].kind,
    )
