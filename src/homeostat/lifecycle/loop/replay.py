"""Decide once more from what was recorded, and compare the bytes.

Called by `actions.apply_event`, which records through `conclude`, and by
`actions.replay_decision`, which checks through `compare`: one computation, two uses.
"""

from __future__ import annotations

import blake3
import msgspec

from homeostat.lifecycle.loop import decide, entities
from homeostat.lifecycle.policy import entities as policies


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that a decision depends on."""

    state: entities.LoopState
    event: entities.Event
    policy: policies.Policy


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from inputs: the canonical bytes, their digests, and the verdicts."""

    inputs: bytes
    inputs_digest: str
    state: bytes
    state_digest: str
    verdicts: tuple[entities.Verdict, ...]


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a decision came out the same; `reason` says what differs when it did not."""

    decision: str
    identical: bool
    reason: str = ""


def canonical(value: msgspec.Struct) -> bytes:
    """Write a struct in the one way that digests are made of: keys sorted, no spaces."""
    return msgspec.json.encode(value, order="sorted")


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
    written = canonical(state)
    return Conclusion(
        inputs=inputs,
        inputs_digest=digest(inputs),
        state=written,
        state_digest=digest(written),
        verdicts=verdicts,
    )


def compare(decision: entities.Decision, inputs: bytes) -> Replayed:
    """Recompute a decision from its recorded inputs and compare it to the last bit.

    Parameters
    ----------
    decision
        As it was recorded.
    inputs
        The recorded inputs.
    """
    try:
        again = conclude(inputs)
        rewritten = canonical(msgspec.json.decode(inputs, type=Inputs))
    except msgspec.DecodeError as error:
        return _differs(decision, f"the recorded inputs cannot be read: {error}")
    if again.inputs_digest != decision.inputs_digest or rewritten != inputs:
        return _differs(decision, "the recorded inputs are not those it was made from")
    if decision.number >= len(again.verdicts):
        return _differs(decision, f"only {len(again.verdicts)} verdicts follow now")
    if again.state_digest != decision.state_digest:
        return _differs(decision, "the state that follows is another one")
    verdict = again.verdicts[decision.number]
    recorded = entities.Verdict(
        kind=decision.kind,
        sentence=decision.sentence,
        evidence=decision.evidence,
        acts=decision.acts,
    )
    if canonical(verdict) != canonical(recorded):
        return _differs(decision, f"now it would be {verdict.kind}: {verdict.sentence}")
    return Replayed(decision=decision.id, identical=True)


def _differs(decision: entities.Decision, reason: str) -> Replayed:
    return Replayed(decision=decision.id, identical=False, reason=reason)


def digest(data: bytes) -> str:
    """Return the BLAKE3 of canonical JSON, 64 hexadecimal digits."""
    return blake3.blake3(data).hexdigest()
