"""Who is told what and when: from events of alerts to deliveries; called by the worker.

Every event of an alert is answered once, in a transaction with the worker's cursor. What comes
of the passing of time alone (escalation, the end of a silence, no data) is the job
``alerts.look``, one of each deployment at most, which asks for itself again when there is
something to wait for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from homeostat.foundation import access, clock, errors, events, ids, jobs
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.alerting import actions, holding, records, watching
from homeostat.lifecycle.alerting.entities import Channel, Delivery, Told
from homeostat.lifecycle.monitoring import alerts, marks
from homeostat.lifecycle.monitoring.entities import Alert
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.serving import actions as serving

LOOK = "alerts.look"
DELIVER = "alerts.deliver"
GATHER_MS = 500
"""How long the first message waits for others of the same decision."""
AGAIN_MS = 60_000
"""How often a deployment without data is looked at."""
_SEGMENTS = 10
_ATTEMPTS = 1_000_000
"""Attempts of a job; when to give up is the delivery's own rule."""


class Receiver(NamedTuple):
    """Who is told: a name in the policy of a deployment."""

    deployment: str
    name: str
    policy: policies.Alerts


Trigger = Callable[[Transaction, access.Actor, events.Event], None]


def tell(tx: Transaction, actor: access.Actor, alert: Alert, told: Told) -> list[Delivery]:
    """Make the messages that something new about an alert is worth.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.write``.
    alert
        As it is now.
    told
        What is new.

    Returns
    -------
    list
        One for each receiver, or those it was added to; none where it is held back.
    """
    access.require(actor, "alert.write")
    if told == "confirmed":
        by = _holder(tx, actor, alert)
        if by:
            if by != alert.held_by:
                marks.note(tx, actor, alert, held_by=by)
                watching.record(tx, actor, "alert.held", alert, held_by=by)
            return []
        marks.note(tx, actor, alert, held_by="", told_at=tx.at)
    elif alert.told_at is None:
        return []  # nobody knows of it, so nobody is told that it is over
    elif told != "resolved" and holding.silence_of(tx, alert) is not None:
        return []  # that it is over is told whoever knows of it: they would go on waiting
    made = []
    asked = _approvers(tx, actor, alert)
    listening = holding.listeners(tx, actor, alert.deployment)
    if asked:
        listening = {alert.deployment: watching.policy_of(tx, actor, alert.deployment)}
    for deployment, policy in listening.items():
        also = policy.escalate[: alert.n_escalated] if told == "resolved" else ()
        for name in dict.fromkeys((*(asked or policy.tell), *also)):
            receiver = Receiver(deployment, name, policy)
            made.append(deliver(tx, actor, alert, told, receiver=receiver))
    return made


def _approvers(tx: Transaction, actor: access.Actor, alert: Alert) -> tuple[str, ...]:
    """Return who is asked to let a version in, where the policy's envelope names somebody."""
    if alert.kind != watching.APPROVAL or ":" in alert.deployment:
        return ()
    deployment = serving.get_deployment(tx, actor, alert.deployment)
    return serving.get_policy(deployment).envelope.ask


def look(tx: Transaction, actor: access.Actor, deployment: str) -> int | None:
    """Do what the passing of time alone asks for.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.write``.
    deployment
        Its name.

    Returns
    -------
    int or None
        When to look again, milliseconds UTC; None when there is nothing to wait for.
    """
    access.require(actor, "alert.write")
    policy = watching.policy_of(tx, actor, deployment)
    waits = [_look_for_data(tx, actor, deployment, policy)]
    standing = alerts.list_alerts(
        tx, actor, deployment=deployment, states=watching.UNRESOLVED, limit=1000
    )
    for one in reversed(standing):
        alert = one
        if alert.confirmed_at is not None and alert.told_at is None:
            tell(tx, actor, alert, "confirmed")
            alert = alerts.get_alert(tx, actor, alert.id)
        waits.append(_escalate(tx, actor, alert, policy))
    waits += [
        moment
        for silence in actions.standing_silences(tx)
        for moment in (silence.from_at, silence.until_at)
        if standing and moment > tx.at and silence.deployment in {"", deployment}
    ]
    return min((moment for moment in waits if moment is not None), default=None)


