"""Events that cause work: what a segment, an approval or a person's plan means to the loop.

Called by the worker for each event of these kinds, in a transaction with its cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from homeostat.foundation import access, errors, events, jobs, log
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.alerting import telling, watching
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.loop import (
    actions,
    breached,
    carrying,
    checking,
    entities,
    left,
    measuring,
    news,
    upstream,
    wanting,
)
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving.entities import Deployment

Trigger = Callable[[Transaction, access.Actor, events.Event], None]

READER = "worker"
ADVANCE = "loop.advance"
ASK = wanting.ASK
PAGE = 1000
EVERY_MINUTE = "* * * * *"
SYSTEM = access.system("").name
_log = log.get(__name__)
# Each attempt goes on where the last one ended, so being interrupted often is no failure.
ADVANCE_ATTEMPTS = 25


def _advance(tx: Transaction, actor: access.Actor, event: events.Event) -> None:
    name = str(event.facts["deployment"])
    jobs.enqueue(
        tx,
        actor,
        ADVANCE,
        payload={"deployment": name},
        key=name,
        max_attempts=ADVANCE_ATTEMPTS,
    )


def _begin(tx: Transaction, actor: access.Actor, event: events.Event) -> None:
    name = event.subject.removeprefix("deployment:")
    found = serving.get_deployment(tx, actor, name)
    actions.begin(tx, actor, name, version=str(found.plan.arms[0].members[0].version))
    _set_clocks(tx, actor, name)


def _policy_changed(tx: Transaction, actor: access.Actor, event: events.Event) -> None:
    _set_clocks(tx, actor, event.subject.removeprefix("deployment:"))


def _set_clocks(tx: Transaction, actor: access.Actor, name: str) -> None:
    """Let the clock cause what the policy wants of it: plain fits, windows of a duration."""
    policy = serving.get_policy(serving.get_deployment(tx, actor, name))
    cron = policy.retraining.schedule if "schedule" in policy.retraining.on else None
    wanted = {
        f"fit:{name}": (cron, ASK, {"deployment": name, "reason": "schedule"}),
        f"code:{name}": (
            EVERY_MINUTE if "code" in policy.retraining.on else None,
            ASK,
            {"deployment": name, "reason": wanting.CODE},
        ),
        # A window of a duration ends when its time is over, whether or not rows come.
        f"window:{name}": (
            EVERY_MINUTE if policy.monitoring.window_span.seconds else None,
            ADVANCE,
            {"deployment": name},
        ),
        f"check:{name}": (checking.CLOCK, checking.CHECK, {"deployment": name}),
        f"measure:{name}": (
            measuring.CLOCK if measuring.is_wanted(tx, actor, name) else None,
            measuring.MEASURE,
            {"deployment": name},
        ),
    }
    set_before = {one.name for one in jobs.schedules(tx)}
    for clock, (when, kind, payload) in wanted.items():
        if when is not None:
            jobs.schedule(tx, actor, clock, cron=when, kind=kind, payload=payload)
        elif clock in set_before:
            jobs.unschedule(tx, actor, clock)
        else:
            continue
        if kind == measuring.MEASURE:  # looked at when promised, and when promised no more
            jobs.enqueue(tx, actor, kind, payload=payload, key=f"schedule:{clock}")
    if policy.alerts.no_data_after is not None:
        telling.look_at(tx, actor, name)


def _snapshot_added(tx: Transaction, actor: access.Actor, event: events.Event) -> None:
    """Ask for fits where a member was made of earlier data of this dataset, or below it."""
    if event.actor.startswith(SYSTEM) or str(event.facts["dataset"]).endswith(upstream.OWN):
        return
    snapshot = data.find_snapshot(tx, wanting.LOOP, event.subject.removeprefix("snapshot:"))
    for found in _all(tx, actor):
        state = actions.find_state(tx, found.name)
        policy = serving.get_policy(found)
        if state is None or found.kind == "watched":
            continue
        cause = upstream.cause(tx, snapshot, model=found.model, state=state, policy=policy)
        if cause is None:
            continue
        facts = {"rows": str(snapshot.n_rows)}
        if cause == "new-data":
            facts["snapshot"] = snapshot.id
        wanting.ask(
            tx,
            found.name,
            reason=cause,
            subject=f"dataset:{snapshot.dataset}@{snapshot.number}",
            by=event.actor,
            facts=facts,
        )


def _class_changed(tx: Transaction, actor: access.Actor, event: events.Event) -> None:
    """Any deployment may be in a class now, or in none any more."""
    del event
    set_clocks(tx, actor)


def set_clocks(tx: Transaction, actor: access.Actor) -> None:
    """Set the clocks of every deployment; also of those from before there were such clocks.

    Parameters
    ----------
    tx, actor
        A part of the system; called by the worker when it begins.
    """
    for deployment in _all(tx, actor):
        try:
            _set_clocks(tx, actor, deployment.name)
        except errors.InvalidInputError as error:  # a policy of an earlier release
            _log.warning("no clocks are set", name=deployment.name, error=str(error))


def _approved(tx: Transaction, actor: access.Actor, event: events.Event) -> None:
    """Let in a version that waited for a person, wherever it waits."""
    model, _, number = event.subject.removeprefix("model:").rpartition("@")
    for deployment in _all(tx, actor):
        if deployment.model != model:
            continue
        state = actions.find_state(tx, deployment.name)
        if state is None:  # deployed in this very moment: its loop has yet to begin
            continue
        waits = any(m.version == number and m.standing == "approval" for m in state.members)
        if waits:
            _tell(tx, actor, deployment.name, entities.Approved(version=number, by=event.actor))
            left = actions.state(tx, deployment.name).members
            if all(member.standing != "approval" for member in left):
                name, kind = deployment.name, watching.APPROVAL
                watching.clear(tx, actor, deployment=name, kind=kind)


def _all(tx: Transaction, actor: access.Actor) -> Iterator[Deployment]:
    """Yield every deployment, however many there are, by name."""
    after = ""
    while page := serving.list_deployments(tx, actor, after=after, limit=PAGE):
        yield from page
        after = page[-1].name


def _lost(tx: Transaction, actor: access.Actor, event: events.Event) -> None:
    """Give up a fit or an exam whose job failed for good; say where the loop cannot go on."""
    if event.facts["kind"] not in {ADVANCE, carrying.FIT, carrying.EXAM}:
        return
    job = jobs.get(tx, event.subject.removeprefix("job:"))
    name = str(job.payload["deployment"])
    state = actions.find_state(tx, name)
    if state is None:
        return
    sentence = job.error or "its job failed"
    if job.kind == ADVANCE:
        watching.open_alert(
            tx,
            actor,
            deployment=name,
            kind=watching.STUCK,
            cause="unknown",
            sentence=f"the loop of {name} cannot go on; nothing is judged: {sentence}",
        )
        return
    if job.kind == carrying.FIT:
        fit = msgspec.convert(job.payload["fit"], entities.Fit)
        if any(pending.id == fit.id for pending in state.pending):
            _tell(tx, actor, name, entities.FitFailed(fit=fit.id, sentence=sentence))
        return
    label = str(job.payload["label"])
    if any(m.version == label and m.standing == "gates" for m in state.members):
        refused = entities.GateJudged(version=label, passed=False, report="", sentence=sentence)
        _tell(tx, actor, name, refused)


def went_on(tx: Transaction, actor: access.Actor, deployment: str) -> None:
    """Say that a loop goes on, where people were told that it cannot."""
    if watching.standing(tx, actor, deployment, watching.STUCK) is not None:
        watching.clear(tx, actor, deployment=deployment, kind=watching.STUCK)


def _plan_set(tx: Transaction, actor: access.Actor, event: events.Event) -> None:
    """Take over a plan that a person has set; the loop's own plans it knows."""
    if event.actor.startswith(SYSTEM):
        return
    name = event.subject.removeprefix("deployment:")
    if actions.find_state(tx, name) is None:
        return
    plan = serving.get_deployment(tx, actor, name).plan
    weights: dict[str, float] = {}
    for arm in plan.arms:
        for member in arm.members:
            version = str(member.version)
            weights[version] = weights.get(version, 0.0) + arm.share * member.weight
    is_on = plan.corrector is not None and plan.corrector.answers
    _tell(tx, actor, name, entities.PlanSet(weights=weights, by=event.actor, corrected=is_on))


