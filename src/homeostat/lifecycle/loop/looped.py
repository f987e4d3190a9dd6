"""The loop on a history: answers, windows, labelled blocks and fits through the live `decide`.

Called by `backtest`. The order for each batch is that of life: labels that have come,
answers, what monitoring says of the rows just answered.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from homeostat.lifecycle.loop import (
    correcting,
    corrector,
    decide,
    entering,
    entities,
    foretold,
    observing,
    testbed,
)
from homeostat.lifecycle.monitoring import baseline, judge
from homeostat.lifecycle.monitoring import entities as monitored
from homeostat.lifecycle.policy import entities as policies
from homeostat.measures import residual


def answer(
    bed: testbed.Testbed,
    policy: policies.Policy,
    *,
    has_corrector: bool = True,
    enters: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> testbed.Answers:
    """Answer a history as the loop would have.

    Baselines are of columns alone: scores of rows a model was trained on would cry drift.

    Parameters
    ----------
    bed
        The history with its options.
    policy
        What `decide` follows; `retraining.block` is the batch of `bed`.
    has_corrector
        Whether a residual corrector may answer, where there are two classes and the policy
        wants one.
    enters
        Whether newcomers go through gates and canary, and clocks by the dates of the rows;
        else both are taken as passed, and nothing is held back.
    progress
        Is told rows answered and rows to answer.
    """
    life = Life(bed, policy, has_corrector=has_corrector, enters=enters)
    start = bed.rows.warmup
    for first, end in bed.batches():
        life.take_labels(at=first)
        life.answer(first, end)
        life.judge_window(first, end)
        life.look_at_clock(end)
        if progress is not None:
            progress(end - start, bed.n_rows - start)
    return testbed.Answers(
        chances=life.chances[start:],
        fits=life.n_fits,
        corrector_fits=life.n_corrector_fits,
        fit_rows=tuple(life.fit_rows),
        labels_used=life.n_labels,
        promotions=tuple(life.promotions),
        alarms=tuple(life.alarms),
        entered=None if life.entry is None else life.entry.met,
    )


class Life:
    """One deployment lived through a history."""

    def __init__(
        self,
        bed: testbed.Testbed,
        policy: policies.Policy,
        *,
        has_corrector: bool = True,
        enters: bool = False,
    ) -> None:
        self.bed = bed
        self.policy = policy
        self.entry = entering.Entry(bed, policy) if enters else None
        self.state = decide.begin("1", rows=(0, bed.rows.warmup), origin_row=0)
        self._may_correct = (
            has_corrector and bed.rows.task == "binary" and correcting.is_wanted(policy)
        )
        self.models: dict[str, testbed.Member] = {"1": bed.first}
        self.trained_on: dict[str, NDArray[np.int64]] = {"1": np.arange(bed.rows.warmup)}
        self.chances = foretold.blank(bed.rows)
        self.mixed = foretold.blank(bed.rows)
        self.corrected = foretold.blank(bed.rows)
        self.corrector: residual.Corrector | None = None
        self.n_corrector_fits = 0
        self.kept_out = np.zeros(bed.n_rows, dtype=bool)
        self.promotions: list[testbed.Promotion] = []
        self.alarms: list[testbed.Alarm] = []
        self.n_fits = 0
        self.fit_rows: list[int] = []
        self.n_labels = bed.rows.warmup
        self._n_versions = 1
        self._known_at = bed.known_at
        late = np.arange(bed.rows.warmup, bed.n_rows)
        self._arriving = late[np.argsort(self._known_at[late], kind="stable")]
        self._n_taken = 0
        self._block_row = bed.rows.warmup
        self._waiting: list[int] = []
        self._last_block = np.arange(0)
        self._baselines: dict[str, baseline.Baseline] = {}

    def answer(self, first: int, end: int) -> None:
        """Answer a batch with the composite in force, corrected where that is known to pay."""
        total, n_canary = self._mean(self.state.stable, first, end), 0
        if self.entry is not None and self.state.rollout is not None:
            is_canary = self.entry.canary(self.state, first, end)
            canary = self._mean(self.state.weights, first, end)
            total[is_canary] = canary[is_canary]
            n_canary = int(is_canary.sum())
        self.mixed[first:end] = self.corrected[first:end] = self.chances[first:end] = total
        if self.corrector is not None:
            part = self.bed.matrix[first:end]
            self.corrected[first:end] = residual.corrected(self.corrector, part, total)
            if correcting.is_in_force(self.state):
                self.chances[first:end] = self.corrected[first:end]
        if n_canary:
            self.happen(entities.RolloutObserved(n_answered=n_canary), at=first)

    def _mean(self, weights: dict[str, float], first: int, end: int) -> NDArray[np.float64]:
        total = np.zeros_like(self.chances[first:end])
        for version, weight in weights.items():
            total += weight * self.models[version].chances(first, end)
        return total

    def look_at_clock(self, end: int) -> None:
        """Let a schedule and requests that wait ask for their fits, where rows have dates."""
        if self.entry is None:
            return
        for event in (
            self.entry.rings(end, labelled=self._block_row),
            self.entry.waited(self.state, end, labelled=self._block_row),
        ):
            if event is not None:
                self.happen(event, at=end)

    def judge_window(self, first: int, end: int) -> None:
        """Let monitoring judge the rows just answered, as it would have; no label is needed."""
        judgement = judge.window(
            self.bed.rows.features[first:end],
            self._baseline(),
            first_row=first,
            budget=monitored.AlarmBudget(),
            tolerance=self.policy.monitoring.tolerance,
        )
        event = observing.window_event(judgement)
        self.happen(event, at=end)

    def take_labels(self, *, at: int) -> None:
        """Take the labels that have come and judge each block they complete.

        A block is the first rows with a label; labels that come later for rows before its
        end are passed over, as the live loop does.

        Parameters
        ----------
        at
            The row that will be answered next.
        """
        while self._n_taken < len(self._arriving):
            row = int(self._arriving[self._n_taken])
            if self._known_at[row] > at:
                break
            self._n_taken += 1
            self.n_labels += 1
            if row >= self._block_row and not self.kept_out[row]:
                bisect.insort(self._waiting, row)
        size = self.policy.retraining.block
        while len(self._waiting) >= size:
            block = np.array(self._waiting[:size])
            del self._waiting[:size]
            self._block_row = int(block[-1]) + 1
            self._take_block(block, at=at)

    def _take_block(self, block: NDArray[np.int64], *, at: int) -> None:
        """Judge a block; then the canary by its rows, unless the block ended that one."""
        self._last_block = block
        event, before = self._judged(block, at=at), self.state.rollout
        if self.entry is None or before is None:
            self.happen(event, at=at)
            return
        seen = self.entry.compared(
            block, self._at(self.state.weights, block), self._at(self.state.stable, block)
        )
        self.happen(event, at=at)
        now = self.state.rollout
        if now is not None and now.entrants == before.entrants:
            self.happen(seen, at=at)

    def _at(self, weights: dict[str, float], chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        total = np.zeros_like(self.chances[chosen])
        for version, weight in weights.items():
            total += weight * self.models[version].at(chosen)
        return total

    def happen(self, event: entities.Event, *, at: int) -> None:
        """Let the loop decide on an event, and do at once what it asks for."""
        events = deque([event])
        while events:
            self.state, verdicts = decide.decide(self.state, events.popleft(), self.policy)
            for verdict in verdicts:
                if self.entry is not None:
                    self.entry.note(verdict)
                if verdict.kind == "promote":
                    self._note_promotions(at)
                for act in verdict.acts:
                    following = self._do(act, at=at)
                    if following is not None:
                        events.append(following)

    def _baseline(self) -> baseline.Baseline:
        """Return what the columns were like for the model that answers most."""
        answering = self.state.stable
        version = max(answering, key=lambda name: answering[name])
        if version not in self._baselines:
            features = self.bed.rows.features
            rows = features[self.trained_on[version]]
            self._baselines[version] = baseline.freeze(rows, features=features.columns)
        return self._baselines[version]

    def _judged(self, block: NDArray[np.int64], *, at: int) -> entities.BlockLabelled:
        """Score what was answered and every member on rows it was not trained on."""
        rows, first = self.bed.rows, int(block[0])
        wrong = foretold.is_wrong(rows, block, self.chances[block])
        members = {
            member.version: foretold.member_loss(
                rows, block, self.models[member.version].at(block)
            )
            for member in self.state.members
            if member.rows[1] <= first
        }
        event = entities.BlockLabelled(
            first_row=first,
            end_row=int(block[-1]) + 1,
            n_rows=len(block),
            error=float(np.mean(wrong)),
            mixture=foretold.member_loss(rows, block, self.mixed[block]),
            members=members,
        )
        if rows.task == "regression":
            event = structs.replace(event, losses=tuple(wrong.tolist()))
        else:
            seen = foretold.sureness_of(rows, block, self.chances[block])
            event = structs.replace(event, sureness=seen)
        instant = None if self.entry is None else self.entry.at(at)
        if instant is not None:
            event = structs.replace(event, at=instant)
        if not self._may_correct:
            return event
        mixed = self.mixed[block]
        growth = corrector.growth(mixed, self.corrected[block], rows.labels[block])
        event = structs.replace(event, growth=growth)
        if np.array_equal(mixed, self.chances[block]):
            return event
        return structs.replace(event, uncorrected=foretold.sureness_of(rows, block, mixed))

    def _do(self, act: entities.Act, *, at: int) -> entities.Event | None:
        match act:
            case entities.StartFit(fit=fit):
                self.fit_rows.append(at)
                return self._fit(fit, at=at)
            case entities.JudgeGates(version=version, rows=rows):
                return self._gates(version, rows)
            case entities.FitCorrector(rows=rows):
                self._fit_corrector(rows, at=at)
            case entities.OpenAlert(alert=kind, cause=str()):  # not what is known, and proved
                self.alarms.append(testbed.Alarm(row=at, kind=kind))
            case entities.KeepOut(rows=ranges):
                self._keep_out(ranges)
            case entities.Retire(versions=versions):
                for version in versions:
                    self.models.pop(version, None)
                    self.trained_on.pop(version, None)
                    self._baselines.pop(version, None)
            case entities.AskApproval(version=version):
                return entities.Approved(version=version, by="backtest")
            case _:  # a plan is read from the state; an alert that ends changes no answer
                return None
        return None

    def _gates(self, version: str, rows: entities.RowRange) -> entities.GateJudged:
        if self.entry is None:
            return entities.GateJudged(version=version, passed=True, report="backtest")
        chosen = self._last_block
        assert (int(chosen[0]), int(chosen[-1]) + 1) == rows, "an exam is the newest block"
        return self.entry.judged(
            version,
            chosen,
            self.models[version].at(chosen),
            served=self.mixed[chosen],
            n_learned=len(self.trained_on[version]),
        )

    def _fit(self, fit: entities.Fit, *, at: int) -> entities.Event:
        chosen = testbed.rows_between(fit.rows[0], fit.rows[1], fit.without)
        chosen = chosen[self._known_at[chosen] <= at]
        before = self.bed.fit_s
        model = self.bed.fit(chosen)
        if model is None:
            return entities.FitFailed(fit=fit.id, sentence="its rows hold one class only")
        self.n_fits += 1
        self._n_versions += 1
        version = str(self._n_versions)
        self.models[version] = model
        self.trained_on[version] = chosen
        done = entities.FitFinished(fit=fit.id, version=version)
        if self.entry is None:
            return done
        return structs.replace(done, seconds=self.bed.fit_s - before)

    def _fit_corrector(self, rows: entities.RowRange, *, at: int) -> None:
        chosen = np.arange(*rows)
        chosen = chosen[~self.kept_out[chosen] & (self._known_at[chosen] <= at)]
        self.n_corrector_fits += 1
        self.corrector = corrector.fit(
            self.bed.matrix[chosen], self.mixed[chosen], self.bed.rows.labels[chosen]
        )

    def _keep_out(self, ranges: tuple[entities.RowRange, ...]) -> None:
        for first, end in ranges:
            self.kept_out[first:end] = True
        self._waiting = [row for row in self._waiting if not self.kept_out[row]]

    def _note_promotions(self, at: int) -> None:
        noted = {promotion.version for promotion in self.promotions} | {"1"}
        for version in self.state.answered:
            if version not in noted:
                self.promotions.append(testbed.Promotion(row=at, version=version))
