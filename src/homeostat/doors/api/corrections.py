"""Corrections over HTTP: propose, fit, approve, withdraw; asked by every other door."""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.corrections import actions
from homeostat.lifecycle.corrections.calibrating import Method
from homeostat.lifecycle.corrections.entities import Body, Correction, Shown
from homeostat.lifecycle.predictions.entities import Instant
from homeostat.lifecycle.serving import correcting

Reason = Annotated[str, msgspec.Meta(max_length=1000, description="why, for people")]


class NewCorrection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a correction is to do, why, and until when."""

    body: Body
    reason: Reason
    expires_at: Annotated[Instant, msgspec.Meta(description="milliseconds UTC; a year at most")]
    starts_at: Annotated[Instant | None, msgspec.Meta(description="once approved")] = None
    changes: Annotated[str, msgspec.Meta(description="id of the one it changes")] = ""


class NewRecalibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which recalibration to fit to the labels in the log, and until when it may work."""

    method: Method
    reason: Reason
    expires_at: Instant
    starts_at: Instant | None = None
    changes: str = ""


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which version may work; the newest when none is named."""

    version: Annotated[int, msgspec.Meta(ge=1)] | None = None
    note: Reason = ""


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a correction ends."""

    reason: Reason


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of corrections is asked for."""

    before: Annotated[str, msgspec.Meta(description="last id of the page before")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="versions a page")] = 100


def _name(call: routing.Call) -> str:
    return str(call.path_params["name"])


def _id(call: routing.Call) -> str:
    return str(call.path_params["id"])


async def known(call: routing.Call, name: str) -> correcting.Known:
    """Return the labels that the model of a deployment knows.

    Parameters
    ----------
    call
        Of the request; its caller must be one who may read the deployment.
    name
        Of the deployment.
    """
    how = await call.read(lambda tx: correcting.champion(tx, call.actor, name))
    return await call.work(lambda: correcting.known(call.house, how, project=call.project))


def _of_two(labels: correcting.Known) -> correcting.Known:
    """Refuse to correct what scores each of several classes."""
    if labels.task == "multiclass":
        raise errors.InvalidInputError(
            f"a correction changes one score; the model answers {len(labels.classes)} classes "
            "with a probability for each",
            hint="roll the plan back, or train a version that answers otherwise",
        )
    return labels


async def listed(call: routing.Call) -> list[Correction]:
    """Return the corrections of a deployment, the latest first."""
    wanted: Wanted = call.query

    def fetch(tx: Transaction) -> list[Correction]:
        return actions.list_corrections(
            tx, call.actor, _name(call), before=wanted.before, limit=wanted.limit
        )

    return await call.read(fetch)


async def propose(call: routing.Call) -> Correction:
    """Propose a correction, or the next version of one."""
    asked: NewCorrection = call.body
    labels = _of_two(await known(call, _name(call))).classes
    return await _propose(call, asked.body, asked, labels)


async def fit(call: routing.Call) -> Correction:
    """Fit a recalibration to the labels in the log and propose it."""
    asked: NewRecalibration = call.body
    labels = _of_two(await known(call, _name(call)))
    if not labels.classes:
        raise errors.InvalidInputError(
            f"the model of deployment {_name(call)!r} does not say which labels it knows",
            hint="judge it first: homeostat model judge",
        )
    body = await call.read(
        lambda tx: correcting.fit(
            tx,
            call.actor,
            call.house,
            _name(call),
            method=asked.method,
            positive=labels.classes[labels.positive],
        )
    )
    return await _propose(call, body, asked, labels.classes)


async def _propose(
    call: routing.Call,
    body: Body,
    asked: NewCorrection | NewRecalibration,
    labels: tuple[str, ...],
) -> Correction:
    def change(tx: Transaction) -> Correction:
        return correcting.propose(
            tx,
            call.actor,
            _name(call),
            body,
            reason=asked.reason,
            expires_at=asked.expires_at,
            starts_at=asked.starts_at,
            correction=asked.changes,
            labels=labels,
        )

    return await call.write(change)


async def show(call: routing.Call) -> Shown:
    """Return a correction with its versions, and how often it fires."""
    return await call.read(lambda tx: actions.show(tx, call.actor, _id(call)))


async def approve(call: routing.Call) -> Correction:
    """Let a correction work."""
    asked: Approval = call.body

    def change(tx: Transaction) -> Correction:
        return correcting.approve(
            tx, call.actor, _id(call), version=asked.version, note=asked.note
        )

    return await call.write(change)


async def withdraw(call: routing.Call) -> Correction:
    """End a correction now."""
    asked: Withdrawal = call.body
    return await call.write(
        lambda tx: correcting.withdraw(tx, call.actor, _id(call), reason=asked.reason)
    )


_OF = "/api/deployments/{name}/corrections"
_ONE = "/api/corrections/{id}"
ROUTES = (
    routing.Route(
        "GET",
        _OF,
        "correction.read",
        listed,
        answer=list[Correction],
        query=Wanted,
        summary="Corrections of a deployment, every version, the latest first",
    ),
    routing.Route(
        "POST",
        _OF,
        "correction.propose",
        propose,
        body=NewCorrection,
        answer=Correction,
        status=201,
        summary="Propose a correction, or the next version of one",
    ),
    routing.Route(
        "POST",
        f"{_OF}/fit",
        "correction.propose",
        fit,
        body=NewRecalibration,
        answer=Correction,
        status=201,
        summary="Fit a recalibration to the labels in the log and propose it",
    ),
    routing.Route(
        "GET",
        _ONE,
        "correction.read",
        show,
        answer=Shown,
        summary="One correction, its versions, and how often it fires",
    ),
    routing.Route(
        "POST",
        f"{_ONE}/approve",
        "correction.approve",
        approve,
        body=Approval,
        answer=Correction,
        summary="Let a correction work",
    ),
    routing.Route(
        "POST",
        f"{_ONE}/withdraw",
        "correction.read",
        withdraw,
        body=Withdrawal,
        answer=Correction,
        summary="End a correction now, or take a proposal back",
    ),
)
