"""What an actor may do with the corrections of a deployment; called by the doors and the loop.

`corrections.actions` keeps them; here is what needs to know the deployment: its tier and
columns, the versions that a fallback names, and that prediction servers are told: a change of
corrections is a change of the deployment, so that followers get it as they get a plan.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import polars as pl

from homeostat.foundation import access, events, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.corrections import (
    actions as corrections,
)
from homeostat.lifecycle.corrections import (
    calibrating,
    checking,
    firing,
    reviewing,
    stored,
)
from homeostat.lifecycle.corrections.entities import (
    Body,
    Case,
    Correction,
    Fallback,
    Recalibration,
)
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import join, read
from homeostat.lifecycle.predictions.entities import LateLabel, Sealed, Segment
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted, approvals
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions, classes, plan, records

EXPIRE = corrections.EXPIRE
ROWS_AT_MOST = 100_000


class Known(msgspec.Struct, frozen=True):
    """What a version's description says of its labels; empty where there is none."""

    classes: tuple[str, ...] = ()
    positive: int = 0
    task: str = "binary"


def champion(tx: Transaction, actor: access.Actor, name: str) -> adopted.Loadable:
    """Return where the version that decides most of a deployment's answers is, for `known`."""
    return adopted.loadable(tx, classes.champion(tx, actor, name))


def known(house: read.Unsealing, how: adopted.Loadable, *, project: str) -> Known:
    """Return the labels that a version knows.

    Parameters
    ----------
    house
        What returns stored bytes.
    how
        From `champion`.
    project
        Namespace.
    """
    owner, digest = how.described_by, how.description
    for file in how.files:
        if file.path == folder.DESCRIPTION:
            owner, digest = how.owner, file.digest
    if not digest:
        return Known()
    return msgspec.json.decode(house.get_blob(owner, digest, project=project), type=Known)


def propose(
    tx: Transaction,
    actor: access.Actor,
    name: str,
    body: Body,
    *,
    reason: str,
    expires_at: int,
    starts_at: int | None = None,
    correction: str = "",
    labels: Sequence[str] = (),
) -> Correction:
    """Propose a correction of a deployment, or the next version of one.

    Parameters
    ----------
    tx, actor
        Needs ``correction.propose``.
    name
        A deployment.
    body, reason, expires_at, starts_at, correction
        As for `corrections.actions.propose`.
    labels
        What its model knows, from `known`.

    Raises
    ------
    NotFoundError
        When there is no such deployment, correction, or version of the model.
    InvalidInputError
        When it cannot mean anything there.
    """
    place = _place(tx, actor, name, labels=labels)
    if isinstance(body, Fallback) and body.version is not None:
        _fallback(tx, actor, name, body.version)
    made = corrections.propose(
        tx,
        actor,
        place,
        body,
        reason=reason,
        expires_at=expires_at,
        starts_at=starts_at,
        correction=correction,
    )
    if isinstance(body, Fallback) and body.version is not None:
        version = _fallback(tx, actor, name, body.version)
        lineage.connect(tx, source=version.reference, target=made.reference, kind="falls-back")
    return made


def approve(
    tx: Transaction,
    actor: access.Actor,
    correction: str,
    *,
    version: int | None = None,
    note: str = "",
) -> Correction:
    """Let a proposed correction work; prediction servers have it within a second.

    Parameters
    ----------
    tx, actor, correction, version, note
        As for `corrections.actions.approve`.

    Raises
    ------
    GateClosedError
        When a fallback names a version that may not answer.
    NotFoundError, NotAllowedError, InvalidInputError, ConflictError
        As `corrections.actions.approve`.
    """
    found = stored.one(tx, correction, version)
    place = _place(tx, actor, found.deployment)
    if isinstance(found.body, Fallback) and found.body.version is not None:
        deployment = actions.get_deployment(tx, actor, found.deployment)
        other = _fallback(tx, actor, found.deployment, found.body.version)
        approvals.may_serve(tx, other, actions.get_policy(deployment))
    approved = corrections.approve(tx, actor, place, correction, version=version, note=note)
    _tell(tx, found.deployment)
    return approved


def withdraw(
    tx: Transaction, actor: access.Actor, correction: str, *, reason: str
) -> Correction:
    """End a correction now, everywhere within a second; as `corrections.actions.withdraw`."""
    ended = corrections.withdraw(tx, actor, correction, reason=reason)
    _tell(tx, ended.deployment)
    return ended


def expire(tx: Transaction, actor: access.Actor, correction: str, version: int) -> Correction:
    """Note that a correction has expired, and tell prediction servers to forget it.

    They stopped applying it by their own clocks; called by the worker when the time has come.
    """
    ended = corrections.expire(tx, actor, correction, version)
    _tell(tx, ended.deployment)
    return ended


