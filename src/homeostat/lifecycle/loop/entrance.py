"""How a fitted candidate comes to answer: exam, gates, approval, canary; `decide` calls it.

A promotion is a member's first answer. Before it the member is scored in the shadow like
everybody else; after it only weights move.
"""

from __future__ import annotations

import msgspec
from msgspec import structs

from homeostat.lifecycle.loop import (
    cooling,
    correcting,
    entities,
    news,
    pool,
    rollout,
    weights,
)
from homeostat.lifecycle.policy import entities as policies

Verdicts = tuple[entities.Verdict, ...]


def enter_exam(
    state: entities.LoopState, event: entities.FitFinished
) -> tuple[entities.LoopState, Verdicts]:
    """Take a fitted candidate into the pool; its exam is one whole unseen labelled block."""
    fit = next((fit for fit in state.pending if fit.id == event.fit), None)
    state = cooling.ended(state, event.fit, event.seconds)
    if fit is None:
        sentence = f"{event.fit} is not awaited; version {event.version} is not taken in"
        return state, (entities.Verdict(kind="none", sentence=sentence),)
    member = entities.Member(
        version=event.version,
        rows=fit.rows,
        born_block=state.n_blocks,
        standing="exam",
        reason=fit.reason,
    )
    scores = dict(event.scores)
    history = tuple(
        structs.replace(
            block, members={**block.members, event.version: scores[block.first_row]}
        )
        if block.first_row in scores
        else block
        for block in state.history
    )
    state = structs.replace(
        state,
        pending=tuple(other for other in state.pending if other.id != event.fit),
        members=(*state.members, member),
        history=history,
    )
    stay, gone = weights.prune(state)
    acts: tuple[entities.Act, ...] = (entities.Retire(versions=gone),) if gone else ()
    state = structs.replace(pool.forget(state, gone), members=stay)
    seen = [block for block in state.history if event.version in block.members]
    if seen:
        rows = (seen[0].first_row, seen[0].end_row)
        acts = (*acts, entities.JudgeGates(version=event.version, rows=rows))
        state = pool.stand(state, event.version, "gates")
    verdict = entities.Verdict(
        kind="none",
        sentence=f"version {event.version} ({fit.id}, {fit.reason}) sits its exam",
        evidence={
            "version": event.version,
            "first_row": fit.rows[0],
            "end_row": fit.rows[1],
            **({"selection": event.selection} if event.selection else {}),
        },
        acts=acts,
    )
    return state, (verdict,)


def begin_gates(
    state: entities.LoopState, event: entities.BlockLabelled
) -> tuple[entities.LoopState, tuple[entities.Act, ...]]:
    """Send the candidates that were scored on this block from their exam to the gates."""
    acts: list[entities.Act] = []
    rows = (event.first_row, event.end_row)
    for member in state.members:
        if member.standing == "exam" and member.version in event.members:
            acts.append(entities.JudgeGates(version=member.version, rows=rows))
            state = pool.stand(state, member.version, "gates")
    return state, tuple(acts)


def pass_gates(
    state: entities.LoopState, event: entities.GateJudged, policy: policies.Policy
) -> tuple[entities.LoopState, Verdicts]:
    """Admit, refuse, or ask a person, as the gates and the tier say."""
    if not pool.stands(state, event.version, "gates"):
        sentence = f"version {event.version} is not before its gates; nothing changes"
        return state, (entities.Verdict(kind="none", sentence=sentence),)
    evidence: entities.Evidence = {"version": event.version, "report": event.report}
    if not event.passed:
        state = pool.leave(state, (event.version,))
        verdict = entities.Verdict(
            kind="none",
            sentence=f"version {event.version} is refused by its gates: {event.sentence}",
            evidence=evidence,
            acts=(entities.Retire(versions=(event.version,)),),
        )
        return state, (verdict,)
    version = event.registered or event.version
    evidence["version"] = version
    if event.envelope is not msgspec.UNSET:
        evidence["envelope"] = event.envelope
    state = pool.renamed(state, event.version, version)
    if event.needs_approval:
        why = f": {event.outside}" if event.outside else ""
        verdict = entities.Verdict(
            kind="ask",
            sentence=f"version {version} passed its gates; a person must approve it{why}",
            evidence=evidence,
            acts=(entities.AskApproval(version=version),),
        )
        return pool.stand(state, version, "approval"), (verdict,)
    return reweigh(pool.stand(state, version, "admitted"), policy, evidence=evidence)


