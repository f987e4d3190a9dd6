"""Learns the residual corrector: a line, and a few small trees, from the logit that was given.

Called by the backtest and, live, by `relearning`. What is learned is a document of numbers,
which `measures.residual` applies. It learns on rows that were answered before their labels were
known, so that what it goes on from is out of sample and nothing has to be held out.
Whether its answers are given is decided by evidence, in `learn`.
"""

from __future__ import annotations

import math
import sys

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import forest, residual

TREES = 10
RATE = 0.1
PENALTY = 5.0
LEAST_ROWS = 20
BINS = 63
LINE_PENALTY = 1.0
LINE_HALF_LIFE = 4000.0
"""Rows after which a row counts half to the line; a line needs many rows to be steady."""
TREND_PENALTY = 20.0
"""Of how much a slope changes in `TREND_ROWS`; in fewer rows no change of slope is seen."""
TREND_ROWS = 2000
TREE_ROWS = 1000
"""Newest rows that the trees learn from: what they bend to passes sooner."""
NEWTON_STEPS = 8
HALVINGS = 10
LEAST_SPREAD = 1e-9
"""Of its centre; a column that spreads less stands still, up to rounding."""
BETS = (0.05, 0.15, 0.45, 0.9)
_LEAST_GAIN = 1e-12

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


def fit(features: Floats, chances: Floats, labels: NDArray[np.int8]) -> residual.Corrector:
    """Learn how far what was served is off.

    Parameters
    ----------
    features
        Shape ``(n, d)``, oldest row first, NaN where missing; categories as codes.
    chances
        Shape ``(n,)``, probability of 1 as the composite gave it, before the labels.
    labels
        Shape ``(n,)``, 0 or 1.

    Returns
    -------
    Corrector
        The same for the same arguments.

    Notes
    -----
    From ``logit(chances)`` first a logistic regression on standardised columns with L2
    penalty 1, in which a row counts half after every 4,000 rows. Of 2,000 rows and more each
    slope moves evenly over the rows (penalty 20 for 2,000 rows), and the line is what it has
    come to at the newest: a world that turns slowly is a line away from what was learned.
    Then on the newest 1,000 rows Newton boosting on the log loss [1]_: 10 trees of at most 7
    leaves, rate 0.1, L2 penalty 5, 20 rows or more in a leaf, on at most 63 quantile bins.

    References
    ----------
    .. [1] J. Friedman, "Greedy function approximation: a gradient boosting machine",
       Annals of Statistics 29, 2001.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 400)[:, None]
    >>> labels = (x[:, 0] > 0).astype(np.int8)
    >>> made = fit(x, np.full(400, 0.5), labels)
    >>> bool(residual.corrected(made, x, np.full(400, 0.5))[-1] > 0.6)
    True
    """
    columns = residual.with_start(features, residual.logit(chances))
    line = _line(columns, labels)
    columns, labels = columns[-TREE_ROWS:], labels[-TREE_ROWS:]
    codes, edges = _binned(columns)
    margin = columns[:, -1] + residual.along(line, columns)
    trees: list[forest.Tree] = []
    for _ in range(TREES):
        chance = residual.chance(margin)
        tree, leaves = _grow(codes, edges, chance - labels, chance * (1 - chance))
        if len(tree.column) == 1:
            break
        trees.append(tree)
        margin += np.asarray(tree.value)[leaves]
    return residual.Corrector(n_columns=columns.shape[1], line=line, trees=tuple(trees))


def growth(before: Floats, after: Floats, labels: NDArray[np.int8]) -> tuple[float, ...]:
    """Return the log wealth of bets that a correction is worth it, over the rows of a block.

    Parameters
    ----------
    before, after
        Shape ``(n,)``, probabilities without and with the correction.
    labels
        Shape ``(n,)``, 0 or 1.

    Returns
    -------
    tuple
        For each of `BETS`: the sum over rows of ``ln(1 + bet * gain)``, where the gain is
        the squared error before less that after; for "the correction gains nothing", the
        exponential of each has a mean of at most 1 [1]_.

    References
    ----------
    .. [1] I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by
       betting", JRSS B 86, 2024.
    """
    gains = ((before - labels) ** 2 - (after - labels) ** 2).tolist()
    return tuple(math.fsum(math.log1p(bet * gain) for gain in gains) for bet in BETS)


def _line(columns: Floats, labels: NDArray[np.int8]) -> residual.Line:
    """Fit a line that moves evenly over the rows; return where it is at the newest."""
    counts = 0.5 ** (np.arange(len(columns))[::-1] / LINE_HALF_LIFE)
    known = np.where(np.isnan(columns), 0.0, counts[:, None])
    values = np.nan_to_num(columns, nan=0.0)
    total = np.maximum(known.sum(axis=0), sys.float_info.min)
    centre = (known * values).sum(axis=0) / total
    spread = np.sqrt((known * (values - centre) ** 2).sum(axis=0) / total)
    spread = np.where(spread > LEAST_SPREAD * np.abs(centre), spread, np.inf)
    design = np.column_stack([residual.scaled(columns, centre, spread), np.ones(len(columns))])
    penalty = np.full(design.shape[1], LINE_PENALTY)
    if len(design) >= TREND_ROWS:
        since = np.arange(1 - len(design), 1) / TREND_ROWS
        penalty = np.append(penalty, np.full(design.shape[1], TREND_PENALTY))
        design = np.column_stack([design, design * since[:, None]])
    beta = _descended(design, labels, start=columns[:, -1], counts=counts, penalty=penalty)
    return residual.Line(
        centre=tuple(centre.tolist()),
        spread=tuple(np.minimum(spread, sys.float_info.max).tolist()),
        slope=tuple(beta[: columns.shape[1]].tolist()),
        intercept=float(beta[columns.shape[1]]),
    )


