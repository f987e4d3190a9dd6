"""Label requests over HTTP: draw rows, list them, answer one, read what the draws say."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import requesting
from homeostat.lifecycle.predictions.requested import Ask, Estimate, LabelRequest, State
from homeostat.lifecycle.serving import classes, truths


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests are asked for."""

    state: Annotated[tuple[State, ...], msgspec.Meta(description="open unless said")] = (
        "open",
    )
    after: Annotated[str, msgspec.Meta(description="last id of the page before")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="requests a page")] = 100


class Truth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came true."""

    label: str | int | float | bool


def _name(call: routing.Call) -> str:
    return str(call.path_params["name"])


async def draw(call: routing.Call) -> list[LabelRequest]:
    """Draw rows whose labels tell most, and ask for them."""
    ask: Ask = call.body
    await _settle(call)
    rows = await call.read(
        lambda tx: requesting.candidates(call.house, tx, call.actor, _name(call), ask=ask)
    )
    return await call.write(
        lambda tx: requesting.request(tx, call.actor, _name(call), ask=ask, rows=rows)
    )


async def listed(call: routing.Call) -> list[LabelRequest]:
    """Return requests, the oldest first."""
    page: Page = call.query

    def fetch(tx: Transaction) -> list[LabelRequest]:
        return requesting.list_requests(
            tx,
            call.actor,
            _name(call),
            states=page.state,
            after=page.after,
            limit=page.limit,
        )

    return await call.read(fetch)


async def answer(call: routing.Call) -> LabelRequest:
    """Say what came true of one prediction."""
    name, truth = _name(call), call.body
    which = str(call.path_params["id"])
    asked = await call.read(lambda tx: requesting.get_request(tx, call.actor, name, which))
    champion = await call.read(lambda tx: classes.champion(tx, call.actor, name))

    label, sealed = await call.work(
        lambda: truths.sealed(
            call.house, asked, truth.label, champion=champion, project=call.project
        )
    )
    return await call.write(
        lambda tx: requesting.answer(tx, call.actor, asked, label=label, sealed=sealed)
    )


async def estimates(call: routing.Call) -> list[Estimate]:
    """Return what the labels of each draw say, the latest first."""
    await _settle(call)
    return await call.read(lambda tx: requesting.estimates(tx, call.actor, _name(call)))


async def _settle(call: routing.Call) -> None:
    """Close requests whose label came another way."""
    found = await call.read(
        lambda tx: requesting.settle(call.house, tx, call.actor, _name(call))
    )
    if found:
        await call.write(lambda tx: requesting.close(tx, call.actor, found))


_PATH = "/api/deployments/{name}/label-requests"
ROUTES = (
    routing.Route(
        "GET",
        _PATH,
        "prediction.read",
        listed,
        answer=list[LabelRequest],
        query=Page,
        summary="Predictions whose label is asked for, the oldest first",
    ),
    routing.Route(
        "POST",
        _PATH,
        "label.request",
        draw,
        body=Ask,
        answer=list[LabelRequest],
        summary="Draw predictions whose labels tell most, with known chances",
        status=201,
    ),
    routing.Route(
        "GET",
        f"{_PATH}/estimates",
        "label.request",
        estimates,
        answer=list[Estimate],
        summary="What the labels of each draw say of all rows it chose from",
    ),
    routing.Route(
        "POST",
        f"{_PATH}/{{id}}/answer",
        "label.write",
        answer,
        body=Truth,
        answer=LabelRequest,
        summary="Say what came true of one prediction",
    ),
)
