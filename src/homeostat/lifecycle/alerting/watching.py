"""Alerts as the state machine has them: opened, confirmed, resolved; called by the loop.

The loop says what is wrong and when it is over. Drift, judged window by window, is soft first
and confirmed by the next bad windows (`confirm_after` of the policy). What the loop has proved
already, as harm, is confirmed at once; harm that it only suspects stays soft until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.alerting import machine, records
from homeostat.lifecycle.monitoring import alerts, marks
from homeostat.lifecycle.monitoring.entities import Alert, AlertState, Judgement
from homeostat.lifecycle.serving import actions as serving

DRIFT = ("covariate-drift", "prediction-drift")
FEED = ("feed", "schema")
WINDOWED = (*DRIFT, *FEED)
"""Kinds that every window says something of."""
NO_DATA = "no-data"
APPROVAL = "approval"
"""Kind of the alert that asks a person to let a version in."""
STUCK = "loop-stuck"
"""Kind of the alert that a loop cannot go on: nothing is judged, and nothing learned."""
_NEVER = 2**31
UNRESOLVED: tuple[AlertState, ...] = ("open", "acknowledged")
# Transitions that are told as events of the alert, with the last word of their kind.
_EVENTS: dict[str, str] = {
    "confirmed": "alert.confirmed",
    "flapping": "alert.flapping",
    "settled": "alert.settled",
    "blind": "alert.blinded",
    "seeing": "alert.seen",
}


class Place(msgspec.Struct, frozen=True):
    """What is watched: at most one alert of it stands at a time."""

    deployment: str
    kind: str
    cause: str
    column: str | None = None


class Watched(msgspec.Struct, frozen=True):
    """A place with what is remembered of it, and whether that is stored already."""

    place: Place
    watch: machine.Watch
    is_stored: bool = True


def policy_of(tx: Transaction, actor: access.Actor, deployment: str) -> policies.Alerts:
    """Return how a deployment wants its alerts; the defaults where nothing is deployed."""
    try:
        return serving.get_policy(serving.get_deployment(tx, actor, deployment)).alerts
    except errors.NotFoundError:
        return policies.Alerts()


def rules(policy: policies.Alerts, kind: str) -> machine.Rules:
    """Return how much it takes for alerts of a kind."""
    confirm_after = policy.confirm_after if kind in DRIFT else 1
    resolve_after = policy.resolve_after if kind in WINDOWED else 1
    return machine.Rules(confirm_after=confirm_after, resolve_after=resolve_after)


def open_alert(
    tx: Transaction,
    actor: access.Actor,
    *,
    deployment: str,
    kind: str,
    cause: str,
    column: str | None = None,
    sentence: str,
    evidence: Sequence[str] = (),
    is_proved: bool = True,
) -> Alert:
    """Note that something is wrong.

    Parameters
    ----------
    tx, actor, deployment, kind, cause, column, sentence, evidence
        As for `monitoring.alerts.open_alert`.
    is_proved
        False for a mere suspicion, which stays soft however often it is repeated.

    Returns
    -------
    Alert
        The one that stands, or a new one; confirmed when that is enough.

    Raises
    ------
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "alert.write")
    found = _find(tx, Place(deployment, kind, cause, column))
    standing = _alert_at(tx, actor, found.place)
    found = _in_step(found, standing)
    if standing is not None and kind in WINDOWED and not found.watch.is_cleared:
        return standing  # the window of which this is said was counted by `see_window`
    told = msgspec.structs.replace(found.watch, is_cleared=False)
    alert = alerts.open_alert(
        tx,
        actor,
        deployment=deployment,
        kind=kind,
        cause=cause,
        column=column,
        sentence=sentence,
        evidence=evidence,
    )
    policy = policy_of(tx, actor, deployment)
    watched = msgspec.structs.replace(found, watch=told)
    seen = _observe(tx, actor, watched, "bad", policy=policy, alert=alert, is_proved=is_proved)
    return seen or alert


def standing(tx: Transaction, actor: access.Actor, deployment: str, kind: str) -> Alert | None:
    """Return the newest unresolved alert of a kind; None without."""
    found = [one for one in _unresolved(tx, actor, deployment) if one.kind == kind]
    return max(found, key=lambda one: one.opened_at, default=None)


