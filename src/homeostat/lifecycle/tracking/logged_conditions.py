"""The SQL of the search for logged models: conditions and orders; called by it only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import comparing, language, logged_records
from homeostat.lifecycle.tracking.logged_entities import Dataset, Order

MOST_ORDERS: Final = 20

ALIASES: Final = {
    "creation_time": "creation_timestamp",
    "creation_timestamp_ms": "creation_timestamp",
    "last_updated_timestamp_ms": "last_updated_timestamp",
}
COLUMNS: Final = {
    "model_id": "id",
    "name": "name",
    "model_type": "model_type",
    "source_run_id": "run_id",
    "creation_timestamp": "created_at",
    "last_updated_timestamp": "updated_at",
    "status": "status",
}
TIMES: Final = ("creation_timestamp", "last_updated_timestamp")
_LARGEST: Final = 1.7976931348623157e308
_STATUS_PREFIX: Final = "LOGGED_MODEL_"


def all_of(
    tx: Transaction,
    numbers: Sequence[int],
    conditions: Sequence[language.Condition],
    *,
    datasets: Sequence[Dataset],
) -> list[sa.ColumnElement[bool]]:
    """Return what models fulfil that are asked for.

    Parameters
    ----------
    tx
        Whose database it is for.
    numbers
        Of experiments.
    conditions
        Of the filter.
    datasets
        Only points measured on one of these count; all when empty.

    Returns
    -------
    list of sqlalchemy.ColumnElement
        All must hold.
    """
    chosen = [
        *_base(tx, numbers, is_few=any(_leaves_few(wanted) for wanted in conditions)),
        *(_holds(tx, wanted, datasets) for wanted in conditions),
    ]
    if datasets:
        chosen.append(_measured(tx, [_on_any(datasets)]))
    return chosen


def _leaves_few(wanted: language.Condition) -> bool:
    """Say whether a condition leaves a few models at most; it has an index of its own."""
    is_named = wanted.subject == "attribute" and wanted.key in {"source_run_id", "model_id"}
    return is_named and wanted.comparator in {"=", "IN"}


def _base(
    tx: Transaction, numbers: Sequence[int], *, is_few: bool
) -> list[sa.ColumnElement[bool]]:
    table = logged_records.models
    # A sum has no index: SQLite would walk the newest models for the sake of the order, all of
    # them, where clients ask for the one model of a run before each reading of an artifact.
    experiment = table.c.experiment_id + 0 if is_few else table.c.experiment_id
    return [
        table.c.project == tx.project,
        table.c.lifecycle_stage == "active",
        experiment.in_(numbers),
    ]


def _holds(
    tx: Transaction, wanted: language.Condition, datasets: Sequence[Dataset]
) -> sa.ColumnElement[bool]:
    if wanted.subject == "attribute":
        return _attribute_holds(tx, wanted)
    if wanted.subject == "metric":
        table = logged_records.metrics
        points = [
            table.c.key == wanted.key,
            comparing.holds(tx, _finite(table), wanted.comparator, wanted.value),
            _is_comparable(table, wanted.comparator),
        ]
        return _measured(tx, [*points, _on_any(datasets)] if datasets else points)
    table = logged_records.params if wanted.subject == "param" else logged_records.tags
    matches = [comparing.holds(tx, table.c.value, wanted.comparator, wanted.value)]
    if wanted.comparator == "=":
        head = str(wanted.value)[: logged_records.HEAD_LENGTH]
        matches.append(table.c.value_head == head)
    return (
        sa.exists()
        .where(
            table.c.project == tx.project,
            table.c.model_id == logged_records.models.c.id,
            table.c.key == wanted.key,
            *matches,
        )
        .correlate(logged_records.models)
    )


def _attribute_holds(tx: Transaction, wanted: language.Condition) -> sa.ColumnElement[bool]:
    column: sa.ColumnElement[Any] = logged_records.models.c[COLUMNS[wanted.key]]
    value = wanted.value
    if wanted.key == "status":
        column = sa.func.upper(column)
        if isinstance(value, str):
            value = value.removeprefix(_STATUS_PREFIX)
        elif isinstance(value, tuple):
            value = tuple(text.removeprefix(_STATUS_PREFIX) for text in value)
    return comparing.holds(tx, column, wanted.comparator, value)


def _measured(
    tx: Transaction, points: Sequence[sa.ColumnElement[bool]]
) -> sa.ColumnElement[bool]:
    table = logged_records.metrics
    return (
        sa.exists()
        .where(
            table.c.project == tx.project,
            table.c.model_id == logged_records.models.c.id,
            *points,
        )
        .correlate(logged_records.models)
    )


def _on_any(datasets: Sequence[Dataset]) -> sa.ColumnElement[bool]:
    return sa.or_(*(sa.and_(*_on(dataset)) for dataset in datasets))


def _on(dataset: Dataset) -> list[sa.ColumnElement[bool]]:
    table = logged_records.metrics
    found = [table.c.dataset_name == dataset.name] if dataset.name else []
    if dataset.digest:
        found.append(table.c.dataset_digest == dataset.digest)
    return found


def _finite(table: sa.Table) -> sa.ColumnElement[float]:
    """Return a point's value, infinities as the largest numbers."""
    return sa.case(
        (table.c.kind == "inf", _LARGEST),
        (table.c.kind == "-inf", -_LARGEST),
        else_=table.c.value,
    )


