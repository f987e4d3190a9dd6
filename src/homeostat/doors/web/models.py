"""Pages of models and versions: what answers, since when, why, and who let it in."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from homeostat.doors.web import files, home, reports, visit
from homeostat.foundation import errors, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted, adoptions, described, mlmodel, told
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions as serving

ROWS = 50
ALL = 1000
HERE = "/models"
SEE_OTHER = 303


async def models(call: visit.Visit) -> Response:
    """List all models with the version that is champion now."""
    after = visit.asked(call, "after")

    def fetch(tx: Transaction) -> list[dict[str, Any]]:
        found = registry.list_models(tx, call.actor, after=after, limit=ROWS)
        return [
            {"model": one, "aliases": registry.list_aliases(tx, call.actor, one.name)}
            for one in found
        ]

    rows = await call.read(fetch)
    following = rows[-1]["model"].name if len(rows) == ROWS else ""
    return visit.show(call, "models.html", here=HERE, rows=rows, following=following)


async def model(call: visit.Visit) -> Response:
    """Show one model: its versions, where its aliases stand, and every move of the champion."""
    name = call.path_params["name"]
    before = visit.whole_number(call, "before")

    def fetch(tx: Transaction) -> dict[str, Any]:
        versions = registry.list_versions(tx, call.actor, name, before=before, limit=ROWS)
        aliases = registry.list_aliases(tx, call.actor, name)
        moves = registry.alias_history(tx, call.actor, name, "champion")
        found = told.model(tx, call.actor, name)
        return {
            "model": found.model,
            "tags": found.tags,
            "versions": versions,
            "aliases": aliases,
            "served": served(tx, call, name),
            "moves": sorted(moves, key=lambda one: -one.place)[:ROWS],
        }

    shown = await call.read(fetch)
    following = shown["versions"][-1].number if len(shown["versions"]) == ROWS else 0
    return visit.show(call, "model.html", here=HERE, following=following, **shown)


def served(tx: Transaction, call: visit.Visit, model: str) -> list[dict[str, Any]]:
    """Return the deployments of a model with their health and what they promise."""
    found = serving.list_deployments(tx, call.actor, limit=ALL)
    return [home.card(tx, call, one) for one in found if one.model == model]


async def version(call: visit.Visit) -> Response:
    """Show one version: what it was made of, what the gates said, who approved it."""
    name, number = call.path_params["name"], call.path_params["number"]

    def fetch(tx: Transaction) -> dict[str, Any]:
        found = registry.get_version(tx, call.actor, name, number)
        aliases = registry.list_aliases(tx, call.actor, name)
        return {
            "version": found,
            "shelf": files.of_version(found),
            "tags": told.whole(tx, found).tags,
            "standing": adoptions.standing(tx, call.actor, name, number),
            "pickled": [one.path for one in found.files if one.path.endswith(mlmodel.PICKLED)],
            "report": (report := _report(tx, call, found.report_id)),
            "flaw": reports.flaw(tx, call, found.report_id) if report else "",
            "tier": registry.get_model(tx, call.actor, name).tier,
            "approvals": registry.list_approvals(tx, call.actor, name, number),
            "aliases": [one.alias for one in aliases if one.number == number],
            "made_of": lineage.ancestors(tx, found.reference, limit=ROWS),
            "made": lineage.descendants(tx, found.reference, limit=ROWS),
        }

    shown = await call.read(fetch)
    answers_by = await _answers_by(call, shown["version"], shown["standing"].adoption)
    return visit.show(call, "version.html", here=HERE, answers_by=answers_by, **shown)


async def _answers_by(
    call: visit.Visit, version: Version, adoption: adopted.Adoption | None
) -> str:
    """Say what answers for a version; empty when nothing tells."""
    files = {one.path: one.digest for one in version.files}
    owner, digest = version.owner, files.get(described.DESCRIPTION, "")
    if adoption is not None:
        owner, digest = adoption.owner, adoption.description
    if not digest:
        return ""
    try:
        data = await call.work(lambda: call.house.get_blob(owner, digest, project=call.project))
    except errors.HomeostatError:
        return ""
    return described.twin(data).sentence


def _report(tx: Transaction, call: visit.Visit, report_id: str) -> Any:
    if not report_id:
        return None
    try:
        return evaluation.get_report(tx, call.actor, report_id)
    except errors.NotFoundError:
        return None


async def approve(call: visit.Visit) -> Response:
    """Give a person's word that a version may answer, and go back to it."""
    name, number = call.path_params["name"], call.path_params["number"]
    await call.write(lambda tx: registry.approve(tx, call.actor, name, number))
    return RedirectResponse(f"/models/{quote(name)}/versions/{number}", status_code=SEE_OTHER)


PAGES = (
    visit.Page("GET", "/models", "model.read", models),
    visit.Page("GET", "/models/{name}", "model.read", model),
    visit.Page("GET", "/models/{name}/versions/{number:int}", "model.read", version),
    visit.Page(
        "POST", "/models/{name}/versions/{number:int}/approve", "model.approve", approve
    ),
)
