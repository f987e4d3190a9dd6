"""One arm at work: it scores a batch in a thread, logs it, and only then answers.

Made by `served` for each arm of a plan and for each shadow; the engine submits to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

from homeostat.foundation import clock, errors, log
from homeostat.lifecycle.predictions import frames, spool
from homeostat.lifecycle.serving import batcher, composite, meters

_THRESHOLD = 0.5
_log = log.get(__name__)


class Request(NamedTuple):
    """Validated rows that are answered together; every list runs over rows."""

    rows: list[dict[str, Any]]
    ids: list[str]
    keys: list[str]
    context: list[dict[str, Any]]

    @property
    def n_rows(self) -> int:
        """Rows in it."""
        return len(self.rows)

    def pick(self, indices: Sequence[int]) -> Request:
        """Return the request of some of its rows.

        Parameters
        ----------
        indices
            Which rows, in [0, `n_rows`).

        Returns
        -------
        Request
            Those, in that order.
        """
        return Request(
            [self.rows[at] for at in indices],
            [self.ids[at] for at in indices],
            [self.keys[at] for at in indices],
            [self.context[at] for at in indices],
        )


class Answer(NamedTuple):
    """What an arm says of a request; lists run over its rows."""

    scores: list[float]
    answers: list[Any]
    arm: str
    version: str


class FaultedError(Exception):
    """Members failed on rows of this request; `faults` tells by row. Stays in the engine."""

    def __init__(self, faults: dict[int, composite.Fault]) -> None:
        super().__init__(f"{len(faults)} rows")
        self.faults = faults


class Post(NamedTuple):
    """What all arms of a process share."""

    log: spool.Spool
    pool: Executor
    meters: meters.Meters


class Place(NamedTuple):
    """Where an arm stands: what its rows in the log say of it."""

    deployment: str
    generation: int
    arm: str
    version: str
    answered: bool
    layout: frames.Layout


class AnsweringArm:
    """An arm's members behind their queue.

    Parameters
    ----------
    place
        What the log says of its rows.
    seats
        Its members.
    labels
        What is answered below a score of 0.5 and from there on; None answers the score.
    post
        The log, threads and counts of this process.
    """

    def __init__(
        self,
        place: Place,
        seats: Sequence[composite.Seat],
        *,
        labels: tuple[str | None, str] | None,
        post: Post,
    ) -> None:
        self.place = place
        self._seats = seats
        self._labels = labels
        self._members = [str(seat.version) for seat in seats]
        self._post = post
        self.lane: batcher.Lane[Request, Answer] = batcher.Lane(self._score)

    async def _score(self, batch: list[Request]) -> list[Answer | BaseException]:
        rows = [row for request in batch for row in request.rows]
        columns = {name: [row[name] for row in rows] for name in self.place.layout.features}
        loop = asyncio.get_running_loop()
        scored = await loop.run_in_executor(
            self._post.pool, composite.score, self._seats, columns, len(rows)
        )
        answers, logged = self._share_out(batch, scored)
        if scored.faults:
            self._report(scored.faults)
        if logged:
            await self._record(columns, scored, logged, is_whole=len(logged) == len(batch))
        return answers

    def _share_out(
        self, batch: list[Request], scored: composite.Scored
    ) -> tuple[list[Answer | BaseException], list[tuple[Request, int, Answer]]]:
        """Give each request its part; one that a member failed on gets its faults instead."""
        answers: list[Answer | BaseException] = []
        logged: list[tuple[Request, int, Answer]] = []
        scores: list[float] = scored.scores.tolist()
        start = 0
        for request in batch:
            end = start + request.n_rows
            faults = {at - start: why for at, why in scored.faults.items() if start <= at < end}
            if faults:
                answers.append(FaultedError(faults))
            else:
                part = scores[start:end]
                said = [self._label(score) for score in part]
                answer = Answer(part, said, self.place.arm, self.place.version)
                answers.append(answer)
                logged.append((request, start, answer))
            start = end
        return answers, logged

    def _label(self, score: float) -> Any:
        if self._labels is None:
            return score
        return self._labels[score >= _THRESHOLD]

    async def _record(
        self,
        columns: dict[str, list[Any]],
        scored: composite.Scored,
        logged: list[tuple[Request, int, Answer]],
        *,
        is_whole: bool,
    ) -> None:
        """Write one frame for the batch; raises when the log refuses, so nobody is answered."""
        place, post = self.place, self._post
        members: list[list[float]] = scored.member_scores.tolist()
        features: list[list[Any]] = list(columns.values())
        if not is_whole:
            spans = [(start, start + request.n_rows) for request, start, _ in logged]
            members = [[s for a, b in spans for s in one[a:b]] for one in members]
            features = [[s for a, b in spans for s in one[a:b]] for one in features]
        context = [one for request, _, _ in logged for one in request.context]
        frame = frames.Batch(
            served_at=clock.now_ms(),
            generation=place.generation,
            arm=place.arm,
            answered=place.answered,
            version=place.version,
            ids=[one for request, _, _ in logged for one in request.ids],
            keys=[one for request, _, _ in logged for one in request.keys],
            features=features,
            context=[[one.get(name) for one in context] for name in place.layout.context],
            scores=[score for _, _, answer in logged for score in answer.scores],
            answers=[one for _, _, answer in logged for one in answer.answers],
            members=self._members,
            member_scores=members,
        )
        post.log.write(place.deployment, frame, layout=place.layout)
        post.meters.rows[place.deployment, place.arm, place.version] += len(frame.ids)
        post.meters.batches[place.deployment, place.arm] += 1
        if post.log.durability == "ack":
            await asyncio.get_running_loop().run_in_executor(post.pool, post.log.sync)

    def _report(self, faults: dict[int, composite.Fault]) -> None:
        """Count faults and tell the log of them, where the judge of a rollout finds them."""
        place = self.place
        groups: dict[tuple[int, str], list[composite.Fault]] = {}
        for fault in faults.values():
            groups.setdefault((fault.version, fault.kind), []).append(fault)
        for (version, kind), found in groups.items():
            self._post.meters.faults[place.deployment, str(version), kind] += len(found)
            frame = frames.Failure(
                clock.now_ms(),
                place.generation,
                place.arm,
                str(version),
                len(found),
                kind,
                found[0].sentence,
            )
            try:
                self._post.log.write(place.deployment, frame)
            except errors.UnavailableError as error:
                _log.warning("fault-not-logged", deployment=place.deployment, why=str(error))
