"""Fitted classifiers as sums of trees or of weighted columns, with what makes them chances.

Called by `twin`. One reader per library, by the name of the type; nothing of the libraries is
imported here, as whoever holds such a classifier has done so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.registry import twin_trees
from homeostat.lifecycle.registry.twin_features import NoTwinError
from homeostat.lifecycle.registry.twin_trees import Forest, Tree

Floats = NDArray[np.float64]

# From the sums to chances: `mean` divides by the number of trees.
Link = Literal["sigmoid", "softmax", "mean"]


class Linear(NamedTuple):
    """Weights of shape ``(n_features, n_targets)``."""

    weights: Floats


class Model(NamedTuple):
    """A classifier that is understood.

    Attributes
    ----------
    body
        What is summed.
    start
        What the sums start from, shape ``(n_targets,)``.
    link
        How they become chances.
    factor
        What the sum is multiplied by before a sigmoid; the divisor of a mean.
    needs_finite
        Whether the classifier refuses a missing number.
    """

    body: Linear | Forest
    start: Floats
    link: Link
    factor: float = 1.0
    needs_finite: bool = True


def read(classifier: Any, positive: int) -> Model:
    """Return what a fitted classifier does.

    Parameters
    ----------
    classifier
        The last step.
    positive
        Place of the class whose chance is wanted, for those that sum chances.

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


def _logistic(classifier: Any, _: int) -> Model:
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


def _forest(classifier: Any, positive: int) -> Model:
    fitted = getattr(classifier, "estimators_", None) or [classifier]
    if getattr(classifier, "n_outputs_", 1) != 1:
        raise NoTwinError("a forest of several outputs has no counterpart here")
    made = [
        _sklearn_tree(one.tree_, one.tree_.value[:, 0, positive].astype(np.float64))
        for one in fitted
    ]
    return Model(
        Forest(made, 1, is_single=True),
        np.zeros(1),
        "mean",
        factor=float(len(made)),
        needs_finite=not classifier.__sklearn_tags__().input_tags.allow_nan,
    )


def _gradient_boosting(classifier: Any, _: int) -> Model:
    if type(classifier.init_).__name__ not in {"DummyClassifier", "str"}:
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
    return Model(Forest(made, n, is_single=True), start[0].astype(float), link, factor)


def _histogram_boosting(classifier: Any, _: int) -> Model:
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
    return Model(Forest(made, n, is_single=False), start, link, needs_finite=False)


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


def _lightgbm(classifier: Any, _: int) -> Model:
    return lightgbm_text(classifier.booster_.model_to_string())


