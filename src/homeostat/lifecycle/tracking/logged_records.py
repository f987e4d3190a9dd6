"""Tables of logged models and the SQL on them; for their actions, search and artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from homeostat.foundation.database import Prepared, Transaction, columns, upserts
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.tracking import entities, logged_entities

HEAD_LENGTH: Final = 200
MOST_POINTS: Final = 1000
"""Points of one model that are read at once; the newest."""


models = sa.Table(
    "logged_models",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("id", primary_key=True),
    columns.number("experiment_id"),
    columns.text("name"),
    columns.text("status"),
    columns.text("status_message"),
    columns.text("model_type"),
    columns.text("run_id"),
    columns.text("artifact_root"),
    columns.text("lifecycle_stage"),
    columns.number("created_at"),
    columns.number("updated_at"),
    sa.Index("logged_models_newest", "project", "experiment_id", "created_at", "id"),
    sa.Index("logged_models_run", "project", "run_id", "name"),
)


def _of_model(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        columns.text("project", primary_key=True),
        columns.text("model_id", primary_key=True),
        columns.text("key", primary_key=True),
        columns.text("value"),
        columns.text("value_head"),
        sa.Index(f"{name}_search", "project", "key", "value_head", "model_id"),
        sqlite_with_rowid=False,
    )


params = _of_model("logged_model_params")
tags = _of_model("logged_model_tags")
metrics = sa.Table(
    "logged_model_metrics",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("model_id", primary_key=True),
    columns.text("key", primary_key=True),
    columns.number("at", primary_key=True, autoincrement=False),
    columns.number("step", primary_key=True, autoincrement=False),
    columns.text("run_id", primary_key=True),
    columns.text("dataset_name", primary_key=True),
    columns.text("dataset_digest", primary_key=True),
    sa.Column("value", sa.Float, primary_key=True),
    columns.text("kind", primary_key=True),
    sqlite_with_rowid=False,
)

_FIELDS: Final = tuple(models.c.keys())
IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
IN_MODEL: sa.BindParameter[str] = sa.bindparam("in_model")

INSERT = Prepared(models.insert())
MODEL = Prepared(
    sa.select(models).where(models.c.project == IN_PROJECT, models.c.id == IN_MODEL)
)
CHANGE = Prepared(
    models.update()
    .where(models.c.project == IN_PROJECT, models.c.id == IN_MODEL)
    .values(
        {
            name: sa.bindparam(f"to_{name}")
            for name in ("status", "status_message", "lifecycle_stage", "updated_at")
        }
    )
)
INSERT_PARAMS = Prepared(params.insert())
PARAMS = Prepared(
    sa.select(params.c.key, params.c.value)
    .where(params.c.project == IN_PROJECT, params.c.model_id == IN_MODEL)
    .order_by(params.c.key)
)
TAGS = Prepared(
    sa.select(tags.c.key, tags.c.value)
    .where(tags.c.project == IN_PROJECT, tags.c.model_id == IN_MODEL)
    .order_by(tags.c.key)
)
_POINT = (
    *("key", "value", "at", "step", "kind"),
    *("run_id", "dataset_name", "dataset_digest"),
)
_NEWEST: Final = tuple(
    metrics.c[name].desc() for name in ("at", "step", "key", "run_id", "dataset_name", "value")
)
POINTS = Prepared(
    sa.select(*(metrics.c[name] for name in _POINT))
    .where(metrics.c.project == IN_PROJECT, metrics.c.model_id == IN_MODEL)
    .order_by(*_NEWEST)
    .limit(sa.literal_column(str(MOST_POINTS)))
    .offset(sa.literal_column("0"))  # else SQLite's text has a parameter for it
)
DELETE_TAG = Prepared(
    tags.delete().where(
        tags.c.project == IN_PROJECT,
        tags.c.model_id == IN_MODEL,
        tags.c.key == sa.bindparam("in_key"),
    )
)
UPSERT_TAGS = upserts.replacing(tags, ["project", "model_id", "key"], ["value", "value_head"])
INSERT_POINTS = upserts.keeping(metrics)


def of_model(tx: Transaction, model_id: str) -> dict[str, str]:
    """Name a logged model in a statement's parameters."""
    return {"in_project": tx.project, "in_model": model_id}


def texts(tx: Transaction, model_id: str, values: Mapping[str, str]) -> list[dict[str, str]]:
    """Make rows of params or tags."""
    return [
        {
            "project": tx.project,
            "model_id": model_id,
            "key": key,
            "value": value,
            "value_head": value[:HEAD_LENGTH],
        }
        for key, value in values.items()
    ]


def model_from(row: Any) -> logged_entities.LoggedModel:
    """Make a logged model of its row."""
    fields = dict(zip(_FIELDS, row, strict=True))
    del fields["project"]
    fields["experiment_id"] = str(fields["experiment_id"])
    return logged_entities.LoggedModel(**fields)


def with_values(
    tx: Transaction, model: logged_entities.LoggedModel
) -> logged_entities.LoggedModelRecord:
    """Read params, tags and points of one model, by three prepared statements."""
    which = of_model(tx, model.id)
    points = tx.run(POINTS, which).fetchall()
    return logged_entities.LoggedModelRecord(
        model=model,
        params=tuple(entities.Param(*row) for row in tx.run(PARAMS, which).fetchall()),
        tags=tuple(entities.Tag(*row) for row in tx.run(TAGS, which).fetchall()),
        metrics=tuple(_point(row) for row in reversed(points)),
    )


def all_with_values(
    tx: Transaction, found: Sequence[logged_entities.LoggedModel]
) -> tuple[logged_entities.LoggedModelRecord, ...]:
    """Do the same for some models, three statements for all."""
    if not found:
        return ()
    ids = [model.id for model in found]
    by_table: list[dict[str, list[Any]]] = []
    for table, kind in ((params, entities.Param), (tags, entities.Tag)):
        texts_of: dict[str, list[Any]] = {}
        asked = sa.select(table.c.model_id, table.c.key, table.c.value).where(
            table.c.project == tx.project, table.c.model_id.in_(ids)
        )
        for row in tx.execute(asked.order_by(table.c.key)):
            texts_of.setdefault(row.model_id, []).append(kind(row.key, row.value))
        by_table.append(texts_of)
    points_of = _points_of(tx, ids)
    return tuple(
        logged_entities.LoggedModelRecord(
            model=model,
            params=tuple(by_table[0].get(model.id, ())),
            tags=tuple(by_table[1].get(model.id, ())),
            metrics=tuple(points_of.get(model.id, ())),
        )
        for model in found
    )


def _points_of(
    tx: Transaction, ids: Sequence[str]
) -> dict[str, list[logged_entities.LoggedMetric]]:
    place = sa.func.row_number().over(partition_by=metrics.c.model_id, order_by=_NEWEST)
    ranked = (
        sa.select(metrics.c.model_id, *(metrics.c[name] for name in _POINT), place.label("n"))
        .where(metrics.c.project == tx.project, metrics.c.model_id.in_(ids))
        .subquery()
    )
    asked = sa.select(ranked).where(ranked.c.n <= MOST_POINTS).order_by(ranked.c.n.desc())
    found: dict[str, list[logged_entities.LoggedMetric]] = {}
    for row in tx.execute(asked):
        found.setdefault(row.model_id, []).append(_point(tuple(row)[1:]))
    return found


def _point(row: Sequence[Any]) -> logged_entities.LoggedMetric:
    return logged_entities.LoggedMetric(
        point=entities.Metric(*row[:5]),
        run_id=row[5],
        dataset_name=row[6],
        dataset_digest=row[7],
    )
