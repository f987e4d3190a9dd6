"""Models that hold classes and functions of the project bring its code along."""

from __future__ import annotations

import sys

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from homeostat.foundation import errors
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.registry import format as formats
from homeostat.lifecycle.registry import load, mlmodel, opening, own

CARD = """
from sklearn.linear_model import LogisticRegression
from parts import sizes

class Card(LogisticRegression):
    def predict_proba(self, rows):
        return super().predict_proba(rows * sizes.SIGN)
"""
ROWS = pl.DataFrame({"income": np.linspace(-2, 2, 40), "bad": [0] * 20 + [1] * 20})
FEATURES = ROWS.select("income")


def code(sign):
    return {"card.py": CARD, "parts/sizes.py": f"SIGN = {sign}"}


def made(sign):
    with own.importing(own.packed(code(sign))):
        from card import Card  # noqa: PLC0415 - there is no such module elsewhere

        fitted = Card().fit(FEATURES.to_pandas(), ROWS["bad"])
        return formats.pack(
            fitted, schema=schemas.infer(FEATURES), example=FEATURES, code=code(sign)
        )


@pytest.mark.parametrize("sign", [1, -1])
def test_each_version_answers_by_the_code_it_brought_though_names_are_the_same(sign):
    before = set(sys.modules)
    files = {one: made(one) for one in (1, -1)}
    found = {one: load.load(files[one], is_trusted=True) for one in (1, -1)}
    scores = {one: found[one].scores(FEATURES) for one in (1, -1)}
    assert (np.diff(scores[sign]) * sign > 0).all()
    assert not {"card", "parts", "parts.sizes"} & (set(sys.modules) - before)
    assert set(own.packed(code(sign))) < set(files[sign])
    assert mlmodel.read(files[sign]).file == own.SKOPS


def test_what_nobody_trusts_is_not_loaded_and_what_was_not_made_here_not_packed():
    files = made(1)
    with pytest.raises(errors.NotAllowedError, match="nobody has marked this version"):
        load.load(files)
    fitted = opening.estimator(files, loader="skops-any", file=own.SKOPS, is_trusted=True)
    schema = schemas.infer(FEATURES)
    with pytest.raises(errors.NotAllowedError, match=r"card\.Card, a type that is not trusted"):
        formats.pack(fitted, schema=schema, example=FEATURES)


def test_what_skops_cannot_write_is_pickled_with_the_code_it_was_made_by():
    steps = make_pipeline(FunctionTransformer(lambda rows: -rows), LogisticRegression())
    fitted = steps.fit(FEATURES.to_pandas(), ROWS["bad"])
    files = formats.pack(fitted, schema=schemas.infer(FEATURES), example=FEATURES, code={})
    assert own.PICKLE in files
    found = load.load(files, is_trusted=True)
    assert found.scores(FEATURES) == pytest.approx(
        fitted.predict_proba(FEATURES.to_pandas())[:, 1]
    )
