"""Measures what a user wants measured of a deployment, and tells people of it.

Objectives are counted, functions of the user asked, indicators of the business joined: by the
worker every few minutes, by the doors when a person asks. What one metric does wrong is its
own sentence and stops no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import polars as pl

from homeostat.foundation import access, errors, jobs
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.alerting import watching
from homeostat.lifecycle.loop import checking, counting, metering, newest, service
from homeostat.lifecycle.monitoring import (
    alerts,
    kpis,
    measured,
    measurements,
    model_classes,
    service_counts,
    slicing,
)
from homeostat.lifecycle.monitoring.measured import Measured
from homeostat.lifecycle.monitoring.objectives import Kept
from homeostat.lifecycle.policy import Kpi, Metric, Policy, spans
from homeostat.lifecycle.predictions import join
from homeostat.lifecycle.serving import actions as serving

MEASURE = "monitoring.measure"
CLOCK = "*/5 * * * *"
AGAIN_MS = 3_590_000
"""Metrics and indicators are measured again after an hour."""
BUDGETS = ("budget-fast", "budget-slow")
FAILED = "metric-failed"
_BURNING = {"burning-fast": BUDGETS[0], "burning-slow": BUDGETS[1]}

Finish = Callable[[Transaction], Any]


def numbers(house: House, seen: newest.Seen) -> list[Measured]:
    """Ask the user's functions, and join what the business counts.

    Parameters
    ----------
    house
        Its settings name the folder of the user's code.
    seen
        From `newest.look`, whole.

    Returns
    -------
    list of Measured
        Failures among them: a function that raises, hangs or crashes is one sentence.
    """
    found: list[Measured] = []
    folder = str(house.settings.code.resolve())
    if seen.policy.metrics:
        rows = join.beside(seen.rows, seen.labels)
        with metering.opened(folder) as meter:
            for name, wanted in seen.policy.metrics.items():
                found += _metric(name, wanted, seen, rows=rows, meter=meter)
    for name, indicator in seen.policy.kpis.items():
        found += _kpi(name, indicator, seen)
    return found


def _metric(
    name: str, wanted: Metric, seen: newest.Seen, *, rows: pl.DataFrame, meter: metering.Meter
) -> Iterator[Measured]:
    windowed = _newest(rows, wanted.window, now=seen.at)
    for part in (measured.EVERYBODY, *wanted.slices):
        label = slicing.label(part) if part else measured.EVERYBODY
        try:
            condition = seen.policy.slices[part] if part else ""
            inside = newest.inside(windowed, condition)
        except errors.InvalidInputError as error:
            told_of = f"slice {part}: {error}"
            yield measured.without(
                name, wanted, told_of, at=seen.at, part=label, verdict="failed"
            )
            continue
        n = inside.height
        if n < wanted.minimum_rows:
            told_of = f"{n:,} rows within {wanted.window}; {wanted.minimum_rows:,} are needed"
            yield measured.without(name, wanted, told_of, at=seen.at, part=label, n_rows=n)
            continue
        said = meter.ask(wanted.function, inside)
        yield _answered(name, wanted, said, part=label, n=n, at=seen.at)


def _answered(
    name: str, wanted: Metric, said: metering.Answer, *, part: str, n: int, at: int
) -> Measured:
    if said.value is None:
        sentence = said.sentence or f"{wanted.function} gave no number for {n:,} rows"
        return measured.without(
            name,
            wanted,
            sentence,
            at=at,
            part=part,
            n_rows=n,
            verdict="failed" if said.sentence else "unknown",
            code=said.code,
        )
    values = (said.value, said.low, said.high)
    return measured.judge(name, wanted, values, n_rows=n, at=at, part=part, code=said.code)


def _kpi(name: str, wanted: Kpi, seen: newest.Seen) -> Iterator[Measured]:
    table = seen.tables.get(wanted.dataset, f"there is no dataset {wanted.dataset!r}")
    if isinstance(table, str):
        yield measured.without(name, wanted, table, at=seen.at, verdict="failed")
        return
    try:
        known = kpis.values(table, wanted)
    except errors.InvalidInputError as error:
        yield measured.without(name, wanted, str(error), at=seen.at, verdict="failed")
        return
    rows = _newest(seen.rows, wanted.window, now=seen.at)
    yield from kpis.measure(
        name, wanted, rows, known=known, named=seen.policy.slices, at=seen.at
    )


def _newest(rows: pl.DataFrame, window: str, *, now: int) -> pl.DataFrame:
    span = spans.parse(window)
    if span.rows:
        return rows.tail(span.rows)
    return rows.filter(pl.col("served_at") >= now - 1000 * (span.seconds or 0.0))


# --- for the worker --------------------------------------------------------------------------


class Measuring:
    """Measures deployments when their clocks say so.

    Parameters
    ----------
    house, actor
        Open; a part of the system.
    hourly
        What checks, shared with the lane that judges.
    """

    def __init__(self, house: House, actor: access.Actor, hourly: checking.Hourly) -> None:
        self._house = house
        self._actor = actor
        self._hourly = hourly

    def handlers(self) -> dict[str, Callable[[jobs.Job], Finish]]:
        """Return the jobs by kind; user code runs in them, so they have a lane of their own."""
        return {MEASURE: self.measure, checking.CHECK: self.check}

    def check(self, job: jobs.Job) -> Finish:
        """Ask a deployment what its windows do not say, also while its log does not grow."""
        name, is_asked = str(job.payload["deployment"]), bool(job.payload.get("is_asked"))
        done = self._hourly.look(name, is_asked=is_asked)
        return lambda _: {"checked": done}

    def measure(self, job: jobs.Job) -> Finish:
        """Look at a deployment: its objectives each time, metrics and indicators each hour."""
        name = str(job.payload["deployment"])
        self._note_service(name)
        is_asked = bool(job.payload.get("is_asked"))
        is_due = is_asked or self._house.read(lambda tx: self._is_due(tx, name))
        seen = newest.look(self._house, self._actor, name, is_whole=is_due)
        stand = counting.kept(seen)
        found = numbers(self._house, seen) if is_due else []

        def finish(tx: Transaction) -> dict[str, int]:
            measurements.keep_objectives(tx, self._actor, name, stand)
            if is_due:
                self._keep(tx, name, found, policy=seen.policy)
            tell(tx, self._actor, name, stand=stand, found=found if is_due else None)
            return {"objectives": len(stand), "numbers": len(found)}

        return finish

    def _keep(
        self, tx: Transaction, name: str, found: Sequence[Measured], *, policy: Policy
    ) -> None:
        wanted: dict[Literal["metric", "kpi"], tuple[str, ...]]
        wanted = {"metric": tuple(policy.metrics), "kpi": tuple(policy.kpis)}
        for kind, names in wanted.items():
            measurements.forget_others(tx, self._actor, name, kind=kind, names=names)
        measurements.keep(tx, self._actor, name, found)

    def _note_service(self, name: str) -> None:
        """Keep how fast requests were answered, where somebody was promised that."""

        def is_promised(tx: Transaction) -> bool:
            found = serving.get_deployment(tx, self._actor, name)
            wanted = newest.promises(tx, self._actor, found)
            return any(one.wanted.of == "latency" for one in wanted)

        if not self._house.read(is_promised):
            return
        counted = service.counted(self._house.settings)
        if counted is not None:
            # One that was not asked yet counts from nothing.
            seen = counted.get(name, service_counts.Counts())
            self._house.write(lambda tx: service_counts.add(tx, self._actor, name, seen))

    def _is_due(self, tx: Transaction, name: str) -> bool:
        policy = serving.get_policy(serving.get_deployment(tx, self._actor, name))
        wanted = [f"metric {one}" for one in policy.metrics]
        wanted += [f"kpi {one}" for one in policy.kpis]
        known = {
            f"{one.kind} {one.name}": one.at
            for one in measurements.latest(tx, self._actor, name)
        }
        is_over = bool(known) and not wanted  # their alerts are to be cleared
        return is_over or any(known.get(one, 0) <= tx.at - AGAIN_MS for one in wanted)


def ask(tx: Transaction, actor: access.Actor, deployment: str) -> jobs.Job:
    """Have a deployment measured and checked as soon as a worker can.

    Parameters
    ----------
    tx, actor
        Needs ``monitoring.write``.
    deployment
        Its name.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "monitoring.write")
    serving.get_deployment(tx, actor, deployment)
    payload = {"deployment": deployment, "is_asked": True}
    jobs.enqueue(tx, actor, checking.CHECK, payload=payload, key=f"asked:{deployment}")
    return jobs.enqueue(tx, actor, MEASURE, payload=payload, key=f"asked:{deployment}")


