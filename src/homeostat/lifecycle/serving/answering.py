"""One arm at work: it scores a batch, logs it, and only then answers.

Made by `served` for each arm of a plan and for each shadow; the engine submits to it. What is
quick is scored on the event loop, where a thread would cost more than the model; what is slow
in a thread. Which of both is decided by the time it took.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from homeostat.lifecycle.corrections import compiled
from homeostat.lifecycle.predictions import frames, spool
from homeostat.lifecycle.serving import (
    asking,
    batcher,
    composite,
    corrected,
    faulted,
    meters,
    pace,
    recording,
    residuals,
    several,
    threads,
)
from homeostat.lifecycle.serving import plan as plans
from homeostat.measures import residual

REST_S: Final = 5.0
"""How long a composite that did not answer in time is not asked again."""
_THRESHOLD: Final = 0.5


class Answer(NamedTuple):
    """What an arm says of a request; lists run over its rows; `chances` of several classes."""

    scores: list[float]
    answers: list[Any]
    arm: str
    version: str
    chances: list[list[float]] | None = None


class FaultedError(Exception):
    """Members failed on rows of this request; `faults` tells by row. Stays in the engine."""

    def __init__(self, faults: dict[int, composite.Fault]) -> None:
        super().__init__(f"{len(faults)} rows")
        self.faults = faults


Ask = Callable[[Sequence[composite.Seat], composite.Columns, int], composite.Scored]
Deliver = Callable[[list[Answer | BaseException]], None]


class Post(NamedTuple):
    """What all arms of a process share."""

    log: spool.Spool
    threads: threads.Threads
    meters: meters.Meters


class Place(NamedTuple):
    """Where an arm stands: what its rows in the log say of it.

    `share` is the chance with which a key comes to it; rows that a rule sent came with 1.
    """

    deployment: str
    generation: int
    arm: str
    version: str
    answered: bool
    layout: frames.Layout
    share: float = 1.0


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
    corrections
        What changes scores and answers; None for nothing.
    corrector
        What is learned on top of the members; None for nothing.
    turn
        Shared with the other arms of the plan; None for an arm that answers nobody.

    Notes
    -----
    Where the layout has several classes, each has its score, and the largest one is answered.
    """

    def __init__(
        self,
        place: Place,
        seats: Sequence[composite.Seat],
        *,
        labels: tuple[str | None, str] | None,
        post: Post,
        corrections: corrected.Corrections | None = None,
        corrector: residual.Applied | None = None,
        turn: batcher.Turn | None = None,
    ) -> None:
        self.place = place
        self._seats = seats
        self._classes = classes = place.layout.classes
        self._ask: Ask = composite.score
        if classes:
            self._ask = functools.partial(several.score, n_classes=len(classes))
        elif corrector is not None:
            self._ask = functools.partial(residuals.score, corrector, composite.score)
        if place.arm == plans.CANARY:
            self._ask = _counted(self._ask, post.meters.of_canary(place[0], place.generation))
        self._labels = labels
        self._members = [str(seat.version) for seat in seats]
        self._post = post
        self._turn = turn
        self._corrections = corrections
        self._pace = pace.Pace(
            is_fast=all(seat.predictor.is_fast for seat in seats),
            may_be_inline=corrections is None or corrections.is_fast,
        )
        self._rests_until = 0.0
        self.lane: batcher.Lane[asking.Request, Answer] = batcher.Lane(self._score, turn=turn)

    def _score(self, batch: list[asking.Request], deliver: Deliver) -> None:
        table, n_rows = asking.gathered(batch)
        columns = dict(zip(self.place.layout.features, table, strict=True))
        work = functools.partial(self._ask, self._seats, columns, n_rows)
        if self._corrections is not None:
            context = recording.context(batch)
            keys = [one.keys for one in batch]
            work = functools.partial(self._corrections.score, work, columns, context, keys)
        then = functools.partial(self._scored, batch, table, deliver)
        if self._rests_until and time.monotonic() < self._rests_until:
            self._mend(batch, table, deliver, self._resting(n_rows))
        elif self._pace.is_inline:
            then(self._pace.inline(work))
        else:
            self._post.threads.run(
                functools.partial(self._pace.in_thread, work),
                then,
                late=functools.partial(self._late, batch, table, deliver),
                failed=functools.partial(_spread, deliver, len(batch)),
            )

    def _late(
        self,
        batch: list[asking.Request],
        table: list[list[Any]],
        deliver: Deliver,
        timeout_s: float,
    ) -> None:
        """Answer a batch whose model hangs, and leave the model alone for a while."""
        self._rests_until = time.monotonic() + REST_S
        sentence = f"version {self.place.version} did not answer within {timeout_s:g} s"
        scored = self._failed(sum(one.n_rows for one in batch), "timeout", sentence)
        self._mend(batch, table, deliver, scored)

    def _mend(
        self,
        batch: list[asking.Request],
        table: list[list[Any]],
        deliver: Deliver,
        scored: composite.Scored,
    ) -> None:
        """Answer a batch that nobody scored by the fallback, where there is one."""
        then = functools.partial(self._scored, batch, table, deliver)
        if self._corrections is None:
            then(scored)
            return
        columns = dict(zip(self.place.layout.features, table, strict=True))
        self._post.threads.run(
            functools.partial(
                self._corrections.amend, scored, columns, recording.context(batch)
            ),
            then,
            late=lambda _: then(scored),
            failed=functools.partial(_spread, deliver, len(batch)),
        )

    def _resting(self, n_rows: int) -> composite.Scored:
        sentence = f"version {self.place.version} did not answer in time; it rests {REST_S:g} s"
        return self._failed(n_rows, "resting", sentence)

    def _failed(self, n_rows: int, kind: str, sentence: str) -> composite.Scored:
        fault = composite.Fault(self._seats[0].version, kind, sentence)
        return composite.failed(len(self._seats), n_rows, fault)

    def _scored(
        self,
        batch: list[asking.Request],
        table: list[list[Any]],
        deliver: Deliver,
        scored: composite.Scored,
    ) -> None:
        try:
            faults = scored.faults
            if faults and scored.outcome is not None:
                faults = {at: faults[at] for at in scored.outcome.failed}
            said = self._said(scored)
            answers = self._share_out(batch, said, faults)
            if scored.faults:
                faulted.report(scored.faults, self.place, self._post)
            frame = self._frame(batch, table, scored, said, faults)
            is_answered = frame is not None
            if frame is not None:
                self._record(frame, answers)
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait for the batch
            answers = [error] * len(batch)
            is_answered = False
        if is_answered and self._post.log.durability == "ack":
            self._post.threads.then(
                self._post.log.sync, functools.partial(_delivered, deliver, answers)
            )
        else:
            deliver(answers)

    def _said(self, scored: composite.Scored) -> recording.Said:
        """Return scores and answers of all rows of a batch."""
        if scored.chances is not None:
            return recording.Said(
                scored.scores.tolist(),
                several.answers(scored.chances, self._classes),
                scored.chances.tolist(),
            )
        outcome = scored.outcome
        if outcome is not None:
            return recording.Said(outcome.scores, outcome.answers)
        told = scored.scores if scored.corrected is None else scored.corrected
        scores: list[float] = told.tolist()
        labels = self._labels
        if labels is None:
            return recording.Said(scores, scores)
        return recording.Said(scores, [labels[one >= _THRESHOLD] for one in scores])

    def _share_out(
        self,
        batch: list[asking.Request],
        said: recording.Said,
        faults: dict[int, composite.Fault],
    ) -> list[Answer | BaseException]:
        """Give each request its part; one that a member failed on gets its faults instead."""
        arm, version = self.place.arm, self.place.version
        scores, answers, chances = said
        if not faults and chances is None and len(scores) == len(batch):
            return [
                Answer([score], [answer], arm, version)
                for score, answer in zip(scores, answers, strict=True)
            ]
        found: list[Answer | BaseException] = []
        start = 0
        for request in batch:
            end = start + request.n_rows
            part = slice(start, end)
            bad = {at - start: why for at, why in faults.items() if start <= at < end}
            if bad:
                found.append(FaultedError(bad))
            else:
                own = None if chances is None else chances[part]
                found.append(Answer(scores[part], answers[part], arm, version, own))
            start = end
        return found

    def _frame(  # noqa: PLR0917 - a batch as it is after scoring
        self,
        batch: list[asking.Request],
        table: list[list[Any]],
        scored: composite.Scored,
        said: recording.Said,
        faults: dict[int, composite.Fault],
    ) -> frames.Batch | None:
        """Return the frame of what is answered; None where nobody is."""
        rows = None
        if faults:
            batch, rows = batcher.without(batch, faults)
            if not batch:
                return None
        return recording.frame(
            self.place,
            batch,
            table,
            scored,
            said,
            members=self._members,
            fired=[] if scored.outcome is None else self._fired(scored.outcome),
            rows=rows,
        )

    def _record(self, frame: frames.Batch, answers: list[Answer | BaseException]) -> None:
        """Write a frame before it is answered; raises when the log refuses, so nobody is.

        Where other arms are still to score in this turn, all their frames go in one write.
        """
        place, post, turn = self.place, self._post, self._turn
        if turn is not None and turn.is_gathering and post.log.durability != "ack":
            turn.keep((frame, answers), self._write)
        else:
            post.log.write(place.deployment, frame, layout=place.layout)
        post.meters.scored(
            place.deployment, place.arm, version=place.version, n_rows=len(frame.ids)
        )

    def _write(self, kept: list[tuple[frames.Batch, list[Answer | BaseException]]]) -> None:
        """Write the frames of all arms; where the log refuses, none of them answers."""
        place = self.place
        together = [frame for frame, _ in kept]
        try:
            self._post.log.write(place.deployment, *together, layout=place.layout)
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            for _, answers in kept:
                answers[:] = [error] * len(answers)

    def _fired(self, outcome: compiled.Outcome) -> list[str]:
        """Count what fired, and return it by row."""
        for mark, n in outcome.tally().items():
            self._post.meters.corrections[self.place.deployment, mark] += n
        return outcome.fired


def _counted(ask: Ask, seconds: meters.Histogram) -> Ask:
    """Count how long a canary takes; bulk says nothing of what one caller waits for."""
    timed = pace.noted(ask, seconds.observe)
    return lambda seats, columns, n: (timed if n <= meters.FEW_ROWS else ask)(seats, columns, n)


def _spread(deliver: Deliver, n_requests: int, error: BaseException) -> None:
    """Tell everyone in a batch what went wrong with all of it."""
    deliver([error] * n_requests)


def _delivered(
    deliver: Deliver, answers: list[Answer | BaseException], error: BaseException | None
) -> None:
    """Answer when the disk has it; where it refused, nobody is answered."""
    deliver(answers if error is None else [error] * len(answers))
