"""Fitted models as sums of trees or of weighted columns, with what makes them chances.

Called by `twin`. One reader per library, by the name of the type; nothing of the libraries is
imported here, as whoever holds such a classifier has done so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.registry import twin_boosters, twin_trees
from homeostat.lifecycle.registry.twin_boosters import Linear, Link, Model
from homeostat.lifecycle.registry.twin_features import NoTwinError
from homeostat.lifecycle.registry.twin_trees import Forest, Tree

Floats = NDArray[np.float64]


def read(classifier: Any, positive: int | None) -> Model:
    """Return what a fitted classifier or regressor does.

    Parameters
    ----------
    classifier
        The last step.
    positive
        Place of the class whose chance is wanted, for those that sum chances; None where all
        are, and for a regressor.

    Raises
    ------
    NoTwinError
        When the type is not known here, or an option of it has no counterpart.
    """
    kind = type(classifier).__name__
    package = type(classifier).__module__.partition(".")[0]
    found = _READERS.get((package, kind))
    if found is None:
        told = "a model behind python_function" if kind == "_PyFunc" else kind
        raise NoTwinError(f"{told} has no counterpart in ONNX here")
    return found(classifier, positive)


def _linear(regressor: Any, _: int | None) -> Model:
    weights = np.asarray(regressor.coef_, dtype=np.float64)
    if weights.ndim != 1:
        raise NoTwinError("a linear regression of several outputs has no counterpart here")
    start = np.array([np.ravel(regressor.intercept_)[0]], dtype=np.float64)
    return Model(Linear(weights[:, None]), start, "identity")


def _logistic(classifier: Any, _: int | None) -> Model:
    weights, start = classifier.coef_.T, classifier.intercept_
    n = len(classifier.classes_)
    if n > 2 and weights.shape[1] == n and _is_ovr(classifier):  # noqa: PLR2004 - two classes
        raise NoTwinError("a logistic regression of one class against the rest is not known")
    link: Link = "sigmoid" if weights.shape[1] == 1 else "softmax"
    start = np.broadcast_to(np.asarray(start, dtype=np.float64), (weights.shape[1],))
    return Model(Linear(np.asarray(weights, dtype=np.float64)), start, link)


def _is_ovr(classifier: Any) -> bool:
    told = getattr(classifier, "multi_class", "auto")
    return told == "ovr" or classifier.solver == "liblinear"


def _sklearn_tree(fitted: Any, values: Floats) -> Tree:
    nodes = fitted.__getstate__()["nodes"]
    left = nodes["left_child"]
    missing = (
        nodes["missing_go_to_left"] if "missing_go_to_left" in nodes.dtype.names else left < 0
    )
    return twin_trees.tree(
        nodes["feature"],
        nodes["threshold"],
        left,
        nodes["right_child"],
        missing=missing,
        is_leaf=left < 0,
        values=values,
    )


def _forest(classifier: Any, positive: int | None) -> Model:
    fitted = getattr(classifier, "estimators_", None) or [classifier]
    if getattr(classifier, "n_outputs_", 1) != 1:
        raise NoTwinError("a forest of several outputs has no counterpart here")
    classes = range(len(getattr(classifier, "classes_", (0,))))
    wanted = list(classes) if positive is None else [positive]
    made = [
        _sklearn_tree(one.tree_, one.tree_.value[:, 0, place].astype(np.float64))._replace(
            target=target
        )
        for one in fitted
        for target, place in enumerate(wanted)
    ]
    return Model(
        Forest(made, len(wanted), is_single=True),
        np.zeros(len(wanted)),
        "mean",
        factor=float(len(fitted)),
        needs_finite=not classifier.__sklearn_tags__().input_tags.allow_nan,
    )


def _gradient_boosting(classifier: Any, _: int | None) -> Model:
    if type(classifier.init_).__name__ not in {"DummyClassifier", "DummyRegressor", "str"}:
        raise NoTwinError("gradient boosting that starts from another model is not known")
    n = classifier.estimators_.shape[1]
    start = classifier._raw_predict_init(np.zeros((1, classifier.n_features_in_)))  # noqa: SLF001
    made = [
        _sklearn_tree(one.tree_, classifier.learning_rate * one.tree_.value[:, 0, 0])._replace(
            target=target
        )
        for row in classifier.estimators_
        for target, one in enumerate(row)
    ]
    factor = 2.0 if classifier.loss == "exponential" else 1.0
    link: Link = "sigmoid" if n == 1 else "softmax"
    if not hasattr(classifier, "classes_"):
        link = "identity"
    return Model(Forest(made, n, is_single=True), start[0].astype(float), link, factor)


def _histogram_boosting(classifier: Any, _: int | None) -> Model:
    bitsets, known_places = classifier._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001
    made = []
    for row in classifier._predictors:  # noqa: SLF001 - nothing else holds the trees
        for target, one in enumerate(row):
            nodes = one.nodes
            tests = {
                int(at): _bitset_test(
                    one.raw_left_cat_bitsets[nodes[at]["bitset_idx"]],
                    bitsets[known_places[nodes[at]["feature_idx"]]],
                    missing=bool(nodes[at]["missing_go_to_left"]),
                )
                for at in np.flatnonzero(nodes["is_categorical"] & ~nodes["is_leaf"])
            }
            made.append(
                twin_trees.tree(
                    nodes["feature_idx"],
                    nodes["num_threshold"],
                    nodes["left"],
                    nodes["right"],
                    missing=nodes["missing_go_to_left"],
                    is_leaf=nodes["is_leaf"],
                    values=nodes["value"],
                    tests=tests,
                )._replace(target=target)
            )
    n = classifier.n_trees_per_iteration_
    start = classifier._baseline_prediction.ravel().astype(float)  # noqa: SLF001
    link: Link = "sigmoid" if n == 1 else "softmax"
    if not hasattr(classifier, "classes_"):
        told = type(classifier._loss.link).__name__  # noqa: SLF001 - nothing else says it
        if told not in _LINKS:
            raise NoTwinError(f"the link {told} of a loss has no counterpart here")
        link = _LINKS[told]
    return Model(Forest(made, n, is_single=False), start, link, needs_finite=False)


_LINKS: dict[str, Link] = {"IdentityLink": "identity", "LogLink": "exp"}


def _bitset_test(left: Any, known: Any, *, missing: bool) -> twin_trees.Test:
    def goes_left(values: NDArray[Any]) -> NDArray[np.bool_]:
        return np.array(
            [
                _in(left, int(value)) or (missing and not _in(known, int(value)))
                if value >= 0.0
                else missing
                for value in values
            ],
            dtype=bool,
        )

    return goes_left


def _in(bitset: Any, value: int) -> bool:
    value &= 255
    return bool((int(bitset[value // 32]) >> (value % 32)) & 1)


_READERS: dict[tuple[str, str], Callable[[Any, int | None], Model]] = {
    ("sklearn", "LogisticRegression"): _logistic,
    ("sklearn", "LogisticRegressionCV"): _logistic,
    ("sklearn", "DecisionTreeClassifier"): _forest,
    ("sklearn", "ExtraTreeClassifier"): _forest,
    ("sklearn", "RandomForestClassifier"): _forest,
    ("sklearn", "ExtraTreesClassifier"): _forest,
    ("sklearn", "GradientBoostingClassifier"): _gradient_boosting,
    ("sklearn", "HistGradientBoostingClassifier"): _histogram_boosting,
    **{
        ("sklearn", name): _linear
        for name in ("LinearRegression", "Ridge", "RidgeCV", "Lasso", "ElasticNet")
    },
    ("sklearn", "DecisionTreeRegressor"): _forest,
    ("sklearn", "ExtraTreeRegressor"): _forest,
    ("sklearn", "RandomForestRegressor"): _forest,
    ("sklearn", "ExtraTreesRegressor"): _forest,
    ("sklearn", "GradientBoostingRegressor"): _gradient_boosting,
    ("sklearn", "HistGradientBoostingRegressor"): _histogram_boosting,
    ("lightgbm", "LGBMRegressor"): twin_boosters.lightgbm,
    ("xgboost", "XGBRegressor"): twin_boosters.xgboost,
    ("lightgbm", "LGBMClassifier"): twin_boosters.lightgbm,
    ("xgboost", "XGBClassifier"): twin_boosters.xgboost,
    # As `opening` opens their own files.
    ("homeostat", "_LightGbm"): lambda found, _: twin_boosters.lightgbm_text(found.text()),
    ("homeostat", "_XgBoost"): lambda found, _: twin_boosters.xgboost_json(
        json.loads(found.text())
    ),
}
