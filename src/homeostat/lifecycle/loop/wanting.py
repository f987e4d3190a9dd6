"""Asks the loop for a fit, live: a person, a clock, code, a dataset; and answers what waits.

Called by `triggers`, `prompting`, `duties` and the doors. What may start when is decided by
`cooling`, purely; here the event gets its time, and a clock is set for what has to wait.
"""

from __future__ import annotations

import msgspec

from homeostat.foundation import access, errors, events, jobs
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import actions, asked, carrying, cooling, entities, places
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.serving import actions as serving

ASK = "loop.ask"
DUE = "due"
CODE = "code"
LOOP = access.system("loop")


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person says who asks for a fit.

    Attributes
    ----------
    why
        For whoever reads the decision later.
    snapshot
        Id of a snapshot to learn from in place of the log; empty for the log.
    """

    why: str = ""
    snapshot: str = ""


def ask_as_person(
    tx: Transaction, actor: access.Actor, deployment: str, wish: Wish
) -> entities.Decision:
    """Ask for a fit; neither debounce nor cooldown nor budget holds a person up.

    Parameters
    ----------
    tx, actor
        Needs ``deployment.change``.
    deployment
        Its name.
    wish
        Why, and what to learn from.

    Returns
    -------
    Decision
        That it is started, or what it waits for.

    Raises
    ------
    NotFoundError
        When the deployment has no loop.
    InvalidInputError
        When it is watched only: nothing here makes its models.
    """
    access.require(actor, "deployment.change")
    found = serving.get_deployment(tx, actor, deployment)
    if found.kind == "watched":
        raise errors.InvalidInputError(
            f"deployment '{deployment}' is watched only; no fit of this server answers there",
            hint="train it where it lives",
        )
    subject = f"snapshot:{wish.snapshot}" if wish.snapshot else ""
    facts = {"why": wish.why} if wish.why else {}
    if wish.snapshot:
        facts["snapshot"] = wish.snapshot
    told = {"reason": "person", **facts}
    events.record(tx, actor, "fit.asked", subject=f"deployment:{deployment}", facts=told)
    made = ask(tx, deployment, reason="person", subject=subject, by=actor.name, facts=facts)
    return made[0]


def ask(
    tx: Transaction,
    deployment: str,
    *,
    reason: asked.Reason,
    subject: str = "",
    by: str = "",
    facts: dict[str, str] | None = None,
) -> tuple[entities.Decision, ...]:
    """Tell the loop of something that asks for a fit, and set a clock for what must wait.

    Parameters
    ----------
    tx
        Opened for writing.
    deployment
        With a loop.
    reason
        A cause; one that the policy does not name starts nothing, and the decision says so.
    subject, by, facts
        What was seen, who caused it, and what shows it; evidence of the decision.
    """
    end_row = places.find(tx, deployment).block_row
    event = asked.FitAsked(
        reason=reason,
        end_row=end_row,
        at=tx.at,
        subject=subject or msgspec.UNSET,
        by=by or msgspec.UNSET,
        facts=facts or msgspec.UNSET,
    )
    return _tell(tx, deployment, event)


def answer_due(tx: Transaction, deployment: str) -> tuple[entities.Decision, ...]:
    """Start the fit that waiting requests may have by now; no decision where there is none."""
    state, policy = actions.state(tx, deployment), _policy(tx, deployment)
    if not cooling.due(state, policy, at=tx.at):
        set_clock(tx, deployment)
        return ()
    event = asked.FitsDue(end_row=places.find(tx, deployment).block_row, at=tx.at)
    return _tell(tx, deployment, event)


def set_clock(tx: Transaction, deployment: str) -> None:
    """Have a job look again when the first waiting request may be answered."""
    state, policy = actions.state(tx, deployment), _policy(tx, deployment)
    at = cooling.next_at(state, policy, at=tx.at)
    if at is None:
        return
    payload = {"deployment": deployment, "reason": DUE}
    jobs.enqueue(tx, LOOP, ASK, payload=payload, key=f"{deployment}:{DUE}", run_after_at=at)


def is_waiting(state: entities.LoopState) -> bool:
    """Say whether any request waits."""
    return bool(cooling.pace(state).waiting)


def _policy(tx: Transaction, deployment: str) -> Policy:
    return serving.get_policy(serving.get_deployment(tx, LOOP, deployment))


def _tell(
    tx: Transaction, deployment: str, event: entities.Event
) -> tuple[entities.Decision, ...]:
    made = carrying.tell(tx, LOOP, deployment, event, _policy(tx, deployment))
    set_clock(tx, deployment)
    return made
