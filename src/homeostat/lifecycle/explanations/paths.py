"""Exact Shapley values of decision trees, leaf by leaf in plain numpy; called by `histogram`.

A leaf is reached when every column on its way satisfies all tests made of it. With the share of
training rows in place of a column that is not known, the value of a set of known columns is a
product over the columns of the way, and its Shapley value is one integral of a polynomial in
one variable, which Gauss-Legendre quadrature of half as many points takes without error: no
walk over subsets, no recursion, all leaves of all trees at once.

References
----------
.. [1] S. Lundberg et al., "From local explanations to global understanding with explainable AI
   for trees", *Nature Machine Intelligence* 2, 2020 (the value of a set: path-dependent).
.. [2] P. Yu et al., "Linear TreeShap", *NeurIPS* 2022 (leaves as polynomials).
.. [3] G. Owen, "Multilinear extensions of games", *Management Science* 18, 1972 (the integral).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_SLOTS_AT_ONCE = 32_768  # a piece that stays in the second-level cache


class Tree(NamedTuple):
    """One tree; lists run over its nodes, the root first.

    `counts` are training rows in each node, above 0; `left`, `right` and `inputs` mean nothing
    for a leaf, `values` nothing for another node.
    """

    left: Sequence[int]
    right: Sequence[int]
    inputs: Sequence[int]
    counts: Sequence[float]
    values: Sequence[float]
    is_leaf: Sequence[bool]


class Paths(NamedTuple):
    """All leaves of an ensemble, the shortest way first; a slot is one input on a leaf's way.

    `widths` counts the slots of each leaf. `inputs` and `shares` have shape
    ``(leaves, slots)``; an unused slot has input `n_inputs` and share 1. `places` are the used
    slots, `starts` where the tests of each begin in `nodes` (numbered over all trees) and
    `turns` (whether the way goes left there).
    """

    n_inputs: int
    values: Floats
    widths: Ints
    inputs: Ints
    shares: Floats
    places: Ints
    starts: Ints
    nodes: Ints
    turns: Flags

    @property
    def base(self) -> float:
        """What the trees say while nothing is known."""
        return float(self.values @ self.shares.prod(axis=1))


def collect(trees: Sequence[Tree], n_inputs: int) -> Paths:
    """Write down the way to every leaf.

    Parameters
    ----------
    trees
        1 or more.
    n_inputs
        Columns that the trees are given.

    Returns
    -------
    Paths
        To be used by `contributions` as often as wanted.
    """
    leaves: list[tuple[float, dict[int, tuple[float, list[tuple[int, bool]]]]]] = []
    first = 0
    for tree in trees:
        waiting: list[tuple[int, dict[int, tuple[float, list[tuple[int, bool]]]]]] = [(0, {})]
        while waiting:
            node, way = waiting.pop()
            if tree.is_leaf[node]:
                leaves.append((float(tree.values[node]), way))
                continue
            which = int(tree.inputs[node])
            share, tests = way.get(which, (1.0, []))
            for child, turn in ((tree.left[node], True), (tree.right[node], False)):
                part = float(tree.counts[child]) / float(tree.counts[node])
                taken = (share * part, [*tests, (first + node, turn)])
                waiting.append((int(child), {**way, which: taken}))
        first += len(tree.is_leaf)
    return _laid_out(leaves, n_inputs)


def contributions(paths: Paths, goes_left: Flags) -> Floats:
    """Return the Shapley value of each input for each row.

    Parameters
    ----------
    paths
        From `collect`.
    goes_left
        Shape ``(rows, nodes)``, nodes numbered over all trees: whether a row, were it there,
        would go left.

    Returns
    -------
    numpy.ndarray
        Shape ``(rows, n_inputs)``. With ``paths.base`` a row's values add up to the sum of the
        leaves it reaches, to rounding.

    Examples
    --------
    A single test with 3 of 4 training rows on its left:

    >>> tree = Tree([1, 0, 0], [2, 0, 0], [0, 0, 0], [4, 3, 1], [0, 1.0, 5.0], [0, 1, 1])
    >>> paths = collect([tree], 2)
    >>> paths.base
    2.0
    >>> contributions(paths, np.array([[False, False, False]])).tolist()
    [[3.0, 0.0]]
    """
    n_leaves, n_slots = paths.inputs.shape
    found = np.zeros((len(goes_left), paths.n_inputs))
    pieces = _pieces(paths)
    for row, turned in enumerate(goes_left):
        gains = np.zeros((n_leaves, n_slots))
        if len(paths.places):
            holds = np.logical_and.reduceat(turned[paths.nodes] == paths.turns, paths.starts)
            gains.ravel()[paths.places] = holds - paths.shares.ravel()[paths.places]
        for part, points, weights in pieces:
            worth = _weighed(paths.shares[part], gains[part], points, weights)
            worth *= gains[part] * paths.values[part[0], None]
            sums = np.bincount(
                paths.inputs[part].ravel(), worth.ravel(), minlength=paths.n_inputs + 1
            )
            found[row] += sums[: paths.n_inputs]
    return found


def _pieces(paths: Paths) -> list[tuple[tuple[slice, slice], Floats, Floats]]:
    """Cut the leaves into pieces of about equal width, each with its points of quadrature."""
    pieces = []
    start, n_leaves = 0, len(paths.widths)
    while start < n_leaves:
        width = int(paths.widths[start])
        end = min(n_leaves, start + max(1, _SLOTS_AT_ONCE // max(1, width)))
        width = int(paths.widths[end - 1])
        # Exact for the product over the other slots, a polynomial of degree width - 1.
        points, weights = np.polynomial.legendre.leggauss(max(1, -(-width // 2)))
        part = (slice(start, end), slice(0, width))
        pieces.append((part, (points + 1.0) / 2.0, weights / 2.0))
        start = end
    return pieces


def _weighed(shares: Floats, gains: Floats, points: Floats, weights: Floats) -> Floats:
    """Integrate, for each slot, the product over the other slots of its leaf."""
    total = np.zeros_like(shares)
    for point, weight in zip(points, weights, strict=True):
        # Never 0: the share of a way that training rows took is above 0, and so is 1 - point.
        terms = shares + gains * point
        total += (weight * terms.prod(axis=1))[:, None] / terms
    return total


def _laid_out(
    leaves: Sequence[tuple[float, dict[int, tuple[float, list[tuple[int, bool]]]]]],
    n_inputs: int,
) -> Paths:
    leaves = sorted(leaves, key=lambda leaf: len(leaf[1]))
    n_slots = len(leaves[-1][1])
    inputs = np.full((len(leaves), n_slots), n_inputs, dtype=np.int64)
    shares = np.ones((len(leaves), n_slots))
    places: list[int] = []
    starts: list[int] = []
    nodes: list[int] = []
    turns: list[bool] = []
    for leaf, (_, way) in enumerate(leaves):
        for slot, (which, (share, tests)) in enumerate(way.items()):
            inputs[leaf, slot] = which
            shares[leaf, slot] = share
            places.append(leaf * n_slots + slot)
            starts.append(len(nodes))
            nodes += [node for node, _ in tests]
            turns += [turn for _, turn in tests]
    return Paths(
        n_inputs,
        np.array([value for value, _ in leaves], dtype=np.float64),
        np.array([len(way) for _, way in leaves], dtype=np.int64),
        inputs,
        shares,
        np.array(places, dtype=np.int64),
        np.array(starts, dtype=np.int64),
        np.array(nodes, dtype=np.int64),
        np.array(turns, dtype=np.bool_),
    )
