"""Pages of the review queue: predictions that wait for a person, and the word that decides."""

from __future__ import annotations

from typing import Any, get_args

from starlette.responses import RedirectResponse, Response

from homeostat.doors.web import visit
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.corrections import reviewing, stored
from homeostat.lifecycle.corrections.entities import Case, CaseState
from homeostat.lifecycle.predictions.entities import Sealed
from homeostat.lifecycle.serving import correcting

ROWS = 50
HERE = "/reviews"
STATES: tuple[CaseState, ...] = get_args(CaseState)
SEE_OTHER = 303


async def reviews(call: visit.Visit) -> Response:
    """List cases, the most urgent first; ``?state=decided`` shows only those."""
    state, after = visit.asked(call, "state"), visit.asked(call, "after")
    if state and state not in STATES:
        raise errors.InvalidInputError(
            f"{state[:40]!r} is no state of a case", hint=f"one of {', '.join(STATES)}"
        )
    wanted = tuple(one for one in STATES if one == state) or reviewing.WAITING
    found = await call.read(
        lambda tx: reviewing.list_cases(tx, call.actor, states=wanted, after=after, limit=ROWS)
    )
    following = found[-1].id if len(found) == ROWS else ""
    return visit.show(
        call,
        "reviews.html",
        here=HERE,
        cases=found,
        state=state,
        states=STATES,
        following=following,
    )


async def review(call: visit.Visit) -> Response:
    """Show one case with the features as served, and a button for each answer."""
    case = await _case(call)
    labels = await _labels(call, case)

    def fetch(tx: Transaction) -> dict[str, Any]:
        name, _, version = case.correction.rpartition("@")
        return {"correction": stored.one(tx, name, int(version))}

    shown = await call.read(fetch)
    return visit.show(call, "review.html", here=HERE, case=case, labels=labels, **shown)


async def claim(call: visit.Visit) -> Response:
    """Note that a person is looking at a case, and go back to it."""
    found = await call.write(lambda tx: reviewing.claim(tx, call.actor, call.path_params["id"]))
    return RedirectResponse(f"/reviews/{found.id}", status_code=SEE_OTHER)


async def decide(call: visit.Visit) -> Response:
    """Answer a case as its form says, and go to the next one."""
    given = await visit.form(call)
    answer = given.get("answer", "")
    if not answer:
        raise errors.InvalidInputError("a case is decided by one of the labels; seen none")
    case = await _case(call)
    labels = await _labels(call, case)

    def seal() -> Sealed | None:
        return correcting.sealed_label(
            call.house, case, answer, labels=labels, project=call.project
        )

    label = await call.work(seal) if given.get("is_label") else None

    def change(tx: Transaction) -> Case:
        return correcting.decide(
            tx,
            call.actor,
            case.id,
            answer=answer,
            labels=labels,
            note=given.get("note", "")[:1000],
            label=label,
        )

    await call.write(change)
    return RedirectResponse(HERE, status_code=SEE_OTHER)


async def _case(call: visit.Visit) -> Case:
    return await call.read(
        lambda tx: reviewing.get_case(tx, call.actor, call.house, call.path_params["id"])
    )


async def _labels(call: visit.Visit, case: Case) -> tuple[str, ...]:
    how = await call.read(lambda tx: correcting.champion(tx, call.actor, case.deployment))
    known = await call.work(lambda: correcting.known(call.house, how, project=call.project))
    return known.classes


PAGES = (
    visit.Page("GET", "/reviews", "review.read", reviews),
    visit.Page("GET", "/reviews/{id}", "review.read", review),
    visit.Page("POST", "/reviews/{id}/claim", "review.write", claim),
    visit.Page("POST", "/reviews/{id}/decide", "review.write", decide),
)
