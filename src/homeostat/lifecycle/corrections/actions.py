"""What an actor may do with corrections: propose, approve, withdraw, and what fires is counted.

Called by `serving.correcting`, which knows deployments and tells prediction servers, and by the
doors for reading. A correction becomes active and expires by the clock; only what people and
parts of the system did to it is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from homeostat.foundation import access, canonical, errors, events, ids, jobs, lineage
from homeostat.foundation.access import Kind
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.corrections import checking, firing, stored
from homeostat.lifecycle.corrections.entities import (
    Body,
    Correction,
    Explore,
    Fallback,
    GroupThreshold,
    Recalibration,
    Shown,
    Status,
    Threshold,
)

EXPIRE = "correction.expire"
IN_FORCE_AT_MOST = 100
_ALONE = (Threshold, GroupThreshold, Recalibration, Fallback, Explore)
_SHORT_BYTES = 2000


def propose(
    tx: Transaction,
    actor: access.Actor,
    place: checking.Place,
    body: Body,
    *,
    reason: str,
    expires_at: int,
    starts_at: int | None = None,
    correction: str = "",
) -> Correction:
    """Propose a correction, or the next version of one.

    Parameters
    ----------
    tx, actor
        Needs ``correction.propose``.
    place
        The deployment.
    body
        What it does.
    reason
        Why; not empty.
    expires_at, starts_at
        Milliseconds UTC; starts once it is approved unless said. A year at most.
    correction
        Id of the one that is to be changed; a new one when empty.

    Returns
    -------
    Correction
        It waits for approval; a version before it stays in force until then.

    Raises
    ------
    InvalidInputError
        When it cannot mean anything, is over, lasts too long, or has no reason.
    NotFoundError
        When there is no correction of that id at this deployment.
    """
    access.require(actor, "correction.propose")
    checking.check(body, place)
    begins = tx.at if starts_at is None else starts_at
    checking.check_time(begins, expires_at, now_ms=tx.at)
    if not reason.strip():
        raise errors.InvalidInputError("a correction needs a reason", hint="say why")
    version = 1
    if correction:
        newest = stored.versions(tx, correction)[0]
        if newest.deployment != place.deployment or newest.kind != body.__struct_config__.tag:
            raise errors.InvalidInputError(
                f"correction {correction} is a {newest.kind} of deployment "
                f"{newest.deployment!r}, and stays one",
                hint="propose a new one",
            )
        version = newest.version + 1
    made = Correction(
        id=correction or ids.new_id(),
        version=version,
        deployment=place.deployment,
        body=body,
        status="proposed",
        reason=reason,
        made_by=actor.name,
        made_at=tx.at,
        starts_at=begins,
        expires_at=expires_at,
    )
    stored.insert(tx, made)
    _record(tx, actor, made, "proposed", {"reason": reason, **_content(made)})
    deployment = f"deployment:{made.deployment}"
    lineage.connect(tx, source=made.reference, target=deployment, kind="corrects")
    return stored.seen(made, tx.at)


def approve(
    tx: Transaction,
    actor: access.Actor,
    place: checking.Place,
    correction: str,
    *,
    version: int | None = None,
    note: str = "",
) -> Correction:
    """Let a proposed correction work, from its start until it expires.

    Parameters
    ----------
    tx, actor
        Needs ``correction.approve``; a person. Where the tier is ``high``, another one than
        who proposed it.
    place
        Its deployment.
    correction, version
        Which one; its newest version when None.
    note
        Why, for people; needed for a threshold by group.

    Returns
    -------
    Correction
        ``active``, or ``approved`` until it starts. The version before it is replaced.

    Raises
    ------
    NotFoundError
        When there is no such correction.
    NotAllowedError
        When no person approves, or where four eyes are needed the one who proposed it.
    InvalidInputError
        When a threshold by group is approved without a note.
    ConflictError
        When it is not proposed any more, or another one of its kind is in force meanwhile.
    """
    access.require(actor, "correction.approve")
    found = stored.one(tx, correction, version)
    if found.status != "proposed":
        raise errors.ConflictError(
            f"{found.reference} is {found.status}; only what is proposed can be approved",
            status=found.status,
        )
    _need_person(actor, found, tier=place.tier)
    if isinstance(found.body, GroupThreshold) and not note.strip():
        raise errors.InvalidInputError(
            f"{found.reference} treats people by {found.body.column!r}: to approve it needs a "
            "note that says on which grounds",
            hint="homeostat correction approve ID --note WHY",
        )
    working = stored.in_force(tx, found.deployment)
    _need_room(found, [one for one in working if one.id != found.id])
    for one in working:
        if one.id == found.id:
            _end(tx, actor, one, "replaced", reason=f"by version {found.version}")
    approved = msgspec.structs.replace(
        found, status="approved", approved_by=actor.name, approved_at=tx.at, note=note
    )
    stored.change(tx, found, approved)
    _record(tx, actor, approved, "approved", {"note": note, **_content(approved)})
    payload = {"correction": approved.id, "version": approved.version}
    jobs.enqueue(
        tx,
        actor,
        EXPIRE,
        payload=payload,
        key=approved.mark,
        run_after_at=approved.expires_at,
    )
    return stored.seen(approved, tx.at)


def withdraw(
    tx: Transaction, actor: access.Actor, correction: str, *, reason: str
) -> Correction:
    """End a correction now, or take a proposal back.

    Parameters
    ----------
    tx, actor
        Needs ``correction.withdraw``; for one's own proposal ``correction.propose``.
    correction
        Its id; every version that is not over ends.
    reason
        Why; not empty.

    Returns
    -------
    Correction
        Its newest version that ended.

    Raises
    ------
    NotFoundError
        When there is no such correction.
    ConflictError
        When it is over already.
    InvalidInputError
        When there is no reason.
    """
    standing = [
        one
        for one in stored.versions(tx, correction)
        if one.status in {"proposed", "approved", "active"}
    ]
    is_own = all(one.status == "proposed" and one.made_by == actor.name for one in standing)
    access.require(
        actor, "correction.propose" if standing and is_own else "correction.withdraw"
    )
    if not standing:
        raise errors.ConflictError(f"correction {correction} is over already")
    if not reason.strip():
        raise errors.InvalidInputError("to withdraw a correction needs a reason")
    for one in standing:
        _end(tx, actor, one, "withdrawn", reason=reason)
    return stored.one(tx, correction, standing[0].version)


def expire(tx: Transaction, actor: access.Actor, correction: str, version: int) -> Correction:
    """Note in the audit log that a correction has expired; by then it works nowhere.

    Parameters
    ----------
    tx, actor
        Needs ``correction.withdraw``; the worker, when the time has come.
    correction, version
        Which one.

    Returns
    -------
    Correction
        Nothing is changed where it was withdrawn or replaced before.
    """
    access.require(actor, "correction.withdraw")
    found = stored.one(tx, correction, version)
    if found.status == "expired":
        facts = {"deployment": found.deployment, "expires_at": found.expires_at}
        _record(tx, actor, found, "expired", facts)
    return found


def list_corrections(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    *,
    before: str = "",
    limit: int = 100,
) -> list[Correction]:
    """Return versions of corrections of a deployment, the latest correction first.

    Parameters
    ----------
    tx, actor
        Needs ``correction.read``.
    deployment
        Its name; an unknown one has none.
    before
        Id of the last correction of the page before.
    limit
        At most this many, 1 to 1,000.
    """
    access.require(actor, "correction.read")
    return stored.of_deployment(tx, deployment, before=before, limit=limit)


def get_correction(
    tx: Transaction, actor: access.Actor, correction: str, *, version: int | None = None
) -> Correction:
    """Return one version of a correction, the newest when None; NotFoundError without it."""
    access.require(actor, "correction.read")
    return stored.one(tx, correction, version)


def show(tx: Transaction, actor: access.Actor, correction: str) -> Shown:
    """Return a correction with its versions, and how often the newest one in force fires.

    Parameters
    ----------
    tx, actor
        Needs ``correction.read``.
    correction
        Its id.

    Raises
    ------
    NotFoundError
        When there is no such correction.
    """
    access.require(actor, "correction.read")
    found = stored.versions(tx, correction)
    told = next((one for one in found if one.approved_at is not None), found[0])
    return Shown(correction=told, versions=tuple(found), firing=firing.of(tx, told))


def of_prediction(tx: Transaction, actor: access.Actor, fired: str) -> list[Correction]:
    """Return the corrections that changed a prediction, as they were then.

    Parameters
    ----------
    tx, actor
        Needs ``correction.read``.
    fired
        Column ``corrections`` of its row in the log.

    Returns
    -------
    list of Correction
        In the order in which they worked.
    """
    access.require(actor, "correction.read")
    marks = [one.rpartition("@") for one in fired.split(",") if one]
    return [stored.one(tx, name, int(number)) for name, _, number in marks]


def _end(
    tx: Transaction, actor: access.Actor, one: Correction, status: Status, *, reason: str
) -> None:
    ended = msgspec.structs.replace(
        one, status=status, ended_by=actor.name, ended_at=tx.at, end_reason=reason
    )
    stored.change(tx, one, ended)
    _record(tx, actor, one, status, {"reason": reason, "deployment": one.deployment})


def _need_person(actor: access.Actor, found: Correction, *, tier: str) -> None:
    """Refuse whoever may not approve: the rule for versions, applied to corrections."""
    if actor.kind is not Kind.PERSON:
        raise errors.NotAllowedError(f"{actor.name} is no person and cannot approve")
    if tier == "high" and actor.name == found.made_by:
        raise errors.NotAllowedError(
            f"{actor.name} proposed {found.reference} and may not approve it: tier 'high' "
            "needs a second pair of eyes",
            hint="ask another reviewer",
            correction=found.reference,
        )


def _need_room(found: Correction, others: Sequence[Correction]) -> None:
    """Refuse a second one where only one can work, and more than can be looked after."""
    if len(others) >= IN_FORCE_AT_MOST:
        raise errors.ConflictError(
            f"deployment {found.deployment!r} has {len(others)} corrections in force; "
            f"{IN_FORCE_AT_MOST} are the most",
            hint="withdraw some, or train a model that needs fewer",
        )
    for one in others:
        overlaps = found.starts_at < one.expires_at and one.starts_at < found.expires_at
        if one.kind != found.kind or not overlaps or not isinstance(found.body, _ALONE):
            continue
        if isinstance(found.body, Recalibration) and isinstance(one.body, Recalibration):
            mine, other = found.body.versions, one.body.versions
            if mine and other and mine != other:
                continue
        raise errors.ConflictError(
            f"deployment {found.deployment!r} has a {found.kind} in force already, "
            f"{one.reference}",
            hint=f"change that one (--changes {one.id}), or withdraw it first",
            correction=one.reference,
        )


def _content(one: Correction) -> dict[str, Any]:
    """Return what the audit log keeps: the digest always, the content where it is short."""
    text = canonical.encode(one.body)
    facts: dict[str, Any] = {
        "deployment": one.deployment,
        "kind": one.kind,
        "digest": canonical.digest(text),
        "starts_at": one.starts_at,
        "expires_at": one.expires_at,
    }
    if len(text) <= _SHORT_BYTES:
        facts["body"] = msgspec.json.decode(text)
    return facts


def _record(  # noqa: PLR0917 - as `events.record`, which it names the subject for
    tx: Transaction, actor: access.Actor, one: Correction, what: str, facts: dict[str, Any]
) -> None:
    events.record(tx, actor, f"correction.{what}", subject=one.reference, facts=facts)
