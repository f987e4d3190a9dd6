"""The page of a gate report: what was judged, on which rows, and whether it is as signed."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from homeostat.doors.web import visit
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.evaluation import actions as evaluation


def flaw(tx: Transaction, call: visit.Visit, report_id: str) -> str:
    """Return what is wrong with a report's digest or signature; empty when both hold."""
    try:
        evaluation.verify_report(tx, call.actor, report_id)
    except errors.CorruptError as error:
        return str(error)
    return ""


async def report(call: visit.Visit) -> Response:
    """Show one report with its gates, its exam and the check of its signature."""
    report_id = call.path_params["id"]

    def fetch(tx: Transaction) -> dict[str, Any]:
        found = evaluation.get_report(tx, call.actor, report_id)
        return {"report": found, "flaw": flaw(tx, call, report_id)}

    return visit.show(call, "report.html", here="/models", **await call.read(fetch))


PAGES = (visit.Page("GET", "/reports/{id}", "report.read", report),)
