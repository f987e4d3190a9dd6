"""Plays the phases against real processes and writes down what the loop made of them.

The simulator tells the platform nothing but rows and late labels; all that is reported here is
read back from the API.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec
import polars as pl

from homeostat.doors.cli.demo import lender, phases, traffic
from homeostat.doors.client import Client
from homeostat.foundation import clock, errors
from homeostat.lifecycle.loop.entities import (
    Decision,
    KeepOut,
    OpenAlert,
    ResolveAlert,
    StartFit,
)
from homeostat.lifecycle.monitoring.entities import Alert

MODEL = "credit"
BATCH = 200
LABEL_DELAY_ROWS = 400
SETTLE_S = 180.0
LOOK_S = 0.05
LOSS_ROWS = 800

Told = Callable[[str, float, str], None]


class PhaseReport(msgspec.Struct, kw_only=True):
    """What a phase came to; `loss_*` are mean Brier scores of what was answered.

    `loss_before` is over the last rows before the phase (for the first: on the held-out rows
    of the gate report), `loss_peak` the worst 200 rows in it, `loss_after` over its last rows.
    """

    name: str
    rows: int
    alerts: list[dict[str, str | None]]
    decisions: list[dict[str, str]]
    loss_before: float
    loss_after: float
    loss_peak: float


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the final table."""

    phase: str
    row: int
    what: str
    why: str
    evidence: str
    cost: str
    decision: str


class Story:
    """One telling of the demo.

    Parameters
    ----------
    client
        Of the running server.
    predict_url
        Of the running prediction server.
    project
        Folder of the starter project whose pipeline the worker runs.
    seed
        Of the simulator.
    told
        Is told the phase, its share done, and a sentence.
    """

    def __init__(
        self, client: Client, predict_url: str, *, project: Path, seed: int, told: Told
    ) -> None:
        self._client = client
        self._lender = lender.Lender(seed)
        self._traffic = traffic.Traffic(predict_url, MODEL)
        self._project = project
        self._told = told
        self._late: deque[pl.DataFrame] = deque()
        self._sent_at: list[tuple[int, int]] = []
        self._n_labels = 0
        self._initial_loss = 0.0
        self._losses = pl.Series("loss", [], dtype=pl.Float64)
        self.reports: list[PhaseReport] = []
        self.happenings: list[Happening] = []

    # --- the first model -------------------------------------------------------------------

    def begin(self) -> None:
        """Train, gate, register, approve and deploy the first model.

        Raises
        ------
        GateClosedError
            When the gates keep the model out.
        """
        self._told("steady", 0.0, "a pipeline learns from 4,000 past loans")
        history = self._lender.applications(phases.HISTORY_ROWS)
        folder = self._project / "data"
        folder.mkdir(exist_ok=True)
        history.write_parquet(folder / "loans.parquet")
        policy = (self._project / "homeostat.toml").read_text(encoding="utf-8")
        snapshot = self._client.data.add(folder / "loans.parquet", "loans", key=traffic.KEY)
        job = self._client.training.ask(policy, snapshot=snapshot.reference)
        trained = self._client.training.wait(job, timeout_s=SETTLE_S)
        if trained.version is None:
            raise errors.GateClosedError(f"the first model was kept out: {trained.sentence}")
        self._told("steady", 0.0, f"gates: {trained.sentence}")
        self._client.models.approve(MODEL, trained.version, note="read the gate report")
        self._client.deployments.deploy(MODEL, policy=policy, version=trained.version)
        report = self._client.reports.get(trained.report)
        seen = report.exam.evaluation
        self._initial_loss = (seen.brier.value if seen is not None else None) or 0.0
        self._wait_until_served()

    def _wait_until_served(self) -> None:
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            if self._traffic.is_ready():
                return
            time.sleep(LOOK_S)
        raise errors.UnavailableError("the prediction server did not load the model in time")

    # --- the phases ------------------------------------------------------------------------

    def play(self, phase: phases.Phase) -> PhaseReport:
        """Send a phase's applications, wait for what the loop makes of them, write it down."""
        seen_alerts = {alert.id for alert in self._alerts()}
        seen_decisions = {decision.id for decision in self._decisions()}
        first_loss = len(self._losses)
        done = 0
        for stretch in phase.stretches:
            for n in _batches(stretch.n):
                self._told(phase.name, done / phase.n_rows, phase.told)
                self._send(stretch, n)
                done += n
        self._told(phase.name, 1.0, "settling")
        report = self._write_down(phase, first_loss, seen_alerts, seen_decisions)
        self.reports.append(report)
        return report

    def _send(self, stretch: phases.Stretch, n: int) -> None:
        rows = self._lender.applications(
            n,
            intake=stretch.intake,
            world=stretch.world,
            income_factor=stretch.income_factor,
        )
        answered = self._traffic.score(rows)
        self._sent_at.append((clock.now_ms(), self._traffic.n_sent))
        self._losses.append((answered["score"] - answered["defaulted"]) ** 2)
        self._late.append(rows)
        while (
            sum(part.height for part in self._late) - self._late[0].height >= LABEL_DELAY_ROWS
        ):
            known = self._late.popleft()
            self._traffic.report(known)
            self._n_labels += known.height
        self._settle()

    def _settle(self) -> None:
        """Wait until the loop has dealt with all that was sent: simulated time stands still."""
        expected = self._traffic.n_sent - self._traffic.n_failed
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            seen = self._client.training.progress(MODEL)
            is_in = seen.n_rows >= expected and seen.n_labels >= self._n_labels
            is_idle = not seen.n_waiting and not seen.n_unseen
            if is_in and is_idle and seen.judged_row + BATCH > seen.n_rows:
                return
            time.sleep(LOOK_S)
        raise errors.UnavailableError(
            f"the loop has not caught up within {SETTLE_S:g} s",
            hint="see the worker's last lines, or `homeostat status`",
        )

    # --- what came of it -------------------------------------------------------------------

    def _write_down(
        self,
        phase: phases.Phase,
        first_loss: int,
        seen_alerts: set[str],
        seen_decisions: set[str],
    ) -> PhaseReport:
        alerts = [alert for alert in self._alerts() if alert.id not in seen_alerts]
        made = [one for one in self._decisions() if one.id not in seen_decisions]
        for decision in made:
            self._note(phase, decision)
        before = self._losses[:first_loss].tail(LOSS_ROWS)
        inside = self._losses[first_loss:]
        return PhaseReport(
            name=phase.name,
            rows=phase.n_rows,
            alerts=[{"kind": a.kind, "cause": a.cause, "column": a.column} for a in alerts],
            decisions=[{"id": one.id, "kind": one.kind} for one in made],
            loss_before=_mean(before, self._initial_loss),
            loss_after=_mean(inside.tail(LOSS_ROWS), self._initial_loss),
            loss_peak=_peak(inside, self._initial_loss),
        )

    def _note(self, phase: phases.Phase, decision: Decision) -> None:
        if decision.kind == "none" and not _is_news(decision):
            return
        self.happenings.append(
            Happening(
                phase=phase.title,
                row=self._row_at(decision.at),
                what=decision.kind,
                why=decision.sentence,
                evidence=_evidence(decision),
                cost=_cost(decision),
                decision=decision.id,
            )
        )

    def _row_at(self, at: int) -> int:
        """Return how many applications had been sent at an instant."""
        return next((n for sent_at, n in reversed(self._sent_at) if sent_at <= at), 0)

    def _alerts(self) -> list[Alert]:
        return self._client.alerts.list(deployment=MODEL, limit=1000)

    def _decisions(self) -> list[Decision]:
        found = self._client.decisions.list(deployment=MODEL, limit=1000)
        return sorted(found, key=lambda one: one.id)

    @property
    def n_sent(self) -> int:
        """Applications sent so far."""
        return self._traffic.n_sent

    @property
    def n_failed(self) -> int:
        """Applications that got no score."""
        return self._traffic.n_failed

    @property
    def last_failure(self) -> str:
        """Why the latest application got no score; empty when all got one."""
        return self._traffic.last_failure

    def close(self) -> None:
        """Stop the traffic."""
        self._traffic.close()


