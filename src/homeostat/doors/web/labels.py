"""The queue of labels that are asked for: which rows tell most, and what came true of them."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from homeostat.doors.web import visit
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import requesting
from homeostat.lifecycle.predictions.requested import Ask
from homeostat.lifecycle.serving import classes, truths

HERE = "/deployments"
ROWS = 50
SEE_OTHER = 303


async def labels(call: visit.Visit) -> Response:
    """List the predictions whose label is asked for, and what the draws say."""
    name, after = str(call.path_params["name"]), visit.asked(call, "after")
    closed = await call.read(lambda tx: requesting.settle(call.house, tx, call.actor, name))
    if closed:
        await call.write(lambda tx: requesting.close(tx, call.actor, closed))

    def fetch(tx: Transaction) -> dict[str, object]:
        return {
            "asked": requesting.list_requests(tx, call.actor, name, after=after, limit=ROWS),
            "estimates": requesting.estimates(tx, call.actor, name)[:ROWS],
        }

    shown = await call.read(fetch)
    champion = await call.read(lambda tx: classes.champion(tx, call.actor, name))
    known = await call.work(lambda: classes.known(call.house, champion, project=call.project))
    return visit.show(call, "labels.html", here=HERE, name=name, classes=known, **shown)


async def draw(call: visit.Visit) -> Response:
    """Draw rows within the budget of the form, and go back to the queue."""
    name = str(call.path_params["name"])
    budget = (await visit.form(call)).get("budget", "")
    if not budget.isdecimal():
        raise errors.InvalidInputError(f"a budget is a number of labels; got {budget[:40]!r}")
    ask = Ask(budget=int(budget))
    rows = await call.read(
        lambda tx: requesting.candidates(call.house, tx, call.actor, name, ask=ask)
    )
    await call.write(lambda tx: requesting.request(tx, call.actor, name, ask=ask, rows=rows))
    return RedirectResponse(f"/deployments/{quote(name)}/labels", status_code=SEE_OTHER)


async def answer(call: visit.Visit) -> Response:
    """Say what came true of one prediction, and go back to the queue."""
    name, which = str(call.path_params["name"]), str(call.path_params["id"])
    truth = (await visit.form(call)).get("label", "")
    asked = await call.read(lambda tx: requesting.get_request(tx, call.actor, name, which))
    champion = await call.read(lambda tx: classes.champion(tx, call.actor, name))
    label, sealed = await call.work(
        lambda: truths.sealed(call.house, asked, truth, champion=champion, project=call.project)
    )
    await call.write(
        lambda tx: requesting.answer(tx, call.actor, asked, label=label, sealed=sealed)
    )
    return RedirectResponse(f"/deployments/{quote(name)}/labels", status_code=SEE_OTHER)


PAGES = (
    visit.Page("GET", "/deployments/{name}/labels", "prediction.read", labels),
    visit.Page("POST", "/deployments/{name}/labels", "label.request", draw),
    visit.Page("POST", "/deployments/{name}/labels/{id}/answer", "label.write", answer),
)