def _descended(
    design: Floats,
    labels: NDArray[np.int8],
    *,
    start: Floats,
    counts: Floats,
    penalty: Floats,
) -> Floats:
    """Return the slopes of least penalised log loss, by Newton steps.

    A step that would end higher is halved: where what was served is sure and wrong, the
    curvature is next to none, and whole steps run away.
    """

    def height(at: Floats) -> float:
        margin = start + design @ at
        lost = np.logaddexp(0.0, margin) - labels * margin
        return float(np.sum(counts * lost) + 0.5 * np.sum(penalty * at * at))

    beta = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = residual.chance(start + design @ beta)
        slope = design.T @ (counts * (chance - labels)) + penalty * beta
        bend = (design * (counts * chance * (1 - chance))[:, None]).T @ design
        step = np.linalg.solve(bend + np.diag(penalty), slope)
        here = height(beta)
        for _ in range(HALVINGS):
            if height(beta - step) <= here:
                beta = beta - step
                break
            step = step / 2
    return beta


def _binned(columns: Floats) -> tuple[Codes, list[Floats]]:
    """Code values by quantile bins; code 0 is a missing one."""
    codes = np.zeros(columns.shape, dtype=np.intp)
    edges: list[Floats] = []
    for k in range(columns.shape[1]):
        values = columns[:, k]
        known = np.unique(values[~np.isnan(values)])
        middle = (known[1:] + known[:-1]) / 2
        if len(middle) >= BINS:
            shares = np.quantile(values[~np.isnan(values)], np.linspace(0, 1, BINS + 1)[1:-1])
            middle = np.unique(shares)
        edges.append(middle)
        codes[:, k] = np.where(
            np.isnan(values), 0, np.searchsorted(middle, values, side="left") + 1
        )
    return codes, edges


class _Split(msgspec.Struct, frozen=True):
    gain: float
    column: int
    code: int
    missing_left: bool


def _grow(codes: Codes, edges: list[Floats], g: Floats, h: Floats) -> tuple[forest.Tree, Codes]:
    """Split the leaf with the largest gain until there are `forest.LEAVES`."""
    place = np.zeros(len(g), dtype=np.intp)
    column, threshold, missing, left, right = [-1], [0.0], [False], [-1], [-1]
    open_leaves = {0: _best_split(codes, g, h)}
    for _ in range(forest.LEAVES - 1):
        leaf = max(open_leaves, key=lambda node: (open_leaves[node].gain, -node))
        split = open_leaves.pop(leaf)
        if split.gain <= _LEAST_GAIN:
            break
        column[leaf], missing[leaf] = split.column, split.missing_left
        threshold[leaf] = _threshold(edges[split.column], split.code)
        left[leaf], right[leaf] = len(column), len(column) + 1
        inside = place == leaf
        code = codes[:, split.column]
        goes_left = np.where(code == 0, split.missing_left, code <= split.code)
        place[inside] = np.where(goes_left[inside], left[leaf], right[leaf])
        for node in (left[leaf], right[leaf]):
            column.append(-1)
            threshold.append(0.0)
            missing.append(False)
            left.append(-1)
            right.append(-1)
            rows = place == node
            open_leaves[node] = _best_split(codes[rows], g[rows], h[rows])
    sums = np.bincount(place, g, len(column)), np.bincount(place, h, len(column))
    value = np.where(np.array(column) < 0, -RATE * sums[0] / (sums[1] + PENALTY), 0.0)
    tree = forest.Tree(
        tuple(column),
        tuple(threshold),
        tuple(missing),
        tuple(left),
        tuple(right),
        tuple(value.tolist()),
    )
    return tree, place


def _threshold(edges: Floats, code: int) -> float:
    """Return the edge above a code; above the last one, all known values are left."""
    return float(edges[code - 1]) if code <= len(edges) else sys.float_info.max


def _best_split(codes: Codes, g: Floats, h: Floats) -> _Split:
    n_rows, n_columns = codes.shape
    if n_rows < 2 * LEAST_ROWS:
        return _Split(0.0, -1, 0, False)
    width = BINS + 1
    flat = (codes + np.arange(n_columns) * width).ravel()
    shape = (n_columns, width)
    counts = np.bincount(flat, minlength=n_columns * width).reshape(shape)
    sums = np.bincount(flat, np.repeat(g, n_columns), n_columns * width).reshape(shape)
    weights = np.bincount(flat, np.repeat(h, n_columns), n_columns * width).reshape(shape)
    total_g, total_h = float(g.sum()), float(h.sum())
    best = _Split(0.0, -1, 0, False)
    parent = total_g**2 / (total_h + PENALTY)
    for missing_left in (False, True):
        if missing_left and not counts[:, 0].any():
            break
        lost = 0 if missing_left else 1
        n_left = np.cumsum(counts, axis=1) - lost * counts[:, :1]
        g_left = np.cumsum(sums, axis=1) - lost * sums[:, :1]
        h_left = np.cumsum(weights, axis=1) - lost * weights[:, :1]
        g_right, h_right = total_g - g_left, total_h - h_left
        gain = g_left**2 / (h_left + PENALTY) + g_right**2 / (h_right + PENALTY) - parent
        allowed = (n_left >= LEAST_ROWS) & (n_rows - n_left >= LEAST_ROWS)
        allowed[:, 0] = False  # the bin of missing values has no threshold of its own
        gain = np.where(allowed, gain, 0.0)
        at = int(np.argmax(gain))
        if gain.flat[at] > best.gain:
            best = _Split(float(gain.flat[at]), at // width, at % width, missing_left)
    return best
