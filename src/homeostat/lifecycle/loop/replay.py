"""Decide once more from what was recorded, and compare the bytes.

Called by `actions.apply_event`, which records through `conclude`, and by
`actions.replay_decision`, which checks through `compare`: one computation, two uses.

Canonical JSON has all keys sorted, no spaces, and every field written, defaults too. A digest
is always of the bytes that were recorded, never of what a later release would write: fields
that came later are not in old bytes and take their defaults. Inputs name the release that
decided (those before it did have none), so that a difference can be told from a forgery.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

import msgspec

from homeostat.foundation import canonical
from homeostat.lifecycle.loop import decide, entities
from homeostat.lifecycle.policy import entities as policies

RELEASE = metadata.version("homeostat")


class Inputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a decision depends on, and the release that decided; empty before it was told.

    An empty release is not written, so that the bytes of older inputs stay what they were.
    """

    state: entities.LoopState
    event: entities.Event
    policy: policies.Policy
    release: str = ""


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from inputs: the canonical bytes, their digests, and the verdicts."""

    inputs: bytes
    inputs_digest: str
    state: bytes
    state_digest: str
    verdicts: tuple[entities.Verdict, ...]
    release: str


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a decision came out the same; `reason` says what differs when it did not."""

    decision: str
    identical: bool
    reason: str = ""


def conclude(inputs: bytes) -> Conclusion:
    """Decide on recorded inputs.

    Parameters
    ----------
    inputs
        Canonical JSON of `Inputs`.

    Raises
    ------
    msgspec.ValidationError
        When they are not the inputs of a decision.
    """
    given = msgspec.json.decode(inputs, type=Inputs)
    state, verdicts = decide.decide(given.state, given.event, given.policy)
    written = canonical.encode(state)
    return Conclusion(
        inputs=inputs,
        inputs_digest=canonical.digest(inputs),
        state=written,
        state_digest=canonical.digest(written),
        verdicts=verdicts,
        release=given.release,
    )


def facts(decision: entities.Decision) -> dict[str, Any]:
    """Return what the chained event says of a decision.

    Parameters
    ----------
    decision
        As it is recorded.

    Returns
    -------
    dict
        Its digests hold inputs, the state that followed, and all of the decision (evidence
        and acts too) in the chain.
    """
    return {
        "decision": decision.id,
        "kind": decision.kind,
        "event": decision.event,
        "sentence": decision.sentence,
        "inputs": decision.inputs_digest,
        "state": decision.state_digest,
        "document": canonical.digest(canonical.encode(decision)),
    }


def compare(
    decision: entities.Decision, inputs: bytes, *, told: Mapping[str, Any] | None
) -> Replayed:
    """Recompute a decision from its recorded inputs and compare it to the last bit.

    Parameters
    ----------
    decision
        As it was recorded.
    inputs
        The recorded inputs.
    told
        Facts of the event ``decision.made``, which tables changed afterwards do not change;
        whether the chain of events itself holds is for `events.verify`. None when it has
        none of this decision.

    Returns
    -------
    Replayed
        `reason` names the first difference, and the release that decided where it is another.
    """
    if told is None:
        return _differs(decision, "the log of events does not know it")
    recorded = facts(decision)
    for name in told:
        if told[name] != recorded.get(name):
            return _differs(decision, f"its {name} is not the one in the log of events")
    try:
        again = conclude(inputs)
    except msgspec.DecodeError as error:
        return _differs(decision, f"the recorded inputs cannot be read: {error}")
    if again.inputs_digest != decision.inputs_digest:
        return _differs(decision, "the recorded inputs are not those it was made from")
    by = "" if again.release == RELEASE else f"; {_release(again.release)}"
    if decision.number >= len(again.verdicts):
        return _differs(decision, f"only {len(again.verdicts)} verdicts follow now{by}")
    verdict = again.verdicts[decision.number]
    made = entities.Verdict(
        kind=decision.kind,
        sentence=decision.sentence,
        evidence=decision.evidence,
        acts=decision.acts,
    )
    if canonical.encode(verdict) != canonical.encode(made):
        return _differs(decision, f"now it would be {verdict.kind}: {verdict.sentence}{by}")
    if again.state_digest != decision.state_digest:
        return _differs(decision, f"the state that follows is another one{by}")
    return Replayed(decision=decision.id, identical=True)


def _release(release: str) -> str:
    return f"decided by release {release or 'unknown'}, replayed by {RELEASE}"


def _differs(decision: entities.Decision, reason: str) -> Replayed:
    return Replayed(decision=decision.id, identical=False, reason=reason)
