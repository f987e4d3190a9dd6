"""Logged models: what clients from MLflow 3 on make before they put a model's files anywhere.

The rules are those of tracking's actions on logged models; this file only reads and shows
MLflow's shapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from homeostat.doors.mlflow import decoding, problems, routing, shapes
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import (
    artifacts,
    entities,
    logged,
    logged_entities,
    logged_notes,
    logged_search,
    paths,
    places,
)

_STATUS: Final[dict[str, logged_entities.Status]] = {
    "LOGGED_MODEL_STATUS_UNSPECIFIED": "unspecified",
    "LOGGED_MODEL_PENDING": "pending",
    "LOGGED_MODEL_READY": "ready",
    "LOGGED_MODEL_UPLOAD_FAILED": "failed",
}
_SHOWN: Final = {status: name for name, status in _STATUS.items()}
_NUMBERED: Final = tuple(_STATUS.values())
LARGEST_BODY: Final = 16 * 1024 * 1024


class Pair(msgspec.Struct, frozen=True):
    """A parameter or tag of a model."""

    key: str = ""
    value: str = ""


class CreateModel(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of POST logged-models."""

    experiment_id: decoding.Text
    name: str = ""
    model_type: str = ""
    source_run_id: str = ""
    params: list[Pair] = []
    tags: list[Pair] = []