def _alert_opened(tx: Transaction, actor: access.Actor, event: events.Event) -> None:
    """Ask for a fit where performance is below what is promised, and the policy says so."""
    name = str(event.facts["deployment"])
    if actions.find_state(tx, name) is None:  # of a program, on something that is no deployment
        return
    found = serving.get_deployment(tx, actor, name)
    wanted = serving.get_policy(found).retraining.on
    if found.kind == "watched" or "performance" not in wanted:
        return
    subject = breached.subject(tx, actor, found, event.facts)
    if subject:
        facts = {"alert": event.subject, "seen": str(event.facts["sentence"])}
        wanting.ask(
            tx, name, reason="performance", subject=subject, by=event.actor, facts=facts
        )


def _alert_resolved(tx: Transaction, actor: access.Actor, event: events.Event) -> None:
    """Go on learning where a person has seen to what was left to them."""
    telling.TRIGGERS[event.kind](tx, actor, event)
    name = str(event.facts["deployment"])
    state = actions.find_state(tx, name)
    is_left = event.facts["kind"] == left.ALERT and state is not None and bool(state.left)
    if is_left and not event.actor.startswith(SYSTEM):
        end_row = predictions.get_log(tx, actor, name).n_rows
        _tell(tx, actor, name, news.LeftSettled(by=event.actor, end_row=end_row))
        wanting.answer_due(tx, name)


def _tell(tx: Transaction, actor: access.Actor, name: str, told: entities.Event) -> None:
    """Let the loop of a deployment decide on an event, and carry it out."""
    policy = serving.get_policy(serving.get_deployment(tx, actor, name))
    carrying.tell(tx, actor, name, told, policy)


TRIGGERS: dict[str, Trigger] = {
    "segment.closed": _advance,
    "deployment.created": _begin,
    "snapshot.added": _snapshot_added,
    "version.approved": _approved,
    "job.failed": _lost,
    "policy.changed": _policy_changed,
    "class.set": _class_changed,
    "class.removed": _class_changed,
    "plan.changed": _plan_set,
    **telling.TRIGGERS,
    "alert.opened": _alert_opened,
    "alert.resolved": _alert_resolved,
}
