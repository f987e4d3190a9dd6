"""What a labelled block means: weights, harm, the change point and which fits are due.

Called by `decide`. Always in this order: score, harm, weights, fits.
"""

from __future__ import annotations

import msgspec
from msgspec import structs

from homeostat.lifecycle.loop import (
    alarmed,
    asked,
    cooling,
    correcting,
    duels,
    early,
    entities,
    entrance,
    harm,
    left,
    rhythm,
    weights,
)
from homeostat.lifecycle.policy import entities as policies

HARMLESS_BLOCKS = 2
"""Labelled blocks of a shift without a rise in error before it is called harmless."""

Verdicts = tuple[entities.Verdict, ...]


def learn(
    state: entities.LoopState, event: entities.BlockLabelled, policy: policies.Policy
) -> tuple[entities.LoopState, Verdicts]:
    """Take in one labelled block.

    Parameters
    ----------
    state
        What the loop knew before.
    event
        The block's scores; blocks come in the order of their rows.
    policy
        Its `retraining` says which triggers count and how many fits may be spent.

    Returns
    -------
    tuple
        The state after the block; verdicts: harm first, then fits, then weights.
    """
    before, block = state, state.n_blocks
    state = correcting.weigh(_scored(state, event), event)
    state = duels.observe(state, event, is_on=policy.retraining.members == 1)
    state, verdicts = _judge_harm(state, event, policy)
    state, judged = _judge_shifts(state, event)
    state, exams = entrance.begin_gates(state, event)
    state, moved = entrance.reweigh(state, policy, acts=exams, block=block)
    state = structs.replace(state, members=weights.remember(state))
    state, fits = _start_due(state, event, policy)
    verdicts = _with_fit(verdicts, fits)
    state, correctors = (state, ()) if state.left else correcting.fit_due(state)
    switched = correcting.switch(before, state)
    return state, (*verdicts, *judged, *moved, *switched, *correctors)


def fit_asked(
    state: entities.LoopState, event: asked.FitAsked, policy: policies.Policy
) -> tuple[entities.LoopState, Verdicts]:
    """Start a plain fit because a clock, new data, new code or a person asks for one.

    What may not start yet waits: for debounce, cooldown, budget, a fit under way, a feed.
    """
    allowed = event.reason == "person" or event.reason in policy.retraining.on
    now = 0 if event.at is msgspec.UNSET else event.at
    told = event.reason if not event.subject else f"{event.reason}: {event.subject}"
    if not allowed or (not now and (state.pending or state.broken_columns)):
        why = "a fit is under way" if state.pending else "the feed is broken"
        why = why if allowed else "the policy does not name it in retraining.on"
        sentence = f"a fit was asked for ({told}) and not started: {why}"
        return state, (entities.Verdict(kind="none", sentence=sentence),)
    if not now:
        first = rhythm.window_first(state, event.end_row)
        return _start(state, (first, event.end_row), event.reason)
    state = cooling.notice(state, event)
    if ready := cooling.due(state, policy, at=now):
        return _answer(state, ready, end_row=event.end_row, at=now)
    one = next(one for one in cooling.pace(state).waiting if one.reason == event.reason)
    hold = cooling.first_hold(state, one, policy, at=now)
    assert hold is not None, "what is not due is held"
    sentence = f"a fit was asked for ({told}) and waits: {cooling.told_until(hold)}"
    return state, (entities.Verdict(kind="none", sentence=sentence, evidence=_shown((one,))),)


def fits_due(
    state: entities.LoopState, event: asked.FitsDue, policy: policies.Policy
) -> tuple[entities.LoopState, Verdicts]:
    """Answer with one fit all requests that wait and may be answered now."""
    if ready := cooling.due(state, policy, at=event.at):
        return _answer(state, ready, end_row=event.end_row, at=event.at)
    return state, (entities.Verdict(kind="none", sentence="no fit that waits may start yet"),)


