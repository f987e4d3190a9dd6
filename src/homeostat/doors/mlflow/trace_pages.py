"""Pages of traces; the searches of MLflow 3 and MLflow 2 are answered here alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeostat.doors.mlflow import decoding, routing
from homeostat.lifecycle.traces import entities, search


async def found(
    call: routing.Call,
    experiment_ids: list[str],
    *,
    shown: Callable[[entities.Trace], dict[str, Any]],
) -> dict[str, Any]:
    """Return a page of traces.

    Parameters
    ----------
    call
        Its body has filter, max_results, order_by and page_token.
    experiment_ids
        Where to look.
    shown
        Makes the JSON of a trace.
    """
    asked = call.body
    page = await call.read(
        lambda tx: search.search_traces(
            tx,
            call.actor,
            experiment_ids=experiment_ids,
            condition=asked.filter,
            order=asked.order_by,
            limit=decoding.whole(asked.max_results, "max_results"),
            after=asked.page_token,
        )
    )
    answer: dict[str, Any] = {}
    if page.traces:
        answer["traces"] = [shown(trace) for trace in page.traces]
    if page.next:
        answer["next_page_token"] = page.next
    return answer