def accept_segment(tx: Transaction, actor: access.Actor, sealed: Sealed) -> Segment:
    """Accept a part of the log, count what fired in it, and open the cases it brings.

    Parameters
    ----------
    tx, actor
        Needs ``prediction.write``.
    sealed
        From `predictions.actions.seal_segment`.

    Returns
    -------
    Segment
        As `predictions.actions.accept_segment`; accepted again it counts nothing twice.
    """

    def first_time(segment: Segment) -> None:
        firing.add(tx, segment.deployment, sealed.touched)
        if sealed.touched.held:
            reviewing.open_cases(tx, actor, segment, sealed.touched.held)

    return predictions.accept_segment(tx, actor, sealed, then=first_time)


def sealed_label(
    house: predictions.Sealing,
    case: Case,
    answer: str,
    *,
    labels: Sequence[str],
    project: str,
) -> Sealed | None:
    """Store the answer to a case as a label, before the row that names it is written.

    Parameters
    ----------
    house
        What stores bytes.
    case
        With its key.
    answer
        One of the labels.
    labels
        What the model knows, from `known`.
    project
        Namespace.

    Returns
    -------
    Sealed or None
        For `decide`; None where the key is not known any more.

    Raises
    ------
    InvalidInputError
        When the answer is none of the labels.
    """
    if not case.key:
        return None
    name = case.deployment
    one = LateLabel(key=case.key, label=answer)
    segment, raw = predictions.labels_segment(name, [one], classes=labels)
    return predictions.seal_segment(house, name, segment=segment, raw=raw, project=project)


def decide(
    tx: Transaction,
    actor: access.Actor,
    case: str,
    *,
    answer: str,
    labels: Sequence[str],
    note: str = "",
    label: Sealed | None = None,
) -> Case:
    """Answer a case in the model's place; the label becomes known with it.

    Parameters
    ----------
    tx, actor, case, answer, note
        As for `reviewing.decide`.
    labels
        What the model knows, from `known`.
    label
        From `sealed_label`, where the answer is also what came true.

    Raises
    ------
    NotFoundError, InvalidInputError, NotAllowedError, ConflictError
        As `reviewing.decide`.
    """
    decided = reviewing.decide(
        tx,
        actor,
        case,
        answer=answer,
        classes=labels,
        note=note,
        is_label=label is not None,
    )
    if label is not None:
        # The person decided the case; the queue hands its label to the log.
        predictions.accept_segment(tx, access.system("reviews"), label)
    return decided


def fit(
    tx: Transaction,
    actor: access.Actor,
    house: read.Unsealing,
    name: str,
    *,
    method: calibrating.Method,
    positive: str,
) -> Recalibration:
    """Fit a recalibration of the composite that answers now to the labels in the log.

    Parameters
    ----------
    tx, actor
        Needs ``correction.propose`` and ``prediction.read``.
    house
        What returns stored bytes.
    name
        A deployment.
    method
        ``isotonic`` or ``platt``.
    positive
        The label that scores are the probability of, from `known`.

    Returns
    -------
    Recalibration
        With its evidence; `propose` it.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    InvalidInputError
        When there are too few labels, or the scores say nothing about them.
    """
    access.require(actor, "correction.propose")
    access.require(actor, "prediction.read")
    deployment = actions.get_deployment(tx, actor, name)
    answering = plan.label(deployment.plan.arms[0])
    wanted = ("key", "answered", "version", "score")
    rows = read.predictions(house, tx, name, columns=wanted)
    rows = rows.filter(pl.col("answered"), pl.col("version") == answering)
    rows = join.join(rows, read.labels(house, tx, name)).filter(pl.col("label").is_not_null())
    rows = rows.tail(ROWS_AT_MOST)
    ends = (int(rows["row"][0]), int(rows["row"][-1]) + 1) if rows.height else (0, 0)
    return calibrating.fit(
        rows["score"].to_numpy(),
        (rows["label"] == positive).to_numpy(),
        method=method,
        rows=ends,
        versions=answering,
    )


def _place(
    tx: Transaction, actor: access.Actor, name: str, *, labels: Sequence[str] = ()
) -> checking.Place:
    deployment = actions.get_deployment(tx, actor, name)
    policy = actions.get_policy(deployment)
    version = classes.champion(tx, actor, name)
    model = registry.get_model(tx, actor, deployment.model)
    columns = {column.name for column in version.schema.columns}
    if columns:
        columns |= {*policy.data.protected, *([deployment.key] if deployment.key else [])}
    return checking.Place(
        deployment=name,
        tier=max(policy.model.tier, model.tier, key=approvals.TIERS.index),
        columns=frozenset(columns),
        classes=tuple(labels),
        is_class=policy.model.task == "classification",
    )


def _fallback(tx: Transaction, actor: access.Actor, name: str, number: int) -> Version:
    deployment = actions.get_deployment(tx, actor, name)
    return registry.get_version(tx, actor, deployment.model, number)


def _tell(tx: Transaction, name: str) -> None:
    """Let followers of plans see that the deployment changed."""
    which = {"in_project": tx.project, "in_name": name}
    tx.execute(records.TOUCH, {**which, "to_changed": events.last_seq(tx)})