def admit(
    state: entities.LoopState, event: entities.Approved, policy: policies.Policy
) -> tuple[entities.LoopState, Verdicts]:
    """Let in a version that waited for a person."""
    if not pool.stands(state, event.version, "approval"):
        sentence = f"version {event.version} does not wait for approval; nothing changes"
        return state, (entities.Verdict(kind="none", sentence=sentence),)
    evidence: entities.Evidence = {"version": event.version, "approved_by": event.by}
    return reweigh(pool.stand(state, event.version, "admitted"), policy, evidence=evidence)


def bar(
    state: entities.LoopState, event: news.MembersBarred
) -> tuple[entities.LoopState, Verdicts]:
    """Let members that may not answer wait for a person, and those that are gone go."""
    state = pool.leave(state, event.gone)
    for version in event.barred:
        state = pool.stand(state, version, "approval")
    told = [f"version {one} may not answer now: {why}" for one, why in event.barred.items()]
    told += [f"version {one} is no version any more" for one in event.gone]
    acts: list[entities.Act] = [entities.AskApproval(version=one) for one in event.barred]
    if event.gone:
        acts.append(entities.Retire(versions=event.gone))
    verdict = entities.Verdict(
        kind="ask" if event.barred else "none",
        sentence="; ".join(told),
        evidence={"versions": ", ".join((*event.barred, *event.gone))},
        acts=tuple(acts),
    )
    return state, (verdict,)


def reweigh(
    state: entities.LoopState,
    policy: policies.Policy,
    *,
    acts: tuple[entities.Act, ...] = (),
    block: int | None = None,
    evidence: entities.Evidence | None = None,
) -> tuple[entities.LoopState, Verdicts]:
    """Weigh the pool anew; whoever answers for the first time is promoted.

    Returns
    -------
    tuple
        The state with new weights, and one verdict: promote, or none with the weights.
    """
    target = _composite(state, policy)
    newcomers = tuple(version for version in target if version not in state.answered)
    before = (state.weights, state.stable)
    state = structs.replace(state, weights=target, answered=state.answered + newcomers)
    shares = _shares(policy)
    if state.rollout and not any(version in target for version in state.rollout.entrants):
        state = _let_go(state)  # the evidence has turned from the canary by itself
    if newcomers and shares[0] < 1.0:
        running = state.rollout
        entrants = (running.entrants if running else ()) + newcomers
        rolled = (
            structs.replace(running, entrants=entrants)
            if running
            else structs.replace(rollout.begin(entrants, policy), share=shares[0])
        )
        state = structs.replace(state, rollout=rolled)
    state = structs.replace(state, stable=_stable(state))
    if before != (state.weights, state.stable):
        acts = (*acts, serve(state, policy))
    facts: entities.Evidence = dict(evidence or {})
    if block is not None:
        facts["block"] = block
    facts |= {f"weight.{version}": share for version, share in target.items()}
    answers = " + ".join(f"{share:.2f} x {version}" for version, share in target.items())
    if not newcomers:
        sentence = f"answers: {answers}"
        verdict = entities.Verdict(kind="none", sentence=sentence, evidence=facts, acts=acts)
        return state, (verdict,)
    share = _share(state.rollout, policy) if state.rollout else 1.0
    sentence = (
        f"version {' and '.join(newcomers)} answers for the first time, "
        f"to {share:.0%} of the keys: {answers}"
    )
    return state, (
        entities.Verdict(kind="promote", sentence=sentence, evidence=facts, acts=acts),
    )


def _composite(state: entities.LoopState, policy: policies.Policy) -> dict[str, float]:
    return weights.composite(
        state, members=policy.retraining.members, error=policy.rollout.error
    )


def serve(state: entities.LoopState, policy: policies.Policy) -> entities.Serve:
    """Return the plan that the state asks for."""
    if state.rollout is None:
        return entities.Serve(stable=state.stable)
    share = _share(state.rollout, policy)
    return entities.Serve(stable=state.stable, canary=state.weights, share=share)


def watch(
    state: entities.LoopState, event: entities.RolloutObserved, policy: policies.Policy
) -> tuple[entities.LoopState, Verdicts]:
    """Let a canary go on, take its next step, or roll it back."""
    if state.rollout is None:
        sentence = "no canary is under way; nothing changes"
        return state, (entities.Verdict(kind="none", sentence=sentence),)
    seen = rollout.observe(state.rollout, event, policy)
    state = structs.replace(state, rollout=seen.rollout)
    if seen.course == "rollback":
        return _roll_back(state, policy, seen)
    if seen.course == "continue":
        verdict = entities.Verdict(
            kind="none", sentence=f"canary: {seen.sentence}", evidence=seen.evidence
        )
        return state, (verdict,)
    return _advance(state, policy, seen)


