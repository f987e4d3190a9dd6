"""Gate reports over HTTP: what was judged, on which rows, and whether nobody changed it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.evaluation import actions
from homeostat.lifecycle.evaluation.entities import Exam, GateReport, Judged


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which reports are asked for."""

    model: Annotated[str, msgspec.Meta(description="name of the model")]
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="rows a page")] = 100
    before: Annotated[str, msgspec.Meta(description="last id of the page before")] = ""


class NewReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the gates said, to be dated and signed."""

    model: str
    candidate: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    exam: Exam
    judged: Judged
    policy_digest: str
    champion: str = ""


async def list_reports(call: routing.Call) -> list[GateReport]:
    """Return reports of a model, the newest first."""
    wanted: Wanted = call.query

    def fetch(tx: Transaction) -> list[GateReport]:
        return actions.list_reports(
            tx, call.actor, wanted.model, before=wanted.before, limit=wanted.limit
        )

    return await call.read(fetch)


async def save_report(call: routing.Call) -> GateReport:
    """Date, sign and keep what the gates said of an exam that the client took."""
    new: NewReport = call.body

    def write(tx: Transaction) -> GateReport:
        return actions.save_report(
            tx,
            call.actor,
            new.model,
            candidate=new.candidate,
            exam=new.exam,
            judged=new.judged,
            policy_digest=new.policy_digest,
            champion=new.champion,
            measured_by="client",
        )

    return await call.write(write)


async def get_report(call: routing.Call) -> GateReport:
    """Return one report as it was signed."""
    report_id = call.path_params["id"]
    return await call.read(lambda tx: actions.get_report(tx, call.actor, report_id))


async def verify_report(call: routing.Call) -> GateReport:
    """Return one report after proving that nobody changed it."""
    report_id = call.path_params["id"]
    return await call.read(lambda tx: actions.verify_report(tx, call.actor, report_id))


ROUTES = (
    routing.Route(
        "GET",
        "/api/reports",
        "report.read",
        list_reports,
        answer=list[GateReport],
        summary="Gate reports of a model, the newest first",
        query=Wanted,
    ),
    routing.Route(
        "POST",
        "/api/reports",
        "report.write",
        save_report,
        body=NewReport,
        answer=GateReport,
        summary="Date, sign and keep what the gates said",
        status=201,
    ),
    routing.Route(
        "GET",
        "/api/reports/{id}",
        "report.read",
        get_report,
        answer=GateReport,
        summary="One gate report",
    ),
    routing.Route(
        "GET",
        "/api/reports/{id}/verified",
        "report.read",
        verify_report,
        answer=GateReport,
        summary="One gate report, after checking digest and signature",
    ),
)
