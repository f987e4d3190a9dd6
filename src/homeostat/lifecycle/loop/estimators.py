"""The estimator used where a user brings none: `backtest`, and projects made by `init`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl

MAX_CATEGORIES = 200
"""Rarer categories of a column share one code; the trees take at most 255."""


def trees(
    features: pl.DataFrame,
    *,
    seed: int = 0,
    regression: bool = False,
    quantile: float | None = None,
) -> Any:
    """Make an unfitted classifier, or regressor, for a table's columns.

    Parameters
    ----------
    features
        The feature columns; only names and types are looked at. Text and booleans become
        categories (unseen and missing ones are missing to the trees), everything else is a
        number. Columns of other types must be cast before.
    seed
        Where the trees' randomness starts.
    regression
        Whether a number is predicted instead of a class.
    quantile
        Which one of the number; its mean when None.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Column encoding and 60 gradient-boosted trees of 15 leaves; takes polars and pandas
        tables by column name.
    """
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415 - the server stays light
    from sklearn.ensemble import (  # noqa: PLC0415
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )
    from sklearn.pipeline import Pipeline  # noqa: PLC0415
    from sklearn.preprocessing import OrdinalEncoder  # noqa: PLC0415

    categories = [name for name, kind in features.schema.items() if is_category(kind)]
    numbers = [name for name in features.columns if name not in categories]
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=float("nan"),
        encoded_missing_value=float("nan"),
        max_categories=MAX_CATEGORIES,
    )
    columns = ColumnTransformer(
        [("categories", encoder, categories), ("numbers", "passthrough", numbers)],
        verbose_feature_names_out=False,
    )
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    told = {} if quantile is None else {"loss": "quantile", "quantile": quantile}
    boosted = kind(
        **told,
        max_iter=60,
        max_leaf_nodes=15,
        early_stopping=False,
        categorical_features=[True] * len(categories) + [False] * len(numbers),
        random_state=seed,
    )
    return Pipeline([("columns", columns), ("trees", boosted)])


@contextmanager
def one_thread() -> Iterator[None]:
    """Fit and answer on one thread for a while.

    A few thousand rows gain a third from a second thread on an idle machine, and lose a
    factor of fifty on a busy one, where the threads of OpenMP wait for each other spinning.
    """
    import sklearn.ensemble  # noqa: F401, PLC0415 - only libraries that are loaded are limited
    import threadpoolctl  # noqa: PLC0415

    with threadpoolctl.threadpool_limits(limits=1, user_api="openmp"):
        yield


def is_category(kind: pl.DataType) -> bool:
    """Say whether a column of this type is taken as categories."""
    return kind in (pl.String, pl.Boolean, pl.Categorical) or isinstance(kind, pl.Enum)
