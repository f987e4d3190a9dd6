"""The review queue over HTTP: what waits for a person, and what was decided."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import corrections, routing
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.corrections import reviewing
from homeostat.lifecycle.corrections.entities import Case, CaseState
from homeostat.lifecycle.predictions.entities import Sealed
from homeostat.lifecycle.serving import correcting


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """Which cases are asked for."""

    deployment: Annotated[str, msgspec.Meta(description="only of this one")] = ""
    state: Annotated[
        tuple[CaseState, ...], msgspec.Meta(description="open and claimed unless said")
    ] = reviewing.WAITING
    after: Annotated[str, msgspec.Meta(description="last id of the page before")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="cases a page")] = 100


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's answer in the model's place."""

    answer: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    note: Annotated[str, msgspec.Meta(max_length=1000, description="why, for people")] = ""
    is_label: Annotated[
        bool, msgspec.Meta(description="whether the answer is also what came true")
    ] = False


def _id(call: routing.Call) -> str:
    return str(call.path_params["id"])


async def listed(call: routing.Call) -> list[Case]:
    """Return cases, the one that is due first at the top."""
    wanted: Queue = call.query

    def fetch(tx: Transaction) -> list[Case]:
        return reviewing.list_cases(
            tx,
            call.actor,
            deployment=wanted.deployment,
            states=wanted.state,
            after=wanted.after,
            limit=wanted.limit,
        )

    return await call.read(fetch)


async def one(call: routing.Call) -> Case:
    """Return one case with its key and the features as served."""
    return await call.read(lambda tx: reviewing.get_case(tx, call.actor, call.house, _id(call)))


async def claim(call: routing.Call) -> Case:
    """Say that you are looking at a case."""
    return await call.write(lambda tx: reviewing.claim(tx, call.actor, _id(call)))


async def release(call: routing.Call) -> Case:
    """Give a case back to the queue."""
    return await call.write(lambda tx: reviewing.release(tx, call.actor, _id(call)))


async def decide(call: routing.Call) -> Case:
    """Answer in the model's place; where asked, the answer is kept as the label."""
    verdict: Verdict = call.body
    case = await one(call)
    known = await corrections.known(call, case.deployment)

    def seal() -> Sealed | None:
        return correcting.sealed_label(
            call.house, case, verdict.answer, labels=known.classes, project=call.project
        )

    label = await call.work(seal) if verdict.is_label else None

    def change(tx: Transaction) -> Case:
        return correcting.decide(
            tx,
            call.actor,
            case.id,
            answer=verdict.answer,
            labels=known.classes,
            note=verdict.note,
            label=label,
        )

    return await call.write(change)


_ONE = "/api/reviews/{id}"
ROUTES = (
    routing.Route(
        "GET",
        "/api/reviews",
        "review.read",
        listed,
        answer=list[Case],
        query=Queue,
        summary="Predictions that wait for a person, the most urgent first",
    ),
    routing.Route("GET", _ONE, "review.read", one, answer=Case, summary="One case, as served"),
    routing.Route(
        "POST",
        f"{_ONE}/claim",
        "review.write",
        claim,
        answer=Case,
        summary="Say that you are looking at a case",
    ),
    routing.Route(
        "POST",
        f"{_ONE}/release",
        "review.write",
        release,
        answer=Case,
        summary="Give a case back to the queue",
    ),
    routing.Route(
        "POST",
        f"{_ONE}/decide",
        "review.write",
        decide,
        body=Verdict,
        answer=Case,
        summary="Answer in the model's place",
    ),
)
