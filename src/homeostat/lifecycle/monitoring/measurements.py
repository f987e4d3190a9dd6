"""Keeps what was measured, the objectives and the checks of deployments; called by the loop.

Each hour of each metric and part is kept once, with the latest objectives and checks, so that
pages show them without reading the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.monitoring.checks import Check
from homeostat.lifecycle.monitoring.measured import EVERYBODY, Measured
from homeostat.lifecycle.monitoring.objectives import Kept

Kind = Literal["metric", "kpi", "objective", "check"]
HOUR_MS = 3_600_000
MOST = 1000
KEPT_MS = 400 * 24 * HOUR_MS

measurements = sa.Table(
    "monitoring_measurements",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("part", sa.Text, primary_key=True),
    sa.Column("starts_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
)
_OURS = (
    measurements.c.project == sa.bindparam("in_project"),
    measurements.c.deployment == sa.bindparam("in_deployment"),
    measurements.c.kind == sa.bindparam("in_kind"),
)
_ONE = (
    *_OURS,
    measurements.c.name == sa.bindparam("in_name"),
    measurements.c.part == sa.bindparam("in_part"),
)
_INSERT = measurements.insert()
_UPDATE = (
    measurements.update()
    .where(*_ONE, measurements.c.starts_at == sa.bindparam("at_start", type_=sa.BigInteger))
    .values(body=sa.bindparam("to_body"))
)
_PRUNE = measurements.delete().where(
    *_ONE, measurements.c.starts_at < sa.bindparam("before", type_=sa.BigInteger)
)
_ALL = measurements.delete().where(*_OURS)
_FORGET = measurements.delete().where(
    *_OURS, measurements.c.name.not_in(sa.bindparam("in_names", expanding=True))
)
_HISTORY = (
    sa.select(measurements.c.body)
    .where(*_ONE)
    .order_by(measurements.c.starts_at.desc())
    .limit(sa.bindparam("n"))
)
_EVERY = (
    sa.select(measurements.c.deployment, measurements.c.body)
    .where(
        measurements.c.project == sa.bindparam("in_project"),
        measurements.c.kind == sa.bindparam("in_kind"),
    )
    .order_by(*(measurements.c[name] for name in ("deployment", "name", "part", "starts_at")))
    .limit(MOST)
)
_newest = (
    sa.select(
        measurements.c.name,
        measurements.c.part,
        sa.func.max(measurements.c.starts_at).label("starts_at"),
    )
    .where(*_OURS)
    .group_by(measurements.c.name, measurements.c.part)
    .subquery()
)
_LATEST = (
    sa.select(measurements.c.body)
    .join(
        _newest,
        sa.and_(
            measurements.c.name == _newest.c.name,
            measurements.c.part == _newest.c.part,
            measurements.c.starts_at == _newest.c.starts_at,
        ),
    )
    .where(*_OURS)
    .order_by(measurements.c.name, measurements.c.part)
)


def forget_others(
    tx: Transaction, actor: access.Actor, deployment: str, *, kind: Kind, names: Sequence[str]
) -> None:
    """Let go of what is wanted no more.

    Parameters
    ----------
    tx, actor
        Needs ``monitoring.write``.
    deployment, kind
        Of which.
    names
        What is still wanted.
    """
    access.require(actor, "monitoring.write")
    which = _which(tx, deployment, kind)
    tx.execute(_FORGET, {**which, "in_names": list(names)})


def keep(
    tx: Transaction, actor: access.Actor, deployment: str, found: Sequence[Measured]
) -> None:
    """Keep numbers, one an hour for each metric and part; those too old are let go.

    Parameters
    ----------
    tx, actor
        Needs ``monitoring.write``.
    deployment
        Its name.
    found
        From `judge` and `without`.
    """
    access.require(actor, "monitoring.write")
    for one in found:
        start = one.at // HOUR_MS * HOUR_MS
        which = _which(tx, deployment, one.kind, name=one.name, part=one.part)
        _put(tx, which, one, starts_at=start)
        tx.execute(_PRUNE, {**which, "before": start - KEPT_MS})


def keep_objectives(
    tx: Transaction, actor: access.Actor, deployment: str, found: Sequence[Kept]
) -> None:
    """Keep how objectives stand, in place of what was kept before."""
    access.require(actor, "monitoring.write")
    _replace(tx, deployment, "objective", {(one.name, one.model_class): one for one in found})


def keep_checks(
    tx: Transaction, actor: access.Actor, deployment: str, found: Sequence[Check]
) -> None:
    """Keep the answers of checks, in place of those before; `starts_at` is when."""
    access.require(actor, "monitoring.write")
    _replace(tx, deployment, "check", {(one.name, ""): one for one in found})


def latest(tx: Transaction, actor: access.Actor, deployment: str) -> list[Measured]:
    """Return the newest numbers of every metric and indicator, in order of their names.

    All parts of one are measured at once: a slice or version that was not among them the last
    time is none of it any more.
    """
    access.require(actor, "monitoring.read")
    kinds: tuple[Kind, ...] = ("kpi", "metric")
    found = [
        msgspec.json.decode(row.body, type=Measured)
        for kind in kinds
        for row in tx.execute(_LATEST, _which(tx, deployment, kind))
    ]
    newest: dict[tuple[str, str], int] = {}
    for one in found:
        place = (one.kind, one.name)
        newest[place] = max(newest.get(place, 0), one.at)
    return [one for one in found if one.at == newest[one.kind, one.name]]


def history(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    name: str,
    *,
    part: str = EVERYBODY,
    limit: int = 100,
) -> list[Measured]:
    """Return the numbers of one metric or indicator by the hour, the latest first."""
    access.require(actor, "monitoring.read")
    kinds: tuple[Kind, ...] = ("metric", "kpi")
    return [
        msgspec.json.decode(row.body, type=Measured)
        for kind in kinds
        for row in tx.execute(
            _HISTORY, {**_which(tx, deployment, kind, name=name, part=part), "n": limit}
        )
    ]


def objectives(tx: Transaction, actor: access.Actor, deployment: str) -> list[Kept]:
    """Return how the objectives of a deployment stood when they were last looked at."""
    access.require(actor, "monitoring.read")
    rows = tx.execute(_LATEST, _which(tx, deployment, "objective"))
    return [msgspec.json.decode(row.body, type=Kept) for row in rows]


def every_objective(tx: Transaction, actor: access.Actor) -> list[tuple[str, Kept]]:
    """Return the objectives of all deployments, up to 1,000, with the deployment's name."""
    access.require(actor, "monitoring.read")
    rows = tx.execute(_EVERY, {"in_project": tx.project, "in_kind": "objective"})
    return [(row.deployment, msgspec.json.decode(row.body, type=Kept)) for row in rows]