def _is_comparable(table: sa.Table, comparator: str) -> sa.ColumnElement[bool]:
    """Only what is unlike a number holds for NaN."""
    return sa.true() if comparator == "!=" else table.c.kind != "nan"


def terms(tx: Transaction, order: Sequence[Order]) -> list[comparing.Term]:
    """Return what logged models are ordered by, ending with what is unique.

    Raises
    ------
    InvalidInputError
        When there are too many orders, or one by what models are not ordered by.
    """
    if len(order) > MOST_ORDERS:
        raise errors.InvalidInputError(
            f"order_by has at most {MOST_ORDERS} criteria; got {len(order)}"
        )
    models = logged_records.models
    found: list[comparing.Term] = []
    ways: dict[str, bool] = {}
    for wanted in order:
        entity, dot, key = wanted.field.partition(".")
        if dot and entity != "metrics":
            raise errors.InvalidInputError(
                f"Invalid order by field name: {wanted.field[:100]}. "
                "Only metrics are supported."
            )
        if dot:
            found += _metric_terms(tx, key.strip("`"), wanted)
            continue
        name = ALIASES.get(wanted.field, wanted.field)
        if name not in COLUMNS:
            raise errors.InvalidInputError(
                f"Invalid order by field name: {wanted.field[:100]}",
                hint=f"by {', '.join(COLUMNS)} or metrics.<key>",
            )
        ways[name] = wanted.ascending
        kind: type = int if name in TIMES else str
        column = comparing.sortable(tx, models.c[COLUMNS[name]], kind)
        found.append(comparing.Term(column, ascending=wanted.ascending, kind=kind))
    if "creation_timestamp" not in ways:
        found.append(comparing.Term(models.c.created_at, ascending=False, kind=int))
    if "model_id" not in ways:
        # Ids follow the order of creation: those of one millisecond stand as they were made.
        identity = comparing.sortable(tx, models.c.id, str)
        way = ways.get("creation_timestamp", False)
        found.append(comparing.Term(identity, ascending=way, kind=str))
    return found


def _metric_terms(tx: Transaction, key: str, wanted: Order) -> list[comparing.Term]:
    """Numbers in their order, then NaN, then models without a point, whichever the way."""
    table = logged_records.metrics
    is_nan = sa.case((table.c.kind == "nan", 1), else_=0)
    rank = sa.func.coalesce(_latest(tx, key, wanted.dataset, is_nan), 2)
    value = sa.func.coalesce(_latest(tx, key, wanted.dataset, _finite(table)), 0.0)
    return [
        comparing.Term(rank, ascending=True, kind=int),
        comparing.Term(value, ascending=wanted.ascending, kind=float),
    ]


def _latest(
    tx: Transaction, key: str, dataset: Dataset, told: sa.ColumnElement[Any]
) -> sa.ColumnElement[Any]:
    """Return what the latest point of a metric tells of a model: by time, then step.

    It is looked up for each model by the points' own key: a join with the latest points of all
    models would be read from its beginning for each of them.
    """
    table = logged_records.metrics
    return (
        sa.select(told)
        .where(
            table.c.project == tx.project,
            table.c.model_id == logged_records.models.c.id,
            table.c.key == key,
            *_on(dataset),
        )
        .order_by(table.c.at.desc(), table.c.step.desc(), table.c.run_id, table.c.value.desc())
        .limit(1)
        .correlate(logged_records.models)
        .scalar_subquery()
    )
