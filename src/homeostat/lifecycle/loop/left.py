"""Harm that no fit mends: what a person is asked to do instead; called by `learn`.

A model that learns how a feed was broken, a feature computed in two ways, a correction gone
wrong or requests that failed, is wrong once that is mended.
"""

from __future__ import annotations

from typing import Final

from homeostat.lifecycle.loop import entities

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
