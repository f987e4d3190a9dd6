"""Are answers wrong more often than answers as sure as they are used to be: the evidence.

An answer that was given with a chance of .02 to be wrong, and is, says far more than one given
with .45. `sequential` adds this evidence to that of the bare error rate. Told chances need not
be right: what counts is how often answers that were as sure were wrong while all was well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

EDGES = (
    *(0.001, 0.002, 0.004, 0.007, 0.012, 0.02, 0.03, 0.045, 0.065),
    *(0.09, 0.12, 0.16, 0.20, 0.25, 0.30, 0.36, 0.43, 0.5),
)
"""Upper edges of told chances of being wrong; one group more holds what is above the last."""
N_GROUPS = len(EDGES) + 1
WRONG_AT_LEAST = 10
"""Wrong answers of calm blocks in a group; smaller ones are joined with less sure ones."""
KEPT = 0.99
"""What a calm block leaves of those before: scores change their meaning when members do."""
_ENOUGH = 20  # residuals from which their spread is known; with 8 twice the false alarms at .95
_NEAR_HALF = 0.45  # from here on answers are guesses, and turning them round changes nothing

_NONE = (0.0,) * N_GROUPS


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Answers of a block and how many of them were wrong, by their told chance of that."""

    rows: tuple[int, ...]
    wrong: tuple[int, ...]


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What calm blocks were like: answers and wrong ones by group, older blocks counting less.

    `residuals` are how far blocks were off what was expected of them, in standard deviations;
    what is pending belongs to a rise under way, and is taken in once that has passed.
    """

    n_blocks: int = 0
    rows: tuple[float, ...] = _NONE
    wrong: tuple[float, ...] = _NONE
    residuals: tuple[float, ...] = ()
    n_pending: int = 0
    pending_rows: tuple[float, ...] = _NONE
    pending_wrong: tuple[float, ...] = _NONE
    pending_residuals: tuple[float, ...] = ()


class Expected(NamedTuple):
    """What a block should be like by the groups of `Known`, joined where they hold little.

    Attributes
    ----------
    rows, wrong
        Of the block.
    rates
        Chance of being wrong, as estimated.
    residual
        How far the block is off, in standard deviations, in the direction of `share`.
    margin
        Share of answers turned round that one standard error of the rates amounts to.
    """

    rows: tuple[float, ...]
    wrong: tuple[float, ...]
    rates: tuple[float, ...]
    residual: float
    margin: float

    @property
    def error(self) -> float:
        """Share of wrong answers that was to be expected of answers as sure as these."""
        n_wrong = math.fsum(n * rate for n, rate in zip(self.rows, self.rates, strict=True))
        return n_wrong / math.fsum(self.rows)


def tally(told: NDArray[np.float64], wrong: NDArray[np.bool_]) -> Tally:
    """Count answers, and wrong ones, by how likely they were said to be wrong.

    Parameters
    ----------
    told
        Chance of being wrong that the score gives the answer, in 0 to 1; shape ``(n,)``.
    wrong
        Whether it was; shape ``(n,)``.

    Returns
    -------
    Tally
        Counts of the `N_GROUPS` groups.

    Examples
    --------
    >>> found = tally(np.array([0.0005, 0.4, 0.4]), np.array([False, True, False]))
    >>> found.rows[0], found.rows[16], found.wrong[16]
    (1, 2, 1)
    """
    place = np.searchsorted(EDGES, told)
    rows = np.bincount(place, minlength=N_GROUPS)
    missed = np.bincount(place[np.asarray(wrong, dtype=bool)], minlength=N_GROUPS)
    return Tally(rows=tuple(rows.tolist()), wrong=tuple(missed.tolist()))


def expected(known: Known, seen: Tally, *, share: float) -> Expected:
    """Say what was to be expected of a block, from calm blocks before it alone.

    Parameters
    ----------
    known
        Of at least one block.
    seen
        The block.
    share
        Share of answers turned round whose direction the residual is measured in, inside
        (0, 1). The largest that is bet on: unsure answers count for more there, and where
        rows err together beyond their cases they vary the most.

    Returns
    -------
    Expected
        By group, joined where little is known.

    Notes
    -----
    Groups are joined with less sure ones until `WRONG_AT_LEAST` wrong answers are known of
    each; with few wrong answers in all there is one group, and only the error rate counts.
    """
    place = _joined(known.wrong)
    base_rows, base_wrong, rows, wrong = (
        _summed(each, place) for each in (known.rows, known.wrong, seen.rows, seen.wrong)
    )
    rates, own, noise, off, slope = [], 0.0, 0.0, 0.0, 0.0
    for n_base, n_missed, n, missed in zip(base_rows, base_wrong, rows, wrong, strict=True):
        rate = min(max((n_missed + 0.5) / (n_base + 1), 1e-4), 1 - 1e-4)
        weight = _logit(turned(rate, share)) - _logit(rate)
        spread = n * weight * weight * rate * (1 - rate)
        own += spread
        noise += spread * n / (n_base + 1)
        off += weight * (missed - n * rate)
        slope += n * weight * max(0.0, 1 - 2 * rate)
        rates.append(rate)
    return Expected(
        rows=rows,
        wrong=wrong,
        rates=tuple(rates),
        residual=off / math.sqrt(own + noise) if own > 0 else 0.0,
        margin=math.sqrt(noise) / slope if slope > 0 else 0.0,
    )


def gain(seen: Expected, *, accepted: float, rise: float, dispersion: float) -> float:
    """Return the log evidence of a block that a share of the answers was turned round.

    Parameters
    ----------
    seen
        From `expected`.
    accepted
        Share of answers turned round that is still accepted, 0 or more.
    rise
        Share that is bet on, on top of that.
    dispersion
        1 or more; the log is divided by it.

    Returns
    -------
    float
        In nats. Its exponential is an e-value for "given its group, no answer is wrong more
        often than `accepted` allows": a product of likelihood ratios, each decreasing where
        fewer are wrong [1]_; dividing by `dispersion` keeps it one (concavity).

    References
    ----------
    .. [1] R. Turner, A. Ly and P. Grünwald, "Generic E-variables for exact sequential
       k-sample tests that allow for optional stopping", JSPI 230, 2024.

    Examples
    --------
    >>> calm = Expected((90.0, 10.0), (1.0, 4.0), (0.01, 0.4), 0.0, 0.0)
    >>> harm = calm._replace(wrong=(5.0, 4.0))
    >>> [round(gain(s, accepted=0, rise=0.04, dispersion=1), 1) for s in (calm, harm)]
    [-2.0, 4.5]
    """
    logs = []
    for n, missed, rate in zip(seen.rows, seen.wrong, seen.rates, strict=True):
        low = turned(rate, accepted)
        high = turned(low, rise)
        logs.append(missed * math.log(high / low))
        logs.append((n - missed) * math.log((1 - high) / (1 - low)))
    return math.fsum(logs) / dispersion


def turned(rate: float, share: float) -> float:
    """Return a chance of being wrong once a share of the outcomes is turned round.

    Parameters
    ----------
    rate
        Inside (0, 1).
    share
        0 to 1.

    Returns
    -------
    float
        Inside (0, 1), `rate` or more.

    Notes
    -----
    ``r + share (1 - 2 r)``, at most .495: what a changed concept does where it meets sure and
    unsure answers alike. Guesses (.45 and more) stay what they are, and say nothing.

    Examples
    --------
    >>> round(turned(0.01, 0.05), 3), turned(0.6, 0.05)
    (0.059, 0.6)
    """
    return min(rate + share * (1 - 2 * rate), 0.495) if rate < _NEAR_HALF else rate


def squares(known: Known, *, blocks: int) -> tuple[float, int] | None:
    """Return the sum of the newest residuals' squares and their number.

    Parameters
    ----------
    known
        Of calm blocks.
    blocks
        How many of the newest.

    Returns
    -------
    tuple or None
        None while there are too few.
    """
    newest = known.residuals[-blocks:]
    if len(newest) < _ENOUGH:
        return None
    return math.fsum(each * each for each in newest), len(newest)


def calm(known: Known, seen: Tally, residual: float | None, *, blocks: int) -> Known:
    """Take in a block that passed for normal, and what was pending before it.

    Parameters
    ----------
    known
        Before the block.
    seen
        The block.
    residual
        Its residual, None while nothing was expected of it.
    blocks
        Residuals that are kept.

    Returns
    -------
    Known
        With nothing pending.
    """
    fresh = pending(known, seen, residual)
    faded = KEPT**fresh.n_pending
    return Known(
        n_blocks=known.n_blocks + fresh.n_pending,
        rows=_added(fresh.pending_rows, known.rows, faded),
        wrong=_added(fresh.pending_wrong, known.wrong, faded),
        residuals=(*known.residuals, *fresh.pending_residuals)[-blocks:],
    )


def pending(known: Known, seen: Tally, residual: float | None) -> Known:
    """Keep a block of a rise under way apart.

    Parameters
    ----------
    known, seen, residual
        As for `calm`.

    Returns
    -------
    Known
        With the block among what is pending.
    """
    return msgspec.structs.replace(
        known,
        n_pending=known.n_pending + 1,
        pending_rows=_added(seen.rows, known.pending_rows),
        pending_wrong=_added(seen.wrong, known.pending_wrong),
        pending_residuals=known.pending_residuals
        if residual is None
        else (*known.pending_residuals, residual),
    )


def _added(
    one: Sequence[float], other: Sequence[float], factor: float = 1.0
) -> tuple[float, ...]:
    return tuple(a + factor * b for a, b in zip(one, other, strict=True))


def _joined(wrong: Sequence[float]) -> tuple[int, ...]:
    """Return for each group the place of the joined one it is in."""
    place, found, held = 0, [], 0.0
    for each in wrong:
        found.append(place)
        held += each
        if held >= WRONG_AT_LEAST:
            place, held = place + 1, 0.0
    last = max(0, place - 1)
    return tuple(min(each, last) for each in found)


def _summed(values: Sequence[float], place: Sequence[int]) -> tuple[float, ...]:
    totals = [0.0] * (place[-1] + 1)
    for value, at in zip(values, place, strict=True):
        totals[at] += value
    return tuple(totals)


def _logit(rate: float) -> float:
    return math.log(rate / (1 - rate))