def _is_news(decision: Decision) -> bool:
    """Say whether a decision that changed nothing is still worth a line: good news mostly."""
    tells = any(isinstance(act, OpenAlert | ResolveAlert) for act in decision.acts)
    is_step = decision.event == "rollout-observed" and bool(decision.acts)
    is_harmless = decision.event == "block-labelled" and "accepted" in decision.evidence
    return tells or is_step or is_harmless


def _evidence(decision: Decision) -> str:
    """Return the figures that decided, in a few words."""
    facts = decision.evidence
    told = []
    if isinstance(facts.get("log_e"), float):
        told.append(f"ln e {facts['log_e']:.1f} > {facts.get('threshold', 7):g}")
    if isinstance(facts.get("factor"), float):
        told.append(f"{facts.get('column')} x {facts['factor']:g}")
    if isinstance(facts.get("shift_loss"), float):
        told.append(f"shift explains {facts['shift_loss']:+.3f}")
    if isinstance(facts.get("log_e_sound"), float):
        told.append(f"ln e {facts['log_e_sound']:.1f} > {facts.get('needed', 3):.1f}")
    told.append(decision.id[-6:])
    return ", ".join(told)


def _cost(decision: Decision) -> str:
    """Return what a decision cost: rows learned from, rows kept out."""
    costs = []
    for act in decision.acts:
        if isinstance(act, StartFit):
            costs.append(f"1 fit, {act.fit.rows[1] - act.fit.rows[0]:,} rows")
        if isinstance(act, KeepOut):
            costs.append(f"{sum(end - first for first, end in act.rows):,} rows kept out")
    return ", ".join(costs)


def _batches(n: int) -> list[int]:
    whole = [BATCH] * (n // BATCH)
    return [*whole, n % BATCH] if n % BATCH else whole


def _mean(losses: pl.Series, otherwise: float) -> float:
    value = losses.mean()
    return float(value) if isinstance(value, float) else otherwise


def _peak(losses: pl.Series, otherwise: float) -> float:
    value = losses.rolling_mean(BATCH).max()
    return float(value) if isinstance(value, float) else otherwise
