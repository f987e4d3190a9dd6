"""What runs read and made, as MLflow's clients describe it: datasets and logged models."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from homeostat.doors.mlflow import decoding, routing
from homeostat.foundation import errors
from homeostat.lifecycle.tracking import actions, entities

LIMIT_BYTES: Final = 64 * 1024 * 1024
"""A dataset's profile alone may have 16 million characters."""
MOST_DATASETS: Final = 1000


class Pair(msgspec.Struct, frozen=True):
    """A tag of an input as clients send it."""

    key: decoding.Text
    value: str = ""


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset as clients describe it."""

    name: decoding.Text
    digest: decoding.Text
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None


class DatasetInput(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset that was read, and what for."""

    dataset: Dataset
    tags: list[Pair] = []


class ModelInput(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model that was read."""

    model_id: decoding.Text


class ModelOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model that was made."""

    model_id: decoding.Text
    step: decoding.Int = 0


class LogInputs(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/log-inputs."""

    run_id: decoding.Text
    datasets: list[DatasetInput] = []
    models: list[ModelInput] = []


class LogOutputs(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/outputs."""

    run_id: decoding.Text
    models: list[ModelOutput]


async def log_inputs(call: routing.Call) -> None:
    """Say what a run read."""
    asked: LogInputs = call.body
    if len(asked.datasets) > MOST_DATASETS:
        raise errors.InvalidInputError(
            f"A batch logging request can contain at most {MOST_DATASETS} datasets."
            f" Got {len(asked.datasets)} datasets."
        )
    read = [_read(item) for item in asked.datasets]
    model_ids = [item.model_id for item in asked.models]
    await call.write(
        lambda tx: actions.log_inputs(
            tx, call.actor, asked.run_id, datasets=read, model_ids=model_ids
        )
    )


async def log_outputs(call: routing.Call) -> None:
    """Say which logged models a run made."""
    asked: LogOutputs = call.body
    made = [
        entities.ModelLink("output", item.model_id, decoding.whole(item.step, "step"))
        for item in asked.models
    ]
    await call.write(lambda tx: actions.log_outputs(tx, call.actor, asked.run_id, models=made))


def _read(item: DatasetInput) -> entities.DatasetInput:
    fields: dict[str, Any] = msgspec.structs.asdict(item.dataset)
    return entities.DatasetInput(
        dataset=entities.LoggedDataset(**fields),
        tags=tuple(entities.Tag(pair.key, pair.value) for pair in item.tags),
    )


ROUTES = (
    routing.Route(
        "POST",
        "/2.0/mlflow/runs/log-inputs",
        "run.write",
        log_inputs,
        body=LogInputs,
        limit_bytes=LIMIT_BYTES,
    ),
    routing.Route(
        "POST", "/2.0/mlflow/runs/outputs", "run.write", log_outputs, body=LogOutputs
    ),
)
