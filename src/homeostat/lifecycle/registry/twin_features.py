"""What the steps before a classifier make of each column; called by `twin` and its parts.

A column of few values is known by what becomes of each of them, so that a call needs no more
than a look into a dictionary; what is done to numbers is kept as operations in the order, and
with the rounding, of scikit-learn.
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


def without_zeros(features: Sequence[Feature]) -> list[Feature]:
    """Return features whose zeros are missing: XGBoost reads a sparse matrix so.

    Parameters
    ----------
    features
        Numbers, or encoded.
    """
    return [with_operation(one, "drop", 0.0) for one in features]


def operated(values: NDArray[Any], operations: Sequence[Operation]) -> NDArray[np.float64]:
    """Return numbers after some operations, rounded as scikit-learn rounds.

    Parameters
    ----------
    values
        Any shape.
    operations
        ``fill`` a missing value, ``sub``, ``div``, ``mul``, ``add``, ``is-missing``,
        ``drop`` a zero so that it is missing, ``log``, ``sqrt``, ``abs``.
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
    "log": lambda x, _: np.log(x),
    "sqrt": lambda x, _: np.sqrt(x),
    "abs": lambda x, _: np.abs(x),
}


def _first(column: Column, *, by_name: bool) -> Feature:
    if column.kind not in columns.TEXTS:
        if by_name and column.kind == "timestamp":
            raise NoTwinError(f"column {column.name!r} is a timestamp in a table")
        return Feature(Source(column), is_raw=True)
    if by_name:
        return valued(column, column.categories, is_raw=True)
    known = column.categories or ()
    places = np.array([*range(len(known)), np.nan, np.nan])
    return Feature(Source(column, known), places)


def is_text(feature: Feature) -> bool:
    """Say whether a feature is still text."""
    if feature.known is None:
        return feature.source.column.kind in columns.TEXTS
    return feature.known.dtype == object


def with_operation(feature: Feature, name: str, operand: float) -> Feature:
    """Return a feature after one more operation; NoTwinError when it is text."""
    if is_text(feature):
        raise NoTwinError(
            f"column {feature.source.column.name!r} is text where a number is due"
        )
    if feature.known is not None:
        return Feature(feature.source, operated(feature.known, [(name, operand)]))
    return feature._replace(operations=(*feature.operations, (name, float(operand))))


def valued(column: Column, domain: Sequence[Any] | None, *, is_raw: bool) -> Feature:
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


def values_of(feature: Feature) -> NDArray[Any]:
    """Return what each place of the domain became; NoTwinError for a number."""
    if feature.known is None:
        raise NoTwinError(f"column {feature.source.column.name!r} has no list of values")
    return feature.known


def is_missing(value: Any) -> bool:
    """Say whether a value is None or not a number."""
    return value is None or value != value  # noqa: PLR0124 - NaN


def transformed(step: Any, values: Sequence[NDArray[Any]]) -> NDArray[Any]:
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


def named(step: Any) -> str:
    """Return the name of a step for people, with its function where it has one."""
    function = getattr(step, "func", None)
    name = type(step).__name__
    return name if function is None else f"{name}({getattr(function, '__name__', function)})"
