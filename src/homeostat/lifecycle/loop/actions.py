"""What an actor may do with the loop: begin one, tell it an event, read decisions, replay."""

from __future__ import annotations

import msgspec

from homeostat.foundation import access, canonical, errors, events, ids
from homeostat.foundation.access import Actor
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import decide, entities, records, replay

LARGEST_PAGE = 1000
MADE = "decision.made"


def begin(
    tx: Transaction, actor: Actor, deployment: str, *, version: str, origin_row: int = 0
) -> entities.LoopState:
    """Give a deployment a loop; one that has a loop keeps it.

    Parameters
    ----------
    tx, actor
        Who deploys; needs ``deployment.change``.
    deployment
        Its name.
    version
        Label of the version that answers first, alone.
    origin_row
        First row of the log that fits may use.

    Returns
    -------
    LoopState
        The state in force.
    """
    access.require(actor, "deployment.change")
    found = find_state(tx, deployment)
    if found is not None:
        return found
    first = decide.begin(version, rows=(origin_row, origin_row), origin_row=origin_row)
    written = canonical.encode(first)
    tx.execute(
        records.INSERT_STATE,
        {
            "project": tx.project,
            "deployment": deployment,
            "state": written.decode(),
            "digest": canonical.digest(written),
            "n_events": 0,
            "at": tx.at,
        },
    )
    facts = {"version": version, "origin_row": origin_row}
    events.record(tx, actor, "loop.begun", subject=f"deployment:{deployment}", facts=facts)
    return first


def get_state(tx: Transaction, actor: Actor, deployment: str) -> entities.LoopState:
    """Return what the loop remembers about a deployment.

    Raises
    ------
    NotFoundError
        When the deployment has no loop.
    """
    access.require(actor, "decision.read")
    found = find_state(tx, deployment)
    if found is None:
        raise errors.NotFoundError(
            f"deployment '{deployment}' has no loop",
            hint="the loop begins when a model is deployed with a policy",
            deployment=deployment,
        )
    return found


def state(tx: Transaction, deployment: str) -> entities.LoopState:
    """Return the state in force, for the parts of the loop itself; see `get_state`."""
    return get_state(tx, access.system("loop"), deployment)


def apply_event(  # noqa: PLR0917 - the contract of the live loop
    tx: Transaction,
    actor: Actor,
    deployment: str,
    event: entities.Event,
    policy: policies.Policy,
) -> tuple[entities.Decision, ...]:
    """Decide on an event, move the state, and record decisions with all they depend on.

    Parameters
    ----------
    tx, actor
        Opened for writing; the actor needs ``decision.write``.
    deployment
        Whose loop.
    event
        What happened; tell each only once.
    policy
        In force.

    Returns
    -------
    tuple
        The decisions, most important first. Their `acts` are for the caller to carry out.

    Raises
    ------
    NotFoundError
        When the deployment has no loop.
    """
    access.require(actor, "decision.write")
    before = get_state(tx, actor, deployment)
    if isinstance(event, entities.BlockLabelled):
        event = msgspec.structs.replace(event, at=tx.at)
    given = replay.Inputs(state=before, event=event, policy=policy, release=replay.RELEASE)
    found = replay.conclude(canonical.encode(given))
    tx.execute(
        records.MOVE_STATE,
        {
            "in_project": tx.project,
            "of_deployment": deployment,
            "to_state": found.state.decode(),
            "to_digest": found.state_digest,
            "to_at": tx.at,
        },
    )
    _keep_inputs(tx, found)
    return tuple(
        _record(
            tx,
            actor,
            entities.Decision(
                id=ids.new_id(),
                deployment=deployment,
                number=number,
                kind=verdict.kind,
                event=str(event.__struct_config__.tag),
                sentence=verdict.sentence,
                evidence=verdict.evidence,
                acts=verdict.acts,
                at=tx.at,
                policy_digest=policies.digest(policy),
                inputs_digest=found.inputs_digest,
                state_digest=found.state_digest,
            ),
        )
        for number, verdict in enumerate(found.verdicts)
    )


