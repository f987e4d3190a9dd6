"""How large a regression's errors are before its labels come; monitoring shows it.

Direct loss estimation [1]_: what the size of an error depends on is learned from labelled rows
and asked about rows without a label. Here it depends on groups of the answer and of each
feature, added up: enough to see that rows moved to where the model is less sure. A change of
the outcome itself is not seen: the estimate is never the only ground for a decision.

References
----------
.. [1] NannyML, *Direct Loss Estimation*, documentation, 2022.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GROUPS = 5
LEAST_LABELS = 200
LEAST_ROWS = 30
RECENT = 0.25
_PENALTY = 5.0
_MOST_ERRORS = 3.0
_MOST_SHARE = 0.1
_MOST_OUTSIDE = 0.05


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """The mean absolute error that is expected, with its standard error; or why nothing is."""

    verdict: Literal["known", "unknown"]
    reason: str
    n_rows: int
    mae: float = 0.0
    standard_error: float = 0.0


def estimate(known: Floats, errors: Floats, waiting: Floats) -> Expected:
    """Estimate the mean absolute error of rows without a label.

    Parameters
    ----------
    known
        Shape ``(m, k)``: answer and features of labelled rows in time order, NaN where a value
        is missing.
    errors
        Shape ``(m,)``: absolute errors of these rows.
    waiting
        Shape ``(n, k)``: the same columns of rows without a label.

    Returns
    -------
    Expected
        Unknown with fewer than 200 labelled or 30 other rows, or where what was learned on the
        earlier three quarters does not foretell the last one: by more than three standard
        errors and a tenth of what was seen; or where more than 5 % of the rows have a value
        outside of what was labelled.

    Notes
    -----
    A model of the absolute error, learned from answer and features of labelled rows, foretells
    that of the others. Holds while the same cases are answered as
    wrongly as before: it sees what other cases cost, not a changed concept. The error is that
    of independent rows; it tells and decides nothing.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(0, 1, size=(800, 1))
    >>> errors = np.abs(rng.normal(size=800)) * (1 + 4 * (x[:, 0] > 0.8))
    >>> found = estimate(x, errors, np.full((200, 1), 0.9))
    >>> found.verdict, bool(found.mae > 2 * errors.mean())
    ('known', True)
    """
    if len(errors) < LEAST_LABELS or len(waiting) < LEAST_ROWS:
        told = (
            f"{len(errors):,} labelled rows and {len(waiting):,} without a label; "
            f"{LEAST_LABELS} and {LEAST_ROWS} are needed"
        )
        return Expected(verdict="unknown", reason=told, n_rows=len(waiting))
    split = int(len(errors) * (1 - RECENT))
    learned = _Learned(known[:split], errors[:split])
    recent = errors[split:]
    gap = float(learned.foretold(known[split:]).mean() - recent.mean())
    noise = float(np.hypot(recent.std(ddof=1), learned.spread) / np.sqrt(len(recent)))
    if abs(gap) > _MOST_ERRORS * noise and abs(gap) > _MOST_SHARE * recent.mean():
        told = (
            f"the newest {len(recent):,} labelled rows were wrong by {recent.mean():.4g} where "
            f"{gap + recent.mean():.4g} was expected"
        )
        return Expected(verdict="unknown", reason=told, n_rows=len(waiting))
    strange = _outside(known, waiting)
    if strange > _MOST_OUTSIDE:
        told = f"{strange:.0%} of the rows have a value outside of all labelled ones"
        return Expected(verdict="unknown", reason=told, n_rows=len(waiting))
    whole = _Learned(known, errors)
    error = whole.spread * float(np.sqrt(1 / len(waiting) + 1 / len(errors)))
    return Expected(
        verdict="known",
        reason="",
        n_rows=len(waiting),
        mae=float(whole.foretold(waiting).mean()),
        standard_error=error,
    )


def _outside(known: Floats, waiting: Floats) -> float:
    """Share of rows with a value below or above all that are labelled."""
    low, high = np.fmin.reduce(known), np.fmax.reduce(known)
    return float(((waiting < low) | (waiting > high)).any(axis=1).mean())


class _Learned:
    """Mean absolute error by groups of each column, added up; fitted by ridge regression."""

    def __init__(self, rows: Floats, errors: Floats) -> None:
        inner = np.linspace(0, 1, GROUPS + 1)[1:-1]
        self._cuts = [
            np.unique(np.quantile(column[~np.isnan(column)], inner))
            if (~np.isnan(column)).any()
            else np.empty(0)
            for column in rows.T
        ]
        self._mean = float(errors.mean())
        x = self._coded(rows)
        self._centre = x.mean(axis=0)
        centred = x - self._centre
        gram = centred.T @ centred + _PENALTY * np.eye(x.shape[1])
        self._weights: Floats = np.linalg.solve(gram, centred.T @ (errors - self._mean))
        self.spread = float(np.std(errors - self.foretold(rows)))

    def foretold(self, rows: Floats) -> Floats:
        found = self._mean + (self._coded(rows) - self._centre) @ self._weights
        return np.asarray(np.maximum(found, 0.0))

    def _coded(self, rows: Floats) -> Floats:
        parts = []
        for column, cuts in zip(rows.T, self._cuts, strict=True):
            place = np.searchsorted(cuts, column, side="right")
            place = np.where(np.isnan(column), len(cuts) + 1, place)
            parts.append(np.eye(len(cuts) + 2)[place])
        return np.concatenate(parts, axis=1)
