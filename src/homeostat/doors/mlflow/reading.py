"""What clients read of runs all the time: a run with what it keeps, and metric histories."""

from __future__ import annotations

from typing import Final

import msgspec

from homeostat.doors.mlflow import decoding, fragments, recording, routing, shapes
from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import history, whole

PAGE_POINTS: Final = 25_000
LARGEST_PAGE: Final = 1_000_000
_shown: Final = fragments.Fragments()


class GetRun(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/get."""

    run_id: str = ""
    run_uuid: str = ""


class GetHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of metrics/get-history."""

    run_id: str = ""
    run_uuid: str = ""
    metric_key: decoding.Text
    max_results: decoding.Int | None = None
    page_token: str = ""


def get_run(actor: access.Actor, asked: GetRun) -> routing.Look:
    """Return a run with what it keeps."""
    run_id = recording.run_of(asked)

    def make(tx: Transaction) -> bytes:
        return msgspec.json.encode({"run": shapes.run(whole.read_run(tx, actor, run_id))})

    def read(tx: Transaction) -> bytes:
        return _shown.all_of(tx, (run_id,), lambda _: (make(tx),))[0]

    return routing.Look(read)


async def get_history(call: routing.Call) -> bytes:
    """Return the points of one metric; all of them when no number is asked for."""
    asked: GetHistory = call.body
    run_id = recording.run_of(asked)
    limit = PAGE_POINTS if asked.max_results is None else _positive(asked.max_results)

    def read(tx: Transaction) -> tuple[bytes, str]:
        page = history.read_page(
            tx, call.actor, run_id, key=asked.metric_key, limit=limit, token=token
        )
        key = asked.metric_key
        shown = [
            {
                "key": key,
                "value": number if kind is None else shapes.kept(number, kind),
                "timestamp": at,
                "step": step,
            }
            for number, at, step, kind in page.rows
        ]
        return msgspec.json.encode(shown)[1:-1], page.token

    pieces: list[bytes] = []
    token = asked.page_token
    while True:
        points, token = await call.read(read)
        pieces.append(points)
        if not token or asked.max_results is not None:
            break
    if pieces == [b""]:
        return b"{}"
    shown = b'{"metrics":[' + b",".join(pieces) + b"]"
    return shown + (f',"next_page_token":"{token}"'.encode() if token else b"") + b"}"


def _positive(given: decoding.Int) -> int:
    found = decoding.whole(given, "max_results")
    if found <= 0:
        raise errors.InvalidInputError(
            f"Invalid value {found} for parameter 'max_results' supplied. "
            "It must be a positive integer."
        )
    return min(found, LARGEST_PAGE)


Route = routing.Route

ROUTES = (
    routing.planned("GET", "/2.0/mlflow/runs/get", "run.read", get_run, body=GetRun),
    Route("GET", "/2.0/mlflow/metrics/get-history", "run.read", get_history, body=GetHistory),
)
