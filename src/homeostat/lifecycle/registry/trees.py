"""Gradient-boosted trees asked without scikit-learn's checks; called by `predictor`.

A call through a column transformer costs about 5 ms whatever the number of rows; the trees
themselves need 0.4 ms. Everything here is compared with ``predict_proba`` before it is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.data.entities import Column
from homeostat.lifecycle.registry import columns
from homeostat.lifecycle.registry.entities import Description

Floats = NDArray[np.float64]
Values = Mapping[str, Sequence[Any]]
Trees = Callable[[Values], Floats]

TRIALS = 64
UNKNOWN = "a category never seen"


class Encoding(NamedTuple):
    """How one column of the table becomes one input of the trees.

    Without `codes` it is taken as a number.
    """

    column: Column
    codes: dict[Any, float] | None = None
    missing: float = math.nan
    unknown: float = math.nan


def compiled(estimator: Any, description: Description) -> Trees | None:
    """Return a function that scores columns of values, or None where it cannot be made.

    Parameters
    ----------
    estimator
        Any fitted classifier; histogram gradient boosting alone, or in a pipeline after one
        column transformer of ordinal encoders and passed columns, is understood.
    description
        Of the model.

    Returns
    -------
    callable or None
        Takes columns by name, returns the probability of the positive class.
    """
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415 - model processes only
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415
    from sklearn.pipeline import Pipeline  # noqa: PLC0415

    if description.task != "binary":
        return None
    names = description.schema.names
    encodings: list[Encoding] | None = [
        _first(column, by_name=description.by_name) for column in description.schema.columns
    ]
    steps = (
        [step for _, step in estimator.steps] if type(estimator) is Pipeline else [estimator]
    )
    trees = steps[-1]
    if type(trees) is not HistGradientBoostingClassifier or trees.n_trees_per_iteration_ != 1:
        return None
    before = [step for step in steps[:-1] if step not in (None, "passthrough")]
    inner = getattr(trees, "_preprocessor", None)
    for step in [*before, *([inner] if inner is not None else [])]:
        if type(step) is not ColumnTransformer or encodings is None:
            return None
        given = names if step is not inner or not before else ()
        encodings = _through(step, encodings, names=given)
    return None if encodings is None else _scorer(trees, encodings, description.positive)


def trial_rows(description: Description) -> dict[str, list[Any]]:
    """Return rows that reach every category, a missing and an unknown value of each column.

    Parameters
    ----------
    description
        Whose example is varied.

    Returns
    -------
    dict
        Columns by name, of one length.
    """
    rng = np.random.default_rng(0)
    made = {}
    longest = max((len(c.categories or ()) for c in description.schema.columns), default=0) + 2
    for column in description.schema.columns:
        pool: list[Any] = list(description.example.get(column.name, []))
        if column.kind == "category":
            pool = [*(column.categories or ()), UNKNOWN]
        if column.nullable or column.kind == "category":
            pool.append(None)
        order = rng.permutation(max(longest, TRIALS))
        made[column.name] = [pool[int(i) % len(pool)] for i in order]
    return made


def _first(column: Column, *, by_name: bool) -> Encoding:
    if by_name or column.kind not in columns.TEXTS or column.categories is None:
        return Encoding(column)
    codes = {name: float(place) for place, name in enumerate(column.categories)}
    return Encoding(column, codes)


def _through(
    step: Any, encodings: Sequence[Encoding], *, names: Sequence[str]
) -> list[Encoding] | None:
    """Return the encodings behind a fitted column transformer."""
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder  # noqa: PLC0415

    made: dict[int, Encoding] = {}
    for name, part, chosen in step.transformers_:
        taken = places(chosen, len(encodings), names)
        if part == "drop" or taken == []:
            continue
        if taken is None:
            return None
        found = [encodings[place] for place in taken]
        if type(part) is OrdinalEncoder:
            coded = _coded(part, found)
            if coded is None:
                return None
            found = coded
        elif part != "passthrough" and not _is_identity(part, FunctionTransformer):
            return None
        where = step.output_indices_[name]
        made.update(zip(range(where.start, where.stop), found, strict=True))
    return [made[place] for place in sorted(made)]


def places(chosen: Any, n_columns: int, names: Sequence[str]) -> list[int] | None:
    """Return the places of the columns that a part of a column transformer takes.

    Parameters
    ----------
    chosen
        As its ``transformers_`` has it: names, places, a mask or a slice.
    n_columns
        Of its table.
    names
        Of its columns; empty where it takes a matrix.

    Returns
    -------
    list of int or None
        None when it names a column that is not there.
    """
    picked: list[Any] = (
        list(range(n_columns))[chosen] if isinstance(chosen, slice) else list(chosen)
    )
    if all(isinstance(item, (bool, np.bool_)) for item in picked):
        return [place for place, is_taken in enumerate(picked) if is_taken]
    if all(isinstance(item, str) for item in picked):
        if any(item not in names for item in picked):
            return None
        return [list(names).index(item) for item in picked]
    return [int(item) for item in picked]


def _is_identity(part: Any, kind: type[Any]) -> bool:
    """Say whether it hands numbers through; what its function does is proved on trial rows."""
    return type(part) is kind and part.inverse_func is None


def _coded(encoder: Any, encodings: Sequence[Encoding]) -> list[Encoding] | None:
    if encoder.handle_unknown != "use_encoded_value":
        return None
    rare = getattr(encoder, "infrequent_categories_", [None] * len(encodings))
    made = []
    for encoding, categories, few in zip(encodings, encoder.categories_, rare, strict=True):
        seldom = set() if few is None else set(few.tolist())
        codes: dict[Any, float] = {}
        missing = float(encoder.unknown_value)
        for value in categories.tolist():
            if value is None or value != value:  # noqa: PLR0124 - NaN
                missing = float(encoder.encoded_missing_value)
            elif value not in seldom:
                codes[value] = float(len(codes))
        last = float(len(codes))
        codes.update(dict.fromkeys(seldom, last))
        made.append(_composed(encoding, codes, missing, float(encoder.unknown_value)))
    return made


def _composed(
    before: Encoding, codes: dict[Any, float], missing: float, unknown: float
) -> Encoding:
    """Return what two encodings after one another do."""

    def second(code: float) -> float:
        return missing if math.isnan(code) else codes.get(code, unknown)

    if before.codes is None:
        return Encoding(before.column, codes, missing, unknown)
    return Encoding(
        before.column,
        {value: second(code) for value, code in before.codes.items()},
        second(before.missing),
        second(before.unknown),
    )


def _scorer(trees: Any, encodings: Sequence[Encoding], positive: int) -> Trees:
    from sklearn.ensemble._hist_gradient_boosting import _predictor  # noqa: PLC0415

    bitsets, places = trees._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001
    start = float(trees._baseline_prediction.ravel()[0])  # noqa: SLF001
    parts = [
        (tree.nodes, tree.raw_left_cat_bitsets)
        for (tree,) in trees._predictors  # noqa: SLF001
    ]
    ask = _predictor._predict_from_raw_data  # noqa: SLF001 - the trees' own function
    sign = 1.0 if positive == 1 else -1.0

    def score(values: Values) -> Floats:
        table = np.column_stack([_numbers(values[e.column.name], e) for e in encodings])
        total = np.full(len(table), start)
        one = np.empty(len(table))
        for nodes, left in parts:
            ask(nodes, table, left, bitsets, places, 1, one)
            total += one
        chances: Floats = 1.0 / (1.0 + np.exp(-sign * total))
        return chances

    return score


def _numbers(values: Sequence[Any], encoding: Encoding) -> Floats:
    codes = encoding.codes
    if codes is None:
        return columns.numbers(values, encoding.column)
    missing, unknown = encoding.missing, encoding.unknown
    found = [
        missing if value is None or value != value else codes.get(value, unknown)  # noqa: PLR0124
        for value in values
    ]
    return np.array(found, dtype=np.float64)
