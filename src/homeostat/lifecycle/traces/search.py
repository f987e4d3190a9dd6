"""Finding traces: filter, order, page by page; called by the actions and the doors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.traces import entities, records
from homeostat.lifecycle.tracking import comparing, experiments, language

PAGE: Final = 100
LARGEST_PAGE: Final = 500

_TIMES: Final = ("timestamp_ms", "execution_time_ms", "end_time_ms")
_WORDS: Final = ("trace_id", "status", "name", "run_id", "client_request_id")
_NEWEST: Final = (language.Order("attribute", "timestamp_ms", ascending=False),)
FIELDS: Final = language.Fields(
    attributes={
        **dict.fromkeys(_TIMES, language.NUMBER),
        **dict.fromkeys(_WORDS, language.LISTED),
    },
    params=language.NULLABLE,
    tags=language.NULLABLE,
    orders=frozenset((*_TIMES, *_WORDS)),
    aliases={
        "request_id": "trace_id",
        "state": "status",
        "timestamp": "timestamp_ms",
        "request_time": "timestamp_ms",
        "execution_time": "execution_time_ms",
        "execution_duration": "execution_time_ms",
        "end_time": "end_time_ms",
    },
    subjects={"trace": "attribute", "metadata": "param", "request_metadata": "param"},
)
_KINDS: Final = {"param": "metadata", "tag": "tag"}

traces, texts = records.traces, records.texts


def search_traces(
    tx: Transaction,
    actor: access.Actor,
    *,
    experiment_ids: Sequence[str],
    condition: str = "",
    order: Sequence[str] = (),
    limit: int = PAGE,
    after: str = "",
) -> entities.Page:
    """Return traces that fulfil every condition.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    experiment_ids
        Decimal.
    condition
        In the language of filters, such as ``trace.status = 'ERROR' AND tags.kind = 'a'``; a
        trace belongs to the run it was made in and to those it was linked to.
    order
        Such as ``timestamp_ms DESC``, which is how it is without; what lacks a value is last.
    limit
        Most traces on a page, 1 to 500.
    after
        `next` of the page before, or empty.

    Returns
    -------
    Page
        Without their steps.

    Raises
    ------
    InvalidInputError
        When an id, the condition, the order, the limit or `after` cannot be right.
    """
    access.require(actor, "run.read")
    if not 1 <= limit <= LARGEST_PAGE:
        raise errors.InvalidInputError(
            f"Invalid value {limit} for parameter 'max_results' supplied: "
            f"it is 1 to {LARGEST_PAGE}"
        )
    numbers = [experiments.number_of(one) for one in experiment_ids]
    terms = _terms(tx, language.order(order, FIELDS) or _NEWEST)
    chosen: list[sa.ColumnElement[bool]] = [
        traces.c.project == tx.project,
        traces.c.experiment_id.in_(numbers),
        *(_holds(tx, wanted) for wanted in language.parse(condition, FIELDS)),
    ]
    question = [numbers, condition, list(order)]
    columns = [column for column in traces.c if column.name != "project"]
    rows, following = comparing.page(
        tx, columns, chosen, terms=terms, question=question, limit=limit, after=after
    )
    return entities.Page(traces=records.with_texts(tx, rows), next=following)


def by_ids(tx: Transaction, trace_ids: Sequence[str]) -> tuple[entities.Trace, ...]:
    """Return those of some traces that exist, in any order."""
    columns = [column for column in traces.c if column.name != "project"]
    chosen = traces.c.id.in_(trace_ids)
    asked = sa.select(*columns).where(traces.c.project == tx.project, chosen)
    return records.with_texts(tx, [tuple(row) for row in tx.execute(asked)])


def oldest(
    tx: Transaction,
    experiment_id: str,
    *,
    trace_ids: Sequence[str],
    until: int | None,
    most: int | None,
) -> list[str]:
    """Return the ids of traces to delete, the oldest first.

    Parameters
    ----------
    tx
        Reading suffices.
    experiment_id
        Decimal digits.
    trace_ids
        Only these, unless empty.
    until
        Only those requested up to then, ms UTC.
    most
        At most so many.

    Returns
    -------
    list of str
        Of this experiment.
    """
    asked = sa.select(traces.c.id).where(
        traces.c.project == tx.project,
        traces.c.experiment_id == experiments.number_of(experiment_id),
    )
    if trace_ids:
        asked = asked.where(traces.c.id.in_(trace_ids))
    if until is not None:
        asked = asked.where(traces.c.requested_at <= until)
    asked = asked.order_by(traces.c.requested_at, traces.c.id).limit(most)
    return list(tx.execute(asked).scalars())


def _holds(tx: Transaction, wanted: language.Condition) -> sa.ColumnElement[bool]:
    if wanted.subject == "attribute" and wanted.key != "name":
        held = comparing.holds(tx, _column(wanted.key), wanted.comparator, wanted.value)
        if wanted.key == "run_id" and wanted.comparator in {"=", "IN"}:
            return sa.or_(held, _is_linked(tx, wanted))
        return held
    if wanted.subject == "attribute":
        return _has(tx, "tag", entities.NAME_TAG, [_value_holds(tx, wanted)])
    kind = _KINDS[wanted.subject]
    if wanted.comparator in {"IS NULL", "IS NOT NULL"}:
        found = _has(tx, kind, wanted.key, [])
        return found if wanted.comparator == "IS NOT NULL" else ~found
    return _has(tx, kind, wanted.key, [_value_holds(tx, wanted)])


def _value_holds(tx: Transaction, wanted: language.Condition) -> sa.ColumnElement[bool]:
    return comparing.holds(tx, texts.c.value, wanted.comparator, wanted.value)


def _has(
    tx: Transaction, kind: str, key: str, conditions: Sequence[sa.ColumnElement[bool]]
) -> sa.ColumnElement[bool]:
    return (
        sa.exists()
        .where(
            texts.c.project == tx.project,
            texts.c.trace_id == traces.c.id,
            texts.c.kind == kind,
            texts.c.key == key,
            *conditions,
        )
        .correlate(traces)
    )


def _is_linked(tx: Transaction, wanted: language.Condition) -> sa.ColumnElement[bool]:
    links = records.links
    return (
        sa.exists()
        .where(
            links.c.project == tx.project,
            links.c.trace_id == traces.c.id,
            comparing.holds(tx, links.c.run_id, wanted.comparator, wanted.value),
        )
        .correlate(traces)
    )


def _column(name: str) -> sa.ColumnElement[Any]:
    plain: Mapping[str, sa.ColumnElement[Any]] = {
        "trace_id": traces.c.id,
        "status": traces.c.state,
        "run_id": traces.c.run_id,
        "client_request_id": traces.c.client_request_id,
        "timestamp_ms": traces.c.requested_at,
        "execution_time_ms": traces.c.duration_ms,
    }
    if name in plain:
        return plain[name]
    return traces.c.requested_at + traces.c.duration_ms


def _terms(tx: Transaction, order: Sequence[language.Order]) -> list[comparing.Term]:
    terms: list[comparing.Term] = []
    for wanted in order:
        kind: type = int if wanted.key in _TIMES else str
        column = _name(tx) if wanted.key == "name" else _column(wanted.key)
        rank = sa.case((column.is_(None), 1), else_=0)
        value = sa.func.coalesce(column, 0 if kind is int else "")
        terms.append(comparing.Term(rank, ascending=True, kind=int))
        ordered = comparing.sortable(tx, value, kind)
        terms.append(comparing.Term(ordered, ascending=wanted.ascending, kind=kind))
    if not any(wanted.key == "timestamp_ms" for wanted in order):
        terms.append(comparing.Term(traces.c.requested_at, ascending=False, kind=int))
    identity = comparing.sortable(tx, traces.c.id, str)
    return [*terms, comparing.Term(identity, ascending=True, kind=str)]


def _name(tx: Transaction) -> sa.ColumnElement[Any]:
    return (
        sa.select(texts.c.value)
        .where(
            texts.c.project == tx.project,
            texts.c.trace_id == traces.c.id,
            texts.c.kind == "tag",
            texts.c.key == entities.NAME_TAG,
        )
        .correlate(traces)
        .scalar_subquery()
    )
