"""When a fit that was asked for may start: debounce, cooldown, budget of a day. Pure.

Called by `learn`; by `duties` and the doors to say what waits and until when. A request is
never lost: it waits in the state until a fit answers it.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import msgspec
from msgspec import structs

from homeostat.lifecycle.loop import asked, entities, left
from homeostat.lifecycle.policy import entities as policies

DAY_MS = 86_400_000
LONGEST_DEBOUNCE = 10
"""Requests that never cease are answered after so many times the debounce."""
COOLED = ("schedule", "new-data", "code", "upstream", "performance")
"""Causes that keep the cooldown. Harm must not wait; a refresh counts blocks, not hours."""


class Hold(NamedTuple):
    """Why a fit may not start, and from when on it might; None where no clock says so."""

    why: str
    until: int | None


def pace(state: entities.LoopState) -> asked.Pace:
    """Return what is remembered of requests and fits."""
    return asked.Pace() if state.pace is msgspec.UNSET else state.pace


def timely(state: entities.LoopState, event: entities.Event) -> entities.LoopState:
    """Return the state with nothing remembered from after this event.

    Where a clock was ahead and was set back, what it dated would else hold fits until that time
    has come: a cooldown of hours for a year.

    Parameters
    ----------
    state
        What the loop knew before.
    event
        Any; those without a time change nothing.
    """
    if not isinstance(event, asked.FitAsked | asked.FitsDue | entities.BlockLabelled):
        return state
    known, at = state.pace, event.at
    if at is msgspec.UNSET or known is msgspec.UNSET:
        return state
    fits = tuple(structs.replace(one, at=min(one.at, at)) for one in known.fits)
    waiting = tuple(
        structs.replace(one, first_at=min(one.first_at, at), last_at=min(one.last_at, at))
        for one in known.waiting
    )
    return structs.replace(state, pace=structs.replace(known, fits=fits, waiting=waiting))


def notice(state: entities.LoopState, event: asked.FitAsked) -> entities.LoopState:
    """Remember a request; one of the same cause that waits already is counted up.

    Parameters
    ----------
    state
        What the loop knew before.
    event
        With its time.
    """
    at = 0 if event.at is msgspec.UNSET else event.at
    known = pace(state)
    before = next((one for one in known.waiting if one.reason == event.reason), None)
    now = asked.Waiting(
        reason=event.reason,
        first_at=at if before is None else before.first_at,
        last_at=at,
        n=1 if before is None else before.n + 1,
        subject=event.subject or "",
        by=event.by or "",
        facts=event.facts or {},
    )
    others = tuple(one for one in known.waiting if one.reason != event.reason)
    code = now.subject if event.reason == "code" else known.code
    return structs.replace(
        state, pace=structs.replace(known, waiting=(*others, now), code=code)
    )


def first_hold(
    state: entities.LoopState, one: asked.Waiting, policy: policies.Policy, *, at: int
) -> Hold | None:
    """Return what keeps a waiting request from being answered; None when it may be.

    Parameters
    ----------
    state
        What is under way, and when the latest fits were.
    one
        Of its `pace`. A person waits for nothing but a fit under way and a broken feed.
    policy
        Its `retraining` says debounce, cooldown and budget.
    at
        Now.
    """
    if state.pending:
        return Hold("a fit is under way", None)
    if state.broken_columns:
        return Hold("the feed is broken", None)
    if one.reason == "person":
        return None
    if (why := left.holds(state)) and "snapshot" not in one.facts:
        return Hold(why, None)
    calm = round(policy.retraining.debounce_s * 1000)
    quiet_at = min(one.last_at + calm, one.first_at + LONGEST_DEBOUNCE * calm)
    if at < quiet_at:
        return Hold("debounce: more of it may come", quiet_at)
    return of_fit(state, one.reason, policy, at=at)


def of_fit(
    state: entities.LoopState, reason: asked.Reason, policy: policies.Policy, *, at: int
) -> Hold | None:
    """Return why a fit of this cause may not start now: cooldown, then the day's budget.

    Parameters
    ----------
    state
        Its `pace` holds the fits of the last day.
    reason
        Harm keeps no cooldown; the budget holds for everybody but a person.
    policy
        Its `retraining`.
    at
        Now.
    """
    fits, told = pace(state).fits, policy.retraining
    if reason in COOLED and fits:
        cool_at = fits[-1].at + round(told.cooldown_s * 1000)
        if at < cool_at:
            return Hold(f"cooldown of {told.cooldown} since {fits[-1].fit}", cool_at)
    today = [one for one in fits if one.at > at - DAY_MS]
    most = told.fits_per_day
    if most is not None and len(today) >= most:
        return Hold(f"budget: {len(today)} of {most} fits in a day", _room(today, most))
    compute_s = told.compute_per_day_s
    spent = sum(one.seconds or 0.0 for one in today)
    if compute_s is not None and spent >= compute_s:
        return Hold(
            f"budget: {spent:.0f} of {compute_s:.0f} seconds of fitting in a day",
            today[0].at + DAY_MS,
        )
    return None


def _room(today: list[asked.Spent], most: int) -> int:
    """Return when one more fit fits into the day."""
    return today[len(today) - most].at + DAY_MS


def due(
    state: entities.LoopState, policy: policies.Policy, *, at: int
) -> tuple[asked.Waiting, ...]:
    """Return the waiting requests that one fit may answer now, the first one first."""
    return tuple(
        one
        for one in sorted(pace(state).waiting, key=lambda one: one.first_at)
        if first_hold(state, one, policy, at=at) is None
    )


def next_at(state: entities.LoopState, policy: policies.Policy, *, at: int) -> int | None:
    """Return when a clock should look again; None when nothing waits for one.

    Parameters
    ----------
    state, policy
        As for `first_hold`.
    at
        Now; the answer is never earlier.
    """
    holds = [first_hold(state, one, policy, at=at) for one in pace(state).waiting]
    instants = [at if one is None else one.until for one in holds]
    known = [one for one in instants if one is not None]
    return max(min(known), at) if known else None


def begun(state: entities.LoopState, fit: entities.Fit, *, at: int) -> entities.LoopState:
    """Count a fit, and forget the requests that it answers."""
    known = pace(state)
    recent = tuple(one for one in known.fits if one.at > at - DAY_MS) or known.fits[-1:]
    spent = asked.Spent(fit=fit.id, reason=fit.reason, at=at)
    # A fit on the log answers what asked for one; a named snapshot waits for its own.
    left = tuple(
        one for one in known.waiting if one.facts.get("snapshot", fit.snapshot) != fit.snapshot
    )
    told = structs.replace(known, waiting=left, fits=(*recent, spent), held="")
    return structs.replace(state, pace=told)


def ended(
    state: entities.LoopState, fit: str, seconds: float | msgspec.UnsetType
) -> entities.LoopState:
    """Note how long a fit took."""
    if seconds is msgspec.UNSET or state.pace is msgspec.UNSET:
        return state
    fits = tuple(
        structs.replace(one, seconds=seconds) if one.fit == fit else one
        for one in state.pace.fits
    )
    return structs.replace(state, pace=structs.replace(state.pace, fits=fits))


def told_until(hold: Hold) -> str:
    """Return why something waits, and until when, in words."""
    return hold.why if hold.until is None else f"{hold.why}, until {instant(hold.until)}"


def instant(at: int) -> str:
    """Return a time as people read it, UTC, to the second.

    Examples
    --------
    >>> instant(0)
    '1970-01-01 00:00:00'
    """
    return dt.datetime.fromtimestamp(at / 1000, tz=dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def waits(
    state: entities.LoopState, policy: policies.Policy, *, at: int
) -> tuple[tuple[asked.Waiting, Hold | None], ...]:
    """Return each waiting request with what holds it."""
    return tuple((one, first_hold(state, one, policy, at=at)) for one in pace(state).waiting)
