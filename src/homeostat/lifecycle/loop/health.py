"""How a deployment is doing, in one word and one sentence; called by pages and `status`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from homeostat.lifecycle.loop.entities import LoopState
from homeostat.lifecycle.monitoring.entities import Alert

BLIND_BLOCKS = 10
"""Blocks' worth of rows without one labelled block."""
FAST = "budget-fast"
"""The alert of an objective whose budget burns so that somebody should look now."""
HARM = "harm"
"""The alert of harm: confirmed once it is proved, and a suspicion before that."""


class Health(NamedTuple):
    """What a person sees at a glance; `tone` is good, calm, warn or bad."""

    tone: str
    word: str
    sentence: str


def judge(
    state: LoopState | None, alerts: Sequence[Alert], *, n_rows: int | None = None
) -> Health:
    """Return how a deployment is doing.

    Parameters
    ----------
    state
        What its loop remembers; None when it has none.
    alerts
        Those that are not resolved, the newest first. Harm that is only suspected alarms
        nobody: it is `warn`.
    n_rows
        Rows of the log, where known: with many behind the last labelled block nobody knows
        whether they were answered well.
    """
    told = _of_alerts(alerts, is_suspected=state is not None and state.harm_alert)
    if told is not None:
        return told
    if state is None:
        return Health("calm", "watched by nobody", "this deployment has no loop")
    if any(one.standing == "approval" for one in state.members):
        return Health("warn", "asks", "a version waits for a person's approval")
    if state.rollout is not None:
        names = ", ".join(state.rollout.entrants)
        return Health("calm", "canary", f"version {names} enters step by step")
    if state.pending:
        return Health("calm", "fitting", "a challenger is being trained")
    return _of_labels(state, n_rows)


def _of_alerts(alerts: Sequence[Alert], *, is_suspected: bool) -> Health | None:
    open_ones = [one for one in alerts if one.state == "open"]
    harms = [one for one in alerts if one.kind == HARM]
    if proved := next((one for one in harms if one.confirmed_at is not None), None):
        return Health("bad", "harm", proved.sentence)
    if burning := next((one for one in open_ones if one.kind == FAST), None):
        return Health("bad", "budget burns", burning.sentence)
    if harms or is_suspected:
        sentence = harms[0].sentence if harms else "answers may be worse than accepted"
        return Health("warn", "harm suspected", sentence)
    if open_ones:  # the newest of those that are confirmed, and have a cause
        first = min(
            open_ones, key=lambda one: (one.confirmed_at is None, one.cause == "unknown")
        )
        return Health("warn", first.kind, first.sentence)
    return None


def _of_labels(state: LoopState, n_rows: int | None) -> Health:
    if not state.n_blocks:
        return Health(
            "calm", "blind", "too few labels yet to know whether the answers are right"
        )
    last = state.history[-1]
    behind = 0 if n_rows is None else n_rows - last.end_row
    if behind >= BLIND_BLOCKS * last.n_rows:
        sentence = f"blind since row {last.end_row}: {behind} rows later no block has labels"
        return Health("calm", "blind", sentence)
    return Health("good", "steady", "answers are as good as accepted")
