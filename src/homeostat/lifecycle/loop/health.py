"""How a deployment is doing, in one word and one sentence; called by pages and `status`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from homeostat.lifecycle.loop.entities import LoopState
from homeostat.lifecycle.monitoring.entities import Alert

BLIND_BLOCKS = 10
"""Blocks' worth of rows without one labelled block."""
FAST, SLOW = "budget-fast", "budget-slow"
"""Alerts of objectives whose budget burns."""
GRAVE = ("concept-change", "new-version", "infrastructure")


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
        Those that are not resolved, the newest first.
    n_rows
        Rows of the log, where known: with many behind the last labelled block nobody knows
        whether they were answered well.
    """
    open_ones = [one for one in alerts if one.state == "open"]
    worst = next((one for one in open_ones if _is_grave(one)), None)
    if worst is not None or (state is not None and state.harm_alert):
        sentence = worst.sentence if worst is not None else "answers are worse than accepted"
        word = "budget burns" if worst is not None and worst.kind == FAST else "harm"
        return Health("bad", word, sentence)
    if open_ones:  # the newest of those that are confirmed, and have a cause
        first = min(
            open_ones, key=lambda one: (one.confirmed_at is None, one.cause == "unknown")
        )
        return Health("warn", first.kind, first.sentence)
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


def _is_grave(alert: Alert) -> bool:
    """Say whether somebody should look now; a budget that burns slowly can wait for Monday."""
    return alert.kind == FAST or (alert.cause in GRAVE and alert.kind != SLOW)


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
