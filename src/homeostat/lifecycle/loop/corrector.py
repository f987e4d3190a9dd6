"""The residual corrector: a few small trees that go on from the logit that was served.

Called by the backtest. A corrector is a document of plain numbers (no pickle, no library is
needed to answer with it). It learns on rows that were answered before their labels were
known, so that what it goes on from is out of sample and nothing has to be held out.
Whether its answers are given is decided by evidence, in `learn`.
"""

from __future__ import annotations

import math
import sys

import msgspec
import numpy as np
from numpy.typing import NDArray

TREES = 10
LEAVES = 7
RATE = 0.1
PENALTY = 5.0
LEAST_ROWS = 20
BINS = 63
LINE_PENALTY = 50.0
LINE_CLIP = 4.0
NEWTON_STEPS = 4
LARGEST_LOGIT = 30.0
LARGEST_VALUE = 1e100
"""Squares and their sums must stay finite."""
CLIP = 0.001
BETS = (0.05, 0.15, 0.45, 0.9)
_LEAST_GAIN = 1e-12

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


class Tree(msgspec.Struct, frozen=True, array_like=True):
    """Nodes in the order they were made; node 0 is the root.

    A row goes left where ``column[node]`` is at most ``threshold[node]``; a missing value
    goes left where ``missing_left[node]``. ``column`` is -1 in a leaf, which adds ``value``.
    """

    column: tuple[int, ...]
    threshold: tuple[float, ...]
    missing_left: tuple[bool, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """``intercept + sum slope * clip((x - centre) / spread)``; a missing value adds nothing."""

    centre: tuple[float, ...]
    spread: tuple[float, ...]
    slope: tuple[float, ...]
    intercept: float


class Corrector(msgspec.Struct, frozen=True, kw_only=True):
    """What is added to the logit that was served: a line, then trees.

    Columns are the features and, as the last one, the logit of what was served.
    """

    n_columns: int
    line: Line
    trees: tuple[Tree, ...]


def logit(chances: Floats) -> Floats:
    """Return the logits of probabilities, which are clipped to 0.001 to 0.999 before."""
    clipped = np.clip(chances, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)), dtype=np.float64)


def fit(features: Floats, chances: Floats, labels: NDArray[np.int8]) -> Corrector:
    """Learn how far what was served is off.

    Parameters
    ----------
    features
        Shape ``(n, d)``, NaN where missing; categories as codes.
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
    penalty (a world that turns slowly is a line away from what was learned), then Newton
    boosting on the log loss [1]_: 10 trees of at most 7 leaves, rate 0.1, L2 penalty 5, 20
    rows or more in a leaf, on at most 63 quantile bins.

    References
    ----------
    .. [1] J. Friedman, "Greedy function approximation: a gradient boosting machine",
       Annals of Statistics 29, 2001.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 400)[:, None]
    >>> labels = (x[:, 0] > 0).astype(np.int8)
    >>> made = fit(x, np.full(400, 0.5), labels)
    >>> bool(corrected(made, x, np.full(400, 0.5))[-1] > 0.6)
    True
    """
    columns = _columns(features, logit(chances))
    codes, edges = _binned(columns)
    line = _line(columns, labels)
    margin = columns[:, -1] + _along(line, columns)
    trees: list[Tree] = []
    for _ in range(TREES):
        chance = _chances(margin)
        tree, leaves = _grow(codes, edges, chance - labels, chance * (1 - chance))
        if len(tree.column) == 1:
            break
        trees.append(tree)
        margin += np.asarray(tree.value)[leaves]
    return Corrector(n_columns=columns.shape[1], line=line, trees=tuple(trees))


def corrected(corrector: Corrector, features: Floats, chances: Floats) -> Floats:
    """Return the corrected probabilities of rows.

    Parameters
    ----------
    corrector
        From `fit`.
    features
        Shape ``(n, d)`` with the columns it was fitted on.
    chances
        Shape ``(n,)``, what the composite says of these rows.

    Returns
    -------
    NDArray
        Shape ``(n,)``, inside (0, 1).
    """
    start = logit(chances)
    columns = _columns(features, start)
    margin = start + _along(corrector.line, columns)
    for tree in corrector.trees:
        margin += np.asarray(tree.value)[_leaves(tree, columns)]
    return _chances(margin)


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


def _columns(features: Floats, start: Floats) -> Floats:
    return np.column_stack([np.clip(features, -LARGEST_VALUE, LARGEST_VALUE), start])


def _chances(margin: Floats) -> Floats:
    clipped = np.clip(margin, -LARGEST_LOGIT, LARGEST_LOGIT)
    return np.asarray(1 / (1 + np.exp(-clipped)), dtype=np.float64)


def _line(columns: Floats, labels: NDArray[np.int8]) -> Line:
    """Fit the line by damped Newton steps; the intercept is penalised least."""
    known = ~np.isnan(columns)
    n_known = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, columns, 0.0).sum(axis=0) / n_known
    spread = np.sqrt(np.where(known, (columns - centre) ** 2, 0.0).sum(axis=0) / n_known)
    spread = np.where(spread > 0, spread, np.inf)
    design = np.column_stack([_scaled(columns, centre, spread), np.ones(len(columns))])
    penalty = np.full(design.shape[1], LINE_PENALTY)
    penalty[-1] = 1.0
    beta = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = _chances(columns[:, -1] + design @ beta)
        slope = design.T @ (chance - labels) + penalty * beta
        bend = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(penalty)
        beta -= np.linalg.solve(bend, slope)
    return Line(
        centre=tuple(centre.tolist()),
        spread=tuple(np.minimum(spread, sys.float_info.max).tolist()),
        slope=tuple(beta[:-1].tolist()),
        intercept=float(beta[-1]),
    )


def _along(line: Line, columns: Floats) -> Floats:
    scaled = _scaled(columns, np.asarray(line.centre), np.asarray(line.spread))
    return np.asarray(scaled @ np.asarray(line.slope) + line.intercept, dtype=np.float64)


def _scaled(columns: Floats, centre: Floats, spread: Floats) -> Floats:
    scaled = np.clip((columns - centre) / spread, -LINE_CLIP, LINE_CLIP)
    return np.where(np.isnan(scaled), 0.0, scaled)


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


def _grow(codes: Codes, edges: list[Floats], g: Floats, h: Floats) -> tuple[Tree, Codes]:
    """Split the leaf with the largest gain until there are `LEAVES`."""
    place = np.zeros(len(g), dtype=np.intp)
    column, threshold, missing, left, right = [-1], [0.0], [False], [-1], [-1]
    open_leaves = {0: _best_split(codes, g, h)}
    for _ in range(LEAVES - 1):
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
    tree = Tree(
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


def _leaves(tree: Tree, columns: Floats) -> Codes:
    """Return the leaf of each row; a node's children come after it."""
    place = np.zeros(len(columns), dtype=np.intp)
    for node, column in enumerate(tree.column):
        if column < 0:
            continue
        inside = np.flatnonzero(place == node)
        values = columns[inside, column]
        goes_left = np.where(
            np.isnan(values), tree.missing_left[node], values <= tree.threshold[node]
        )
        place[inside] = np.where(goes_left, tree.left[node], tree.right[node])
    return place