class FinishModel(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of PATCH logged-models/<id>."""

    status: decoding.Int
    status_message: str = ""


class GetModel(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of GET logged-models/<id>."""

    allow_deleted: bool = False


class Tags(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of PATCH logged-models/<id>/tags."""

    tags: list[Pair] = []


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of POST logged-models/<id>/params."""

    params: list[Pair] = []


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """Data that metrics must have been measured on."""

    dataset_name: str = ""
    dataset_digest: str = ""


class OrderBy(msgspec.Struct, frozen=True, kw_only=True):
    """One criterion of order."""

    field_name: str = ""
    ascending: bool = True
    dataset_name: str = ""
    dataset_digest: str = ""


class SearchModels(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of POST logged-models/search."""

    experiment_ids: list[str] = []
    filter: str = ""
    datasets: list[Dataset] = []
    max_results: decoding.Int = 0
    order_by: list[OrderBy] = []
    page_token: str = ""


class ListFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of GET logged-models/<id>/artifacts/directories."""

    artifact_directory_path: str = ""
    page_token: str = ""


class LogModel(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/log-model."""

    run_id: decoding.Text
    model_json: decoding.Text


async def create(call: routing.Call) -> dict[str, Any]:
    """Make a model whose files are still to come."""
    asked: CreateModel = call.body
    params, tags = _values("params", asked.params), _values("tags", asked.tags)

    def write(tx: Transaction) -> dict[str, Any]:
        made = logged.create_model(
            tx,
            call.actor,
            experiment_id=asked.experiment_id,
            name=asked.name,
            run_id=asked.source_run_id,
            model_type=asked.model_type,
            params=params,
            tags=tags,
        )
        return {"model": shown(made)}

    return await call.write(write)


async def get(call: routing.Call) -> bytes:
    """Return one model."""
    asked: GetModel = call.body
    model_id = call.path_params["model_id"]

    def read(tx: Transaction) -> bytes:
        found = logged.get_model(tx, call.actor, model_id, with_deleted=asked.allow_deleted)
        return msgspec.json.encode({"model": shown(found)})

    return await call.peek(read)


async def finish(call: routing.Call) -> dict[str, Any]:
    """Say that the files of a model are there, or will never be."""
    asked: FinishModel = call.body
    model_id, status = call.path_params["model_id"], _status(asked.status)

    def write(tx: Transaction) -> dict[str, Any]:
        done = logged.finish_model(
            tx, call.actor, model_id, status=status, message=asked.status_message
        )
        return {"model": shown(done)}

    return await call.write(write)


async def delete(call: routing.Call) -> None:
    """Hide a model."""
    model_id = call.path_params["model_id"]
    await call.write(lambda tx: logged.delete_model(tx, call.actor, model_id))


async def set_tags(call: routing.Call) -> None:
    """Write tags of a model; the last value of a key counts."""
    asked: Tags = call.body
    model_id = call.path_params["model_id"]
    values = {pair.key: pair.value for pair in asked.tags}
    await call.write(lambda tx: logged_notes.set_tags(tx, call.actor, model_id, values=values))


async def delete_tag(call: routing.Call) -> None:
    """Take a tag off a model."""
    model_id, key = call.path_params["model_id"], call.path_params["tag_key"]
    await call.write(lambda tx: logged_notes.delete_tag(tx, call.actor, model_id, key=key))


async def log_params(call: routing.Call) -> None:
    """Write parameters of a model."""
    asked: Params = call.body
    model_id, values = call.path_params["model_id"], _values("params", asked.params)
    with problems.told_as("INVALID_PARAMETER_VALUE", errors.ConflictError):
        await call.write(
            lambda tx: logged_notes.log_params(tx, call.actor, model_id, values=values)
        )


async def search(call: routing.Call) -> bytes:
    """Find models by what is known of them, page by page."""
    asked: SearchModels = call.body
    limit = decoding.whole(asked.max_results, "max_results")
    if any(not given.dataset_name for given in asked.datasets):
        raise errors.InvalidInputError(
            "`dataset_name` in the `datasets` clause must be specified."
        )
    if not asked.experiment_ids:
        raise errors.InvalidInputError(
            f"Missing value for required parameter 'experiment_ids'.{decoding.SEE}"
        )
    datasets = [
        logged_entities.Dataset(given.dataset_name, given.dataset_digest)
        for given in asked.datasets
    ]
    order = [
        logged_entities.Order(
            given.field_name,
            given.ascending,
            logged_entities.Dataset(given.dataset_name, given.dataset_digest),
        )
        for given in asked.order_by
    ]

    def read(tx: Transaction) -> bytes:
        page = logged_search.search_models(
            tx,
            call.actor,
            experiment_ids=asked.experiment_ids,
            condition=asked.filter,
            datasets=datasets,
            order=order,
            limit=limit or logged_search.PAGE,
            after=asked.page_token,
        )
        answer: dict[str, Any] = {}
        if page.models:
            answer["models"] = [shown(found) for found in page.models]
        if page.next:
            answer["next_page_token"] = page.next
        return msgspec.json.encode(answer)

    return await call.read(read)


async def list_files(call: routing.Call) -> dict[str, Any]:
    """Return what stands in a folder of a model."""
    asked: ListFiles = call.body
    model_id = call.path_params["model_id"]
    folder = paths.folder(asked.artifact_directory_path)

    def read(tx: Transaction) -> dict[str, Any]:
        found = logged.find_model(tx, call.actor, model_id)
        holder = artifacts.of_logged_model(model_id)
        answer: dict[str, Any] = {"root_uri": address(found)}
        listed = artifacts.entries(tx, call.actor, holder, folder=folder)
        if listed:
            above = f"{folder}/" if folder else ""
            answer["files"] = [_file(above + entry.name, entry) for entry in listed]
        return answer

    return await call.read(read)


async def log_model(call: routing.Call) -> None:
    """Note a model that an older client keeps among the artifacts of a run."""
    asked: LogModel = call.body
    await call.write(
        lambda tx: logged_notes.record_history(
            tx, call.actor, asked.run_id, description=asked.model_json
        )
    )


def shown(found: logged_entities.LoggedModelRecord) -> dict[str, Any]:
    """Return a logged model as MLflow shows it; what it does not have is absent."""
    model = found.model
    info: dict[str, Any] = {
        "model_id": model.id,
        "experiment_id": model.experiment_id,
        "name": model.name,
        "creation_timestamp_ms": model.created_at,
        "last_updated_timestamp_ms": model.updated_at,
        "artifact_uri": address(model),
        "status": _SHOWN[model.status],
        "model_type": model.model_type,
        "source_run_id": model.run_id,
    }
    if model.status_message:
        info["status_message"] = model.status_message
    if found.tags:
        info["tags"] = [{"key": tag.key, "value": tag.value} for tag in found.tags]
    data: dict[str, Any] = {}
    if found.params:
        data["params"] = [{"key": param.key, "value": param.value} for param in found.params]
    if found.metrics:
        data["metrics"] = [_metric(model.id, metric) for metric in found.metrics]
    return {"info": info, "data": data}


def address(model: logged_entities.LoggedModel) -> str:
    """Return where clients put and find the files of a logged model."""
    if model.artifact_root.startswith("logged-model:"):
        return places.of_logged_model("", model.experiment_id, model.id)
    return model.artifact_root


def _metric(model_id: str, metric: logged_entities.LoggedMetric) -> dict[str, Any]:
    point = metric.point
    made: dict[str, Any] = {
        "key": point.key,
        "value": shapes.kept(point.value, point.kind),
        "timestamp": point.at,
        "step": point.step,
    }
    if metric.dataset_name:
        made["dataset_name"] = metric.dataset_name
    if metric.dataset_digest:
        made["dataset_digest"] = metric.dataset_digest
    return {**made, "model_id": model_id, "run_id": metric.run_id}


def _file(path: str, entry: entities.Entry) -> dict[str, Any]:
    if entry.is_dir:
        return {"path": path, "is_dir": True}
    return {"path": path, "is_dir": False, "file_size": entry.size_bytes}


def _status(given: decoding.Int) -> logged_entities.Status:
    """Return a status that came by name or by number."""
    known = _STATUS.get(given) if isinstance(given, str) else None
    if known is not None:
        return known
    text = str(given)
    if text.isdecimal() and int(text) < len(_NUMBERED):
        return _NUMBERED[int(text)]
    raise errors.InvalidInputError(
        f"Invalid value {text[:80]!r} for parameter 'status' supplied: "
        f"it is one of {', '.join(_STATUS)}"
    )


def _values(field: str, pairs: Iterable[Pair]) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs:
        if values.setdefault(pair.key, pair.value) != pair.value:
            raise errors.InvalidInputError(
                f"{field} has the key {pair.key[:80]!r} twice, with different values"
            )
    return values


_ONE: Final = "/2.0/mlflow/logged-models/{model_id}"


def _route(
    method: str, path: str, endpoint: routing.Endpoint, body: type[msgspec.Struct] | None
) -> routing.Route:
    is_reading = method == "GET" or path.endswith("/search")
    action = "run.read" if is_reading else "run.write"
    return routing.Route(method, path, action, endpoint, body, LARGEST_BODY)


ROUTES = (
    _route("POST", "/2.0/mlflow/logged-models", create, CreateModel),
    _route("POST", "/2.0/mlflow/logged-models/search", search, SearchModels),
    _route("GET", _ONE, get, GetModel),
    _route("PATCH", _ONE, finish, FinishModel),
    _route("DELETE", _ONE, delete, None),
    _route("PATCH", f"{_ONE}/tags", set_tags, Tags),
    _route("DELETE", f"{_ONE}/tags/{{tag_key:path}}", delete_tag, None),
    _route("POST", f"{_ONE}/params", log_params, Params),
    _route("GET", f"{_ONE}/artifacts/directories", list_files, ListFiles),
    _route("POST", "/2.0/mlflow/runs/log-model", log_model, LogModel),
)