def lightgbm_text(text: str) -> Model:
    """Return what a LightGBM model does, from its own text.

    Parameters
    ----------
    text
        As ``Booster.model_to_string`` writes it.

    Raises
    ------
    NoTwinError
        When its objective is no classification, or its trees are linear.
    """
    head, *blocks = re.split(r"^Tree=\d+$", text, flags=re.MULTILINE)
    told = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    objective, *options = told.get("objective", "none").split(" ")
    option = dict(one.split(":", 1) for one in options if ":" in one)
    n = int(told.get("num_tree_per_iteration", 1))
    if objective not in {"binary", "multiclass", "cross_entropy"}:
        raise NoTwinError(f"the objective {objective!r} of LightGBM has no counterpart here")
    made = [_lightgbm_tree(block, at % n) for at, block in enumerate(blocks)]
    if "\naverage_output\n" in head:
        made = [one._replace(leaves=one.leaves / (len(made) // n)) for one in made]
    return Model(
        Forest(made, n, is_single=False),
        np.zeros(n),
        "softmax" if objective == "multiclass" else "sigmoid",
        factor=float(option.get("sigmoid", 1.0)),
        needs_finite=False,
    )


def _lightgbm_tree(block: str, target: int) -> Tree:
    told = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    if told.get("is_linear", "0") != "0":
        raise NoTwinError("linear trees of LightGBM have no counterpart here")

    def numbers(name: str, kind: Any) -> NDArray[Any]:
        return np.array(told.get(name, "").split(), dtype=kind)

    leaves = numbers("leaf_value", np.float64)
    n = len(leaves) - 1
    if n == 0:
        return twin_trees.stump(float(leaves[0]))._replace(target=target)
    kinds, thresholds = numbers("decision_type", np.int64), numbers("threshold", np.float64)
    missing_type = (kinds >> 2) & 3
    if (missing_type == 1).any():
        raise NoTwinError("LightGBM's zero_as_missing has no counterpart here")
    # Where none was missing in training it takes a missing number for zero.
    missing = np.where(missing_type == 2, (kinds & 2) > 0, thresholds >= 0.0)  # noqa: PLR2004
    bounds, words = numbers("cat_boundaries", np.int64), numbers("cat_threshold", np.int64)
    tests = {
        int(at): _words_test(
            words[bounds[int(thresholds[at])] : bounds[int(thresholds[at]) + 1]]
        )
        for at in np.flatnonzero(kinds & 1)
    }
    ways = [numbers(name, np.int64) for name in ("left_child", "right_child")]
    lefts, rights = (np.where(way < 0, n + ~way, way) for way in ways)
    return Tree(
        numbers("split_feature", np.int64),
        thresholds,
        np.full(n, twin_trees.LEQ, dtype=np.uint8),
        lefts,
        rights,
        missing,
        leaves,
        target,
        tests,
    )


def _words_test(words: NDArray[np.int64]) -> twin_trees.Test:
    def goes_left(values: NDArray[Any]) -> NDArray[np.bool_]:
        return np.array(
            [
                0.0 <= value < 32 * len(words)
                and bool((int(words[int(value) // 32]) >> (int(value) % 32)) & 1)
                for value in values
            ],
            dtype=bool,
        )

    return goes_left


def _xgboost(classifier: Any, _: int) -> Model:
    booster = classifier.get_booster()
    if not math.isnan(classifier.missing):
        raise NoTwinError(f"a missing value is written {classifier.missing!r} for XGBoost")
    # After early stopping the trees behind the best round are not asked.
    best = booster.attributes().get("best_iteration")
    rounds = None if best is None else int(best) + 1
    return xgboost_json(json.loads(booster.save_raw("json")), rounds=rounds)


def xgboost_json(told: Mapping[str, Any], *, rounds: int | None = None) -> Model:
    """Return what an XGBoost model does, from its own JSON.

    Parameters
    ----------
    told
        As ``Booster.save_raw("json")`` writes it.
    rounds
        How many rounds of trees are asked; all when None.

    Raises
    ------
    NoTwinError
        When it is no sum of trees, or they test categories.
    """
    learner = told["learner"]
    boosted, objective = learner["gradient_booster"], str(learner["objective"]["name"])
    if boosted["name"] != "gbtree":
        raise NoTwinError(f"the booster {boosted['name']!r} of XGBoost has no counterpart here")
    if objective not in {"binary:logistic", "multi:softprob"}:
        raise NoTwinError(f"the objective {objective!r} of XGBoost has no counterpart here")
    parameters = learner["learner_model_param"]
    n = max(int(parameters["num_class"]), 1)
    start = np.array(json.loads(f"[{str(parameters['base_score']).strip('[]')}]"), dtype=float)
    if objective == "binary:logistic":
        start = np.log(start / (1.0 - start))
    bodies, targets = boosted["model"]["trees"], boosted["model"]["tree_info"]
    parallel = int(boosted["model"]["gbtree_model_param"].get("num_parallel_tree", 1))
    asked = len(bodies) if rounds is None else rounds * n * max(parallel, 1)
    made = [
        _xgboost_tree(body, int(target))
        for body, target in zip(bodies[:asked], targets[:asked], strict=True)
    ]
    return Model(
        Forest(made, n, is_single=True),
        np.broadcast_to(start, (n,)),
        "sigmoid" if n == 1 else "softmax",
        needs_finite=False,
    )


def _xgboost_tree(body: Mapping[str, Any], target: int) -> Tree:
    if any(body.get("split_type", ())):
        raise NoTwinError("XGBoost's tests on categories have no counterpart here")
    left = np.array(body["left_children"])
    # Written as decimals of single precision numbers.
    conditions = np.array(body["split_conditions"], dtype=np.float32).astype(np.float64)
    made = twin_trees.tree(
        body["split_indices"],
        conditions,
        left,
        body["right_children"],
        missing=body["default_left"],
        is_leaf=left < 0,
        values=conditions,
    )
    return made._replace(target=target, modes=np.full_like(made.modes, twin_trees.LT))


_READERS: dict[tuple[str, str], Callable[[Any, int], Model]] = {
    ("sklearn", "LogisticRegression"): _logistic,
    ("sklearn", "LogisticRegressionCV"): _logistic,
    ("sklearn", "DecisionTreeClassifier"): _forest,
    ("sklearn", "ExtraTreeClassifier"): _forest,
    ("sklearn", "RandomForestClassifier"): _forest,
    ("sklearn", "ExtraTreesClassifier"): _forest,
    ("sklearn", "GradientBoostingClassifier"): _gradient_boosting,
    ("sklearn", "HistGradientBoostingClassifier"): _histogram_boosting,
    ("lightgbm", "LGBMClassifier"): _lightgbm,
    ("xgboost", "XGBClassifier"): _xgboost,
    # As `opening` opens their own files.
    ("homeostat", "_LightGbm"): lambda found, _: lightgbm_text(found.text()),
    ("homeostat", "_XgBoost"): lambda found, _: xgboost_json(json.loads(found.text())),
}
