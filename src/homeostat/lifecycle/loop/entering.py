"""What stands between a fit and its answers, in a backtest that lives through it.

Called by `looped`. Gates are judged on the same rows as live, canaries get their share of the
rows and are watched by the same tests, clocks and budgets go by the dates of the rows. Nothing
here decides: it makes the events that `decide` would get.
"""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import jobs
from homeostat.lifecycle.evaluation import gates
from homeostat.lifecycle.loop import (
    asked,
    cooling,
    entities,
    entrance,
    envelope,
    foretold,
    gating,
    guarding,
    observing,
    testbed,
)
from homeostat.lifecycle.policy import entities as policies

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


class Entry:
    """Gates, canaries and clocks on a history.

    Parameters
    ----------
    bed
        The history; with dates, `times`, clocks go.
    policy
        Its gates, rollout, envelope and retraining.
    """

    def __init__(self, bed: testbed.Testbed, policy: policies.Policy) -> None:
        self.bed = bed
        self.policy = policy
        self._dealt = np.random.default_rng(bed.seed).random(bed.n_rows)
        self._rang_at = self.at(bed.rows.warmup) or 0
        self.met = testbed.Entered()

    def at(self, row: int) -> int | None:
        """Return when a row was answered; None without dates."""
        times = self.bed.rows.times
        return None if times is None else int(times[min(row, len(times) - 1)])

    def note(self, verdict: entities.Verdict) -> None:
        """Count what is told of newcomers and of fits."""
        met = self.met
        if verdict.kind == "rollback":
            met = msgspec.structs.replace(met, rolled_back=met.rolled_back + 1)
        elif verdict.kind == "ask":
            met = msgspec.structs.replace(met, asked=met.asked + 1)
        elif " and waits: " in verdict.sentence:
            met = msgspec.structs.replace(met, held=met.held + 1)
        self.met = met

    def canary(self, state: entities.LoopState, first: int, end: int) -> NDArray[np.bool_]:
        """Return which rows of a batch the canary answers, dealt by chance."""
        share = entrance.serve(state, self.policy).share
        return np.asarray(self._dealt[first:end] < share, dtype=np.bool_)

    def judged(
        self, version: str, chosen: Rows, said: Floats, *, served: Floats, n_learned: int
    ) -> entities.GateJudged:
        """Judge a candidate's gates and envelope on the rows of its exam.

        Parameters
        ----------
        version
            Who sits.
        chosen
            Labelled rows that it was not trained on.
        said, served
            By the candidate, and by what answered, on these rows.
        n_learned
            Rows it was trained on.

        Notes
        -----
        Latency and size are not measured here, nor is there code or a hyper-parameter that
        could change.
        """
        rows = self.bed.rows
        truth = rows.labels[chosen]
        exam = gating.sit(
            self.policy,
            truth=truth.astype(bool) if rows.task == "binary" else truth,
            scores=said,
            champion=served,
            protected=observing.contexts(self._told(chosen)),
            rows=f"rows {chosen[0]} to {chosen[-1] + 1}",
            task=rows.task,
            table=observing.sliceable(self._told(chosen)),
        )
        found = gates.judge(exam, self.policy.gates)
        passed = found.verdict != "fail"
        if not passed:
            self.met = msgspec.structs.replace(self.met, refused=self.met.refused + 1)
        gain = {one.metric: one.gain.value for one in exam.comparisons}
        tier = self.policy.model.tier
        change = envelope.Change(
            tier=tier,
            n_rows=n_learned,
            parameters={},
            before={},
            gain=gain.get(self.policy.gates.metric),
            files=(),
        )
        items = envelope.judge(change, self.policy.envelope)
        is_outside = self.policy.envelope.is_said and not all(item.inside for item in items)
        return entities.GateJudged(
            version=version,
            passed=passed,
            report="backtest",
            sentence=found.sentence,
            needs_approval=is_outside or tier == "high",
            outside=envelope.sentence(items) if is_outside else msgspec.UNSET,
        )

    def compared(
        self, chosen: Rows, canary: Floats, stable: Floats
    ) -> entities.RolloutObserved:
        """Compare the canary's composite with the stable one on freshly labelled rows."""
        rows = self.bed.rows
        losses = (
            foretold.losses(rows, chosen, canary),
            foretold.losses(rows, chosen, stable),
        )
        of_two = (canary, stable) if rows.task == "binary" else None
        guarded = guarding.values(self._told(chosen), losses, of_two, policy=self.policy)
        return entities.RolloutObserved(
            paired=tuple((losses[0] - losses[1]).tolist()), guarded=guarded or msgspec.UNSET
        )

    def rings(self, end: int, *, labelled: int) -> asked.FitAsked | None:
        """Return what the schedule asks for, where it fell due before row `end`."""
        at, cron = self.at(end), self.policy.retraining.schedule
        if at is None or cron is None or "schedule" not in self.policy.retraining.on:
            return None
        if jobs.next_time(cron, after_at=self._rang_at) > at:
            return None
        self._rang_at = at  # as live, where a clock that was due several times rings once
        return asked.FitAsked(reason="schedule", end_row=labelled, at=at, by="clock")

    def waited(
        self, state: entities.LoopState, end: int, *, labelled: int
    ) -> asked.FitsDue | None:
        """Return that requests which waited may be answered now, where some may."""
        at = self.at(end)
        if at is None or not cooling.due(state, self.policy, at=at):
            return None
        return asked.FitsDue(end_row=labelled, at=at)

    def _told(self, chosen: Rows) -> pl.DataFrame:
        """Return rows as the log has them: features, and protected columns beside them."""
        rows = self.bed.rows
        named = {name: f"{observing.FEATURE}{name}" for name in rows.features.columns}
        found = rows.features[chosen].rename(named)
        if rows.groups.is_empty():
            return found
        beside = {
            name: f"{observing.CONTEXT}{name.removeprefix(observing.CONTEXT)}"
            for name in rows.groups.columns
        }
        return found.hstack(rows.groups[chosen].rename(beside))