def checks(tx: Transaction, actor: access.Actor, deployment: str) -> list[Check]:
    """Return what the checks of a deployment last said; those that found something first."""
    access.require(actor, "monitoring.read")
    rows = tx.execute(_LATEST, _which(tx, deployment, "check"))
    found = [msgspec.json.decode(row.body, type=Check) for row in rows]
    return sorted(found, key=lambda one: one.verdict != "found")


def _replace(
    tx: Transaction, deployment: str, kind: Kind, found: dict[tuple[str, str], Any]
) -> None:
    tx.execute(_ALL, _which(tx, deployment, kind))
    for (name, part), one in found.items():
        which = _which(tx, deployment, kind, name=name, part=part)
        _put(tx, which, one, starts_at=tx.at)


def _put(tx: Transaction, which: dict[str, Any], one: Any, *, starts_at: int) -> None:
    body = msgspec.json.encode(one).decode()
    changed = tx.execute(_UPDATE, {**which, "at_start": starts_at, "to_body": body}).rowcount
    if not changed:
        row = {name.removeprefix("in_"): value for name, value in which.items()}
        tx.execute(_INSERT, {**row, "starts_at": starts_at, "body": body})


def _which(tx: Transaction, deployment: str, kind: Kind, **more: str) -> dict[str, Any]:
    which = {"in_project": tx.project, "in_deployment": deployment, "in_kind": kind}
    return {**which, **{f"in_{name}": value for name, value in more.items()}}
