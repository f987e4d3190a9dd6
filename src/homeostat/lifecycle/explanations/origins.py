"""Which column each input of the last estimator comes from; called by `contributions`.

One-hot columns, missing-value flags and bins go back to the column they were made of. A step
that mixes columns, such as principal components, or that nobody knows, has no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# They are called one-to-one, yet what they say of a column depends on the whole row.
_MIXING = frozenset({"Normalizer", "TfidfTransformer"})


def origins(steps: Sequence[Any], names: Sequence[str]) -> list[int] | None:
    """Follow columns through fitted transformers.

    Parameters
    ----------
    steps
        Fitted transformers in order; None and ``"passthrough"`` hand everything on.
    names
        Columns that the first is given.

    Returns
    -------
    list of int or None
        For every column that leaves the last step the place in `names` of the one it comes
        from; None where a step mixes columns or is not known.
    """
    return _chained(steps, list(range(len(names))), names)


def _through(step: Any, given: list[int], names: Sequence[str]) -> list[int] | None:
    from sklearn import base, compose, feature_selection, pipeline  # noqa: PLC0415 - models only

    if step is None or isinstance(step, str):
        return [] if step == "drop" else given
    known = getattr(step, "feature_names_in_", None)
    names = list(names) if known is None else [str(name) for name in known]
    if isinstance(step, compose.ColumnTransformer):
        return _parts(step, given, names)
    if isinstance(step, pipeline.Pipeline):
        return _chained([inner for _, inner in step.steps], given, names)
    if isinstance(step, pipeline.FeatureUnion):
        sides = [_through(inner, given, names) for _, inner in step.transformer_list]
        is_known = all(side is not None for side in sides)
        return [place for side in sides for place in side or []] if is_known else None
    if isinstance(step, feature_selection.SelectorMixin):
        return [given[at] for at in np.flatnonzero(step.get_support())]
    found = _made(step, given)
    is_each = isinstance(step, base.OneToOneFeatureMixin)
    return given if found is None and is_each and type(step).__name__ not in _MIXING else found


def _chained(steps: Sequence[Any], given: list[int], names: Sequence[str]) -> list[int] | None:
    found: list[int] | None = given
    for at, step in enumerate(steps):
        if found is None:
            return None
        found = _through(step, found, names if at == 0 else ())
    return found


def _made(step: Any, given: list[int]) -> list[int] | None:
    """Return the origins behind a step that makes other columns of each column by itself."""
    from sklearn import impute, preprocessing  # noqa: PLC0415

    if isinstance(step, preprocessing.OneHotEncoder):
        return np.repeat(given, step._n_features_outs).tolist()  # noqa: SLF001
    if isinstance(step, impute.SimpleImputer):
        kept = given
        if not step.keep_empty_features and step.statistics_.dtype.kind == "f":
            kept = [given[at] for at in np.flatnonzero(~np.isnan(step.statistics_))]
        flags = (
            [] if step.indicator_ is None else [given[at] for at in step.indicator_.features_]
        )
        return kept + flags
    if isinstance(step, impute.MissingIndicator):
        return [given[at] for at in step.features_]
    if isinstance(step, preprocessing.KBinsDiscretizer):
        each = step.n_bins_ if step.encode.startswith("onehot") else 1
        return np.repeat(given, each).tolist()
    if isinstance(step, preprocessing.SplineTransformer):
        return np.repeat(given, step.n_features_out_ // len(given)).tolist()
    if isinstance(step, preprocessing.TargetEncoder):
        return given if step.target_type_ in {"binary", "continuous"} else None
    if isinstance(step, preprocessing.FunctionTransformer):
        is_plain = step.func is None or isinstance(step.func, np.ufunc)
        return given if is_plain or step.feature_names_out == "one-to-one" else None
    return None


def _parts(step: Any, given: list[int], names: Sequence[str]) -> list[int] | None:
    made: dict[int, int] = {}
    for name, part, chosen in step.transformers_:
        places = _places(chosen, len(given), names)
        if places is None:
            return None
        labels = [names[at] for at in places] if names else []
        found = [] if not places else _through(part, [given[at] for at in places], labels)
        if found is None:
            return None
        where = step.output_indices_.get(name, slice(0, 0))
        if len(found) != where.stop - where.start:
            return None
        made.update(zip(range(where.start, where.stop), found, strict=True))
    return [made[at] for at in sorted(made)]


def _places(chosen: Any, n_columns: int, names: Sequence[str]) -> list[int] | None:
    picked: list[Any] = (
        list(range(n_columns))[chosen]
        if isinstance(chosen, slice)
        else np.ravel(chosen).tolist()
    )
    if all(isinstance(one, bool) for one in picked):
        return [at for at, is_taken in enumerate(picked) if is_taken]
    if all(isinstance(one, str) for one in picked):
        if any(one not in names for one in picked):
            return None
        return [list(names).index(one) for one in picked]
    return [int(one) for one in picked]
