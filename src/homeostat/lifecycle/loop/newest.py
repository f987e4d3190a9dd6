"""The newest rows of a log and what is promised of them; for `measuring` and `counting`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.data import intake
from homeostat.lifecycle.loop import observing
from homeostat.lifecycle.monitoring import model_classes, service_counts, slicing
from homeostat.lifecycle.policy import Objective, Policy, slices
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import join, read
from homeostat.lifecycle.registry import told
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import classes
from homeostat.lifecycle.serving.entities import Deployment

MOST_ROWS = 200_000
PLAIN = ("key", "version", "arm", "served_at", "score", "answer")
"""Columns beside features that a slice, or a function of the user, may use; and the label."""


class Promise(NamedTuple):
    """An objective, where it is from, and the slices it may name."""

    name: str
    wanted: Objective
    model_class: str
    named: Mapping[str, str]


class Seen(NamedTuple):
    """What is read in one transaction."""

    deployment: Deployment
    policy: Policy
    promises: list[Promise]
    rows: pl.DataFrame
    labels: pl.DataFrame
    slots: list[tuple[int, service_counts.Counts]]
    tables: dict[str, pl.DataFrame | str]
    at: int
    classes: tuple[str, ...]


def promises(tx: Transaction, actor: access.Actor, found: Deployment) -> list[Promise]:
    """Return what a deployment promises: its own objectives, and those of its classes.

    Parameters
    ----------
    tx, actor
        Needs ``monitoring.read``.
    found
        The deployment.
    """
    policy = serving.get_policy(found)
    own = [Promise(name, one, "", policy.slices) for name, one in policy.objectives.items()]
    listed = model_classes.list_classes(tx, actor)
    if not listed:
        return own
    model = policy.model
    facts = {
        "name": model.name,
        "tier": model.tier,
        "owner": model.owner,
        "task": model.task,
        **{f"{model_classes.TAG}{key}": value for key, value in _tags(tx, actor, found.model)},
    }
    return own + [
        Promise(name, wanted, one.name, one.slices)
        for one in listed
        if model_classes.matches(one.match, facts)
        for name, wanted in one.objectives.items()
    ]


def look(
    house: House,
    actor: access.Actor,
    deployment: str,
    *,
    project: str | None = None,
    is_whole: bool = True,
) -> Seen:
    """Read what objectives, metrics and indicators of a deployment are measured on.

    Parameters
    ----------
    house, actor
        Needs ``monitoring.read``, ``prediction.read`` and ``data.read``.
    deployment
        Its name.
    project
        Namespace.
    is_whole
        Whether metrics and indicators are measured too: they need every column, and datasets.

    Returns
    -------
    Seen
        The newest 200,000 rows, with features and protected columns by their plain names, and
        the labels that the version knows which decides most answers.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "prediction.read")

    def fetch(tx: Transaction) -> tuple[Seen, Version]:
        found = serving.get_deployment(tx, actor, deployment)
        policy = serving.get_policy(found)
        wanted = promises(tx, actor, found)
        end = predictions.get_log(tx, actor, deployment).n_rows
        rows = read.predictions(
            house,
            tx,
            deployment,
            first_row=max(0, end - MOST_ROWS),
            end_row=end,
            columns=None if is_whole else _needed(wanted),
        )
        longest = max((one.wanted.window_ms for one in wanted), default=0)
        seen = Seen(
            deployment=found,
            policy=policy,
            promises=wanted,
            rows=plain(rows.filter(pl.col("answered"))),
            labels=join.last_known(read.labels(house, tx, deployment)),
            slots=service_counts.slots(tx, deployment, since=tx.at - longest),
            tables={},
            at=tx.at,
            classes=(),
        )
        return seen, classes.champion(tx, actor, deployment)

    seen, version = house.read(fetch, project=project)
    seen = seen._replace(
        classes=classes.known(house, version, project=project or house.settings.project)
    )
    if is_whole:
        for wanted in seen.policy.kpis.values():
            seen.tables[wanted.dataset] = _table(house, actor, wanted.dataset, project=project)
    return seen


def _needed(wanted: Sequence[Promise]) -> tuple[str, ...]:
    """Return the columns of the log that objectives count on."""
    named = [one.wanted.column for one in wanted if one.wanted.column]
    for one in wanted:
        if one.wanted.slice:
            named += slices.columns(slices.parse(one.named[one.wanted.slice]))
    stored = [
        f"{kind}{name}" for name in named for kind in (observing.FEATURE, observing.CONTEXT)
    ]
    return ("answered", *PLAIN, *stored)


def plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of the log with features and protected columns by their plain names.

    Parameters
    ----------
    rows
        As `read.predictions`.

    Returns
    -------
    polars.DataFrame
        With those of `PLAIN` whose name no feature has.
    """
    names = [n for n in rows.columns if n.startswith((observing.FEATURE, observing.CONTEXT))]
    named = {name: name.split(".", 1)[1] for name in names}
    kept = [name for name in PLAIN if name in rows.columns and name not in named.values()]
    found = rows.select("row", *kept, *[pl.col(old).alias(new) for old, new in named.items()])
    extra = [name for name in ("key", "served_at", "answer", "version") if name not in kept]
    return found if not extra else found.with_columns(rows.select(extra))


def inside(rows: pl.DataFrame, condition: str) -> pl.DataFrame:
    """Return the rows of a slice, as it is written; all of them where it is empty."""
    if not condition:
        return rows
    return rows.filter(slicing.inside(rows, slices.parse(condition)))


def _tags(tx: Transaction, actor: access.Actor, model: str) -> list[tuple[str, str]]:
    try:
        return list(told.model(tx, actor, model).tags)
    except errors.NotFoundError:
        return []


def _table(
    house: House, actor: access.Actor, dataset: str, *, project: str | None
) -> pl.DataFrame | str:
    snapshot = house.read(lambda tx: data.newest_snapshot(tx, actor, dataset), project=project)
    if snapshot is None:
        return f"there is no dataset {dataset!r}"
    try:
        return intake.read_snapshot(house, snapshot, project=project)
    except errors.HomeostatError as error:
        return f"dataset {dataset!r}: {error}"
