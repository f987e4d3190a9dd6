"""The life of runs as MLflow's clients steer it, and histories thinned out for charts.

What they log while a run works stands in `recording`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homeostat.doors.mlflow import decoding, recording, routing, shapes
from homeostat.foundation import errors
from homeostat.lifecycle.tracking import actions, entities, samples

_STATUSES: Final[Mapping[Any, entities.RunStatus]] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}
_NUMBERED: Final[Mapping[str | int, entities.RunStatus]] = {
    # By their numbers in MLflow's protocol, which may come as text too.
    shown: status
    for number, status in enumerate(_STATUSES.values(), start=1)
    for shown in (number, str(number))
}


class UpdateRun(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/update."""

    run_id: str = ""
    run_uuid: str = ""
    status: str | int | None = None
    end_time: decoding.Int | None = None
    run_name: str = ""


class OneRun(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/delete and runs/restore."""

    run_id: decoding.Text


class DeleteTag(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/delete-tag."""

    run_id: decoding.Text
    key: decoding.Text


class SampleHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of metrics/get-history-bulk-interval."""

    run_ids: list[str] = []
    metric_key: decoding.Text
    start_step: decoding.Int | None = None
    end_step: decoding.Int | None = None
    max_results: decoding.Int = samples.MOST_POINTS


async def update_run(call: routing.Call) -> dict[str, Any]:
    """Change the status, end or name of a run."""
    asked: UpdateRun = call.body
    run_id = recording.run_of(asked)
    status, ended_at = _status(asked.status), _whole(asked.end_time, "end_time")
    changed = await call.write(
        lambda tx: actions.update_run(
            tx, call.actor, run_id, status=status, ended_at=ended_at, name=asked.run_name
        )
    )
    return {"run_info": shapes.info(changed)}


async def delete_run(call: routing.Call) -> None:
    """Delete a run."""
    asked: OneRun = call.body
    await call.write(lambda tx: actions.delete_run(tx, call.actor, asked.run_id))


async def restore_run(call: routing.Call) -> None:
    """Restore a run."""
    asked: OneRun = call.body
    await call.write(lambda tx: actions.restore_run(tx, call.actor, asked.run_id))


async def delete_tag(call: routing.Call) -> None:
    """Take a tag off a run."""
    asked: DeleteTag = call.body
    await call.write(lambda tx: actions.delete_tag(tx, call.actor, asked.run_id, key=asked.key))


async def sample_history(call: routing.Call) -> dict[str, Any]:
    """Return some points of one metric of several runs."""
    asked: SampleHistory = call.body
    if not asked.run_ids:
        raise errors.InvalidInputError(
            f"Missing value for required parameter 'run_ids'.{decoding.SEE}"
        )
    most = decoding.whole(asked.max_results, "max_results")
    first = _whole(asked.start_step, "start_step")
    last = _whole(asked.end_step, "end_step")
    found = await call.read(
        lambda tx: actions.sample_metrics(
            tx,
            call.actor,
            asked.run_ids,
            key=asked.metric_key,
            most=most,
            first_step=first,
            last_step=last,
        )
    )
    points = [
        {**shapes.point(msgspec.structs.astuple(point)), "run_id": run_id}
        for run_id, point in found
    ]
    return {"metrics": points} if points else {}


def _status(given: str | int | None) -> entities.RunStatus | None:
    if given is None:
        return None
    found = _STATUSES.get(given) or _NUMBERED.get(given)
    if found is None:
        names = ", ".join(_STATUSES)
        raise errors.InvalidInputError(
            f"Invalid value {msgspec.json.encode(given).decode()[:100]} for parameter 'status'"
            f" supplied: one of {names}"
        )
    return found


def _whole(given: decoding.Int | None, field: str) -> int | None:
    return None if given is None else decoding.whole(given, field)


def _post(name: str, endpoint: routing.Endpoint, body: type[msgspec.Struct]) -> routing.Route:
    return routing.Route("POST", f"/2.0/mlflow/runs/{name}", "run.write", endpoint, body=body)


ROUTES = (
    _post("update", update_run, UpdateRun),
    _post("delete", delete_run, OneRun),
    _post("restore", restore_run, OneRun),
    _post("delete-tag", delete_tag, DeleteTag),
    routing.Route(
        "GET",
        "/2.0/mlflow/metrics/get-history-bulk-interval",
        "run.read",
        sample_history,
        body=SampleHistory,
    ),
)
