"""Looks closer at a deployment once an hour than its windows do; called by `checking`.

Joint drift, what the model rests on, skew against a data set, and how the service fares. It
opens models and data sets, so it runs in the worker, apart from the lane that judges; what it
finds is kept and shown by the doors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.data import intake
from homeostat.lifecycle.data.entities import Snapshot
from homeostat.lifecycle.explanations import contributions, original
from homeostat.lifecycle.loop import newest as promised
from homeostat.lifecycle.loop import observing, recomputing, summarising
from homeostat.lifecycle.loop import service as asking
from homeostat.lifecycle.monitoring import (
    attributions,
    checks,
    service,
    service_counts,
    skew,
    together,
)
from homeostat.lifecycle.predictions import read
from homeostat.lifecycle.registry import adopted
from homeostat.lifecycle.registry import format as formats
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving.entities import Deployment

NAMES: Final = (
    together.NAME,
    attributions.NAME,
    skew.NAME,
    *(f"service {name}" for name in ("latency", "errors", "saturation")),
)
EXPLAINED_ROWS: Final = 300
ESTIMATED_ROWS: Final = 120
SKEW_ROWS: Final = 2000
MOST_COMPUTED: Final = 20_000
MOST_SNAPSHOT_ROWS: Final = 500_000
PIECE: Final = 50
"""Rows that are read together where a day has too many to read them all."""
HOURS: Final = "hours known"
LEAST_HOURS: Final = 336.0
"""Columns may follow the clock or the week: of what is found before nobody is told."""
_LOG: Final = ".log"


class Subject(NamedTuple):
    """What is looked at: a deployment, the version that decides most, its newest answers.

    `of_day` are rows from all of the newest day, in order; `since` is when the first hour with
    rows began.
    """

    deployment: Deployment
    version: Version
    how: adopted.Loadable
    rows: pl.DataFrame
    of_day: pl.DataFrame
    since: int
    at: int


def closer(
    house: House, actor: access.Actor, subject: Subject, *, level: float
) -> list[checks.Check]:
    """Return what a closer look finds.

    Parameters
    ----------
    house, actor
        Needs ``data.read``, ``prediction.read`` and ``monitoring.write``.
    subject
        From `checking`.
    level
        Chance of a false finding of each question.
    """
    name = subject.deployment.name
    return [
        _of_hours(_together(house, actor, subject, level=level), subject),
        _of_hours(_attributions(house, actor, subject, level=level), subject),
        against(house, actor, subject),
        *_service(house, actor, name, at=subject.at, level=level),
    ]


def against(
    house: House,
    actor: access.Actor,
    subject: Subject,
    *,
    dataset: str = "",
    project: str | None = None,
) -> checks.Check:
    """Compare the newest served values with what the pipeline makes of a data set.

    Parameters
    ----------
    house, actor
        Needs ``data.read``.
    subject
        From `checking`.
    dataset
        Its name; that of the training's snapshot when empty.
    project
        Namespace.

    Returns
    -------
    Check
        Of the newest 2,000 rows and the newest snapshot; of a version that no pipeline here
        made, the values are compared as the snapshot has them.
    """
    try:
        snapshot = house.read(
            lambda tx: _snapshot(tx, actor, subject.version, dataset), project=project
        )
    except errors.HomeostatError as error:
        return skew.unknown(error.message)
    if snapshot is None:
        return skew.unknown("the version is not known to be trained on any data set")
    query = f"homeostat data show {snapshot.dataset}"
    if snapshot.key is None:
        return skew.unknown(
            f"{snapshot.dataset} names no key; add it with a key that predictions carry",
            query=query,
        )
    if snapshot.n_rows > MOST_SNAPSHOT_ROWS:
        return skew.unknown(
            f"{snapshot.dataset} has {snapshot.n_rows:,} rows; {MOST_SNAPSHOT_ROWS:,} are read "
            f"at most",
            query=query,
        )
    try:
        offline = intake.read_snapshot(house, snapshot, project=project)
    except errors.HomeostatError as error:
        return skew.unknown(error.message, query=query)
    rows = subject.rows[-SKEW_ROWS:]
    served = observing.features(rows).with_columns(rows["key"], rows["served_at"])
    wanted = offline[snapshot.key].cast(pl.String).is_in(rows["key"].implode())
    offline = offline.filter(wanted)[-MOST_COMPUTED:]
    as_computed = recomputing.features(house, subject.deployment, subject.version, offline)
    paired = skew.pair(served, as_computed.rows, key=snapshot.key, time=snapshot.time)
    found = skew.check(
        paired,
        features=subject.version.schema.names,
        source=f"{as_computed.by}{snapshot.reference}",
        query=query,
    )
    if as_computed.lacking and found.verdict == "fine":
        return skew.unknown(f"{found.sentence}, but {as_computed.lacking}", query=query)
    return found


def _snapshot(
    tx: Transaction, actor: access.Actor, version: Version, dataset: str
) -> Snapshot | None:
    """Return the newest snapshot of a data set that was not made of the log itself."""
    if dataset:
        data.get_dataset(tx, actor, dataset)
        return data.newest_snapshot(tx, actor, dataset)
    for reference in version.snapshots:
        found = data.find_snapshot(tx, actor, reference.removeprefix("snapshot:"))
        if not found.dataset.endswith(_LOG):
            return data.newest_snapshot(tx, actor, found.dataset)
    return None


def _together(
    house: House, actor: access.Actor, subject: Subject, *, level: float
) -> checks.Check:
    name = subject.deployment.name
    frozen = summarising.baseline_of(
        house, subject.version.model, str(subject.version.number), project=None
    )
    if frozen is None:
        told = f"{subject.version.reference} has no baseline"
        query = f"homeostat why --version {subject.version.model}/{subject.version.number}"
        return checks.Check(name=together.NAME, verdict="unknown", sentence=told, query=query)
    wanders = summarising.wanders(house, actor, subject.deployment, at=subject.at)
    rows = observing.features(subject.rows[-together.NEWEST :])
    return together.check(
        rows.drop(wanders, strict=False), frozen, level=level, deployment=name
    )


def _of_hours(check: checks.Check, subject: Subject) -> checks.Check:
    """Say for how long rows are known: in the first two weeks nobody knows what days do."""
    hours = (subject.at - subject.since) / checks.HOUR_MS
    numbers = {**check.numbers, HOURS: checks.Number(hours)}
    is_early = check.verdict == "found" and hours < LEAST_HOURS
    told = "; within the first two weeks that may be the hour or the day" if is_early else ""
    return msgspec.structs.replace(check, numbers=numbers, sentence=check.sentence + told)


def of_day(
    house: House,
    tx: Transaction,
    deployment: str,
    *,
    newest: pl.DataFrame,
    counts: Sequence[tuple[int, int]],
) -> pl.DataFrame:
    """Return rows from all of the newest day, or the newest ones where that has few.

    Rows of one hour are unlike those of whole weeks wherever columns follow the clock.

    Parameters
    ----------
    house, tx, deployment
        Whose log.
    newest
        Its newest rows, in order.
    counts
        Begin of each hour with rows, and their number.
    """
    if newest.height <= together.NEWEST:
        return newest
    since = int(newest["served_at"][-1]) - checks.DAY * checks.HOUR_MS
    if newest["row"][0] == 0 or newest["served_at"][0] <= since:
        inside = newest.filter(pl.col("served_at") > since)
        return inside if inside.height >= together.NEWEST else newest[-together.NEWEST :]
    end = int(newest["row"][-1]) + 1
    first = max(0, end - sum(n for at, n in counts if at >= since))
    starts = np.linspace(min(first, end - PIECE), end - PIECE, together.NEWEST // PIECE)
    pieces = (
        read.predictions(house, tx, deployment, first_row=at, end_row=at + PIECE)
        for at in starts.astype(int).tolist()
    )
    return pl.concat(pieces, how="diagonal_relaxed")


def _attributions(
    house: House, actor: access.Actor, subject: Subject, *, level: float
) -> checks.Check:
    """Explain rows of the training and the newest ones by the original model."""
    how, version = subject.how, subject.version
    name = subject.deployment.name

    def unknown(told: str) -> checks.Check:
        query = f"homeostat monitor check {name} --json"
        sentence = f"cannot be computed: {told}"
        return checks.Check(
            name=attributions.NAME, verdict="unknown", sentence=sentence, query=query
        )

    if how.needs_trust:
        return unknown("the model runs code of its own, which is not opened here")
    if not version.snapshots:
        return unknown("the version is not known to be trained on any data set")
    try:
        snapshot = house.read(lambda tx: data.find_snapshot(tx, actor, _id(version)))
        if snapshot.n_rows > MOST_SNAPSHOT_ROWS:
            return unknown(f"its training has {snapshot.n_rows:,} rows")
        training = intake.read_snapshot(house, snapshot)
        explainer = contributions.Explainer(original.open_version(_contents(house, how)))
        is_exact = explainer.method != "sampled"
        n = EXPLAINED_ROWS if is_exact else ESTIMATED_ROWS
        newest = observing.features(subject.of_day)
        before, now = (_values(explainer, rows, n) for rows in (training, newest))
    except errors.HomeostatError as error:
        return unknown(error.message)
    method = explainer.method if is_exact else "estimated"
    return attributions.check(
        before,
        now,
        names=explainer.of.names,
        level=level,
        method=method,
        deployment=name,
    )


def _id(version: Version) -> str:
    return version.snapshots[0].removeprefix("snapshot:")


def _contents(house: House, how: adopted.Loadable) -> dict[str, bytes]:
    found = {one.path: house.get_blob(how.owner, one.digest) for one in how.files}
    if how.description:
        found[formats.DESCRIPTION] = house.get_blob(how.described_by, how.description)
    return found


def _values(
    explainer: contributions.Explainer, rows: pl.DataFrame, n: int
) -> NDArray[np.float64]:
    """Return contributions of evenly spaced rows; of none, none."""
    names = explainer.of.names
    lacking = [name for name in names if name not in rows.columns]
    if lacking:
        raise errors.InvalidInputError(f"rows have no column {', '.join(lacking[:3])}")
    taken = rows.select(names)[:: max(1, -(-rows.height // n))]
    if taken.is_empty():
        return np.zeros((0, len(names)))
    found = explainer.parts({name: taken[name].to_list() for name in names}).values
    return np.asarray(found, dtype=np.float64)


def _service(
    house: House, actor: access.Actor, name: str, *, at: int, level: float
) -> list[checks.Check]:
    """Keep what the prediction server has counted, and compare the hour with others."""

    def is_kept(tx: Transaction) -> bool:
        found = serving.get_deployment(tx, actor, name)
        return any(one.wanted.of == "latency" for one in promised.promises(tx, actor, found))

    by_others = house.read(is_kept)
    if not by_others:
        counted = (asking.counted(house.settings) or {}).get(name)
        if counted is not None:
            house.write(lambda tx: service_counts.add(tx, actor, name, counted))
    since = at - (checks.MOST_WEEKS * checks.WEEK + 2) * checks.HOUR_MS
    slots = house.read(lambda tx: service_counts.slots(tx, name, since=max(1, since)))
    # Where nobody asks every five minutes, the hour that is over was counted just now.
    now = at if by_others else at + checks.HOUR_MS
    return service.check(hours(slots), now=now, level=level, deployment=name)


def hours(slots: list[tuple[int, service_counts.Counts]]) -> list[service.Hour]:
    """Add slots of five minutes up to hours.

    Parameters
    ----------
    slots
        Begin and counts, in order.
    """
    by_hour: dict[int, service_counts.Counts] = {}
    for starts_at, counts in slots:
        start = starts_at // checks.HOUR_MS * checks.HOUR_MS
        by_hour[start] = by_hour.get(start, service_counts.Counts()).more(counts)
    return [
        service.Hour(start, one.total, one.failed, one.within)
        for start, one in sorted(by_hour.items())
    ]
