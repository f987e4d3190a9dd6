"""Forests, single trees and classic gradient boosting of scikit-learn, explained exactly.

Called by `contributions`. A forest averages probabilities, so that is what its contributions
add up to; boosting adds log-odds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.explanations import entities, paths, told

Floats = NDArray[np.float64]

FORESTS = frozenset(
    {
        "DecisionTreeClassifier",
        "ExtraTreeClassifier",
        "ExtraTreesClassifier",
        "RandomForestClassifier",
    }
)
BOOSTED = "GradientBoostingClassifier"
REGRESSORS = frozenset(
    {
        "DecisionTreeRegressor",
        "ExtraTreeRegressor",
        "ExtraTreesRegressor",
        "RandomForestRegressor",
    }
)
BOOSTED_REGRESSOR = "GradientBoostingRegressor"


class Forest:
    """A fitted forest of two classes, or of numbers.

    Parameters
    ----------
    model
        One of `FORESTS`, `REGRESSORS`, `BOOSTED` or `BOOSTED_REGRESSOR`.
    """

    method = "tree paths"

    def __init__(self, model: Any) -> None:
        self._model = model
        kind = type(model).__name__
        self._is_boosted = kind in {BOOSTED, BOOSTED_REGRESSOR}
        self._is_number = kind in REGRESSORS or kind == BOOSTED_REGRESSOR
        made = getattr(model, "estimators_", [model])
        trees = [one.tree_ for one in np.ravel(np.asarray(made, dtype=object))]
        scale = float(model.learning_rate) if self._is_boosted else 1.0 / len(trees)
        place = 0 if self._is_boosted or self._is_number else 1
        grown = [_tree(one, scale, place=place) for one in trees]
        self._paths = paths.collect(grown, int(model.n_features_in_))
        self._inputs = np.concatenate([np.maximum(one.feature, 0) for one in trees])
        self._thresholds = np.concatenate([one.threshold for one in trees])
        lefts = [np.asarray(one.missing_go_to_left, dtype=bool) for one in trees]
        self._missing_left = np.concatenate(lefts)
        # What boosting begins with is the same for every row; how it is made is its own affair.
        self._start: float | None = None if self._is_boosted else 0.0

    def tell(self, rows: Any) -> told.Told:
        """Explain rows.

        Parameters
        ----------
        rows
            As the model takes them.
        """
        # The trees compare in single precision.
        table = np.asarray(rows, dtype=np.float32)
        x = table[:, self._inputs]
        with np.errstate(invalid="ignore"):
            left = np.where(np.isnan(x), self._missing_left, x <= self._thresholds)
        values = paths.contributions(self._paths, left)
        space: entities.Space = "probability"
        if self._is_number:
            margins = np.ravel(self._model.predict(rows)).astype(np.float64)
            space = "value"
        elif self._is_boosted:
            margins = np.ravel(self._model.decision_function(rows)).astype(np.float64)
            space = "log-odds"
        else:
            margins = np.asarray(self._model.predict_proba(rows), dtype=np.float64)[:, 1]
        if self._start is None:
            self._start = float(margins[0] - self._paths.base - values[0].sum())
        return told.Told(self._start + self._paths.base, values, margins, space)


def _tree(tree: Any, scale: float, *, place: int) -> paths.Tree:
    return paths.Tree(
        tree.children_left.tolist(),
        tree.children_right.tolist(),
        tree.feature.tolist(),
        tree.weighted_n_node_samples.tolist(),
        (scale * tree.value[:, 0, place]).tolist(),
        (tree.children_left < 0).tolist(),
    )
