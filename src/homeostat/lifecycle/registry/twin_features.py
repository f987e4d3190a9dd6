"""What the steps before a classifier do to each column, read off a fitted pipeline.

Called by `twin`. A step that takes columns of few values (an encoder, say) is asked itself for
all of them, once, so that a call needs no more than a look into a dictionary; what is done to
numbers is kept as operations in the order, and with the rounding, of scikit-learn.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.data.entities import Column
from homeostat.lifecycle.registry import columns, trees
from homeostat.lifecycle.registry.entities import Description

Operation = tuple[str, float]


class NoTwinError(Exception):
    """No twin can be made; the sentence says why."""


class Source:
    """A column of the rows, as a number or, with a `domain`, as the place of its value.

    Parameters
    ----------
    column
        Which.
    domain
        Its known values; a feature of it has a value for each, then one for an unknown and
        one for a missing value. None for numbers.
    """

    def __init__(self, column: Column, domain: Sequence[Any] | None = None) -> None:
        self.column = column
        self.domain = None if domain is None else list(domain)
        self.refuses_unknown = False
        self.refuses_missing = False


class Feature(NamedTuple):
    """One input of a step or a classifier: what became of a source.

    `known` has what each place of the source's domain became; None for a number, or a text
    whose values no step has named yet. `operations` are done to a number. `is_raw` until a
    step took it.
    """

    source: Source
    known: NDArray[Any] | None = None
    operations: tuple[Operation, ...] = ()
    is_raw: bool = False


def first(description: Description) -> list[Feature]:
    """Return the features as the estimator gets them, before any step.

    Parameters
    ----------
    description
        Its columns, in order.
    """
    return [
        _first(column, by_name=description.by_name) for column in description.schema.columns
    ]


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
        return _encoded(step, features)
    if is_known and kind == "SimpleImputer" and any(_is_text(one) for one in features):
        return _encoded(step, features)
    if is_known and kind in _ELEMENTWISE:
        return _ELEMENTWISE[kind](step, features)
    if is_known and hasattr(step, "get_support"):
        return [one for one, kept in zip(features, step.get_support(), strict=True) if kept]
    raise NoTwinError(f"the step {_told(step)} has no counterpart in ONNX here")


def without_zeros(features: Sequence[Feature]) -> list[Feature]:
    """Return features whose zeros are missing: XGBoost reads a sparse matrix so.

    Parameters
    ----------
    features
        Numbers, or encoded.
    """
    return [_with_operation(one, "drop", 0.0) for one in features]


def operated(values: NDArray[Any], operations: Sequence[Operation]) -> NDArray[np.float64]:
    """Return numbers after some operations, rounded as scikit-learn rounds.

    Parameters
    ----------
    values
        Any shape.
    operations
        ``fill`` a missing value, ``sub``, ``div``, ``mul``, ``add``, ``is-missing``,
        ``drop`` a zero so that it is missing.
    """
    found = np.asarray(values, dtype=np.float64)
    for name, operand in operations:
        found = _OPERATIONS[name](found, operand)
    return found


_OPERATIONS: dict[str, Callable[[NDArray[np.float64], float], NDArray[np.float64]]] = {
    "fill": lambda x, operand: np.where(np.isnan(x), operand, x),
    "sub": lambda x, operand: x - operand,
    "div": lambda x, operand: x / operand,
    "mul": lambda x, operand: x * operand,
    "add": lambda x, operand: x + operand,
    "is-missing": lambda x, _: np.isnan(x).astype(np.float64),
    "drop": lambda x, _: np.where(x == 0.0, np.nan, x),
}


def _first(column: Column, *, by_name: bool) -> Feature:
    if column.kind not in columns.TEXTS:
        if by_name and column.kind == "timestamp":
            raise NoTwinError(f"column {column.name!r} is a timestamp in a table")
        return Feature(Source(column), is_raw=True)
    if by_name:
        return _valued(column, column.categories, is_raw=True)
    known = column.categories or ()
    places = np.array([*range(len(known)), np.nan, np.nan])
    return Feature(Source(column, known), places)


def _valued(column: Column, domain: Sequence[Any] | None, *, is_raw: bool) -> Feature:
    """Return a feature that is still the column's own value."""
    if domain is None:
        return Feature(Source(column), is_raw=is_raw)
    if column.kind in columns.TEXTS:
        texts = np.empty(len(domain) + 2, dtype=object)
        texts[:] = [*domain, trees.UNKNOWN, None]
        return Feature(Source(column, domain), texts, is_raw=is_raw)
    known = np.array([float(value) for value in domain])
    strange = np.floor(known.max(initial=0.0)) + 1.0
    return Feature(Source(column, domain), np.array([*known, strange, np.nan]), is_raw=is_raw)


