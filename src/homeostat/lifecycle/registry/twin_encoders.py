"""Steps that turn values into numbers, asked for all values of their columns; for `twin_steps`.

Asking the step itself keeps every rule of it: rare and dropped categories, unknown and missing
ones, and which of them it refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.registry import columns, twin_features
from homeostat.lifecycle.registry.twin_features import Feature, NoTwinError

_EXACT: dict[str, Any] = {"integer": np.int64, "boolean": np.bool_}


def encoded(step: Any, features: Sequence[Feature]) -> list[Feature]:
    """Return the features behind a step that works on each column alone.

    Parameters
    ----------
    step
        An encoder, or an imputer of texts.
    features
        Before it, none a number that was scaled.

    Raises
    ------
    NoTwinError
        When the values of a column are not known, or it makes other columns than expected.
    """
    known = getattr(step, "categories_", [None] * len(features))
    ready = [_with_domain(one, list_) for one, list_ in zip(features, known, strict=True)]
    try:
        found = twin_features.transformed(step, [_known(one) for one in ready])
    except Exception as error:
        raise NoTwinError(
            f"the step {twin_features.named(step)} refuses values that it knows"
        ) from error
    unknown, missing = (_odd(step, ready, at=at) for at in (-2, -1))
    widths = [int(n) for n in getattr(step, "_n_features_outs", [1] * len(ready))]
    if found.shape[1] != sum(widths):
        raise NoTwinError(
            f"the step {twin_features.named(step)} makes other columns than expected"
        )
    made = []
    for one, start, width in zip(ready, np.cumsum([0, *widths]), widths, strict=False):
        n_known = len(twin_features.values_of(one)) - 2
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
        raise NoTwinError(
            f"the step {twin_features.named(step)} refuses values it takes one by one"
        )
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
        rows.append(
            np.concatenate(
                [calm, calm if odd is None else twin_features.values_of(odd)[at:][:1]]
            )
        )
    try:
        return twin_features.transformed(step, rows)[1:]
    except Exception:  # noqa: BLE001 - a fitted step may raise anything on what it never saw
        return None


def _takes(feature: Feature, at: int) -> bool:
    """Say whether an odd value can come that far; what cannot counts as refused."""
    source, column = feature.source, feature.source.column
    is_number = feature.is_raw and column.kind not in columns.TEXTS
    if at == -1 and is_number and not column.nullable:
        source.refuses_missing = True
    has_both = source.domain is not None and set(source.domain) == {False, True}
    if at != -1 and feature.is_raw and column.kind == "boolean" and has_both:
        source.refuses_unknown = True
    return not (source.refuses_missing if at == -1 else source.refuses_unknown)


def _refuse(feature: Feature, at: int) -> None:
    if at == -1:
        feature.source.refuses_missing = True
    else:
        feature.source.refuses_unknown = True


def _known(feature: Feature) -> NDArray[Any]:
    """Return the known values, of the type they have in a table of such rows."""
    values, column = twin_features.values_of(feature)[:-2], feature.source.column
    if feature.is_raw and not column.nullable and column.kind in _EXACT:
        return values.astype(_EXACT[column.kind])
    return values


def _with_domain(feature: Feature, known: Any) -> Feature:
    """Return a feature with a value for every one that the step or the schema knows."""
    named = (
        []
        if known is None
        else [one for one in known.tolist() if not twin_features.is_missing(one)]
    )
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
    made = twin_features.valued(column, domain, is_raw=not feature.operations)
    if feature.operations:
        made = made._replace(
            known=twin_features.operated(twin_features.values_of(made), feature.operations)
        )
    return made