def look_at(
    tx: Transaction, actor: access.Actor, deployment: str, *, at: int | None = None
) -> None:
    """Have a deployment looked at, no later than an instant; at once when None."""
    jobs.enqueue(
        tx,
        actor,
        LOOK,
        payload={"deployment": deployment},
        key=deployment,
        run_after_at=tx.at if at is None else at,
    )


def _holder(tx: Transaction, actor: access.Actor, alert: Alert) -> str:
    silence = holding.silence_of(tx, alert)
    if silence is not None:
        return f"silence:{silence.id}"
    above = holding.upstream_of(tx, actor, alert)
    return "" if above is None else f"alert:{above.id}"


def _escalate(
    tx: Transaction, actor: access.Actor, alert: Alert, policy: policies.Alerts
) -> int | None:
    """Tell the next receiver when its time has come; return when the one after it is due."""
    if alert.state != "open" or alert.told_at is None:
        return None
    done, after_ms = alert.n_escalated, policy.span_ms("escalate_after")
    while done < len(policy.escalate):
        due = alert.told_at + (done + 1) * after_ms
        silence = holding.silence_of(tx, alert)
        if silence is not None:
            return max(due, silence.until_at)
        if due > tx.at:
            return due
        name = policy.escalate[done]
        receiver = Receiver(alert.deployment, name, policy)
        deliver(tx, actor, alert, "escalated", receiver=receiver)
        done += 1
        marks.note(tx, actor, alert, n_escalated=done)
        watching.record(tx, actor, "alert.escalated", alert, receiver=name)
    return None


def _look_for_data(
    tx: Transaction, actor: access.Actor, deployment: str, policy: policies.Alerts
) -> int | None:
    after_ms = policy.span_ms("no_data_after")
    if not after_ms:
        return None
    try:
        since = _last_served_at(tx, actor, deployment)
    except errors.NotFoundError:
        return None
    if tx.at < since + after_ms:
        watching.clear(tx, actor, deployment=deployment, kind=watching.NO_DATA)
        return since + after_ms
    if not holding.is_downtime(tx, deployment):
        blind = watching.lose_sight(tx, actor, deployment)
        watching.open_alert(
            tx,
            actor,
            deployment=deployment,
            kind=watching.NO_DATA,
            cause="infrastructure",
            sentence=f"nothing was asked of {deployment} for {policy.no_data_after} or more, "
            f"since {clock.short(since)} UTC{_blinded(blind)}",
            evidence=(f"last_served_at: {since}", *blind),
        )
    return tx.at + AGAIN_MS


def _blinded(blind: list[str]) -> str:
    if not blind:
        return ""
    what = "another alert of it is" if len(blind) == 1 else f"{len(blind)} other alerts are"
    return f"; {what} neither right nor over until rows come again"


def _last_served_at(tx: Transaction, actor: access.Actor, deployment: str) -> int:
    newest = predictions.list_segments(tx, actor, deployment, limit=_SEGMENTS)
    served = [one.last_served_at for one in newest if one.last_served_at is not None]
    if served:
        return max(served)
    return serving.get_deployment(tx, actor, deployment).created_at