def clear(
    tx: Transaction,
    actor: access.Actor,
    *,
    deployment: str,
    kind: str,
    column: str | None = None,
) -> list[Alert]:
    """Note that something is over; its alert is, once it was fine for as long as it must be.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.write``.
    deployment, kind
        Of the alerts.
    column
        Only this one; every column when None.

    Returns
    -------
    list
        Those that are resolved now.

    Raises
    ------
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "alert.write")
    over = []
    policy = policy_of(tx, actor, deployment)
    for alert in _unresolved(tx, actor, deployment):
        if alert.kind != kind or column not in {None, alert.column}:
            continue
        found = _in_step(_find(tx, _place(alert)), alert)
        if not found.watch.is_cleared:
            told = msgspec.structs.replace(found.watch, is_cleared=True)
            found = msgspec.structs.replace(found, watch=told)
            after = _observe(tx, actor, found, "good", policy=policy, alert=alert)
            if after is not None and after.state == "resolved":
                over.append(after)
    return over


def see_window(
    tx: Transaction, actor: access.Actor, deployment: str, judgement: Judgement
) -> None:
    """Note what a judged window says of everything that is watched.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.write``; before the loop decides on the window.
    deployment
        Its name.
    judgement
        Of a window that was not seen before.

    Raises
    ------
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "alert.write")
    watched = [one for one in _watches(tx, deployment) if one.place.kind in WINDOWED]
    if not watched:
        return
    policy = policy_of(tx, actor, deployment)
    standing_at = {_place(alert): alert for alert in _unresolved(tx, actor, deployment)}
    for one in watched:
        standing = standing_at.get(one.place)
        found = _in_step(one, standing)
        is_bad = _is_in(one.place, judgement)
        if is_bad and standing is None and one.watch.is_open:
            _reopen(tx, actor, one.place, judgement)
        elif standing is not None and is_bad:
            told = msgspec.structs.replace(found.watch, is_cleared=False)
            found = msgspec.structs.replace(found, watch=told)
            _observe(tx, actor, found, "bad", policy=policy, alert=standing)
        elif not is_bad and (standing is None or found.watch.is_cleared):
            _observe(tx, actor, found, "good", policy=policy, alert=standing)


def _reopen(tx: Transaction, actor: access.Actor, place: Place, judgement: Judgement) -> None:
    """Open an alert anew that a person has resolved, though the next window is as bad."""
    said = [one.sentence for one in judgement.causes if one.column == place.column]
    said += [one.sentence for one in judgement.findings if one.column == place.column]
    open_alert(
        tx,
        actor,
        deployment=place.deployment,
        kind=place.kind,
        cause=place.cause,
        column=place.column,
        sentence=f"a person said that it was over, and it is not: {(said or [place.kind])[0]}",
        evidence=(f"first_row: {judgement.first_row}", f"end_row: {judgement.end_row}"),
    )


def lose_sight(tx: Transaction, actor: access.Actor, deployment: str) -> list[str]:
    """Note that nothing is seen of a deployment: its alerts are neither right nor over.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.write``.
    deployment
        Its name.

    Returns
    -------
    list
        References of these alerts.
    """
    access.require(actor, "alert.write")
    policy = policy_of(tx, actor, deployment)
    blind = []
    for alert in _unresolved(tx, actor, deployment):
        if alert.kind != NO_DATA:
            found = _in_step(_find(tx, _place(alert)), alert)
            _observe(tx, actor, found, "none", policy=policy, alert=alert)
            blind.append(f"alert:{alert.id}")
    return blind


def lose_sight_of(tx: Transaction, actor: access.Actor, alert: Alert) -> None:
    """Note that nothing is seen of what one alert is about: it is neither right nor over.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.write``.
    alert
        As it stands.
    """
    access.require(actor, "alert.write")
    policy = policy_of(tx, actor, alert.deployment)
    found = _in_step(_find(tx, _place(alert)), alert)
    _observe(tx, actor, found, "none", policy=policy, alert=alert)


