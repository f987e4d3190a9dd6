"""The mind of the loop: what an event means for a deployment. Pure.

Called by `actions.apply_event` (live), `backtest` and `replay`, which is what makes a
backtest a statement about the live loop and a stored decision checkable. The rules are in
one file for each kind of event: `feed` (windows), `learn` (labelled blocks), `entrance`
(candidates, gates, approval, canary).
"""

from __future__ import annotations

from homeostat.lifecycle.loop import (
    alarmed,
    asked,
    cooling,
    early,
    entities,
    entrance,
    feed,
    learn,
    left,
    news,
)
from homeostat.lifecycle.policy import entities as policies

Verdicts = tuple[entities.Verdict, ...]


def decide(  # noqa: C901, PLR0911, PLR0912 - one return for each kind of event, checked to be exhaustive
    state: entities.LoopState, event: entities.Event, policy: policies.Policy
) -> tuple[entities.LoopState, Verdicts]:
    """Say what an event means and what to do about it.

    Parameters
    ----------
    state
        What the loop knew before.
    event
        What happened. Blocks come in the order of their rows, without quarantined rows.
    policy
        What the owner wants to hold.

    Returns
    -------
    tuple
        The state after the event, and at least one verdict, most important first.

    Notes
    -----
    No clock, no chance, no I/O; only sums of Python floats in a fixed order. The same
    inputs give the same bytes on every machine with IEEE 754 doubles.
    """
    state = cooling.timely(state, event)
    match event:
        case entities.WindowJudged():
            return feed.judge(state, event)
        case entities.BlockLabelled():
            return learn.learn(state, event, policy)
        case entities.FitFinished():
            return entrance.enter_exam(state, event)
        case entities.FitFailed():
            return learn.fit_lost(state, event)
        case entities.GateJudged():
            return entrance.pass_gates(state, event, policy)
        case entities.Approved():
            return entrance.admit(state, event, policy)
        case entities.RolloutObserved():
            return entrance.watch(state, event, policy)
        case entities.PlanSet():
            return entrance.follow_person(state, event)
        case entities.FitAsked():
            return learn.fit_asked(state, event, policy)
        case asked.FitsDue():
            return learn.fits_due(state, event, policy)
        case news.LeftSettled():
            return left.settle(state, event)
        case news.MembersBarred():
            return entrance.bar(state, event)


def raises_harm(state: entities.LoopState, event: entities.BlockLabelled) -> bool:
    """Say whether `decide` will raise the harm alarm on this block.

    The caller then asks blame for the cause, which takes time, and gives it in
    `event.cause` before it calls `decide` for the record.
    """
    return foreseen_harm(state, event) is not None


def foreseen_harm(
    state: entities.LoopState, event: entities.BlockLabelled
) -> alarmed.HarmAlarm | None:
    """Return the harm alarm that `decide` will raise on this block, with what is accepted.

    Parameters
    ----------
    state
        Before the block.
    event
        The block.

    Returns
    -------
    HarmAlarm or None
        None where none is raised.
    """
    if state.broken_columns:
        return None
    return early.observe(state, event, block=state.n_blocks)[1]


def begin(version: str, *, rows: entities.RowRange, origin_row: int) -> entities.LoopState:
    """Return the state of a deployment that one model answers alone.

    Parameters
    ----------
    version
        The first model's label.
    rows
        The rows it was trained on, in the numbering of the log: ``(0, 0)`` when its
        training data are not in the log.
    origin_row
        The first row that later fits may use.
    """
    member = entities.Member(
        version=version, rows=rows, born_block=0, standing="admitted", initial=True, archive=1.0
    )
    return entities.LoopState(
        origin_row=origin_row,
        members=(member,),
        weights={version: 1.0},
        stable={version: 1.0},
        answered=(version,),
    )
