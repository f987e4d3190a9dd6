"""Makes records of importing out of the rows of an MLflow database."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from homeostat.doors.cli.imports import shapes, source
from homeostat.lifecycle.importing import entities
from homeostat.lifecycle.tracking import entities as tracked
from homeostat.lifecycle.tracking import logged_entities

Row = dict[str, Any]


class Kept(NamedTuple):
    """What some runs kept, by their ids."""

    params: dict[str, dict[str, str]]
    tags: dict[str, dict[str, str]]
    data: dict[str, list[tracked.DatasetInput]]
    links: dict[str, list[tracked.ModelLink]]


def run(row: Row, kept: Kept) -> entities.Run:
    """Return a run with what it kept."""
    one = row["run_uuid"]
    tags = kept.tags.get(one, {})
    return entities.Run(
        id=one,
        experiment_id=str(row["experiment_id"]),
        name=row.get("name") or tags.get(tracked.NAME_TAG, ""),
        user=row["user_id"] or "",
        status=shapes.run_status(row["status"]),
        lifecycle_stage=shapes.stage(row["lifecycle_stage"]),
        started_at=int(row["start_time"] or 0),
        ended_at=int(row["end_time"]) if row["end_time"] else None,
        deleted_at=row.get("deleted_time"),
        location=source.location(row["artifact_uri"] or ""),
        params=kept.params.get(one, {}),
        tags=tags,
        datasets=tuple(kept.data.get(one, ())),
        models=tuple(kept.links.get(one, ())),
    )


def point(row: sqlite3.Row) -> entities.Point:
    """Return a point of a metric."""
    number = float("nan") if row["is_nan"] else float(row["value"])
    made = tracked.Metric.of("", number)
    return entities.Point(
        row["key"], made.value, int(row["timestamp"]), int(row["step"] or 0), made.kind
    )


def logged_point(row: sqlite3.Row) -> logged_entities.LoggedMetric:
    """Return a point that tells of a logged model."""
    value = row["metric_value"]
    made = tracked.Metric.of("", float("nan") if value is None else float(value))
    point = entities.Point(
        row["metric_name"],
        made.value,
        int(row["metric_timestamp_ms"]),
        int(row["metric_step"] or 0),
        made.kind,
    )
    dataset = (row["dataset_name"] or "", row["dataset_digest"] or "")
    return shapes.logged_metric(point, run_id=row["run_id"] or "", dataset=dataset)


def logged_model(row: Row) -> logged_entities.LoggedModel:
    """Return a logged model."""
    return logged_entities.LoggedModel(
        id=row["model_id"],
        experiment_id=str(row["experiment_id"]),
        name=row["name"] or "",
        status=shapes.model_status(row["status"]),
        status_message=row["status_message"] or "",
        model_type=row["model_type"] or "",
        run_id=row["source_run_id"] or "",
        artifact_root=source.location(row["artifact_location"] or ""),
        lifecycle_stage=shapes.stage(row["lifecycle_stage"]),
        created_at=int(row["creation_timestamp_ms"]),
        updated_at=int(row["last_updated_timestamp_ms"]),
    )


def version(row: Row, tags: dict[str, str]) -> entities.Version:
    """Return a registered version."""
    return entities.Version(
        model=row["name"],
        number=int(row["version"]),
        source=row["source"] or "",
        stage=row["current_stage"] or "None",
        description=row["description"] or "",
        user=row["user_id"] or "",
        run_id=row["run_id"] or "",
        run_link=row.get("run_link") or "",
        created_at=int(row["creation_time"] or 0),
        updated_at=int(row["last_updated_time"] or 0),
        tags=tags,
    )