def _observe(
    tx: Transaction,
    actor: access.Actor,
    found: Watched,
    observation: machine.Observation,
    *,
    policy: policies.Alerts,
    alert: Alert | None,
    is_proved: bool = True,
) -> Alert | None:
    """Advance one watch, keep it, and do to its alert what that means."""
    needed = rules(policy, found.place.kind)
    if not is_proved:
        needed = msgspec.structs.replace(needed, confirm_after=_NEVER)
    after, transitions = machine.advance(found.watch, observation, needed, tx.at)
    _keep(tx, msgspec.structs.replace(found, watch=after))
    if alert is None:
        return None
    for transition in transitions:
        if transition == "resolved":
            alert = alerts.resolve_alert(tx, actor, alert.id)
        elif transition == "confirmed":
            alert = marks.note(tx, actor, alert, confirmed_at=tx.at)
        if transition in _EVENTS:
            record(tx, actor, _EVENTS[transition], alert)
    return alert


def record(tx: Transaction, actor: access.Actor, kind: str, alert: Alert, **facts: Any) -> None:
    """Record an event of an alert, with what its other events say of it."""
    told = {
        "deployment": alert.deployment,
        "kind": alert.kind,
        "cause": alert.cause,
        "column": alert.column,
        **facts,
    }
    events.record(tx, actor, kind, subject=f"alert:{alert.id}", facts=told)


def _in_step(found: Watched, alert: Alert | None) -> Watched:
    """Take over what people did: an alert that a person resolved, or opened without a watch."""
    watch = found.watch
    if alert is None and watch.is_open:
        fine = msgspec.structs.replace(watch, standing="fine", n_bad=0, is_flapping=False)
        return msgspec.structs.replace(found, watch=fine)
    if alert is not None and not watch.is_open:
        standing: machine.Standing = "soft" if alert.confirmed_at is None else "hard"
        return msgspec.structs.replace(
            found, watch=msgspec.structs.replace(watch, standing=standing, n_bad=1)
        )
    return found


def _is_in(place: Place, judgement: Judgement) -> bool:
    if place.kind in FEED:
        return any(c.kind in FEED and c.column == place.column for c in judgement.causes)
    return any(f.kind == place.kind and f.column == place.column for f in judgement.findings)


def _place(alert: Alert) -> Place:
    return Place(alert.deployment, alert.kind, alert.cause, alert.column)


def _unresolved(tx: Transaction, actor: access.Actor, deployment: str) -> list[Alert]:
    return alerts.list_alerts(tx, actor, deployment=deployment, states=UNRESOLVED, limit=1000)


def _alert_at(tx: Transaction, actor: access.Actor, place: Place) -> Alert | None:
    return alerts.standing_at(
        tx, actor, place.deployment, kind=place.kind, cause=place.cause, column=place.column
    )


def _watches(tx: Transaction, deployment: str) -> list[Watched]:
    asked = {"in_project": tx.project, "in_deployment": deployment}
    return [_watched(row) for row in tx.execute(records.WATCHES, asked).mappings()]


def _find(tx: Transaction, place: Place) -> Watched:
    row = tx.execute(records.WATCH, _key(tx, place)).mappings().first()
    return Watched(place, machine.Watch(), is_stored=False) if row is None else _watched(row)


def _watched(row: Any) -> Watched:
    return Watched(
        Place(row["deployment"], row["kind"], row["cause"], row["column_name"] or None),
        msgspec.json.decode(row["watch"], type=machine.Watch),
    )


def _key(tx: Transaction, place: Place) -> dict[str, str]:
    return {
        "in_project": tx.project,
        "in_deployment": place.deployment,
        "in_kind": place.kind,
        "in_cause": place.cause,
        "in_column": place.column or "",
    }


def _keep(tx: Transaction, found: Watched) -> None:
    place, watch = found.place, found.watch
    asked = _key(tx, place)
    is_dull = not watch.is_open and (
        place.kind not in WINDOWED or watch.history == "o" * machine.HISTORY
    )
    text = msgspec.json.encode(watch).decode()
    if is_dull and found.is_stored:
        tx.execute(records.DELETE_WATCH, asked)
    elif found.is_stored:
        tx.execute(records.UPDATE_WATCH, {**asked, "to_watch": text})
    elif not is_dull:
        row = {name.removeprefix("in_"): value for name, value in asked.items()}
        row["column_name"] = row.pop("column")
        tx.execute(records.INSERT_WATCH, {**row, "watch": text})
