"""How runs and what they keep look in MLflow's JSON; used by all files that show one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from homeostat.lifecycle.tracking import entities, places, search_pages, whole

STATUS: Final = {
    "scheduled": "SCHEDULED",
    "running": "RUNNING",
    "finished": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
}


def value(number: float) -> float | str:
    """Return a double as MLflow's JSON carries it.

    Examples
    --------
    >>> value(0.5), value(float("nan")), value(float("-inf"))
    (0.5, 'NaN', '-Infinity')
    """
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def kept(number: float, kind: str) -> float | str:
    """Return a stored point's value: NaN and infinities are kept by their kind."""
    return number if kind == "finite" else value(float(kind))


def point(row: tuple[str, float, int, int, str]) -> dict[str, Any]:
    """Return a metric of its row: key, value, at, step, kind."""
    key, number, at, step, kind = row
    return {"key": key, "value": kept(number, kind), "timestamp": at, "step": step}


def texts(rows: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return parameters or tags of their rows: key, value."""
    return [{"key": key, "value": text} for key, text in rows]


def run(found: whole.WholeRun) -> dict[str, Any]:
    """Return a run as MLflow shows it; what it does not keep is absent."""
    data: dict[str, Any] = {}
    if found.metrics:
        data["metrics"] = [point(row) for row in found.metrics]
    if found.params:
        data["params"] = texts(found.params)
    if found.tags:
        data["tags"] = texts(found.tags)
    return {
        "info": info(found.run),
        "data": data,
        **_around(found.datasets, found.models),
    }


def run_of_page(found: search_pages.PageRun) -> dict[str, Any]:
    """Return a run of a page as `run` does."""
    data: dict[str, Any] = {}
    if found.metrics:
        data["metrics"] = [
            {"key": key, "value": number, "timestamp": at, "step": step}
            if kind == "finite"
            else point((key, number, at, step, kind))
            for key, number, at, step, kind, _ in found.metrics
        ]
    if found.params != search_pages.NONE:
        data["params"] = msgspec.Raw(found.params)
    if found.tags != search_pages.NONE:
        data["tags"] = msgspec.Raw(found.tags)
    shown = {"info": info(found.run), "data": data, "inputs": {}}
    if found.datasets or found.models:
        shown.update(_around(found.datasets, found.models))
    return shown


def _around(
    datasets: Iterable[tuple[Any, ...]], models: Iterable[tuple[str, str, int]]
) -> dict[str, Any]:
    """Return the fields of a run that tell what it read and made."""
    read: dict[str, Any] = {}
    made = []
    if datasets:
        read["dataset_inputs"] = [dataset(row) for row in datasets]
    for role, model_id, step in models:
        if role == "input":
            read.setdefault("model_inputs", []).append({"model_id": model_id})
        else:
            made.append({"model_id": model_id, "step": step})
    return {"inputs": read, "outputs": {"model_outputs": made}} if made else {"inputs": read}


def dataset(row: tuple[Any, ...]) -> dict[str, Any]:
    """Return a dataset a run read, of its row in a whole run."""
    fields = zip(
        ("name", "digest", "source_type", "source", "schema", "profile"), row, strict=False
    )
    shown = {name: text for name, text in fields if text is not None}
    tags = msgspec.json.decode(row[6])
    return {"tags": [{"key": k, "value": v} for k, v in tags.items()], "dataset": shown}


def info(run: entities.Run | search_pages.Head) -> dict[str, Any]:
    """Return what MLflow calls the info of a run."""
    shown = {
        "run_uuid": run.id,
        "experiment_id": run.experiment_id,
        "run_name": run.name,
        "user_id": run.user,
        "status": STATUS[run.status],
        "start_time": run.started_at,
        "artifact_uri": address(run),
        "lifecycle_stage": run.lifecycle_stage,
        "run_id": run.id,
    }
    if run.ended_at is not None:
        shown["end_time"] = run.ended_at
    return shown


def address(run: entities.Run | search_pages.Head) -> str:
    """Return where clients put and find the artifacts of a run."""
    if run.artifact_root.startswith("run:"):
        return places.of_run("", run.experiment_id, run.id)
    return run.artifact_root