def is_wanted(tx: Transaction, actor: access.Actor, deployment: str) -> bool:
    """Say whether anything of a deployment is to be measured by the clock."""
    policy = serving.get_policy(serving.get_deployment(tx, actor, deployment))
    return bool(
        policy.objectives
        or policy.metrics
        or policy.kpis
        or model_classes.list_classes(tx, actor)
    )


def tell(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    *,
    stand: Sequence[Kept],
    found: Sequence[Measured] | None,
) -> None:
    """Open an alert for what is outside of its bounds or burns its budget; clear the others.

    Parameters
    ----------
    tx, actor
        Needs ``alert.write``.
    deployment
        Its name.
    stand
        Objectives, all of them: alerts of those that are promised no more are cleared, too.
    found
        Metrics and indicators, all of them; None where they were not measured this time.
    """
    said = [*map(_of_objective, stand), *map(_of_number, found or ())]
    looked_at = {*BUDGETS, *((FAILED, "metric", "kpi") if found is not None else ())}
    for one in said:
        if one.kind:
            watching.open_alert(
                tx,
                actor,
                deployment=deployment,
                kind=one.kind,
                cause=one.cause,
                column=one.column,
                sentence=one.sentence,
                evidence=one.evidence,
            )
    wrong = {(one.kind, one.column) for one in said}
    blind = {one.column for one in said if one.is_blind}
    standing = alerts.list_alerts(
        tx, actor, deployment=deployment, states=watching.UNRESOLVED, limit=1000
    )
    for alert in standing:
        if alert.kind not in looked_at or (alert.kind, alert.column) in wrong:
            continue
        if alert.column in blind and alert.kind != FAILED:
            watching.lose_sight_of(tx, actor, alert)
        else:
            kind, column = alert.kind, alert.column
            watching.clear(tx, actor, deployment=deployment, kind=kind, column=column)