def _is_text(feature: Feature) -> bool:
    if feature.known is None:
        return feature.source.column.kind in columns.TEXTS
    return feature.known.dtype == object


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
            raise NoTwinError(f"the step {_told(part)} makes other columns than expected")
        made.update(zip(range(where.start, where.stop), found, strict=True))
    return [made[place] for place in sorted(made)]


def _encoded(step: Any, features: Sequence[Feature]) -> list[Feature]:
    """Ask a step that works on each column alone for all values of all its columns."""
    known = getattr(step, "categories_", [None] * len(features))
    ready = [_with_domain(one, list_) for one, list_ in zip(features, known, strict=True)]
    try:
        found = _run(step, [_known(one) for one in ready])
    except Exception as error:
        raise NoTwinError(f"the step {_told(step)} refuses values that it knows") from error
    unknown, missing = (_odd(step, ready, at=at) for at in (-2, -1))
    widths = [int(n) for n in getattr(step, "_n_features_outs", [1] * len(ready))]
    if found.shape[1] != sum(widths):
        raise NoTwinError(f"the step {_told(step)} makes other columns than expected")
    made = []
    for one, start, width in zip(ready, np.cumsum([0, *widths]), widths, strict=False):
        n_known = len(_values(one)) - 2
        for at in range(start, start + width):
            parts = [found[:n_known, at], unknown[:, at], missing[:, at]]
            made.append(Feature(one.source, np.concatenate(parts)))
    return made


def _odd(step: Any, features: Sequence[Feature], *, at: int) -> NDArray[Any]:
    """Return what a step makes of unknown (-2) or missing (-1) values; learn its refusals."""
    tried = [one if _takes(one, at) else None for one in features]
    found = _answer(step, features, tried, at=at)
    if found is not None:
        return found
    for place, one in enumerate(tried):
        alone = [one if place == other else None for other in range(len(features))]
        if one is not None and _answer(step, features, alone, at=at) is None:
            _refuse(one, at)
            tried[place] = None
    found = _answer(step, features, tried, at=at)
    if found is None:
        raise NoTwinError(f"the step {_told(step)} refuses values it takes one by one")
    return found


def _answer(
    step: Any, features: Sequence[Feature], tried: Sequence[Feature | None], *, at: int
) -> NDArray[Any] | None:
    """Transform one row: the odd value of each feature that is tried, a known one of others.

    A known row goes with it: a column of nothing but None is read in another way.
    """
    rows = []
    for one, odd in zip(features, tried, strict=True):
        calm = _known(one)[:1]
        rows.append(np.concatenate([calm, calm if odd is None else _values(odd)[at:][:1]]))
    try:
        return _run(step, rows)[1:]
    except Exception:  # noqa: BLE001 - a fitted step may raise anything on what it never saw
        return None


def _takes(feature: Feature, at: int) -> bool:
    """Say whether an odd value can come that far; what cannot counts as refused."""
    source, column = feature.source, feature.source.column
    is_number = feature.is_raw and column.kind not in columns.TEXTS
    if at == -1 and is_number and not column.nullable:
        source.refuses_missing = True
    if at != -1 and feature.is_raw and column.kind == "boolean" and len(_values(feature)) == 4:  # noqa: PLR2004 - both, and two odd ones
        source.refuses_unknown = True
    return not (source.refuses_missing if at == -1 else source.refuses_unknown)


def _refuse(feature: Feature, at: int) -> None:
    if at == -1:
        feature.source.refuses_missing = True
    else:
        feature.source.refuses_unknown = True


def _known(feature: Feature) -> NDArray[Any]:
    """Return the known values, of the type they have in a table of such rows."""
    values, column = _values(feature)[:-2], feature.source.column
    if feature.is_raw and not column.nullable and column.kind in _EXACT:
        return values.astype(_EXACT[column.kind])
    return values


