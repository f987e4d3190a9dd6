"""The page of a loop: what waits, what is spent, what it cannot know, what it reported."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from homeostat.doors.web import visit
from homeostat.foundation import sealed
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import actions, cooling, envelope, enveloping, standing, wanting
from homeostat.lifecycle.serving import actions as serving

HERE = "/deployments"
FEW = 20
LONGEST_REASON = 1000
SEE_OTHER = 303


async def loop(call: visit.Visit) -> Response:
    """Show how the loop of a deployment stands."""
    name = str(call.path_params["name"])
    found = await call.work(
        lambda: standing.look(call.house, call.actor, name, project=call.project)
    )

    def fetch(tx: Transaction) -> dict[str, object]:
        reports = enveloping.list_reports(tx, call.actor, name, limit=FEW)
        members = actions.get_state(tx, call.actor, name).members
        key = None if tx.signer is None else tx.signer.public_key
        return {
            "model": serving.get_deployment(tx, call.actor, name).model,
            "reports": [
                (one, sealed.flaw(one, envelope.KIND, public_key=key)) for one in reports
            ],
            "asked": [one.version for one in members if one.standing == "approval"],
        }

    shown = await call.read(fetch)
    until = {one.until: cooling.instant(one.until) for one in found.waiting if one.until}
    return visit.show(call, "loop.html", here=HERE, found=found, until=until, **shown)


async def ask(call: visit.Visit) -> Response:
    """Ask for a fit, and show the decision."""
    name = str(call.path_params["name"])
    why = (await visit.form(call)).get("why", "")[:LONGEST_REASON]
    wish = wanting.Wish(why=why)
    made = await call.write(lambda tx: wanting.ask_as_person(tx, call.actor, name, wish))
    return RedirectResponse(f"/decisions/{quote(made.id)}", status_code=SEE_OTHER)


PAGES = (
    visit.Page("GET", "/deployments/{name}/loop", "decision.read", loop),
    visit.Page("POST", "/deployments/{name}/loop/fits", "deployment.change", ask),
)
