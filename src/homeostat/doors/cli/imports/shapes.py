"""Makes records of importing out of the JSON that an MLflow server answers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from homeostat.doors.cli.imports import source
from homeostat.lifecycle.importing import entities
from homeostat.lifecycle.tracking import entities as tracked
from homeostat.lifecycle.tracking import logged_entities

_MODEL_STATUS: dict[Any, logged_entities.Status] = {
    "LOGGED_MODEL_PENDING": "pending",
    "LOGGED_MODEL_READY": "ready",
    "LOGGED_MODEL_UPLOAD_FAILED": "failed",
    1: "pending",
    2: "ready",
    3: "failed",
}
_RUN_STATUS: dict[str, tracked.RunStatus] = {
    "SCHEDULED": "scheduled",
    "RUNNING": "running",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}


def experiment(found: dict[str, Any]) -> entities.Experiment:
    """Return an experiment."""
    return entities.Experiment(
        id=str(found["experiment_id"]),
        name=found["name"],
        lifecycle_stage=stage(found.get("lifecycle_stage")),
        location=source.location(found.get("artifact_location", "")),
        created_at=int(found.get("creation_time") or 0),
        updated_at=int(found.get("last_update_time") or 0),
        tags=texts(found.get("tags")),
    )


def run(found: dict[str, Any]) -> source.FoundRun:
    """Return a run with what `runs/search` tells of it."""
    info, data = found["info"], found.get("data", {})
    latest = data.get("metrics", [])
    address = info.get("artifact_uri", "")
    read = found.get("inputs", {})
    links = [
        tracked.ModelLink("input", item["model_id"]) for item in read.get("model_inputs", [])
    ]
    links += [
        tracked.ModelLink("output", item["model_id"], int(item.get("step", 0)))
        for item in found.get("outputs", {}).get("model_outputs", [])
    ]
    made = entities.Run(
        id=info.get("run_id") or info["run_uuid"],
        experiment_id=str(info["experiment_id"]),
        name=info.get("run_name", ""),
        user=info.get("user_id", ""),
        status=run_status(info.get("status")),
        lifecycle_stage=stage(info.get("lifecycle_stage")),
        started_at=int(info.get("start_time") or 0),
        ended_at=int(info["end_time"]) if info.get("end_time") else None,
        location=source.location(address),
        params=texts(data.get("params")),
        tags=texts(data.get("tags")),
        datasets=tuple(_dataset(item) for item in read.get("dataset_inputs", [])),
        models=tuple(links),
    )
    state = json.dumps(sorted(latest, key=lambda item: str(item["key"])), sort_keys=True)
    keys = tuple(item["key"] for item in latest)
    return source.FoundRun(made, address, keys, digest(state))


def point(found: dict[str, Any]) -> entities.Point:
    """Return a point of a metric."""
    made = tracked.Metric.of("", float(found.get("value", 0.0)))
    return entities.Point(
        found["key"],
        made.value,
        int(found.get("timestamp", 0)),
        int(found.get("step", 0)),
        made.kind,
    )


def logged_model(found: dict[str, Any]) -> source.FoundModel:
    """Return a logged model."""
    info, data = found["info"], found.get("data", {})
    address = info.get("artifact_uri", "")
    model = logged_entities.LoggedModel(
        id=info["model_id"],
        experiment_id=str(info["experiment_id"]),
        name=info.get("name", ""),
        status=model_status(info.get("status")),
        status_message=info.get("status_message", ""),
        model_type=info.get("model_type", ""),
        run_id=info.get("source_run_id", ""),
        artifact_root=source.location(address),
        created_at=int(info.get("creation_timestamp_ms", 0)),
        updated_at=int(info.get("last_updated_timestamp_ms", 0)),
    )
    metrics = [
        logged_metric(
            point(item),
            run_id=item.get("run_id", ""),
            dataset=(item.get("dataset_name", ""), item.get("dataset_digest", "")),
        )
        for item in data.get("metrics", [])
    ]
    made = entities.LoggedModel(
        model=model,
        params=texts(data.get("params")),
        tags=texts(info.get("tags")),
        metrics=tuple(metrics),
    )
    return source.FoundModel(made, address)


def logged_metric(
    found: entities.Point, *, run_id: str, dataset: tuple[str, str]
) -> logged_entities.LoggedMetric:
    """Return a point that tells of a logged model, measured by a run on some data."""
    name, dataset_digest = dataset
    return logged_entities.LoggedMetric(
        point=tracked.Metric(found.key, found.value, found.at, found.step, found.kind),
        run_id=run_id,
        dataset_name=name,
        dataset_digest=dataset_digest,
    )


def model(found: dict[str, Any]) -> entities.Model:
    """Return a registered model with its aliases."""
    return entities.Model(
        name=found["name"],
        description=found.get("description") or None,
        created_at=int(found.get("creation_timestamp", 0)),
        updated_at=int(found.get("last_updated_timestamp", 0)),
        tags=texts(found.get("tags")),
        aliases={item["alias"]: int(item["version"]) for item in found.get("aliases", [])},
    )


def version(found: dict[str, Any]) -> entities.Version:
    """Return a registered version."""
    return entities.Version(
        model=found["name"],
        number=int(found["version"]),
        source=found.get("source", ""),
        stage=found.get("current_stage") or "None",
        description=found.get("description", ""),
        user=found.get("user_id", ""),
        run_id=found.get("run_id", ""),
        model_id=found.get("model_id", ""),
        run_link=found.get("run_link", ""),
        created_at=int(found.get("creation_timestamp", 0)),
        updated_at=int(found.get("last_updated_timestamp", 0)),
        tags=texts(found.get("tags")),
    )


def texts(found: Any) -> dict[str, str]:
    """Return texts by key from a list of pairs."""
    return {item["key"]: item.get("value") or "" for item in found or ()}


def stage(found: str | None) -> tracked.Stage:
    """Return a stage of life; what is not deleted is active."""
    return "deleted" if found == "deleted" else "active"


def run_status(found: str | None) -> tracked.RunStatus:
    """Return a run's status in our words; running where the source says none."""
    return _RUN_STATUS.get(found or "", "running")


def model_status(found: str | int | None) -> logged_entities.Status:
    """Return a logged model's status, of its name or of its number in the database."""
    return _MODEL_STATUS.get(found, "unspecified")


def digest(text: str) -> str:
    """Return a short digest of a text."""
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _dataset(found: dict[str, Any]) -> tracked.DatasetInput:
    dataset = found.get("dataset", {})
    return tracked.DatasetInput(
        dataset=tracked.LoggedDataset(
            name=dataset.get("name", ""),
            digest=dataset.get("digest", ""),
            source_type=dataset.get("source_type", ""),
            source=dataset.get("source", ""),
            schema=dataset.get("schema"),
            profile=dataset.get("profile"),
        ),
        tags=tuple(tracked.Tag(key, value) for key, value in texts(found.get("tags")).items()),
    )
