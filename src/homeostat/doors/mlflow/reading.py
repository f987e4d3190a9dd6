"""What clients read of runs all the time: a run with what it keeps, and metric histories."""

from __future__ import annotations

import msgspec

from homeostat.doors.mlflow import recording, routing, shapes
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import whole


class GetRun(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/get."""

    run_id: str = ""
    run_uuid: str = ""


async def get_run(call: routing.Call) -> bytes:
    """Return a run with what it keeps."""
    run_id = recording.run_of(call.body)

    def read(tx: Transaction) -> bytes:
        return msgspec.json.encode({"run": shapes.run(whole.read_run(tx, call.actor, run_id))})

    return await call.peek(read)


ROUTES = (routing.Route("GET", "/2.0/mlflow/runs/get", "run.read", get_run, body=GetRun),)