def deliver(
    tx: Transaction,
    actor: access.Actor,
    alert: Alert,
    told: Told,
    *,
    receiver: Receiver,
) -> Delivery:
    """Add an alert to the message of its cause that waits, or make a new one.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.write``.
    alert, told
        What is told of which.
    receiver
        To whom.
    """
    access.require(actor, "alert.write")
    group_ms = max(receiver.policy.span_ms("group"), GATHER_MS)
    asked = {
        "in_project": tx.project,
        "in_deployment": receiver.deployment,
        "in_cause": alert.cause,
        "in_told": told,
        "in_receiver": receiver.name,
        "since": tx.at - group_ms,
    }
    row = tx.execute(records.NEWEST_OF_GROUP, asked).mappings().first()
    before = None if row is None else actions.delivery(row)
    if before is not None and before.state == "waiting" and before.attempts == 0:
        joined = msgspec.structs.replace(
            before, alerts=tuple(dict.fromkeys((*before.alerts, alert.id)))
        )
        which = {"in_project": tx.project, "in_id": before.id}
        told_of = msgspec.json.encode(joined.alerts).decode()
        tx.execute(records.JOIN_DELIVERY, {**which, "to_alerts": told_of})
        return joined
    made = Delivery(
        id=ids.new_id(),
        deployment=receiver.deployment,
        cause=alert.cause,
        told=told,
        receiver=receiver.name,
        channel=channel(receiver.policy, receiver.name),
        alerts=(alert.id,),
        made_at=tx.at,
        next_at=tx.at + GATHER_MS if before is None else before.made_at + group_ms,
    )
    fields: dict[str, Any] = msgspec.structs.asdict(made)
    fields["alerts"] = msgspec.json.encode(made.alerts).decode()
    tx.execute(records.INSERT_DELIVERY, {**fields, "project": tx.project})
    send_at(tx, actor, made.id, at=made.next_at)
    return made


def send_at(tx: Transaction, actor: access.Actor, delivery: str, *, at: int) -> None:
    """Put a delivery into the queue, to be tried at an instant; milliseconds UTC."""
    jobs.enqueue(
        tx,
        actor,
        DELIVER,
        payload={"delivery": delivery},
        key=delivery,
        run_after_at=at,
        max_attempts=_ATTEMPTS,
    )


def channel(policy: policies.Alerts, receiver: str) -> Channel:
    """Return how a receiver that a policy names is reached."""
    if receiver in policy.webhooks:
        return "webhook"
    return "slack" if receiver in policy.slack else "email"


# --- events ----------------------------------------------------------------------------------


def _new(tx: Transaction, actor: access.Actor, event: events.Event, *, told: Told) -> None:
    alert = alerts.get_alert(tx, actor, event.subject.removeprefix("alert:"))
    if told != "resolved" and alert.state == "resolved":
        return
    if told == "no-data" and watching.standing(tx, actor, alert.deployment, watching.NO_DATA):
        return  # that one is told, and names the others
    tell(tx, actor, alert, told)
    if told == "confirmed":
        alert = alerts.get_alert(tx, actor, alert.id)
        if alert.held_by or watching.policy_of(tx, actor, alert.deployment).escalate:
            look_at(tx, actor, alert.deployment)  # which knows what to wait for
    if told == "resolved":
        # Whoever was not told because of this one is looked at again.
        for child in {one.deployment for one in marks.held_by(tx, f"alert:{alert.id}")}:
            look_at(tx, actor, child)


def _silenced(tx: Transaction, actor: access.Actor, event: events.Event) -> None:
    """Look at whom a silence concerns, when it is made and when it is ended."""
    held = {one.deployment for one in marks.held_by(tx, event.subject)}
    standing = alerts.list_alerts(tx, actor, states=watching.UNRESOLVED, limit=1000)
    for deployment in held | {one.deployment for one in standing}:
        look_at(tx, actor, deployment)


TRIGGERS: dict[str, Trigger] = {
    "alert.confirmed": functools.partial(_new, told="confirmed"),
    "alert.resolved": functools.partial(_new, told="resolved"),
    "alert.flapping": functools.partial(_new, told="flapping"),
    "alert.blinded": functools.partial(_new, told="no-data"),
    "silence.made": _silenced,
    "silence.ended": _silenced,
}
