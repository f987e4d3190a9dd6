"""Why nobody is told of an alert now: a silence, or an alert upstream; called by `telling`."""

from __future__ import annotations

from homeostat.foundation import access, errors, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.alerting import actions, watching
from homeostat.lifecycle.alerting.entities import Silence
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.monitoring import alerts
from homeostat.lifecycle.monitoring.entities import Alert
from homeostat.lifecycle.serving import actions as serving

OWN_UPSTREAM = (*watching.FEED, watching.NO_DATA)
"""Kinds that explain drift of the same deployment."""
EXPLAINED = (*watching.DRIFT, "multivariate-drift", "attribution-drift", "prior-shift")
"""Kinds that are no news where a feed of the same deployment is broken."""
DATASET, SNAPSHOT = "dataset:", "snapshot:"


def silence_of(tx: Transaction, alert: Alert) -> Silence | None:
    """Return the silence in force that means an alert, the longest of them; None without.

    Parameters
    ----------
    tx
        Any transaction.
    alert
        Of which somebody would be told.
    """
    fitting = [
        one
        for one in actions.standing_silences(tx)
        if one.holds(tx.at)
        and one.fits(deployment=alert.deployment, kind=alert.kind, column=alert.column)
    ]
    return fitting[-1] if fitting else None


def is_downtime(tx: Transaction, deployment: str) -> bool:
    """Say whether work on a deployment is planned for now."""
    return any(
        one.is_downtime
        and one.holds(tx.at)
        and one.fits(deployment=deployment, kind=watching.NO_DATA, column=None)
        for one in actions.standing_silences(tx)
    )


def upstream_of(tx: Transaction, actor: access.Actor, alert: Alert) -> Alert | None:
    """Return the confirmed alert because of which an alert is none of its own; None without.

    Upstream of a drift is the broken feed of the same deployment. Upstream of a deployment is
    what its policy names, and everything that it was made of, as lineage knows it.

    Parameters
    ----------
    tx, actor
        May read alerts and the deployment.
    alert
        Of which somebody would be told.

    Returns
    -------
    Alert or None
        The root, where an alert upstream is itself held by one further up. Alerts that would
        wait for each other do not: the first one told counts. One of which nobody is told
        holds nothing back.
    """
    others = [
        one
        for one in alerts.list_alerts(tx, actor, states=watching.UNRESOLVED, limit=1000)
        if one.confirmed_at is not None and one.id != alert.id
    ]
    if not others:
        return None
    if alert.kind in EXPLAINED:
        for one in others:
            if one.deployment == alert.deployment and one.kind in OWN_UPSTREAM:
                return _root(one, others, alert)
    elsewhere = [one for one in others if one.deployment != alert.deployment]
    if not elsewhere:
        return None
    depends_on = _upstream(tx, actor, alert.deployment)
    for one in reversed(elsewhere):
        if _is_among(tx, actor, _reference(one.deployment), depends_on):
            root = _root(one, others, alert)
            if root is not None and listeners(tx, actor, root.deployment):
                return root
    return None


def listeners(
    tx: Transaction, actor: access.Actor, deployment: str
) -> dict[str, policies.Alerts]:
    """Return whose receivers are told of alerts on a deployment, with their policies.

    Parameters
    ----------
    tx, actor
        May read deployments.
    deployment
        Its name: it is told itself. Or the reference of something else, such as
        ``dataset:orders``: then those are told that depend on it.
    """
    if ":" not in deployment:
        policy = watching.policy_of(tx, actor, deployment)
        return {deployment: policy} if policy.tell else {}
    found = {}
    for one in serving.list_deployments(tx, actor, limit=1000):
        policy = serving.get_policy(one).alerts
        if policy.tell and _is_among(tx, actor, deployment, _upstream(tx, actor, one.name)):
            found[one.name] = policy
    return found


def _upstream(tx: Transaction, actor: access.Actor, deployment: str) -> list[str]:
    """Return what a policy names, and what lineage knows, the newest first."""
    named = watching.policy_of(tx, actor, deployment).upstream
    made_of = lineage.ancestors(tx, _reference(deployment))
    return list(dict.fromkeys([*named, *(edge.source for edge in reversed(made_of))]))


def _is_among(
    tx: Transaction, actor: access.Actor, reference: str, upstream: list[str]
) -> bool:
    """Say whether something is upstream; lineage knows a data set by its snapshots."""
    if reference in upstream:
        return True
    if not reference.startswith(DATASET):
        return False
    name = reference.removeprefix(DATASET)
    snapshots = (one for one in upstream if one.startswith(SNAPSHOT))
    return any(_dataset_of(tx, actor, one) == name for one in snapshots)


def _dataset_of(tx: Transaction, actor: access.Actor, snapshot: str) -> str:
    """Return the name of a snapshot's data set; empty where it is forgotten."""
    try:
        return data.find_snapshot(tx, actor, snapshot).dataset
    except errors.NotFoundError:
        return ""


def _root(one: Alert, others: list[Alert], alert: Alert) -> Alert | None:
    """Follow who holds whom to the end; None where that leads back to `alert`."""
    by_id = {f"alert:{other.id}": other for other in others}
    seen = {f"alert:{alert.id}"}
    while one.held_by.startswith("alert:"):
        if one.held_by in seen:
            return None
        seen.add(one.held_by)
        above = by_id.get(one.held_by)
        if above is None:
            return one
        one = above
    return one


def _reference(deployment: str) -> str:
    return deployment if ":" in deployment else f"deployment:{deployment}"
