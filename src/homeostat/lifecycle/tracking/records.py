"""Tables of tracking and the SQL on them; called by tracking's actions and search only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from homeostat.foundation.database import Prepared, Transaction, columns, upserts
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.tracking import entities

HEAD_LENGTH = 200
"""Characters of a text value that its index holds; PostgreSQL refuses longer index rows."""


experiments = sa.Table(
    "experiments",
    metadata,
    columns.text("project", primary_key=True),
    columns.number("id", primary_key=True, autoincrement=False),
    columns.text("name"),
    columns.text("lifecycle_stage"),
    columns.text("artifact_root"),
    columns.number("created_at"),
    columns.number("updated_at"),
    sa.UniqueConstraint("project", "name", name="experiments_name"),
)
experiment_tags = sa.Table(
    "experiment_tags",
    metadata,
    columns.text("project", primary_key=True),
    columns.number("experiment_id", primary_key=True, autoincrement=False),
    columns.text("key", primary_key=True),
    columns.text("value"),
    sqlite_with_rowid=False,
)
runs = sa.Table(
    "runs",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("id", primary_key=True),
    columns.number("experiment_id"),
    columns.text("name"),
    columns.text("status"),
    columns.text("lifecycle_stage"),
    columns.text("user"),
    columns.number("started_at"),
    columns.number("ended_at", nullable=True),
    columns.text("artifact_root"),
    columns.text("pipeline"),
    columns.text("executor"),
    columns.text("error"),
    columns.text("commit"),
    columns.text("dirty"),
    columns.text("environment"),
    sa.Column("wall_s", sa.Float, nullable=False),
    sa.Column("cpu_s", sa.Float, nullable=False),
    columns.number("max_rss_bytes"),
    columns.number("deleted_at", nullable=True),
    sa.Index(
        *("runs_experiment", "project", "experiment_id", "lifecycle_stage"),
        *(sa.text("started_at DESC"), "id"),
    ),
)
metrics = sa.Table(
    "metrics",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("run_id", primary_key=True),
    columns.text("key", primary_key=True),
    columns.number("at", primary_key=True, autoincrement=False),
    columns.number("step", primary_key=True, autoincrement=False),
    sa.Column("value", sa.Float, primary_key=True),
    columns.text("kind", primary_key=True),
    sqlite_with_rowid=False,
)
latest_metrics = sa.Table(
    "latest_metrics",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("run_id", primary_key=True),
    columns.text("key", primary_key=True),
    columns.number("experiment_id"),
    sa.Column("value", sa.Float, nullable=False),
    columns.text("kind"),
    columns.number("at"),
    columns.number("step"),
    sa.Index(
        *("latest_metrics_search", "project", "experiment_id", "key", "kind", "value"),
        "run_id",
    ),
    sqlite_with_rowid=False,
)


def _of_run(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        columns.text("project", primary_key=True),
        columns.text("run_id", primary_key=True),
        columns.text("key", primary_key=True),
        columns.number("experiment_id"),
        columns.text("value"),
        columns.text("value_head"),
        sa.Index(f"{name}_search", "project", "experiment_id", "key", "value_head", "run_id"),
        sqlite_with_rowid=False,
    )


params = _of_run("params")
tags = _of_run("tags")


def _data_of_run(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        columns.text("project", primary_key=True),
        columns.text("run_id", primary_key=True),
        columns.text("name", primary_key=True),
        columns.text("reference"),
        columns.text("digest"),
        sa.Index(f"{name}_reference", "project", "reference"),
    )


inputs = _data_of_run("run_inputs")
outputs = _data_of_run("run_outputs")
environments = sa.Table(
    "environments",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("digest", primary_key=True),
    columns.text("packages"),
)

_RUN_FIELDS = tuple(runs.c.keys())
IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
IN_RUN: sa.BindParameter[str] = sa.bindparam("in_run")

INSERT_EXPERIMENT = experiments.insert()
EXPERIMENT_NAMED = Prepared(
    sa.select(experiments).where(
        experiments.c.project == IN_PROJECT, experiments.c.name == sa.bindparam("in_name")
    )
)
EXPERIMENT = Prepared(
    sa.select(experiments).where(
        experiments.c.project == IN_PROJECT, experiments.c.id == sa.bindparam("in_id")
    )
)
CHANGE_EXPERIMENT = (
    experiments.update()
    .where(experiments.c.project == IN_PROJECT, experiments.c.id == sa.bindparam("in_id"))
    .values(
        {name: sa.bindparam(f"to_{name}") for name in ("name", "lifecycle_stage", "updated_at")}
    )
)
TAGS_OF_EXPERIMENT = Prepared(
    sa.select(experiment_tags.c.key, experiment_tags.c.value)
    .where(
        experiment_tags.c.project == IN_PROJECT,
        experiment_tags.c.experiment_id == sa.bindparam("in_id"),
    )
    .order_by(experiment_tags.c.key)
)
DELETE_EXPERIMENT_TAG = experiment_tags.delete().where(
    experiment_tags.c.project == IN_PROJECT,
    experiment_tags.c.experiment_id == sa.bindparam("in_id"),
    experiment_tags.c.key == sa.bindparam("in_key"),
)
EXPERIMENTS = (
    sa.select(experiments)
    .where(
        experiments.c.project == IN_PROJECT,
        experiments.c.id > sa.bindparam("in_after"),
        experiments.c.lifecycle_stage == "active",
    )
    .order_by(experiments.c.id)
    .limit(sa.bindparam("in_limit"))
)
LAST_EXPERIMENT = sa.select(sa.func.max(experiments.c.id)).where(
    experiments.c.project == IN_PROJECT
)
INSERT_RUN = Prepared(runs.insert())
RUN = Prepared(sa.select(runs).where(runs.c.project == IN_PROJECT, runs.c.id == IN_RUN))
END_RUN = (
    runs.update()
    .where(runs.c.project == IN_PROJECT, runs.c.id == IN_RUN)
    .values(
        {
            name: sa.bindparam(f"to_{name}")
            for name in (
                *("status", "ended_at", "error", "commit", "dirty", "environment"),
                *("wall_s", "cpu_s", "max_rss_bytes"),
            )
        }
    )
)
CHANGE_RUN = Prepared(
    runs.update()
    .where(runs.c.project == IN_PROJECT, runs.c.id == IN_RUN)
    .values(
        {
            name: sa.bindparam(f"to_{name}")
            for name in ("name", "status", "ended_at", "error", "lifecycle_stage", "deleted_at")
        }
    )
)
STAGE_RUNS = (
    runs.update()
    .where(
        runs.c.project == IN_PROJECT,
        runs.c.experiment_id == sa.bindparam("in_id"),
        runs.c.lifecycle_stage != sa.bindparam("to_stage"),
    )
    .values(lifecycle_stage=sa.bindparam("to_stage"), deleted_at=sa.bindparam("to_deleted_at"))
)
_POINT = (metrics.c.key, metrics.c.value, metrics.c.at, metrics.c.step, metrics.c.kind)
POINTS_OF_KEY = sa.select(*_POINT).where(
    metrics.c.project == IN_PROJECT,
    metrics.c.run_id == IN_RUN,
    metrics.c.key == sa.bindparam("in_key"),
)
BY_STEP = (metrics.c.step, metrics.c.at, metrics.c.value, metrics.c.kind)
HISTORY = POINTS_OF_KEY.order_by(*BY_STEP).limit(sa.bindparam("in_limit"))
RUN_METRICS = Prepared(
    sa.select(
        *(latest_metrics.c[name] for name in ("key", "value", "at", "step", "kind")),
    )
    .where(latest_metrics.c.project == IN_PROJECT, latest_metrics.c.run_id == IN_RUN)
    .order_by(latest_metrics.c.key)
)
RUN_PARAMS = Prepared(
    sa.select(params.c.key, params.c.value)
    .where(params.c.project == IN_PROJECT, params.c.run_id == IN_RUN)
    .order_by(params.c.key)
)
STANDING = Prepared(
    sa.select(runs.c.experiment_id, runs.c.status, runs.c.lifecycle_stage).where(
        runs.c.project == IN_PROJECT, runs.c.id == IN_RUN
    )
)
RENAME_RUN = Prepared(
    runs.update()
    .where(runs.c.project == IN_PROJECT, runs.c.id == IN_RUN)
    .values(name=sa.bindparam("to_name"))
)
TAG_OF_RUN = sa.select(tags.c.value).where(
    tags.c.project == IN_PROJECT, tags.c.run_id == IN_RUN, tags.c.key == sa.bindparam("in_key")
)
DELETE_TAG = Prepared(
    tags.delete().where(
        tags.c.project == IN_PROJECT,
        tags.c.run_id == IN_RUN,
        tags.c.key == sa.bindparam("in_key"),
    )
)
INPUTS_OF_RUN = (
    sa.select(inputs)
    .where(inputs.c.project == IN_PROJECT, inputs.c.run_id == IN_RUN)
    .order_by(inputs.c.name)
)
OUTPUTS_OF_RUN = (
    sa.select(outputs)
    .where(outputs.c.project == IN_PROJECT, outputs.c.run_id == IN_RUN)
    .order_by(outputs.c.name)
)
ENVIRONMENT = sa.select(environments.c.packages).where(
    environments.c.project == IN_PROJECT, environments.c.digest == sa.bindparam("in_digest")
)
KNOWS_ENVIRONMENT = Prepared(
    sa.select(environments.c.digest).where(
        environments.c.project == IN_PROJECT, environments.c.digest == sa.bindparam("in_digest")
    )
)


def _later(insert: Any) -> Any:
    """Keep the later point: by step, then time, then value, as MLflow does."""
    made = insert(latest_metrics)
    new, old = made.excluded, latest_metrics.c
    is_later = sa.or_(
        new.step > old.step,
        sa.and_(new.step == old.step, new.at > old.at),
        sa.and_(new.step == old.step, new.at == old.at, new.value >= old.value),
    )
    return made.on_conflict_do_update(
        index_elements=["project", "run_id", "key"],
        set_={name: new[name] for name in ("value", "kind", "at", "step")},
        where=is_later,
    )


INSERT_POINTS = upserts.keeping(metrics)
UPSERT_LATEST = upserts.both(_later)
UPSERT_TAGS = upserts.replacing(tags, ["project", "run_id", "key"], ["value", "value_head"])
INSERT_PARAMS = upserts.keeping(params)
UPSERT_INPUTS = upserts.replacing(
    inputs, ["project", "run_id", "name"], ["reference", "digest"]
)
UPSERT_OUTPUTS = upserts.replacing(
    outputs, ["project", "run_id", "name"], ["reference", "digest"]
)
INSERT_ENVIRONMENT = upserts.keeping(environments)
UPSERT_EXPERIMENT_TAGS = upserts.replacing(
    experiment_tags, ["project", "experiment_id", "key"], ["value"]
)
INSERT_DEFAULT = upserts.keeping(experiments)


def experiment_from(row: Any) -> entities.Experiment:
    """Make an experiment of its row."""
    _, number, name, stage, root, created_at, updated_at = row
    return entities.Experiment(
        id=str(number),
        name=name,
        lifecycle_stage=stage,
        artifact_root=root,
        created_at=created_at,
        updated_at=updated_at,
    )


def run_from(row: Any) -> entities.Run:
    """Make a run of its row."""
    fields = dict(zip(_RUN_FIELDS, row, strict=True))
    del fields["project"]
    fields["experiment_id"] = str(fields["experiment_id"])
    return entities.Run(**fields)


def of_run(tx: Transaction, run_id: str) -> dict[str, str]:
    """Name a run in a statement's parameters."""
    return {"in_project": tx.project, "in_run": run_id}
