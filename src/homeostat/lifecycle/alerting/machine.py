"""The states of one watched thing, as a pure function; called by `watching`.

Soft at the first bad observation, hard after some in a row, fine again after some good ones in
a row. While it flaps it stays open, and its turns are told to nobody. No data changes neither.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Observation = Literal["bad", "good", "none"]
Standing = Literal["fine", "soft", "hard"]
Transition = Literal[
    "opened", "confirmed", "resolved", "flapping", "settled", "blind", "seeing"
]

HISTORY = 21
"""States that are remembered, as Nagios does [1]_."""
_OLDEST, _NEWEST = 0.75, 1.25


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How much it takes.

    Attributes
    ----------
    confirm_after, resolve_after
        Bad observations in a row until it is hard, good ones until it is over; 1 or more.
    flapping_from, flapping_until
        Weighted shares of changes, 0 to 1, at which flapping begins and below which it ends.
    """

    confirm_after: int = 1
    resolve_after: int = 1
    flapping_from: float = 0.30
    flapping_until: float = 0.20


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one watched thing.

    Attributes
    ----------
    standing
        ``fine``, ``soft`` or ``hard``; open unless ``fine``.
    n_bad, n_good
        Observations in a row.
    history
        The last states, oldest first: ``o`` for good ones and ``x`` for hard ones.
    is_flapping, is_blind
        Whether it changes too often, and whether nothing is seen of it.
    is_cleared
        Whether who opened it has said that it is over.
    changed_at
        When one of these last changed in a way that is told; milliseconds UTC.
    """

    standing: Standing = "fine"
    n_bad: int = 0
    n_good: int = 0
    history: str = ""
    is_flapping: bool = False
    is_blind: bool = False
    is_cleared: bool = False
    changed_at: int = 0

    @property
    def is_open(self) -> bool:
        """Whether there is an alert."""
        return self.standing != "fine"


def advance(
    watch: Watch, observation: Observation, rules: Rules, now_ms: int
) -> tuple[Watch, tuple[Transition, ...]]:
    """Take one observation into account.

    Parameters
    ----------
    watch
        What was known.
    observation
        ``bad``, ``good`` or ``none``, when there were no data to tell.
    rules
        How much it takes.
    now_ms
        Milliseconds UTC.

    Returns
    -------
    tuple
        What is known now, and what is to be told of it, in order.

    Notes
    -----
    Bad states that are not confirmed yet leave no trace in the history, and changes weigh from
    0.75, the oldest, to 1.25, the newest, as in Nagios [1]_. What flaps is always open:
    flapping begins with a change, before that change could resolve anything.

    References
    ----------
    .. [1] Nagios Core documentation, "Detection and Handling of State Flapping", with
       `check_for_service_flapping` in base/flapping.c, whose thresholds are the defaults.

    Examples
    --------
    >>> rules = Rules(confirm_after=2)
    >>> first, told = advance(Watch(), "bad", rules, 0)
    >>> first.standing, told
    ('soft', ('opened',))
    >>> advance(first, "bad", rules, 1)[1]
    ('confirmed',)
    """
    if observation == "none":
        if watch.is_blind:
            return watch, ()
        return msgspec.structs.replace(watch, is_blind=True, changed_at=now_ms), ("blind",)
    told: list[Transition] = ["seeing"] if watch.is_blind else []
    standing = watch.standing
    is_bad = observation == "bad"
    n_bad, n_good = (watch.n_bad + 1, 0) if is_bad else (0, watch.n_good + 1)
    if is_bad:
        if standing == "fine":
            told.append("opened")
            standing = "soft"
        if standing == "soft" and n_bad >= rules.confirm_after:
            told.append("confirmed")
            standing = "hard"
    history = watch.history
    if not is_bad or standing == "hard":
        history = (history + ("x" if is_bad else "o"))[-HISTORY:]
    share = changes(history)
    is_flapping = share >= (rules.flapping_until if watch.is_flapping else rules.flapping_from)
    if is_flapping != watch.is_flapping:
        told.append("flapping" if is_flapping else "settled")
    if not is_bad and standing != "fine" and n_good >= rules.resolve_after and not is_flapping:
        told.append("resolved")
        standing = "fine"
    after = Watch(
        standing=standing,
        n_bad=n_bad,
        n_good=n_good,
        history=history,
        is_flapping=is_flapping,
        is_cleared=watch.is_cleared and standing != "fine",
        changed_at=now_ms if told else watch.changed_at,
    )
    return after, tuple(told)


def changes(history: str) -> float:
    """Return the weighted share of changes in a history.

    Parameters
    ----------
    history
        ``o`` and ``x``, oldest first, up to `HISTORY` of them; what is missing was good.

    Returns
    -------
    float
        0 when it never changed, 1 when it did at every step.

    Examples
    --------
    >>> changes(""), round(changes("xo" * 10 + "x"), 6), changes("o" * 20 + "x")
    (0.0, 1.0, 0.0625)
    """
    steps = HISTORY - 1
    whole = history.rjust(HISTORY, "o")
    slope = (_NEWEST - _OLDEST) / (steps - 1)
    return (
        sum(
            _OLDEST + place * slope
            for place in range(steps)
            if whole[place] != whole[place + 1]
        )
        / steps
    )
