"""Finding runs: filters, newest first, page by page; called by tracking's actions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, records

_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ATTRIBUTES: Final = ("status", "name", "user", "pipeline")
_TEXTS: Final = {"param": records.params, "tag": records.tags}


def runs(
    tx: Transaction,
    *,
    experiment_ids: Sequence[int],
    where: Sequence[entities.Filter],
    limit: int,
    after: str,
) -> entities.Page:
    """Return active runs that fulfil every filter.

    Parameters
    ----------
    tx
        Reading suffices.
    experiment_ids
        All when empty.
    where
        Conditions.
    limit
        Most runs returned.
    after
        `next` of the page before, or empty.

    Returns
    -------
    Page
        Newest first.

    Raises
    ------
    InvalidInputError
        When a filter or `after` cannot be right.
    """
    table = records.runs
    query = sa.select(table).where(
        table.c.project == tx.project, table.c.lifecycle_stage == "active"
    )
    if experiment_ids:
        query = query.where(table.c.experiment_id.in_(experiment_ids))
    for condition in where:
        query = query.where(_holds(tx, condition))
    if after:
        started_at, run_id = _place(after)
        earlier = table.c.started_at < started_at
        same = sa.and_(table.c.started_at == started_at, table.c.id < run_id)
        query = query.where(sa.or_(earlier, same))
    query = query.order_by(table.c.started_at.desc(), table.c.id.desc()).limit(limit + 1)
    found = [records.run_from(row) for row in tx.execute(query)]
    more = len(found) > limit
    shown = found[:limit]
    last = f"{shown[-1].started_at}:{shown[-1].id}" if more else ""
    return entities.Page(runs=with_values(tx, shown), next=last)


def with_values(
    tx: Transaction, found: Sequence[entities.Run]
) -> tuple[entities.RunRecord, ...]:
    """Read the latest metrics, params and tags of some runs, three statements for all.

    Parameters
    ----------
    tx
        Reading suffices.
    found
        Runs.

    Returns
    -------
    tuple of RunRecord
        In the same order.
    """
    if not found:
        return ()
    ids = [run.id for run in found]
    metrics: dict[str, list[entities.Metric]] = {}
    for row in tx.execute(_values(tx, records.latest_metrics, ids)):
        point = entities.Metric(row.key, row.value, row.at, row.step, row.kind)
        metrics.setdefault(row.run_id, []).append(point)
    texts: dict[str, dict[str, list[Any]]] = {}
    for name, kind in (("param", entities.Param), ("tag", entities.Tag)):
        by_run = texts.setdefault(name, {})
        for row in tx.execute(_values(tx, _TEXTS[name], ids)):
            by_run.setdefault(row.run_id, []).append(kind(row.key, row.value))
    return tuple(
        entities.RunRecord(
            run=run,
            metrics=tuple(metrics.get(run.id, ())),
            params=tuple(texts["param"].get(run.id, ())),
            tags=tuple(texts["tag"].get(run.id, ())),
        )
        for run in found
    )


def _values(tx: Transaction, table: sa.Table, ids: list[str]) -> sa.Select[Any]:
    chosen = table.c.run_id.in_(ids)
    return sa.select(table).where(table.c.project == tx.project, chosen).order_by(table.c.key)


def _holds(tx: Transaction, condition: entities.Filter) -> sa.ColumnElement[bool]:
    compare = _COMPARE[condition.comparator]
    if condition.subject == "run":
        if condition.key not in _ATTRIBUTES:
            raise errors.InvalidInputError(
                f"runs are not searched by {condition.key!r}",
                hint=f"by {', '.join(_ATTRIBUTES)}, or by metric, param and tag",
            )
        held: sa.ColumnElement[bool] = compare(
            records.runs.c[condition.key], str(condition.value)
        )
        return held
    if condition.subject == "metric":
        table = records.latest_metrics
        value = _finite(condition)
        matches = sa.and_(table.c.kind == "finite", compare(table.c.value, value))
    else:
        table = _TEXTS[condition.subject]
        text = str(condition.value)
        matches = compare(table.c.value, text)
        if condition.comparator == "=":
            matches = sa.and_(table.c.value_head == text[: records.HEAD_LENGTH], matches)
    return sa.exists().where(
        table.c.project == tx.project,
        table.c.experiment_id == records.runs.c.experiment_id,
        table.c.key == condition.key,
        table.c.run_id == records.runs.c.id,
        matches,
    )


def _finite(condition: entities.Filter) -> float:
    try:
        return float(condition.value)
    except ValueError:
        raise errors.InvalidInputError(
            f"metric {condition.key!r} is compared with a number; got {condition.value!r}"
        ) from None


def _place(after: str) -> tuple[int, str]:
    started_at, _, run_id = after.partition(":")
    if not started_at.lstrip("-").isdigit() or not run_id:
        raise errors.InvalidInputError(
            f"after={after!r} is no place in this list", hint="use `next` of the page before"
        )
    return int(started_at), run_id
