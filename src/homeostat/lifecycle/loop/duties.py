"""What a worker does for the loop: its jobs, by kind.

A handler does the slow part first and returns what is written together with the completion of
its job, so that a job that is done is recorded exactly once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import polars as pl

from homeostat.foundation import access, errors, jobs
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.data import intake, tables
from homeostat.lifecycle.evaluation import entities as evaluated
from homeostat.lifecycle.loop import (
    actions,
    aims,
    asking,
    candidates,
    carrying,
    checking,
    entities,
    enveloping,
    gating,
    judging,
    learnable,
    lessons,
    live,
    measuring,
    observing,
    places,
    prompting,
    renewing,
    scoring,
    triggers,
    wanting,
)
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.predictions import compaction
from homeostat.lifecycle.registry.entities import Description
from homeostat.lifecycle.serving import correcting

Finish = Callable[[Transaction], Any]
Handler = Callable[[jobs.Job], Finish]


class Bench:
    """Everything the jobs share: models in memory, the pipeline's workshop.

    Parameters
    ----------
    house
        Open, for as long as the bench is used.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._actor = access.system("loop")
        self._scorer = scoring.Scorer(house)
        self._loop = live.Loop(house, self._actor, self._scorer)
        self._renewing = renewing.Renewing(house, self._actor, self._loop)
        self._hourly = checking.Hourly(house, self._actor)
        self._measuring = measuring.Measuring(house, self._actor, self._hourly)
        self._judging = judging.Judging(house, self._actor, self._scorer)
        self._workshop = candidates.Workshop(house, self._actor)

    def close(self) -> None:
        """End the processes in which models are asked apart."""
        self._scorer.close()

    def quick(self) -> dict[str, Handler]:
        """Return the jobs that must never wait for a fit."""
        return {
            triggers.ADVANCE: self.advance,
            triggers.ASK: self.ask,
            carrying.EXAM: self.exam,
            carrying.CORRECTOR: self._renewing.learn,
            correcting.EXPIRE: self.expire,
        }

    def aside(self) -> dict[str, Handler]:
        """Return the jobs that ask functions of the user for numbers, and may take long."""
        return self._measuring.handlers()

    def slow(self) -> dict[str, Handler]:
        """Return the jobs that fit models."""
        return {
            carrying.FIT: self.fit,
            asking.TRAIN: self.train,
            judging.JUDGE: self._judging.judge,
            compaction.COMPACT: self.compact,
        }

    def advance(self, job: jobs.Job) -> Finish:
        """Judge what came in for a deployment."""
        name = str(job.payload["deployment"])
        done = self._loop.advance(name)
        self._hourly.look(name)

        def finish(tx: Transaction) -> Any:
            triggers.went_on(tx, self._actor, name)
            if wanting.is_waiting(actions.state(tx, name)):  # a mended feed frees what waits
                wanting.answer_due(tx, name)
            return msgspec.to_builtins(done)

        return finish

    def expire(self, job: jobs.Job) -> Finish:
        """Note that a correction has expired; prediction servers saw that by themselves."""
        which, version = str(job.payload["correction"]), int(job.payload["version"])
        return lambda tx: correcting.expire(tx, self._actor, which, version).reference

    def compact(self, job: jobs.Job) -> Finish:
        """Store small segments of a deployment's log together."""
        done = compaction.compact(self._house, self._actor, str(job.payload["deployment"]))
        return lambda _: done._asdict()

    def ask(self, job: jobs.Job) -> Finish:
        """Ask for a plain fit because a clock says so."""
        return prompting.handle(self._house, job)

    # --- a challenger ----------------------------------------------------------------------

    def fit(self, job: jobs.Job) -> Finish:
        """Fit a challenger on logged rows; it becomes a candidate of the pool."""
        name = str(job.payload["deployment"])
        fit = msgspec.convert(job.payload["fit"], entities.Fit)
        seen = self._house.read(lambda tx: self._loop.view(tx, name))
        if all(pending.id != fit.id for pending in seen.state.pending):
            return lambda _: {"fit": fit.id, "result": "not awaited any more"}
        began = time.perf_counter()
        try:
            lesson = lessons.of(self._house, self._actor, name, fit, policy=seen.policy)
            packed = self._packed(seen.policy, lesson)
        except (errors.UserCodeError, errors.InvalidInputError, errors.NotFoundError) as error:
            # Without a pipeline, as for a model fitted elsewhere, the loop only watches.
            sentence = error.message
            return lambda tx: self._give_up(tx, seen, fit, sentence)
        scores = self._scored_meanwhile(name, fit, packed)
        took = round(time.perf_counter() - began, 3)
        done = entities.FitFinished(
            fit=fit.id,
            version=fit.id,
            scores=scores,
            selection=lesson.told or msgspec.UNSET,
            seconds=took,
        )
        return lambda tx: self._enter(tx, seen, fit, packed=packed, event=done)

    def _packed(self, policy: Policy, lesson: lessons.Lesson) -> candidates.Packed:
        table, snapshot = lesson.table, lesson.snapshot
        learnable.need(table, policy)
        fitted = self._workshop.fit(policy, snapshot, table)
        return candidates.pack(
            self._house, policy, fitted, frame=table, held_out=None, snapshot=snapshot
        )

    def _scored_meanwhile(
        self, name: str, fit: entities.Fit, packed: candidates.Packed
    ) -> tuple[tuple[int, float], ...]:
        """Score a candidate on the blocks that were labelled since the end of its rows."""

        def look(tx: Transaction) -> tuple[live.View, list[tuple[int, pl.DataFrame]]]:
            seen = self._loop.view(tx, name)
            blocks = [b for b in seen.state.history if b.first_row >= fit.rows[1]]
            return seen, [
                (
                    block.first_row,
                    observing.labelled(
                        self._house,
                        tx,
                        name,
                        rows=(block.first_row, block.end_row),
                        without=seen.state.quarantined,
                    ),
                )
                for block in blocks
            ]

        seen, blocks = self._house.read(look)
        predictor = self._scorer.predictor(candidates.loadable(seen.deployment.model, packed))
        found = []
        first_member = seen.state.members[0].version
        for first, rows in blocks:
            aim = self._aim(seen, first_member, predictor.description, rows)
            scores = predictor.scores(observing.features(rows))
            truth = aims.truth(rows[observing.LABEL], aim)
            placed = aims.placed(scores, predictor.description, aim)
            found.append((first, aims.loss(placed, truth, aim)))
        return tuple(found)

    def _aim(
        self, seen: live.View, member: str, about: Description, rows: pl.DataFrame
    ) -> aims.Aim:
        """Return what a candidate foretells, judged as the first member of the pool is."""
        aim = self._loop.members.aim(seen.deployment, [member], rows)
        if aim.task != "multiclass":
            return aim
        return aim._replace(classes=tuple(dict.fromkeys((*aim.classes, *about.classes))))

    def _give_up(
        self, tx: Transaction, seen: live.View, fit: entities.Fit, sentence: str
    ) -> dict[str, str]:
        self._loop.record(tx, seen, entities.FitFailed(fit=fit.id, sentence=sentence))
        wanting.set_clock(tx, seen.deployment.name)
        return {"fit": fit.id, "result": sentence}

    def _enter(
        self,
        tx: Transaction,
        seen: live.View,
        fit: entities.Fit,
        *,
        packed: candidates.Packed,
        event: entities.FitFinished,
    ) -> dict[str, str]:
        candidate = places.Candidate(
            label=fit.id, packed=packed, rows=fit.rows, reason=fit.reason
        )
        places.keep(tx, seen.deployment.name, candidate)
        self._loop.record(tx, seen, event)
        wanting.set_clock(tx, seen.deployment.name)
        return {"fit": fit.id, "result": packed.digest}

    # --- its exam --------------------------------------------------------------------------

    def exam(self, job: jobs.Job) -> Finish:
        """Judge a candidate on its first unseen block, beside what was served on it."""
        name, label = str(job.payload["deployment"]), str(job.payload["label"])
        first, end = job.payload["rows"]

        def look(tx: Transaction) -> tuple[live.View, places.Candidate, pl.DataFrame]:
            seen = self._loop.view(tx, name)
            return (
                seen,
                places.candidate(tx, name, label),
                observing.labelled(
                    self._house, tx, name, rows=(first, end), without=seen.state.quarantined
                ),
            )

        seen, candidate, rows = self._house.read(look)
        packed, policy = candidate.packed, seen.policy
        predictor = self._scorer.predictor(candidates.loadable(policy.model.name, packed))
        try:
            scores = predictor.scores(observing.features(rows))
        except errors.UserCodeError as error:
            refused = entities.GateJudged(
                version=label, passed=False, report="", sentence=error.message
            )
            return lambda tx: self._loop.record(tx, seen, refused)
        about = predictor.description
        aim = self._aim(seen, seen.state.members[0].version, about, rows)
        examined = gating.examine(
            packed,
            policy,
            aim=aim,
            truth=aims.truth(rows[observing.LABEL], aim),
            scores=aims.placed(scores, about, aim),
            champion=aims.said(rows, aim),
            protected=observing.contexts(rows),
            rows=f"rows {first} to {end} of deployment:{name}",
            table=observing.sliceable(rows),
        )
        return lambda tx: self._judged(tx, seen, candidate, examined)

    def _judged(
        self,
        tx: Transaction,
        seen: live.View,
        candidate: places.Candidate,
        examined: gating.Examined,
    ) -> dict[str, Any]:
        name, policy = seen.deployment.name, seen.policy
        report = gating.save(
            tx,
            self._actor,
            examined,
            packed=candidate.packed,
            policy=policy,
            champion=f"deployment:{name}",
        )
        number = None
        needs_approval, is_outside, told = False, False, None
        if examined.passed:
            version = gating.register(
                tx,
                self._actor,
                candidate.packed,
                policy=policy,
                report=report,
                trained_rows=candidate.rows,
                purpose=candidate.reason,
            )
            number = version.number
            places.number(tx, name, candidate.label, version=number)
            told = enveloping.judge(tx, name, version, report=report, policy=policy)
            is_outside = told is not None and not told.inside
            needs_approval = is_outside or gating.needs_approval(tx, version, policy)
        event = entities.GateJudged(
            version=candidate.label,
            registered=None if number is None else str(number),
            passed=examined.passed,
            report=f"report:{report.id}",
            sentence=examined.judged.sentence,
            needs_approval=needs_approval,
            envelope=msgspec.UNSET if told is None else f"envelope:{told.id}",
            outside=told.sentence if told is not None and is_outside else msgspec.UNSET,
        )
        self._loop.record(tx, seen, event)
        return {"candidate": candidate.label, "version": number, "report": report.id}

    # --- a first model ---------------------------------------------------------------------

    def train(self, job: jobs.Job) -> Finish:
        """Fit a model on a snapshot's past, judge it on the latest quarter, register it."""
        asked = msgspec.convert(job.payload, asking.Train)
        policy = policies.parse(asked.policy, where="the policy of this job")
        snapshot = self._house.read(
            lambda tx: data.find_snapshot(tx, self._actor, asked.snapshot)
        )
        frame = intake.read_snapshot(self._house, snapshot)
        tables.need_column(frame.columns, policy.model.target, role="target")
        learnable.need(frame, policy)
        past, latest = candidates.split(frame, policy)
        actor = _asker(job)
        fitted = self._workshop.fit(policy, snapshot, past, part="/past", asker=actor)
        packed = candidates.pack(
            self._house, policy, fitted, frame=past, held_out=latest, snapshot=snapshot
        )
        predictor = self._scorer.predictor(candidates.loadable(policy.model.name, packed))
        aim = aims.of([predictor.description])
        examined = gating.examine(
            packed,
            policy,
            aim=aim,
            truth=aims.truth(latest[policy.model.target], aim),
            scores=predictor.scores(latest),
            champion=None,
            protected=gating.protected(policy, latest),
            rows=f"the latest {latest.height} rows of {snapshot.reference}",
            table=latest,
        )
        return lambda tx: self._trained(
            tx, actor, policy=policy, packed=packed, examined=examined
        )

    def _trained(
        self,
        tx: Transaction,
        actor: access.Actor,
        *,
        policy: Policy,
        packed: candidates.Packed,
        examined: gating.Examined,
    ) -> dict[str, Any]:
        report = gating.save(tx, actor, examined, packed=packed, policy=policy)
        number = None
        if examined.passed:
            number = gating.register(
                tx,
                actor,
                packed,
                policy=policy,
                report=report,
                trained_rows=None,
                purpose="initial",
            ).number
        told: dict[str, Any] = msgspec.to_builtins(_told(policy, packed, report, number))
        return told


def _asker(job: jobs.Job) -> access.Actor:
    """Return the person a job is done for, so that nobody approves what they trained."""
    return access.Actor(job.created_by, access.Role.CONTRIBUTOR, access.Kind.PERSON)


def _told(
    policy: Policy,
    packed: candidates.Packed,
    report: evaluated.GateReport,
    number: int | None,
) -> asking.Trained:
    return asking.Trained(
        model=policy.model.name,
        report=report.id,
        verdict=report.verdict,
        sentence=report.judged.sentence,
        version=number,
        run=packed.run_id,
    )
