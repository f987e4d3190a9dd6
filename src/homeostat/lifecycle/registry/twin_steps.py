"""What fitted steps do to features, step by step; called by `twin`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.registry import trees, twin_encoders, twin_features
from homeostat.lifecycle.registry.twin_features import Feature, NoTwinError


def through(step: Any, features: Sequence[Feature], *, names: Sequence[str]) -> list[Feature]:
    """Return the features behind a fitted step.

    Parameters
    ----------
    step
        A transformer, ``"passthrough"`` or None.
    features
        Before it.
    names
        Of the features where they come as a table; empty for a matrix.

    Raises
    ------
    NoTwinError
        When what the step does is not known here.
    """
    if step is None or step == "passthrough":
        return list(features)
    kind = type(step).__name__
    is_known = type(step).__module__.startswith("sklearn.")
    if is_known and kind == "ColumnTransformer":
        return _parted(step, features, names)
    if is_known and kind == "Pipeline":
        found = list(features)
        for place, (_, part) in enumerate(step.steps):
            found = through(part, found, names=names if place == 0 else ())
        return found
    if is_known and kind in _ENCODERS:
        return twin_encoders.encoded(step, features)
    if (
        is_known
        and kind == "SimpleImputer"
        and any(twin_features.is_text(one) for one in features)
    ):
        return twin_encoders.encoded(step, features)
    if is_known and kind in _ELEMENTWISE:
        return _ELEMENTWISE[kind](step, features)
    if is_known and hasattr(step, "get_support"):
        return [one for one, kept in zip(features, step.get_support(), strict=True) if kept]
    raise NoTwinError(f"the step {twin_features.named(step)} has no counterpart in ONNX here")


def _parted(step: Any, features: Sequence[Feature], names: Sequence[str]) -> list[Feature]:
    made: dict[int, Feature] = {}
    for name, part, chosen in step.transformers_:
        taken = trees.places(chosen, len(features), names)
        if taken is None:
            raise NoTwinError("a column transformer asks for columns that are not in its table")
        if part == "drop" or not taken:
            continue
        found = through(
            part,
            [features[place] for place in taken],
            names=[names[place] for place in taken] if names else (),
        )
        where = step.output_indices_[name]
        if where.stop - where.start != len(found):
            raise NoTwinError(
                f"the step {twin_features.named(part)} makes other columns than expected"
            )
        made.update(zip(range(where.start, where.stop), found, strict=True))
    return [made[place] for place in sorted(made)]


def _all(features: Sequence[Feature], name: str, operands: Any) -> list[Feature]:
    if operands is None:
        return list(features)
    return [
        twin_features.with_operation(one, name, float(operand))
        for one, operand in zip(features, operands, strict=True)
    ]


def _standard(step: Any, features: Sequence[Feature]) -> list[Feature]:
    centred = _all(features, "sub", step.mean_ if step.with_mean else None)
    return _all(centred, "div", step.scale_ if step.with_std else None)


def _robust(step: Any, features: Sequence[Feature]) -> list[Feature]:
    centred = _all(features, "sub", step.center_ if step.with_centering else None)
    return _all(centred, "div", step.scale_ if step.with_scaling else None)


def _min_max(step: Any, features: Sequence[Feature]) -> list[Feature]:
    _unclipped(step)
    return _all(_all(features, "mul", step.scale_), "add", step.min_)


def _max_abs(step: Any, features: Sequence[Feature]) -> list[Feature]:
    _unclipped(step)
    return _all(features, "div", step.scale_)


def _unclipped(step: Any) -> None:
    if getattr(step, "clip", False):
        raise NoTwinError(
            f"the step {twin_features.named(step)} clips, which has no counterpart here"
        )


def _imputed(step: Any, features: Sequence[Feature]) -> list[Feature]:
    if not twin_features.is_missing(step.missing_values):
        raise NoTwinError(f"a missing value is written {step.missing_values!r} in an imputer")
    fills = np.asarray(step.statistics_, dtype=np.float64)
    made = [
        twin_features.with_operation(one, "fill", float(fill))
        for one, fill in zip(features, fills, strict=True)
        if not np.isnan(fill)
    ]
    if step.indicator_ is not None:
        made += [
            twin_features.with_operation(features[int(at)], "is-missing", 0.0)
            for at in step.indicator_.features_
        ]
    return made


def _function(step: Any, features: Sequence[Feature]) -> list[Feature]:
    """Do what a known function of numpy does; take others for the identity, if they are it."""
    if step.func is None:
        return list(features)
    known = next((told for function, told in _FUNCTIONS if function is step.func), None)
    if known is not None and not step.kw_args:
        found = list(features)
        for name, operand in known:
            found = [twin_features.with_operation(one, name, operand) for one in found]
        return found
    tried = [np.array([0.25, 3.0, 70.5])] * len(features)
    if any(twin_features.is_text(one) for one in features) or not _is_identity(step, tried):
        raise NoTwinError(
            f"the step {twin_features.named(step)} has no counterpart in ONNX here"
        )
    return list(features)


def _is_identity(step: Any, values: list[NDArray[Any]]) -> bool:
    try:
        return bool(
            np.array_equal(twin_features.transformed(step, values), np.column_stack(values))
        )
    except Exception:  # noqa: BLE001 - the user's function may raise anything
        return False


_ENCODERS = frozenset({"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"})
_FUNCTIONS: list[tuple[Any, list[tuple[str, float]]]] = [
    (np.log, [("log", 0.0)]),
    (np.log1p, [("add", 1.0), ("log", 0.0)]),
    (np.sqrt, [("sqrt", 0.0)]),
    (np.abs, [("abs", 0.0)]),
]
_ELEMENTWISE: dict[str, Callable[[Any, Sequence[Feature]], list[Feature]]] = {
    "StandardScaler": _standard,
    "RobustScaler": _robust,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "SimpleImputer": _imputed,
    "FunctionTransformer": _function,
}