def _advance(
    state: entities.LoopState, policy: policies.Policy, seen: rollout.Observed
) -> tuple[entities.LoopState, Verdicts]:
    now = _share(seen.rollout, policy)
    share = next((one for one in _shares(policy) if one > now), 1.0)
    if share >= 1.0:
        state = structs.replace(state, rollout=None, stable=state.weights)
    else:
        taken = structs.replace(
            seen.rollout, step=seen.rollout.step + 1, n_answered_step=0, share=share
        )
        state = structs.replace(state, rollout=taken)
    verdict = entities.Verdict(
        kind="none",
        sentence=f"canary takes {share:.0%} of the keys: {seen.sentence}",
        evidence={**seen.evidence, "share": share},
        acts=(serve(state, policy),),
    )
    return state, (verdict,)


def _roll_back(
    state: entities.LoopState, policy: policies.Policy, seen: rollout.Observed
) -> tuple[entities.LoopState, Verdicts]:
    gone = seen.rollout.entrants
    state = structs.replace(pool.leave(state, gone), rollout=None)
    target = _composite(state, policy)
    new = tuple(version for version in target if version not in state.answered)
    known = weights.without(target, new) or weights.without(state.stable, gone)
    state = structs.replace(state, weights=known, stable=known)
    verdict = entities.Verdict(
        kind="rollback",
        sentence=f"version {' and '.join(gone)} answers no more: {seen.sentence}",
        evidence=seen.evidence,
        acts=(serve(state, policy), entities.Retire(versions=gone)),
    )
    return state, (verdict,)


def _let_go(state: entities.LoopState) -> entities.LoopState:
    """End a canary without a verdict; its entrants must be promoted again to answer."""
    gone = state.rollout.entrants if state.rollout else ()
    answered = tuple(version for version in state.answered if version not in gone)
    return structs.replace(state, rollout=None, answered=answered)


def _stable(state: entities.LoopState) -> dict[str, float]:
    if state.rollout is None:
        return state.weights
    others = weights.without(state.weights, state.rollout.entrants)
    return others or state.stable


def follow_person(
    state: entities.LoopState, event: entities.PlanSet
) -> tuple[entities.LoopState, Verdicts]:
    """Take over a plan that a person has set.

    Members that answered and were left out wait for a person's approval before they answer
    again; versions the loop did not know join the pool. A corrector learned what others missed:
    it must prove itself again.
    """
    acts: tuple[entities.Act, ...] = ()
    is_other = event.weights != state.stable or state.rollout is not None
    if correcting.is_in_force(state) and (is_other or not event.corrected):
        acts = (entities.SwitchCorrector(answers=False),) if event.corrected else ()
        state = correcting.doubt(state)
    if event.weights == state.stable and state.rollout is None:
        sentence = "the plan is what the loop had set; nothing changes"
        return state, (entities.Verdict(kind="none", sentence=sentence),)
    answered = set(state.stable) | set(state.weights)
    out = tuple(sorted(answered - set(event.weights)))
    known = {member.version for member in state.members}
    members = tuple(
        structs.replace(member, standing="approval")
        if member.version in out
        else structs.replace(member, standing="admitted")
        if member.version in event.weights
        else member
        for member in state.members
    )
    joined = tuple(
        entities.Member(
            version=version,
            rows=(state.origin_row, state.origin_row),
            born_block=state.n_blocks,
            standing="admitted",
            reason="person",
        )
        for version in sorted(event.weights)
        if version not in known
    )
    fresh = tuple(version for version in event.weights if version not in state.answered)
    state = structs.replace(
        state,
        members=members + joined,
        weights=dict(event.weights),
        stable=dict(event.weights),
        answered=state.answered + fresh,
        rollout=None,
    )
    answers = " + ".join(f"{share:.2f} x {version}" for version, share in event.weights.items())
    left = f"; {', '.join(out)} answers again only when approved" if out else ""
    verdict = entities.Verdict(
        kind="none",
        sentence=f"{event.by} has set the plan: {answers}{left}",
        evidence={"by": event.by, "left_out": ", ".join(out)},
        acts=acts,
    )
    return state, (verdict,)


def _shares(policy: policies.Policy) -> tuple[float, ...]:
    """Return the shares a newcomer goes through; 1.0 alone means: at once."""
    if policy.rollout.strategy == "blue-green":
        return (1.0,)
    if policy.rollout.strategy == "shadow":
        return (0.0, 1.0)
    return tuple(policy.rollout.steps) or (1.0,)


def _share(running: entities.Rollout, policy: policies.Policy) -> float:
    """Return the share of a canary: what it was given, also where other steps are named now."""
    if running.share is not msgspec.UNSET:
        return running.share
    shares = _shares(policy)  # begun by a release that kept no share
    return shares[min(running.step, len(shares) - 1)]
