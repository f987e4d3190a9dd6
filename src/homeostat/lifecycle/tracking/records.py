"""Tables of tracking and the SQL on them; called by tracking's actions and search only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from homeostat.foundation.database import Prepared, Transaction
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.tracking import entities

HEAD_LENGTH = 200
"""Characters of a text value that its index holds; PostgreSQL refuses longer index rows."""


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **options})


def _number(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, **{"nullable": False, **options})


experiments = sa.Table(
    "experiments",
    metadata,
    _text("project", primary_key=True),
    _number("id", primary_key=True, autoincrement=False),
    _text("name"),
    _text("lifecycle_stage"),
    _text("artifact_root"),
    _number("created_at"),
    _number("updated_at"),
    sa.UniqueConstraint("project", "name", name="experiments_name"),
)
runs = sa.Table(
    "runs",
    metadata,
    _text("project", primary_key=True),
    _text("id", primary_key=True),
    _number("experiment_id"),
    _text("name"),
    _text("status"),
    _text("lifecycle_stage"),
    _text("user"),
    _number("started_at"),
    _number("ended_at", nullable=True),
    _text("artifact_root"),
    _text("pipeline"),
    _text("executor"),
    _text("error"),
    _text("commit"),
    _text("dirty"),
    _text("environment"),
    sa.Column("wall_s", sa.Float, nullable=False),
    sa.Column("cpu_s", sa.Float, nullable=False),
    _number("max_rss_bytes"),
    sa.Index("runs_experiment", "project", "experiment_id", "started_at", "id"),
    sa.Index("runs_newest", "project", "started_at", "id"),
)
metrics = sa.Table(
    "metrics",
    metadata,
    _text("project", primary_key=True),
    _text("run_id", primary_key=True),
    _text("key", primary_key=True),
    _number("at", primary_key=True, autoincrement=False),
    _number("step", primary_key=True, autoincrement=False),
    sa.Column("value", sa.Float, primary_key=True),
    _text("kind", primary_key=True),
)
latest_metrics = sa.Table(
    "latest_metrics",
    metadata,
    _text("project", primary_key=True),
    _text("run_id", primary_key=True),
    _text("key", primary_key=True),
    _number("experiment_id"),
    sa.Column("value", sa.Float, nullable=False),
    _text("kind"),
    _number("at"),
    _number("step"),
    sa.Index("latest_metrics_search", "project", "experiment_id", "key", "value", "run_id"),
)


def _of_run(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        _text("project", primary_key=True),
        _text("run_id", primary_key=True),
        _text("key", primary_key=True),
        _number("experiment_id"),
        _text("value"),
        _text("value_head"),
        sa.Index(f"{name}_search", "project", "experiment_id", "key", "value_head", "run_id"),
    )


params = _of_run("params")
tags = _of_run("tags")


def _data_of_run(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        _text("project", primary_key=True),
        _text("run_id", primary_key=True),
        _text("name", primary_key=True),
        _text("reference"),
        _text("digest"),
        sa.Index(f"{name}_reference", "project", "reference"),
    )


inputs = _data_of_run("run_inputs")
outputs = _data_of_run("run_outputs")
artifacts = sa.Table(
    "artifacts",
    metadata,
    _text("project", primary_key=True),
    _text("run_id", primary_key=True),
    _text("path", primary_key=True),
    _text("digest"),
    _number("size_bytes"),
    _number("created_at"),
)
environments = sa.Table(
    "environments",
    metadata,
    _text("project", primary_key=True),
    _text("digest", primary_key=True),
    _text("packages"),
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
EXPERIMENT = sa.select(experiments).where(
    experiments.c.project == IN_PROJECT, experiments.c.id == sa.bindparam("in_id")
)
EXPERIMENTS = (
    sa.select(experiments)
    .where(experiments.c.project == IN_PROJECT, experiments.c.id > sa.bindparam("in_after"))
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
POINTS = (
    sa.select(metrics.c.key, metrics.c.value, metrics.c.at, metrics.c.step, metrics.c.kind)
    .where(metrics.c.project == IN_PROJECT, metrics.c.run_id == IN_RUN)
    .order_by(metrics.c.key, metrics.c.step, metrics.c.at, metrics.c.value, metrics.c.kind)
)
HISTORY = POINTS.where(metrics.c.key == sa.bindparam("in_key")).limit(sa.bindparam("in_limit"))
PARAMS_OF_RUN = sa.select(params.c.key, params.c.value).where(
    params.c.project == IN_PROJECT, params.c.run_id == IN_RUN
)
ARTIFACTS_OF_RUN = (
    sa.select(artifacts)
    .where(artifacts.c.project == IN_PROJECT, artifacts.c.run_id == IN_RUN)
    .order_by(artifacts.c.path)
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
INSERT_PARAMS = Prepared(params.insert())
ENVIRONMENT = sa.select(environments.c.packages).where(
    environments.c.project == IN_PROJECT, environments.c.digest == sa.bindparam("in_digest")
)
KNOWS_ENVIRONMENT = Prepared(
    sa.select(environments.c.digest).where(
        environments.c.project == IN_PROJECT, environments.c.digest == sa.bindparam("in_digest")
    )
)


def _both(build: Any) -> Prepared:
    return Prepared({"sqlite": build(sqlite.insert), "postgresql": build(postgresql.insert)})


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


def _replaced(table: sa.Table, keys: list[str], names: list[str]) -> Any:
    def build(insert: Any) -> Any:
        made = insert(table)
        changed = {name: made.excluded[name] for name in names}
        return made.on_conflict_do_update(index_elements=keys, set_=changed)

    return build


INSERT_POINTS = _both(lambda insert: insert(metrics).on_conflict_do_nothing())
UPSERT_LATEST = _both(_later)
UPSERT_TAGS = _both(_replaced(tags, ["project", "run_id", "key"], ["value", "value_head"]))
UPSERT_INPUTS = _both(_replaced(inputs, ["project", "run_id", "name"], ["reference", "digest"]))
UPSERT_OUTPUTS = _both(
    _replaced(outputs, ["project", "run_id", "name"], ["reference", "digest"])
)
UPSERT_ARTIFACT = _both(
    _replaced(artifacts, ["project", "run_id", "path"], ["digest", "size_bytes", "created_at"])
)
INSERT_ENVIRONMENT = _both(lambda insert: insert(environments).on_conflict_do_nothing())
INSERT_DEFAULT = _both(lambda insert: insert(experiments).on_conflict_do_nothing())


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
