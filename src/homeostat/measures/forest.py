"""Small trees as plain numbers, and what many of them say of many rows; used by `residual`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

LEAVES: Final = 7
ALL_LEAVES: Final = np.uint8(255)

Floats = NDArray[np.float64]


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


class Splits(NamedTuple):
    """Splits of all trees side by side, so many for each; one bit for each leaf of a tree.

    `possible` are the leaves that are left to a row that goes right; `value` holds for each
    tree what a row gets by the leaves that are left to it.
    """

    column: NDArray[np.intp]
    threshold: Floats
    missing_left: NDArray[np.bool_]
    possible: NDArray[np.uint8]
    value: list[Floats]


def splits(trees: Sequence[Tree]) -> Splits:
    """Return the splits of trees side by side.

    Parameters
    ----------
    trees
        Each of at most `LEAVES` leaves.

    Returns
    -------
    Splits
        A row that goes right at a split cannot end in a leaf to its left; the leaf it ends in
        is the first that is left [1]_.

    References
    ----------
    .. [1] C. Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive
       ensembles of regression trees", SIGIR 2015.
    """
    shape = (len(trees), LEAVES - 1)
    column, threshold = np.zeros(shape, dtype=np.intp), np.full(shape, np.inf)
    missing_left, possible = np.ones(shape, dtype=np.bool_), np.full(shape, ALL_LEAVES)
    values = []
    for at, tree in enumerate(trees):
        order: list[int] = []
        below: dict[int, list[int]] = {}
        _walk(tree, 0, order, below)
        for place, node in enumerate(sorted(below)):
            column[at, place] = tree.column[node]
            threshold[at, place] = tree.threshold[node]
            missing_left[at, place] = tree.missing_left[node]
            possible[at, place] = ALL_LEAVES - sum(1 << leaf for leaf in below[node])
        found = np.zeros(256)
        for ends in range(1, 256):
            first = (ends & -ends).bit_length() - 1
            found[ends] = tree.value[order[min(first, len(order) - 1)]]
        values.append(found)
    return Splits(
        column.ravel(), threshold.ravel(), missing_left.ravel(), possible.ravel(), values
    )


def _walk(tree: Tree, node: int, order: list[int], below: dict[int, list[int]]) -> None:
    """Give leaves their places from left to right; note for each split those to its left."""
    if tree.column[node] < 0:
        order.append(node)
        return
    first = len(order)
    _walk(tree, tree.left[node], order, below)
    below[node] = list(range(first, len(order)))
    _walk(tree, tree.right[node], order, below)


def leaves(tree: Tree, columns: Floats) -> NDArray[np.intp]:
    """Return the leaf of each row.

    Parameters
    ----------
    tree
        A node's children come after it.
    columns
        Shape ``(n, d)``, NaN where missing.

    Returns
    -------
    NDArray
        Shape ``(n,)``, places of nodes.
    """
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