def fit_lost(
    state: entities.LoopState, event: entities.FitFailed
) -> tuple[entities.LoopState, Verdicts]:
    """Forget a fit that came to nothing; what answers goes on answering.

    What a change that still stands should have taught is asked for again: `rhythm` says when.
    """
    lost = next((fit for fit in state.pending if fit.id == event.fit), None)
    pending = tuple(fit for fit in state.pending if fit is not lost)
    state = structs.replace(state, pending=pending)
    evidence: entities.Evidence = {"fit": event.fit}
    sentence = f"{event.fit} came to nothing: {event.sentence}"
    if lost and lost.reason in {"harm", "burst"} and lost.rows[0] == state.change_row:
        n_lost = (state.lost_fits or 0) + 1
        again = rhythm.again(state.n_blocks - 1, n_lost=n_lost)
        state = structs.replace(
            state,
            schedule=tuple(sorted({*state.schedule, again})),
            regime_fits=state.regime_fits - 1,
            own_fits=max(0, (state.own_fits or 0) - 1),
            lost_fits=n_lost,
        )
        evidence["again_block"] = again
        sentence = f"{sentence}; it is asked for again at block {again}"
    return state, (entities.Verdict(kind="none", sentence=sentence, evidence=evidence),)


def _answer(
    state: entities.LoopState,
    ready: tuple[asked.Waiting, ...],
    *,
    end_row: int,
    at: int,
) -> tuple[entities.LoopState, Verdicts]:
    """Start one fit for these requests, on the snapshot that one of them names, or the log."""
    snapshot = next((one.facts["snapshot"] for one in ready if "snapshot" in one.facts), None)
    rows = (end_row if snapshot else rhythm.window_first(state, end_row), end_row)
    state, (verdict,) = _start(state, rows, ready[0].reason, snapshot=snapshot)
    state = cooling.begun(state, state.pending[-1], at=at)
    if snapshot is None:  # who waits for a person waits no more: that person has asked
        state = structs.replace(state, left=msgspec.UNSET)
    subjects = "; ".join(one.subject for one in ready if one.subject)
    told = structs.replace(
        verdict,
        sentence=f"{verdict.sentence} ({subjects})" if subjects else verdict.sentence,
        evidence={**verdict.evidence, **_shown(ready)},
    )
    return state, (told,)


def _shown(ready: tuple[asked.Waiting, ...]) -> entities.Evidence:
    """Return what asked for a fit, as evidence."""
    found: entities.Evidence = {}
    for one in ready:
        told: entities.Evidence = {
            "asked": one.n,
            "subject": one.subject,
            "by": one.by,
            **one.facts,
        }
        told |= {"first": cooling.instant(one.first_at), "last": cooling.instant(one.last_at)}
        found |= {f"{one.reason}.{name}": value for name, value in told.items() if value}
    return found


def _scored(state: entities.LoopState, event: entities.BlockLabelled) -> entities.LoopState:
    score = entities.BlockScore(
        first_row=event.first_row,
        end_row=event.end_row,
        n_rows=event.n_rows,
        mixture=event.mixture,
        members=event.members,
    )
    history = (*state.history, score)[-weights.HORIZON :]
    return structs.replace(state, history=history, n_blocks=state.n_blocks + 1)