def get_decision(tx: Transaction, actor: Actor, decision: str) -> entities.Decision:
    """Return one decision with its evidence.

    Raises
    ------
    NotFoundError
        When there is none of this id.
    """
    access.require(actor, "decision.read")
    row = tx.execute(
        records.FIND_DECISION, {"in_project": tx.project, "of_id": decision}
    ).first()
    if row is None:
        raise errors.NotFoundError(
            f"there is no decision '{decision}'", hint="see homeostat status", id=decision
        )
    return msgspec.json.decode(row.document, type=entities.Decision)


def list_decisions(
    tx: Transaction,
    actor: Actor,
    *,
    deployment: str | None = None,
    kinds: tuple[str, ...] = (),
    before: str = "",
    limit: int = 100,
) -> list[entities.Decision]:
    """Return decisions, newest first.

    Parameters
    ----------
    tx, actor
        The actor needs ``decision.read``.
    deployment
        Only of this one.
    kinds
        Only of these kinds; all when empty.
    before
        The id of the last decision of the page before.
    limit
        1 to 1000.
    """
    access.require(actor, "decision.read")
    if not 1 <= limit <= LARGEST_PAGE:
        raise errors.InvalidInputError(f"a page has 1 to {LARGEST_PAGE} rows; got {limit}")
    query = records.newest_first(deployment=deployment, kinds=kinds, before=before, limit=limit)
    rows = tx.execute(query, {"in_project": tx.project})
    return [msgspec.json.decode(row.document, type=entities.Decision) for row in rows]


def replay_decision(tx: Transaction, actor: Actor, decision: str) -> replay.Replayed:
    """Recompute a decision from what was recorded and say whether it is the same to the bit.

    Raises
    ------
    NotFoundError
        When there is no such decision.
    CorruptError
        When its inputs are gone.
    """
    recorded = get_decision(tx, actor, decision)
    row = tx.execute(
        records.FIND_INPUTS,
        {"in_project": tx.project, "of_digest": recorded.inputs_digest},
    ).first()
    if row is None:
        raise errors.CorruptError(f"the inputs of decision '{decision}' are gone")
    told = events.read(
        tx,
        kinds=[MADE],
        subject=f"deployment:{recorded.deployment}",
        at=recorded.at,
        limit=LARGEST_PAGE,
    )
    of_it = (event.facts for event in told if event.facts["decision"] == recorded.id)
    return replay.compare(recorded, row.document.encode(), told=next(of_it, None))


def find_state(tx: Transaction, deployment: str) -> entities.LoopState | None:
    """Return the state in force, or None where the deployment has no loop yet."""
    row = tx.execute(
        records.FIND_STATE, {"in_project": tx.project, "of_deployment": deployment}
    ).first()
    return None if row is None else msgspec.json.decode(row.state, type=entities.LoopState)


def _keep_inputs(tx: Transaction, found: replay.Conclusion) -> None:
    """Store the inputs under their digest; equal inputs are one row."""
    key = {"in_project": tx.project, "of_digest": found.inputs_digest}
    if tx.execute(records.FIND_INPUTS, key).first() is None:
        tx.execute(
            records.INSERT_INPUTS,
            {
                "project": tx.project,
                "digest": found.inputs_digest,
                "document": found.inputs.decode(),
            },
        )


def _record(tx: Transaction, actor: Actor, decision: entities.Decision) -> entities.Decision:
    tx.execute(
        records.INSERT_DECISION,
        {
            "project": tx.project,
            "id": decision.id,
            "deployment": decision.deployment,
            "kind": decision.kind,
            "inputs_digest": decision.inputs_digest,
            "at": decision.at,
            "document": canonical.encode(decision).decode(),
        },
    )
    events.record(
        tx,
        actor,
        MADE,
        subject=f"deployment:{decision.deployment}",
        facts=replay.facts(decision),
    )
    return decision
