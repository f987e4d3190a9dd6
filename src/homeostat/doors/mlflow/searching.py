"""The searches for runs and for experiments, as MLflow's clients ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from homeostat.doors.mlflow import decoding, experiments, fragments, routing, shapes
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import search, search_experiments, search_pages, search_runs

_LONGEST_SHORT: Final = 2000
"""Characters of a question that may be a short one."""
_encode: Final = msgspec.json.Encoder().encode
_runs: Final = fragments.Fragments()
_VIEWS: Final[dict[int | str, Sequence[str]]] = {
    "ACTIVE_ONLY": search.ACTIVE,
    "DELETED_ONLY": search.DELETED,
    "ALL": search.ANY_STAGE,
    # Their numbers in MLflow's protocol.
    1: search.ACTIVE,
    2: search.DELETED,
    3: search.ANY_STAGE,
}


class SearchRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of runs/search."""

    experiment_ids: list[str] = []
    filter: str | None = None
    run_view_type: int | str | None = None
    max_results: decoding.Int | None = None
    order_by: list[str] = []
    page_token: str | None = None


class SearchExperiments(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of experiments/search."""

    max_results: decoding.Int | None = None
    page_token: str | None = None
    filter: str | None = None
    order_by: list[str] = []
    view_type: int | str | None = None


async def find_runs(call: routing.Call) -> bytes:
    """Return a page of runs with what they keep."""
    asked: SearchRuns = call.body
    stages = _stages(asked.run_view_type, "run_view_type")
    limit = (
        1000 if asked.max_results is None else decoding.whole(asked.max_results, "max_results")
    )

    def read(tx: Transaction) -> bytes:
        ids, behind = search_runs.find_runs(
            tx,
            call.actor,
            experiment_ids=asked.experiment_ids,
            condition=asked.filter or "",
            order=asked.order_by,
            stages=stages,
            limit=limit,
            after=asked.page_token or "",
        )
        parts = []
        if ids:
            page = b",".join(_runs.all_of(tx, ids, lambda wanted: _made(tx, wanted)))
            parts.append(b'"runs":[%b]' % page)
        if behind:
            parts.append(b'"next_page_token":%b' % msgspec.json.encode(behind))
        return b"{%b}" % b",".join(parts)

    if len(asked.filter or "") + sum(map(len, asked.order_by)) > _LONGEST_SHORT:
        return await call.read(read)
    question = (asked.filter, *asked.experiment_ids, *asked.order_by, asked.run_view_type)
    return await call.glance(read, (call.project, *question))


def _made(tx: Transaction, ids: list[str]) -> list[bytes]:
    return [_encode(shapes.run_of_page(one)) for one in search_pages.read_page(tx, ids)]


async def find_experiments(call: routing.Call) -> dict[str, Any]:
    """Return a page of experiments with their tags."""
    asked: SearchExperiments = call.body
    stages = _stages(asked.view_type, "view_type")
    # Unlike that of runs this search has no size of its own, as clients' tests know.
    limit = decoding.whole(asked.max_results or 0, "max_results")
    page = await call.read(
        lambda tx: search_experiments.find_experiments(
            tx,
            call.actor,
            condition=asked.filter or "",
            order=asked.order_by,
            stages=stages,
            limit=limit,
            after=asked.page_token or "",
        )
    )
    shown: dict[str, Any] = {}
    if page.experiments:
        shown["experiments"] = [experiments.shown(one) for one in page.experiments]
    if page.next:
        shown["next_page_token"] = page.next
    return shown


def _stages(view: int | str | None, field: str) -> Sequence[str]:
    if view is None:
        return search.ACTIVE
    known = int(view) if isinstance(view, str) and view in ("1", "2", "3") else view
    if known not in _VIEWS:
        raise errors.InvalidInputError(
            f"Invalid value {str(view)[:40]!r} for parameter '{field}' supplied:"
            " it is ACTIVE_ONLY, DELETED_ONLY or ALL"
        )
    return _VIEWS[known]


_EXPERIMENTS: Final = "/2.0/mlflow/experiments/search"
ROUTES = (
    routing.Route("POST", "/2.0/mlflow/runs/search", "run.read", find_runs, body=SearchRuns),
    routing.Route("POST", _EXPERIMENTS, "run.read", find_experiments, body=SearchExperiments),
    routing.Route("GET", _EXPERIMENTS, "run.read", find_experiments, body=SearchExperiments),
)
