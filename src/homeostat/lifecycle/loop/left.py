"""Harm that no fit mends: what a person is asked to do instead; called by `learn`.

A model that learns how a feed was broken, a feature computed in two ways, a correction gone
wrong or requests that failed, is wrong once that is mended.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import structs

from homeostat.lifecycle.loop import entities, feed, news

ALERT: Final = "left-to-a-person"
ASKED: Final = {
    "feed": "mend the feed",
    "schema": "mend what sends the rows",
    "skew": "compute the feature in one way",
    "correction": "take the correction back with homeostat correction withdraw",
    "infrastructure": "see why requests fail",
}
"""What a person is asked to do, by the first cause of a harm; other causes are learned."""


def is_learned(cause: entities.SeenCause) -> bool:
    """Say whether fits on the rows since a change mend harm of this cause.

    Examples
    --------
    >>> [is_learned(entities.SeenCause(kind=kind)) for kind in ("skew", "concept-change")]
    [False, True]
    """
    return cause.kind not in ASKED


def ask(cause: entities.SeenCause) -> tuple[str, tuple[entities.Act, ...]]:
    """Return what is said of a harm that is not learned, and the alert that asks for it.

    The alert stands until a person resolves it: a loss that stays as high as it is becomes the
    baseline of the next alarm, which is no reason to stop asking.

    Parameters
    ----------
    cause
        First cause of the harm.

    Returns
    -------
    tuple
        Words to follow the decision's sentence, and acts; both empty where harm is learned.
    """
    if is_learned(cause):
        return "", ()
    where = f" of {cause.column}" if cause.column else ""
    told = (
        f"; its first cause is {cause.kind}{where}, which no fit mends, so nothing is learned "
        f"from it: {ASKED[cause.kind]}, or ask for a fit with homeostat loop ask"
    )
    return told, (entities.OpenAlert(alert=ALERT, cause=cause.kind, column=cause.column),)


def of(cause: entities.SeenCause, state: entities.LoopState) -> news.Left | msgspec.UnsetType:
    """Return what is left to a person after harm of this cause; unset where fits mend it.

    Parameters
    ----------
    cause
        First cause of the harm.
    state
        Before the alarm; what was left before keeps the change that it remembers.
    """
    if is_learned(cause):
        return msgspec.UNSET
    before = state.change_row if state.left is msgspec.UNSET else state.left.change_row
    return news.Left(cause=cause.kind, column=cause.column, change_row=before)


def holds(state: entities.LoopState) -> str:
    """Return why nothing of the log is learned now; empty where it is."""
    if state.left is msgspec.UNSET:
        return ""
    return f"left to a person: {ASKED[state.left.cause]}, then resolve the alert {ALERT}"


def settle(
    state: entities.LoopState, event: news.LeftSettled
) -> tuple[entities.LoopState, tuple[entities.Verdict, ...]]:
    """Go on learning after a person has seen to it, without the rows that were wrong.

    The world did not change, so the change before is the latest one again; weights, corrector
    and baseline begin anew with the rows to come. A correction changed answers and no row:
    those rows are learned.
    """
    known = state.left
    if known is msgspec.UNSET:
        sentence = "nothing is left to a person; nothing changes"
        return state, (entities.Verdict(kind="none", sentence=sentence),)
    first, acts = state.change_row, tuple[entities.Act, ...]()
    quarantined, kept = state.quarantined, ""
    if known.cause != "correction" and first is not None and first < event.end_row:
        rows = ((first, event.end_row),)
        quarantined, acts = feed.merged((*quarantined, *rows)), (entities.KeepOut(rows=rows),)
        # What is said of such a block speaks for no member, and its rows are no labelled ones.
        history = tuple(one for one in state.history if one.end_row <= first)
        state = structs.replace(state, history=history)
        kept = f"; rows {first} to {event.end_row} are never learned"
    state = structs.replace(
        state,
        left=msgspec.UNSET,
        regime=state.n_blocks,
        change_row=known.change_row,
        schedule=(),
        quarantined=quarantined,
        harm=entities.HarmState(),
    )
    where = f" of {known.column}" if known.column else ""
    verdict = entities.Verdict(
        kind="release",
        sentence=f"{event.by} has seen to the {known.cause}{where}: fits go on{kept}",
        evidence={"by": event.by, "cause": known.cause, "end_row": event.end_row},
        acts=acts,
    )
    return state, (verdict,)