def _judge_harm(
    state: entities.LoopState, event: entities.BlockLabelled, policy: policies.Policy
) -> tuple[entities.LoopState, Verdicts]:
    """Add the block to the e-CUSUM; a broken feed must not be taken for a changed world."""
    if state.broken_columns:
        return state, ()
    block = state.n_blocks - 1
    proof, proved = harm.prove(state.harm, event, block=block)
    seen, found = early.observe(state, event, block=block)
    state = structs.replace(state, harm=structs.replace(seen, proof=proof))
    if found is None:
        if proved is None:
            return _calm(state)
        return structs.replace(state, harm_alert=True), (alarmed.told_proof(event, proved),)
    how = policy.retraining
    plan = rhythm.burst(how.budget, change_block=found.change_block, block=block)
    cause = event.cause or entities.SeenCause(kind="concept-change")
    may_fit = "harm" in how.on and left.is_learned(cause)
    asked_for, asks = left.ask(cause)
    state = structs.replace(
        correcting.after_harm(state),
        regime=found.change_block,
        change_row=found.change_row,
        schedule=plan if may_fit else (),
        harm_alert=True,
        left=left.of(cause, state),
        regime_fits=0,
        lost_fits=msgspec.UNSET,
        investigations=tuple(structs.replace(i, judged=True) for i in state.investigations),
    )
    verdict = entities.Verdict(
        kind="retrain" if may_fit else "investigate",
        sentence=(
            f"harm: {alarmed.told(event, found, proved)} (ln e {found.log_evidence:.1f}); "
            f"it began near row {found.change_row}{asked_for}"
        ),
        evidence={
            **alarmed.evidence(event, found, proved, threshold=harm.SETTINGS.log_threshold),
            "cause": cause.kind,
            "column": cause.column,
            "cause_sentence": cause.sentence,
            "shift_loss": event.shift_loss,
        },
        acts=(
            entities.OpenAlert(
                alert="harm",
                cause=cause.kind,
                column=cause.column,
                is_proved=early.is_proved(state.harm, event, found, block=block),
            ),
            *asks,
        ),
    )
    return state, (verdict,)


def _calm(state: entities.LoopState) -> tuple[entities.LoopState, Verdicts]:
    """Resolve the harm alert once a whole baseline has been seen again without harm."""
    n_normal = len(harm.normal_blocks(state.harm))
    if not state.harm_alert or n_normal < harm.SETTINGS.minimum_baseline:
        return state, ()
    verdict = entities.Verdict(
        kind="none",
        sentence=f"no harm for {n_normal} blocks: a new baseline stands",
        evidence={"error": harm.baseline_error(state.harm)},
        acts=(entities.ResolveAlert(alert="harm"),),
    )
    return structs.replace(state, harm_alert=False), (verdict,)


def _judge_shifts(
    state: entities.LoopState, event: entities.BlockLabelled
) -> tuple[entities.LoopState, Verdicts]:
    """Count labelled blocks of each open shift; call it harmless when error has not risen."""
    found: list[entities.Investigation] = []
    verdicts: list[entities.Verdict] = []
    calm = harm.is_calm(state.harm)
    for item in state.investigations:
        if item.judged or event.first_row < item.first_row:
            found.append(item)
            continue
        seen = structs.replace(
            item,
            n_blocks=item.n_blocks + 1,
            n_rows=item.n_rows + event.n_rows,
            n_wrong=item.n_wrong + event.error * event.n_rows,
        )
        if seen.n_blocks >= HARMLESS_BLOCKS and calm:
            verdicts.append(_harmless(state, seen, event))
            seen = structs.replace(seen, judged=True)
        found.append(seen)
    return structs.replace(state, investigations=tuple(found)), tuple(verdicts)


def _harmless(
    state: entities.LoopState,
    seen: entities.Investigation,
    event: entities.BlockLabelled,
) -> entities.Verdict:
    error, accepted = (
        seen.n_wrong / seen.n_rows,
        harm.accepted_rate(state.harm, n_rows=event.n_rows),
    )
    return entities.Verdict(
        kind="none",
        sentence=(
            f"harmless: {', '.join(seen.columns)} moved, but {error:.1%} of {seen.n_rows} "
            f"answers were wrong where {accepted:.1%} is accepted; nothing is retrained"
        ),
        evidence={
            "error": error,
            "accepted": accepted,
            "n_rows": seen.n_rows,
            "shift_loss": event.shift_loss,
        },
    )


