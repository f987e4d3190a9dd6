"""Trees of any library as flat arrays, and those as one node of an ONNX graph; for `twin`.

Comparisons are kept exactly: thresholds stay double, rows are rounded to single precision
where the library does so, and a test on an encoded column becomes one on the places of its
values: a set of them goes left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.registry.twin_features import Feature, NoTwinError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Test = Callable[[NDArray[Any]], NDArray[np.bool_]]

# Modes of a node in ai.onnx.ml 5; what holds goes the true way.
LEQ, LT, EQ, MEMBER = 0, 1, 4, 6


class Tree(NamedTuple):
    """One tree; children count on from the nodes to the leaves.

    Attributes
    ----------
    features, thresholds, modes
        Of each node.
    lefts, rights
        Child where the test holds, and where not: a node, or ``n_nodes + leaf``.
    missing
        Whether a missing number goes left.
    leaves
        Value of each leaf.
    target
        Which sum the leaves add to.
    tests
        By node, for those on a set of categories: says of values whether they go left.
    """

    features: Integers
    thresholds: Floats
    modes: NDArray[np.uint8]
    lefts: Integers
    rights: Integers
    missing: NDArray[np.bool_]
    leaves: Floats
    target: int
    tests: dict[int, Test]


class Forest(NamedTuple):
    """Trees whose leaves are summed per target.

    `is_single` where the library rounds rows to single precision before it compares.
    """

    trees: list[Tree]
    n_targets: int
    is_single: bool


def tree(
    features: Any,
    thresholds: Any,
    lefts: Any,
    rights: Any,
    *,
    missing: Any,
    is_leaf: Any,
    values: Any,
    tests: dict[int, Test] | None = None,
) -> Tree:
    """Return a tree whose nodes and leaves share one numbering, as most libraries have it.

    Parameters
    ----------
    features, thresholds, lefts, rights, missing, values
        One for each node and leaf, each of shape ``(n,)``; the first is the root.
    is_leaf
        Which are leaves.
    tests
        As in `Tree`, by the shared numbering.
    """
    is_leaf = np.asarray(is_leaf, dtype=bool)
    inner = np.flatnonzero(~is_leaf)
    places = np.empty(len(is_leaf), dtype=np.int64)
    places[inner] = np.arange(len(inner))
    places[is_leaf] = len(inner) + np.arange(int(is_leaf.sum()))
    if len(inner) == 0:
        return stump(float(np.asarray(values)[0]))
    return Tree(
        np.asarray(features, dtype=np.int64)[inner],
        np.asarray(thresholds, dtype=np.float64)[inner],
        np.full(len(inner), LEQ, dtype=np.uint8),
        places[np.asarray(lefts, dtype=np.int64)[inner]],
        places[np.asarray(rights, dtype=np.int64)[inner]],
        np.asarray(missing, dtype=bool)[inner],
        np.asarray(values, dtype=np.float64)[is_leaf],
        0,
        {int(places[at]): test for at, test in (tests or {}).items()},
    )


def stump(value: float) -> Tree:
    """Return a tree that answers one value; ONNX knows none without a node."""
    ones = np.zeros(1, dtype=np.int64)
    return Tree(
        ones,
        np.zeros(1),
        np.full(1, LEQ, dtype=np.uint8),
        ones + 1,
        ones + 2,
        np.zeros(1, dtype=bool),
        np.array([value, value]),
        0,
        {},
    )


def attributes(
    forest: Forest, features: Sequence[Feature], *, columns: Sequence[int]
) -> dict[str, Any]:
    """Return the attributes of the node ``TreeEnsemble`` of ai.onnx.ml 5.

    Parameters
    ----------
    forest
        The trees.
    features
        What the trees' features are.
    columns
        For each feature, its column in the rows of the node: its number, or the place of its
        value counted from 1.

    Returns
    -------
    dict
        Name to numpy array or integer.

    Raises
    ------
    NoTwinError
        When a test on categories meets a number.
    """
    sets = _Sets(features, is_single=forest.is_single)
    parts: list[tuple[Any, ...]] = []
    members: list[Floats] = []
    roots, n_nodes, n_leaves = [], 0, 0
    for one in forest.trees:
        thresholds, modes = one.thresholds.copy(), one.modes.copy()
        lefts, rights = one.lefts.copy(), one.rights.copy()
        for at in np.flatnonzero(sets.is_coded[one.features]).tolist():
            modes[at], thresholds[at], chosen, is_swapped = sets.test(one, at)
            if is_swapped:
                lefts[at], rights[at] = rights[at], lefts[at]
            if chosen is not None:
                members.append(chosen)
        if any(not sets.is_coded[one.features[at]] for at in one.tests):
            raise NoTwinError("a tree tests categories of a column that is a number")
        n = len(one.features)
        ways = [
            (np.where(way >= n, way - n + n_leaves, way + n_nodes), way >= n)
            for way in (lefts, rights)
        ]
        parts.append((one, thresholds, modes, ways))
        roots.append(n_nodes)
        n_nodes += n
        n_leaves += len(one.leaves)

    def joined(pick: Callable[[tuple[Any, ...]], Any], kind: Any) -> NDArray[Any]:
        return np.concatenate([pick(part) for part in parts]).astype(kind)

    made = {
        "n_targets": forest.n_targets,
        "aggregate_function": 1,
        "post_transform": 0,
        "tree_roots": np.array(roots, dtype=np.int64),
        "nodes_modes": joined(lambda part: part[2], np.uint8),
        "nodes_featureids": np.asarray(columns, dtype=np.int64)[
            joined(lambda part: part[0].features, np.int64)
        ],
        "nodes_splits": joined(lambda part: part[1], np.float64),
        "nodes_missing_value_tracks_true": joined(lambda part: part[0].missing, np.int64),
        "nodes_truenodeids": joined(lambda part: part[3][0][0], np.int64),
        "nodes_trueleafs": joined(lambda part: part[3][0][1], np.int64),
        "nodes_falsenodeids": joined(lambda part: part[3][1][0], np.int64),
        "nodes_falseleafs": joined(lambda part: part[3][1][1], np.int64),
        "leaf_targetids": joined(
            lambda part: np.full(len(part[0].leaves), part[0].target), np.int64
        ),
        "leaf_weights": joined(lambda part: part[0].leaves, np.float64),
    }
    if members:
        made["membership_values"] = np.concatenate(members)
    return made


class _Sets:
    """Tests on features that have a place for each value, each worked out once."""

    def __init__(self, features: Sequence[Feature], *, is_single: bool) -> None:
        self._features = features
        self._is_single = is_single
        self._known: dict[Any, tuple[int, float, Floats | None, bool]] = {}
        self.is_coded = np.array([one.known is not None for one in features], dtype=bool)

    def test(self, one: Tree, at: int) -> tuple[int, float, Floats | None, bool]:
        """Return mode, split, members with a NaN at their end, and whether ways are swapped."""
        feature, missing = int(one.features[at]), bool(one.missing[at])
        if at in one.tests:
            return self._as_set(one.tests[at](self._values(feature)))
        threshold, mode = float(one.thresholds[at]), int(one.modes[at])
        key = (feature, threshold, mode, missing)
        if key not in self._known:
            values = self._values(feature)
            holds = values <= threshold if mode == LEQ else values < threshold
            holds = np.where(np.isnan(values), missing, holds)
            self._known[key] = self._as_set(holds)
        return self._known[key]

    def _values(self, feature: int) -> NDArray[Any]:
        values = self._features[feature].known
        if values is None or values.dtype == object:
            raise NoTwinError("a tree takes text")
        # Rounded as the library rounds, compared as it compares.
        return values.astype(np.float32).astype(np.float64) if self._is_single else values

    @staticmethod
    def _as_set(holds: NDArray[np.bool_]) -> tuple[int, float, Floats | None, bool]:
        places = np.arange(1, len(holds) + 1)
        chosen = places[holds]
        others = places[~holds]
        if len(chosen) == 0 or (others.size and chosen[-1] < others[0]):
            return LEQ, len(chosen) + 0.5, None, False
        if len(others) == 0 or others[-1] < chosen[0]:
            return LEQ, len(others) + 0.5, None, True
        if len(chosen) == 1:
            return EQ, float(chosen[0]), None, False
        if len(others) == 1:
            return EQ, float(others[0]), None, True
        is_swapped = len(chosen) > len(others)
        members = others if is_swapped else chosen
        return MEMBER, 0.0, np.append(members.astype(np.float64), np.nan), is_swapped
