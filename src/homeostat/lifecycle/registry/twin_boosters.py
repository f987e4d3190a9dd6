"""Files of LightGBM and XGBoost as sums of trees, and what a sum is; for `twin_models`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.registry import twin_trees
from homeostat.lifecycle.registry.twin_features import NoTwinError
from homeostat.lifecycle.registry.twin_trees import Forest, Tree

Floats = NDArray[np.float64]

# From the sums to chances or a number: `mean` divides by the number of trees.
Link = Literal["sigmoid", "softmax", "mean", "identity", "exp"]


class Linear(NamedTuple):
    """Weights of shape ``(n_features, n_targets)``."""

    weights: Floats


class Model(NamedTuple):
    """A classifier or regressor that is understood.

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


def lightgbm(classifier: Any, _: int | None) -> Model:
    """Return what a fitted model of LightGBM does; see `lightgbm_text`."""
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
        When its objective is not known here, or its trees are linear.
    """
    head, *blocks = re.split(r"^Tree=\d+$", text, flags=re.MULTILINE)
    told = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    objective, *options = told.get("objective", "none").split(" ")
    option = dict(one.split(":", 1) for one in options if ":" in one)
    n = int(told.get("num_tree_per_iteration", 1))
    if objective not in _LIGHTGBM or "sqrt" in options:
        raise NoTwinError(f"the objective {objective!r} of LightGBM has no counterpart here")
    made = [_lightgbm_tree(block, at % n) for at, block in enumerate(blocks)]
    if "\naverage_output\n" in head:
        made = [one._replace(leaves=one.leaves / (len(made) // n)) for one in made]
    return Model(
        Forest(made, n, is_single=False),
        np.zeros(n),
        _LIGHTGBM[objective],
        factor=float(option.get("sigmoid", 1.0)),
        needs_finite=False,
    )


_LIGHTGBM: dict[str, Link] = {
    "binary": "sigmoid",
    "cross_entropy": "sigmoid",
    "multiclass": "softmax",
    **dict.fromkeys(("regression", "regression_l1", "huber", "fair"), "identity"),
    **dict.fromkeys(("quantile", "mape"), "identity"),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "exp"),
}


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


def xgboost(classifier: Any, _: int | None) -> Model:
    """Return what a fitted model of XGBoost does; see `xgboost_json`."""
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
    if objective not in {"binary:logistic", "multi:softprob", *_XGBOOST_NUMBERS}:
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
        "identity" if objective in _XGBOOST_NUMBERS else "sigmoid" if n == 1 else "softmax",
        needs_finite=False,
    )


_XGBOOST_NUMBERS = frozenset(
    {"reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"}
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