def _start_due(
    state: entities.LoopState, event: entities.BlockLabelled, policy: policies.Policy
) -> tuple[entities.LoopState, Verdicts]:
    """Start a fit that is due, unless the clock holds it; backtests have no clock."""
    before = state
    state, verdicts = _due(state, event, policy)
    if event.at is msgspec.UNSET or not verdicts:
        return state, verdicts
    fit = state.pending[-1]
    hold = cooling.of_fit(before, fit.reason, policy, at=event.at)
    if hold is None:
        return cooling.begun(state, fit, at=event.at), verdicts
    known = cooling.pace(before)
    if known.held == hold.why:  # said already
        return before, ()
    held = structs.replace(before, pace=structs.replace(known, held=hold.why))
    sentence = f"a fit is due ({fit.reason}) and waits: {cooling.told_until(hold)}"
    return held, (entities.Verdict(kind="none", sentence=sentence),)


def _due(
    state: entities.LoopState, event: entities.BlockLabelled, policy: policies.Policy
) -> tuple[entities.LoopState, Verdicts]:
    """Start at most one fit: on the data since the change, or a plain refresh."""
    block = state.n_blocks - 1
    if state.pending or state.broken_columns or state.left:
        return state, ()
    due = [at for at in state.schedule if at <= block]
    changed = state.change_row
    affords = rhythm.affords(state, policy.retraining.budget)
    if due and changed is not None and (affords or state.regime_fits == 0):
        reason: entities.Reason = "harm" if state.regime_fits == 0 else "burst"
        state = structs.replace(
            state,
            schedule=tuple(at for at in state.schedule if at > block),
            regime_fits=state.regime_fits + 1,
            own_fits=(state.own_fits or 0) + 1,
        )
        return _start(state, (changed, event.end_row), reason)
    since = block - state.last_fit_block
    new_rows = since * policy.retraining.block
    if "new-data" in policy.retraining.on and new_rows >= policy.retraining.new_rows:
        first = rhythm.window_first(state, event.end_row)
        return _start(state, (first, event.end_row), "new-data")
    soon = any(at - block <= rhythm.SOON_BLOCKS for at in state.schedule)
    waited = since >= rhythm.REFRESH_BLOCKS[policy.retraining.budget] and not soon
    if waited and affords and "refresh" in policy.retraining.on:
        first = rhythm.window_first(state, event.end_row)
        state = structs.replace(state, own_fits=(state.own_fits or 0) + 1)
        return _start(state, (first, event.end_row), "refresh")
    return state, ()


def _start(
    state: entities.LoopState,
    rows: entities.RowRange,
    reason: entities.Reason,
    *,
    snapshot: str | None = None,
) -> tuple[entities.LoopState, Verdicts]:
    first, end = rows
    without = tuple(part for part in state.quarantined if part[0] < end and part[1] > first)
    fit = entities.Fit(
        id=f"fit-{state.n_fits + 1}",
        rows=rows,
        without=without,
        reason=reason,
        asked_block=state.n_blocks - 1,
        snapshot=snapshot or msgspec.UNSET,
    )
    state = structs.replace(
        state,
        n_fits=state.n_fits + 1,
        last_fit_block=state.n_blocks - 1,
        pending=(*state.pending, fit),
    )
    learned = snapshot or f"rows {first} to {end}"
    why = {"harm": "the data since the change", "burst": "more data since the change"}
    verdict = entities.Verdict(
        kind="retrain",
        sentence=f"{fit.id} learns {learned}: {why.get(reason, reason)}",
        evidence={"reason": reason, "first_row": first, "end_row": end},
        acts=(entities.StartFit(fit=fit),),
    )
    return state, (verdict,)


def _with_fit(verdicts: Verdicts, fits: Verdicts) -> Verdicts:
    """One decision for an alarm and the fit it starts at once; else one after the other."""
    if verdicts and fits and verdicts[0].kind == fits[0].kind == "retrain":
        both = structs.replace(
            verdicts[0],
            evidence={**fits[0].evidence, **verdicts[0].evidence},
            acts=verdicts[0].acts + fits[0].acts,
        )
        return (both, *verdicts[1:])
    return (*verdicts, *fits)
