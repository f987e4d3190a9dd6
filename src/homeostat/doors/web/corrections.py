"""Pages of corrections: one with its versions, how often it fires, and the ways to end it."""

from __future__ import annotations

from typing import Any

from starlette.responses import RedirectResponse, Response

from homeostat.doors.web import visit
from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.corrections import actions, firing, sentences
from homeostat.lifecycle.corrections.entities import Correction
from homeostat.lifecycle.serving import correcting

HERE = "/deployments"
SEE_OTHER = 303
FEW = 20
LONGEST_NOTE = 1000


def rows(tx: Transaction, call: visit.Visit, deployment: str) -> list[dict[str, Any]]:
    """Return what the page of a deployment shows of its corrections.

    Parameters
    ----------
    tx
        Any transaction.
    call
        Who asks.
    deployment
        Its name.
    """
    if not access.may(call.actor, "correction.read"):
        return []
    found = actions.list_corrections(tx, call.actor, deployment, limit=FEW)
    return [_row(tx, one) for one in found]


def _row(tx: Transaction, one: Correction) -> dict[str, Any]:
    return {
        "correction": one,
        "sentence": sentences.told(one.body),
        "firing": firing.of(tx, one) if one.approved_at is not None else None,
    }


async def correction(call: visit.Visit) -> Response:
    """Show one correction with its versions, and how often each fires."""

    def fetch(tx: Transaction) -> dict[str, Any]:
        found = actions.show(tx, call.actor, call.path_params["id"])
        return {
            "correction": found.correction,
            "sentence": sentences.told(found.correction.body),
            "rows": [_row(tx, one) for one in found.versions],
            "newest": found.versions[0],
        }

    return visit.show(call, "correction.html", here=HERE, **await call.read(fetch))


async def approve(call: visit.Visit) -> Response:
    """Let the newest version work, and go back to it."""
    note = (await visit.form(call)).get("note", "")[:LONGEST_NOTE]
    found = await call.write(
        lambda tx: correcting.approve(tx, call.actor, call.path_params["id"], note=note)
    )
    return RedirectResponse(f"/corrections/{found.id}", status_code=SEE_OTHER)


async def withdraw(call: visit.Visit) -> Response:
    """End a correction, and go back to it."""
    reason = (await visit.form(call)).get("reason", "")[:LONGEST_NOTE]
    found = await call.write(
        lambda tx: correcting.withdraw(tx, call.actor, call.path_params["id"], reason=reason)
    )
    return RedirectResponse(f"/corrections/{found.id}", status_code=SEE_OTHER)


PAGES = (
    visit.Page("GET", "/corrections/{id}", "correction.read", correction),
    visit.Page("POST", "/corrections/{id}/approve", "correction.approve", approve),
    visit.Page("POST", "/corrections/{id}/withdraw", "correction.withdraw", withdraw),
)
