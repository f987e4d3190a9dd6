"""The loss of a regressor before its outcomes come, learnt from the rows where it is known.

Direct loss estimation: a small model says how far off the answer usually is for such a row.
Monitoring shows it beside `estimation`.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.integer]

LEAST_ROWS = 30
LEAST_LABELS = 300
_ROUNDS = 150
_RATE = 0.1
_LEAST_LEAF = 20
_FOLDS = 4
_Z = 4.0


class LossModel(msgspec.Struct, frozen=True, kw_only=True):
    """Expected loss of a row: `base` plus one effect for the group of each column.

    `effects` has a tuple for each column, one effect a group. `explained` is the share of the
    variance of the loss it explains in rows it was not fitted on; `bias` its mean error there
    in standard errors.
    """

    base: float
    effects: tuple[tuple[float, ...], ...]
    n_rows: int
    deviation: float
    explained: float
    bias: float


class ExpectedLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Mean loss a window is expected to have, in the unit of the loss."""

    verdict: Literal["known", "unknown"]
    reason: str
    value: float
    standard_error: float
    n_rows: int


def fit(codes: Codes, losses: Floats) -> LossModel:
    """Learn the loss from labelled rows.

    Parameters
    ----------
    codes
        Shape ``(n, k)``: group of each row in each column, from 0, ordered where the column
        is (see `drift.group_bins`); the model's answer should be one of the columns.
    losses
        Shape ``(n,)``, finite: such as absolute errors, of rows the model was not fitted on.

    Returns
    -------
    LossModel
        Boosted trees of one split each, so columns add and do not interact.

    Raises
    ------
    ValueError
        When the two differ in length or there is no row.

    References
    ----------
    .. [1] J. H. Friedman, "Greedy function approximation: a gradient boosting machine",
       Annals of Statistics 29, 2001.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> codes = rng.integers(0, 10, (4000, 2))
    >>> found = fit(codes, np.abs(rng.normal(size=4000)) * (1 + codes[:, 0]))
    >>> found.explained > 0.2
    True
    """
    y = np.asarray(losses, dtype=np.float64)
    if codes.ndim != 2 or len(codes) != len(y) or not len(y):  # noqa: PLR2004 - a table
        msg = f"need a table of groups and a loss for each row; got {codes.shape}, {len(y)}"
        raise ValueError(msg)
    groups = codes.astype(np.intp)
    widths = (groups.max(axis=0) + 1).tolist()
    folds = np.random.default_rng(0).permutation(len(y)) % _FOLDS
    crossed = np.full(len(y), float(y.mean()))
    if len(y) >= LEAST_LABELS:
        for fold in range(_FOLDS):
            out = folds == fold
            base, effects = _boost(groups[~out], y[~out], widths)
            crossed[out] = _predict(groups[out], base, effects)
    base, effects = _boost(groups, y, widths)
    deviation = float((y - crossed).std())
    spread = float(y.var())
    error = deviation / math.sqrt(len(y))
    return LossModel(
        base=base,
        effects=tuple(tuple(effect.tolist()) for effect in effects),
        n_rows=len(y),
        deviation=deviation,
        explained=1 - deviation**2 / spread if spread else 0.0,
        bias=float((y - crossed).mean()) / error if error else 0.0,
    )


def _boost(groups: Codes, y: Floats, widths: list[int]) -> tuple[float, list[Floats]]:
    base = float(y.mean())
    effects = [np.zeros(width) for width in widths]
    counts = [np.bincount(groups[:, j], minlength=w) for j, w in enumerate(widths)]
    left = y - base
    for _ in range(_ROUNDS):
        best = (0.0, -1, 0, 0.0, 0.0)
        total = float(left.sum())
        for j, width in enumerate(widths):
            sums = np.cumsum(np.bincount(groups[:, j], weights=left, minlength=width))[:-1]
            below = np.cumsum(counts[j])[:-1]
            above = len(y) - below
            fits = (below >= _LEAST_LEAF) & (above >= _LEAST_LEAF)
            if not fits.any():
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                gains = np.where(fits, sums**2 / below + (total - sums) ** 2 / above, 0.0)
            cut = int(np.argmax(gains))
            if gains[cut] > best[0]:
                low = float(sums[cut]) / int(below[cut])
                high = (total - float(sums[cut])) / int(above[cut])
                best = (float(gains[cut]), j, cut + 1, low, high)
        gain, j, cut, low, high = best
        if j < 0 or gain <= total**2 / len(y) + 1e-12:
            break
        step = np.where(np.arange(widths[j]) < cut, low, high) * _RATE
        effects[j] += step
        left -= step[groups[:, j]]
    return base, effects


def _predict(groups: Codes, base: float, effects: list[Floats]) -> Floats:
    found = np.full(len(groups), base)
    for j, effect in enumerate(effects):
        found += effect[np.minimum(groups[:, j], len(effect) - 1)]
    return found


def estimate(codes: Codes, model: LossModel) -> ExpectedLoss:
    """Estimate the mean loss of a window without its outcomes.

    Parameters
    ----------
    codes
        Shape ``(n, k)``, n >= 1: groups as in `fit`.
    model
        From `fit` on the same columns.

    Returns
    -------
    ExpectedLoss
        The standard error is that of the realised mean around the expected one. Unknown with
        fewer than 30 rows or 300 labelled rows, when the model of the loss was biased on rows
        it had not seen, and when more than 5 % of rows are in groups no labelled row was in.

    Raises
    ------
    ValueError
        When the columns are not those of the model, or there is no row.

    References
    ----------
    .. [1] NannyML, "Direct loss estimation", 2022: the idea; there with LightGBM.
    """
    if codes.ndim != 2 or codes.shape[1] != len(model.effects) or not len(codes):  # noqa: PLR2004
        msg = f"need rows of {len(model.effects)} columns; got {codes.shape}"
        raise ValueError(msg)
    groups = codes.astype(np.intp)
    effects = [np.asarray(effect) for effect in model.effects]
    expected = _predict(groups, model.base, effects)
    widths = np.array([len(effect) for effect in effects])
    outside = float(np.mean(np.any(groups >= widths, axis=1)))
    doubts = (
        (len(codes) < LEAST_ROWS, f"not enough data: {len(codes)} rows, {LEAST_ROWS} needed"),
        (
            model.n_rows < LEAST_LABELS,
            f"learnt from {model.n_rows} labelled rows; {LEAST_LABELS} are needed",
        ),
        (abs(model.bias) > _Z, f"the model of the loss is off by {model.bias:.1f} deviations"),
        (outside > 0.05, f"{outside:.0%} of the rows are unlike any labelled row"),  # noqa: PLR2004
    )
    reason = next((told for is_so, told in doubts if is_so), "")
    return ExpectedLoss(
        verdict="unknown" if reason else "known",
        reason=reason,
        value=float(expected.mean()),
        standard_error=model.deviation / math.sqrt(len(codes)),
        n_rows=len(codes),
    )