def _with_domain(feature: Feature, known: Any) -> Feature:
    """Return a feature with a value for every one that the step or the schema knows."""
    named = [] if known is None else [one for one in known.tolist() if not _is_missing(one)]
    if not feature.is_raw and feature.known is not None:
        there = set(feature.known.tolist())
        if any(one not in there for one in named):
            raise NoTwinError("an encoder knows values that the step before it does not make")
        return feature
    column = feature.source.column
    if known is None and column.kind == "boolean":
        named = [False, True]
    elif known is None and feature.known is None:
        raise NoTwinError(f"nothing says which values column {column.name!r} can have")
    if any(name != "fill" for name, _ in feature.operations):
        raise NoTwinError(f"column {column.name!r} is encoded after it was scaled")
    domain = list(dict.fromkeys([*(column.categories or ()), *named]))
    made = _valued(column, domain, is_raw=not feature.operations)
    if feature.operations:
        made = made._replace(known=operated(_values(made), feature.operations))
    return made


def _run(step: Any, values: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Transform columns, as a table where the step was fitted on one; short ones repeat."""
    import pandas as pd  # noqa: PLC0415 - only processes that write models need it

    names = getattr(step, "feature_names_in_", None)
    longest = max(len(one) for one in values)
    values = [np.concatenate([one, np.repeat(one[:1], longest - len(one))]) for one in values]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if names is not None:
            found = step.transform(pd.DataFrame(dict(zip(names, values, strict=True))))
        else:
            is_object = any(one.dtype == object for one in values)
            kind: Any = object if is_object else np.float64
            rows = np.empty((longest, len(values)), dtype=kind)
            for at, one in enumerate(values):
                rows[:, at] = one
            found = step.transform(rows)
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found)


def _values(feature: Feature) -> NDArray[Any]:
    if feature.known is None:
        raise NoTwinError(f"column {feature.source.column.name!r} has no list of values")
    return feature.known


def _is_missing(value: Any) -> bool:
    return value is None or value != value  # noqa: PLR0124 - NaN


def _with_operation(feature: Feature, name: str, operand: float) -> Feature:
    if _is_text(feature):
        raise NoTwinError(
            f"column {feature.source.column.name!r} is text where a number is due"
        )
    if feature.known is not None:
        return Feature(feature.source, operated(feature.known, [(name, operand)]))
    return feature._replace(operations=(*feature.operations, (name, float(operand))))


def _all(features: Sequence[Feature], name: str, operands: Any) -> list[Feature]:
    if operands is None:
        return list(features)
    return [
        _with_operation(one, name, float(operand))
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
        raise NoTwinError(f"the step {_told(step)} clips, which has no counterpart here")


def _imputed(step: Any, features: Sequence[Feature]) -> list[Feature]:
    if not _is_missing(step.missing_values):
        raise NoTwinError(f"a missing value is written {step.missing_values!r} in an imputer")
    fills = np.asarray(step.statistics_, dtype=np.float64)
    made = [
        _with_operation(one, "fill", float(fill))
        for one, fill in zip(features, fills, strict=True)
        if not np.isnan(fill)
    ]
    if step.indicator_ is not None:
        made += [
            _with_operation(features[int(at)], "is-missing", 0.0)
            for at in step.indicator_.features_
        ]
    return made


def _unchanged(step: Any, features: Sequence[Feature]) -> list[Feature]:
    """Take a function for one that hands its numbers through, after a look at a few."""
    if step.func is None:
        return list(features)
    tried = [np.array([0.25, 3.0, 70.5])] * len(features)
    if any(_is_text(one) for one in features) or not _is_identity(step, tried):
        raise NoTwinError(f"the step {_told(step)} has no counterpart in ONNX here")
    return list(features)


def _is_identity(step: Any, values: list[NDArray[Any]]) -> bool:
    try:
        return bool(np.array_equal(_run(step, values), np.column_stack(values)))
    except Exception:  # noqa: BLE001 - the user's function may raise anything
        return False


def _told(step: Any) -> str:
    function = getattr(step, "func", None)
    name = type(step).__name__
    return name if function is None else f"{name}({getattr(function, '__name__', function)})"


_EXACT: dict[str, Any] = {"integer": np.int64, "boolean": np.bool_}
_ENCODERS = frozenset({"OneHotEncoder", "OrdinalEncoder"})
_ELEMENTWISE: dict[str, Callable[[Any, Sequence[Feature]], list[Feature]]] = {
    "StandardScaler": _standard,
    "RobustScaler": _robust,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "SimpleImputer": _imputed,
    "FunctionTransformer": _unchanged,
}
