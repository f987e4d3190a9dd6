"""The event log as a page: who did what, when, to what."""

from __future__ import annotations

from starlette.responses import Response

from homeostat.doors.web import visit
from homeostat.foundation import errors, events
from homeostat.foundation.database import Transaction

ROWS = 60
GROUPS = {
    "approvals": ("version.approved", "report.saved"),
    "models": (
        *("model.created", "model.described", "model.renamed", "model.deleted"),
        *("model.tagged", "model.untagged", "version.registered", "version.described"),
        *("version.staged", "version.tagged", "version.untagged", "version.deleted"),
        *("version.trusted", "version.distrusted", "alias.moved"),
    ),
    "serving": ("deployment.created", "plan.changed", "policy.changed"),
    "decisions": ("decision.made",),
    "alerts": ("alert.opened", "alert.acknowledged", "alert.resolved"),
    "runs": (
        *("run.started", "run.finished", "run.resumed", "run.changed", "run.renamed"),
        *("run.tagged", "run.untagged", "run.deleted", "run.restored", "snapshot.added"),
        *("experiment.created", "experiment.deleted", "experiment.restored"),
    ),
}


async def audit(call: visit.Visit) -> Response:
    """Show the latest events, or those before a number, of one subject or of one group.

    ``?verify=yes`` recomputes the chain of digests first.
    """
    before = visit.asked(call, "before")
    wants_proof = visit.asked(call, "verify") == "yes"
    subject, only = visit.asked(call, "subject"), visit.asked(call, "only")
    if before and not before.isdigit():
        raise errors.InvalidInputError(f"{before[:40]!r} is no event number")
    if only and only not in GROUPS:
        raise errors.InvalidInputError(
            f"{only[:40]!r} is no group of events", hint=f"one of {', '.join(GROUPS)}"
        )

    def fetch(tx: Transaction) -> list[events.Event]:
        if not before or subject or only:
            about, kinds = subject or None, GROUPS.get(only)
            return events.read(tx, kinds=kinds, subject=about, limit=ROWS, newest_first=True)
        first = max(0, int(before) - ROWS - 1)
        return events.read(tx, after=first, limit=int(before) - 1 - first or 1)[::-1]

    found = await call.read(fetch)
    proof = await call.read(events.verify) if wants_proof else None
    last = found[-1].seq if found and not (subject or only) else 1
    return visit.show(
        call,
        "audit.html",
        here="/audit",
        events=found,
        before=last,
        subject=subject,
        only=only,
        groups=GROUPS,
        proof=proof,
    )


PAGES = (visit.Page("GET", "/audit", "audit.read", audit),)