class _Said(NamedTuple):
    """What one look says of one thing; `kind` is that of the alert it is worth."""

    column: str
    kind: str = ""
    cause: str = "unknown"
    sentence: str = ""
    evidence: tuple[str, ...] = ()
    is_blind: bool = False


def _of_objective(one: Kept) -> _Said:
    column = f"{one.model_class}/{one.name}" if one.model_class else one.name
    if one.standing not in _BURNING:
        return _Said(column, is_blind=one.standing == "no-data")
    burns = tuple(
        f"burn rate over {rendered(burn.long_ms)}: {burn.long:.4g}"
        for burn in one.burns
        if burn.long is not None
    )
    cause = "infrastructure" if one.of in {"latency", "freshness"} else "unknown"
    return _Said(column, _BURNING[one.standing], cause, one.sentence, burns)


def _of_number(one: Measured) -> _Said:
    column = " ".join(part for part in (one.name, one.part) if part)
    if one.verdict == "found":
        return _Said(column, one.kind, sentence=one.sentence, evidence=(f"code: {one.code}",))
    if one.verdict == "failed":
        return _Said(column, FAILED, sentence=one.sentence)
    return _Said(column, is_blind=one.verdict == "unknown")


def rendered(milliseconds: int) -> str:
    """Return a length of time as a person writes it: ``5 min``, ``6 h``, ``3 d``."""
    hours = milliseconds / 3_600_000
    if hours < 1:
        return f"{60 * hours:.3g} min"
    return f"{hours:.3g} h" if hours < 48 else f"{hours / 24:.3g} d"  # noqa: PLR2004 - two days
