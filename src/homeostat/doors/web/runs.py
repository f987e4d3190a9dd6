"""Pages of runs: what was tried, on which data and code, and what came of it."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from homeostat.doors.web import charts, visit
from homeostat.foundation import lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import actions as tracking
from homeostat.lifecycle.tracking import entities

ROWS = 50
HERE = "/runs"
FEW = 6
CHARTS = 12


async def runs(call: visit.Visit) -> Response:
    """List the newest runs with their latest metrics."""
    after = visit.asked(call, "after")
    page = await call.read(
        lambda tx: tracking.search_runs(tx, call.actor, limit=ROWS, after=after)
    )
    seen: dict[str, None] = {}
    for record in page.runs:
        seen.update(dict.fromkeys(metric.key for metric in record.metrics))
    return visit.show(
        call, "runs.html", here=HERE, page=page, columns=list(seen)[:FEW], values=_values
    )


async def run(call: visit.Visit) -> Response:
    """Show one run: parameters, metrics with their history, inputs, outputs and files."""
    run_id = call.path_params["id"]

    def fetch(tx: Transaction) -> dict[str, Any]:
        record = tracking.get_run(tx, call.actor, run_id)
        return {
            "record": record,
            "charts": _charts(tx, call, record),
            "made_of": lineage.ancestors(tx, f"run:{run_id}", limit=ROWS),
            "made": lineage.descendants(tx, f"run:{run_id}", limit=ROWS),
        }

    return visit.show(call, "run.html", here=HERE, **await call.read(fetch))


def _values(record: entities.RunRecord) -> dict[str, float]:
    return {metric.key: metric.number for metric in record.metrics}


def _charts(
    tx: Transaction, call: visit.Visit, record: entities.RunRecord
) -> list[tuple[str, charts.Line]]:
    drawn = []
    for metric in record.metrics[:CHARTS]:
        points = tracking.metric_history(tx, call.actor, record.run.id, key=metric.key)
        series = [(float(point.step), point.number) for point in points]
        chart = charts.line(series, name=metric.key)
        if chart is not None:
            drawn.append((metric.key, chart))
    return drawn


PAGES = (
    visit.Page("GET", "/runs", "run.read", runs),
    visit.Page("GET", "/runs/{id}", "run.read", run),
)
