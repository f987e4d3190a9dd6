"""The page of a logged model: what a run saved before anyone registered it."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from homeostat.doors.web import files, visit
from homeostat.foundation import lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import artifacts, logged

ROWS = 50
HERE = "/models"


async def logged_model(call: visit.Visit) -> Response:
    """Show one logged model: where it came from, what is known of it, and its files."""
    model_id = call.path_params["id"]

    def fetch(tx: Transaction) -> dict[str, Any]:
        record = logged.get_model(tx, call.actor, model_id)
        kept = artifacts.under(tx, artifacts.of_logged_model(model_id))
        reference = logged.reference(record.model)
        return {
            "record": record,
            "shelf": files.of_logged_model(record.model, kept),
            "made_of": lineage.ancestors(tx, reference, limit=ROWS),
            "made": lineage.descendants(tx, reference, limit=ROWS),
        }

    return visit.show(call, "logged_model.html", here=HERE, **await call.read(fetch))


PAGES = (visit.Page("GET", "/logged-models/{id}", "run.read", logged_model),)
