"""Is the residual corrector worth its answers, and when is it fitted anew? `learn` calls it.

The same in a backtest and live. A corrector that gains nothing is expelled by the evidence that
let it in: its answers end with the block that shows it, and an alarm ends them at once.
"""

from __future__ import annotations

import msgspec
from msgspec import structs

from homeostat.lifecycle.loop import entities
from homeostat.lifecycle.policy import entities as policies
from homeostat.measures import evidence

DECAY = 0.9
LARGEST = 3.0
ENTER = 2.0
"""Evidence (nats) above which the corrected probability becomes the answer."""
STAY = 1.0
"""Evidence above which it goes on to be the answer.

One threshold of 1 let it in on the first few blocks of streams in which nothing changes, where
it had learned noise."""
BLOCKS = 20
"""Newest blocks it learns from; at least `LEAST_BLOCKS`, none before the change point."""
LEAST_BLOCKS = 2
PERIODS = (1, 3)
"""Blocks between two fits while the evidence speaks for it, and otherwise.

It costs about a tenth of a full fit and stands in for one."""

Verdicts = tuple[entities.Verdict, ...]


def is_in_force(state: entities.LoopState) -> bool:
    """Say whether the corrected probability is what is answered."""
    told = state.correction
    if told is msgspec.UNSET:
        return False
    return told.evidence > STAY if told.answers is msgspec.UNSET else told.answers


def needed(told: entities.Correction) -> float:
    """Return the evidence above which the corrector answers after the next block."""
    return STAY if told.answers is not False else ENTER


def is_wanted(policy: policies.Policy) -> bool:
    """Say whether a corrector may answer under a policy, in a backtest and live alike.

    Parameters
    ----------
    policy
        Of two classes or not: whoever scores rows sees that. Where its tier is high, nobody
        answers whom no person approved, so no corrector does.
    """
    return policy.retraining.corrector and policy.model.tier != "high"


def weigh(state: entities.LoopState, event: entities.BlockLabelled) -> entities.LoopState:
    """Add what a block says of the corrector.

    Parameters
    ----------
    state
        What was known before.
    event
        Its `growth`; zeros where no corrector looked at the rows. Unset where none may answer:
        what was known of one is forgotten.

    Returns
    -------
    LoopState
        With a corrector's record from the first block on that may have one.

    Notes
    -----
    The mean of the bets' wealth over one block is an e-value for "it gains nothing". The
    sum of their logs, discounted and kept within bounds, is a fast switch, not a test: the
    bounds and the discount give its level away. To begin it takes more than to go on.
    """
    if event.growth is msgspec.UNSET:
        if state.correction is msgspec.UNSET:
            return state
        return structs.replace(state, correction=msgspec.UNSET)
    known = state.correction
    told = entities.Correction(answers=False) if known is msgspec.UNSET else known
    gained = evidence.log_mean_exp(event.growth) if event.growth else 0.0
    total = min(LARGEST, max(-LARGEST, DECAY * told.evidence + gained))
    told = structs.replace(told, evidence=total, answers=total > needed(told))
    return structs.replace(state, correction=told)


def switch(before: entities.LoopState, after: entities.LoopState) -> Verdicts:
    """Say that the corrector begins to answer, or ends; nothing where neither is so.

    Parameters
    ----------
    before, after
        State before an event, and after all that followed from it.
    """
    answers = is_in_force(after)
    if is_in_force(before) == answers:
        return ()
    told = 0.0 if after.correction is msgspec.UNSET else after.correction.evidence
    word = "answers, corrected" if answers else "answers are not corrected any more"
    least = ENTER if answers else STAY
    verdict = entities.Verdict(
        kind="none",
        sentence=f"{word}: evidence for the corrector is {told:.2f} nats, {least:g} needed",
        evidence={"evidence": told, "needed": least},
        acts=(entities.SwitchCorrector(answers=answers),),
    )
    return (verdict,)


def doubt(state: entities.LoopState) -> entities.LoopState:
    """Forget what spoke for the corrector: the world that it knew is gone."""
    told = state.correction
    if told is msgspec.UNSET:
        return state
    return structs.replace(
        state,
        correction=structs.replace(told, evidence=min(0.0, told.evidence), answers=False),
    )


def after_harm(state: entities.LoopState) -> entities.LoopState:
    """Doubt the corrector after harm, unless what it gained there still speaks for it."""
    return state if is_in_force(state) else doubt(state)


def fit_due(state: entities.LoopState) -> tuple[entities.LoopState, Verdicts]:
    """Ask for a new corrector when its time has come and there are rows to learn from."""
    told, block = state.correction, state.n_blocks - 1
    if told is msgspec.UNSET or state.broken_columns:
        return state, ()
    pays, idles = PERIODS
    if block - told.fitted_block < (pays if told.evidence > 0 else idles):
        return state, ()
    oldest = max(state.n_blocks - BLOCKS, state.regime or 0)
    rows = state.history[max(0, len(state.history) - (state.n_blocks - oldest)) :]
    if len(rows) < LEAST_BLOCKS:
        return state, ()
    span = (rows[0].first_row, rows[-1].end_row)
    verdict = entities.Verdict(
        kind="none",
        sentence=f"the corrector learns rows {span[0]} to {span[1]} anew",
        evidence={"evidence": told.evidence, "first_row": span[0], "end_row": span[1]},
        acts=(entities.FitCorrector(rows=span),),
    )
    state = structs.replace(state, correction=structs.replace(told, fitted_block=block))
    return state, (verdict,)
