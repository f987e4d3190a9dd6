"""Whatever a pipeline makes of a column goes back to that column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    Normalizer,
    OneHotEncoder,
    SplineTransformer,
    StandardScaler,
)

from homeostat.lifecycle.explanations import origins

NAMES = ("a", "b", "c")
TABLE = pd.DataFrame(
    {
        "a": [1.0, np.nan, 3.0, 4.0, 5.0, 6.0],
        "b": [1.0, 1.0, 1.0, 2.0, 2.0, 7.0],
        "c": list("xyzxyz"),
    }
)
FILLED = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())


def _columns(*parts, remainder="drop"):
    return make_column_transformer(*parts, remainder=remainder)


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (_columns((OneHotEncoder(), ["c"]), remainder="passthrough"), [2, 2, 2, 0, 1]),
        (_columns((OneHotEncoder(drop="first"), [2]), (FILLED, [0, 1])), [2, 2, 0, 1, 0]),
        (_columns((OneHotEncoder(max_categories=2), ["c"])), [2, 2]),
        (_columns((make_union(SimpleImputer(), MissingIndicator()), ["b", "a"])), [1, 0, 0]),
        (_columns((KBinsDiscretizer(3, strategy="uniform"), ["b"])), [1, 1, 1]),
        (_columns((SplineTransformer(3), slice(1, 2))), [1] * 5),
        (_columns((FunctionTransformer(np.log1p), ["b"]), (StandardScaler(), ["a"])), [1, 0]),
        (_columns((VarianceThreshold(1.0), ["a", "b"])), [0, 1]),
        (_columns(("drop", ["a", "c"]), remainder=StandardScaler()), [1]),
        (_columns((FunctionTransformer(lambda x: x.sum(axis=1).to_frame()), ["a", "b"])), None),
        (_columns((make_pipeline(SimpleImputer(), PCA(1)), ["a", "b"])), None),
        (_columns((make_pipeline(SimpleImputer(), Normalizer()), ["a", "b"])), None),
    ],
)
def test_columns_are_followed_through_transformers(step, wanted):
    made = step.fit_transform(TABLE)
    assert origins.origins([step], NAMES) == wanted
    if wanted is not None:
        assert made.shape[1] == len(wanted)


def test_a_step_that_nobody_knows_has_no_answer():
    assert origins.origins([object()], NAMES) is None
    assert origins.origins([None, "passthrough"], NAMES) == [0, 1, 2]
