"""Histogram gradient boosting explained exactly, categories and missing values included.

Called by `contributions`. The trees are read from the fitted classifier; what they are given
comes from its own preprocessing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.explanations import paths, told

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_CODES = 256


class Histogram:
    """A fitted `HistGradientBoostingClassifier` of two classes, or a regressor of sums.

    Parameters
    ----------
    trees
        The classifier.
    """

    method = "tree paths"

    def __init__(self, trees: Any) -> None:
        self._trees = trees
        grown = [tree for (tree,) in trees._predictors]  # noqa: SLF001 - no public way to nodes
        inner = trees._preprocessor  # noqa: SLF001 - what the trees are given
        n_inputs = int(trees.n_features_in_)
        # The inner encoding puts the categories before the numbers.
        is_category = np.zeros(n_inputs, bool) if inner is None else trees.is_categorical_
        self._order = np.argsort(~np.asarray(is_category), kind="stable")
        self._paths = paths.collect([_tree(one.nodes) for one in grown], n_inputs)
        nodes = np.concatenate([one.nodes for one in grown])
        self._inputs = np.where(nodes["is_leaf"], 0, nodes["feature_idx"])
        self._thresholds = nodes["num_threshold"]
        self._missing_left = nodes["missing_go_to_left"].astype(bool)
        self._sets = np.flatnonzero(
            nodes["is_categorical"].astype(bool) & (nodes["is_leaf"] == 0)
        )
        self._lefts, self._known = self._categories(grown)
        self._start = float(np.ravel(trees._baseline_prediction)[0])  # noqa: SLF001

    def tell(self, rows: Any) -> told.Told:
        """Explain rows.

        Parameters
        ----------
        rows
            As the classifier takes them.
        """
        inner = self._trees._preprocessor  # noqa: SLF001
        table = np.asarray(rows if inner is None else inner.transform(rows), dtype=np.float64)
        found = paths.contributions(self._paths, self._turns(table))
        values = np.empty_like(found)
        values[:, self._order] = found
        said = getattr(self._trees, "decision_function", self._trees.predict)
        margins = np.ravel(said(rows)).astype(np.float64)
        return told.Told(self._start + self._paths.base, values, margins)

    def _turns(self, table: Floats) -> Flags:
        """Say for every row and node whether the row would go left there."""
        x = table[:, self._inputs]
        with np.errstate(invalid="ignore"):
            left = x <= self._thresholds
        left = np.where(np.isnan(x), self._missing_left, left)
        if not len(self._sets):
            return left
        codes = x[:, self._sets]
        is_code = (codes >= 0) & (codes < _CODES)
        places = np.where(is_code, codes, 0).astype(np.int64)
        at = np.arange(len(self._sets))
        is_known = is_code & self._known[at, places]
        left[:, self._sets] = np.where(
            is_known, self._lefts[at, places], self._missing_left[self._sets]
        )
        return left

    def _categories(self, grown: Any) -> tuple[Flags, Flags]:
        """Return for every test of a category which codes go left, and which are known."""
        mapper = self._trees._bin_mapper  # noqa: SLF001
        known, place_of = mapper.make_known_categories_bitsets()
        lefts = []
        for one in grown:
            chosen = (one.nodes["is_categorical"] == 1) & (one.nodes["is_leaf"] == 0)
            lefts.append(one.raw_left_cat_bitsets[one.nodes["bitset_idx"][chosen]])
        sets = np.concatenate(lefts) if lefts else np.zeros((0, 8), np.uint32)
        return _bits(sets), _bits(known[place_of[self._inputs[self._sets]]])


def _tree(nodes: Any) -> paths.Tree:
    return paths.Tree(
        nodes["left"].tolist(),
        nodes["right"].tolist(),
        nodes["feature_idx"].tolist(),
        nodes["count"].tolist(),
        nodes["value"].tolist(),
        nodes["is_leaf"].astype(bool).tolist(),
    )


def _bits(words: Any) -> Flags:
    """Return sets of codes, eight words of 32 bits each, as flags of shape ``(sets, 256)``."""
    table = np.ascontiguousarray(words, dtype="<u4").reshape(-1, _CODES // 32)
    return np.unpackbits(table.view(np.uint8), axis=1, bitorder="little").astype(bool)
