"""Estimated performance without labels agrees with NannyML's CBPE on the same chunks.

`nannyml.json` holds what NannyML 0.13.1 said of the tables of `chunks.py`;
`nannyml_answers.py` says how it is made again.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homeostat.measures import calibration, estimation
from parity import chunks

SAID = json.loads(Path(__file__).with_name("nannyml.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def drawn():
    return chunks.drawn()


@pytest.mark.parametrize("name", chunks.MODELS)
def test_estimates_are_within_half_a_point_of_nannymls(drawn, name):
    scores, labels, later = drawn[name]
    said = dict(SAID["models"][name])
    assert later.mean() == pytest.approx(said.pop("mean_score"), rel=1e-9)
    fitted = calibration.fit(scores, labels.astype(int))
    assert len(said["auc"]) == chunks.CHUNKS
    for i, chunk in enumerate(later.reshape(chunks.CHUNKS, chunks.ROWS)):
        ours = estimation.estimate(chunk, fitted).metrics
        for metric, theirs in said.items():
            assert ours[metric].value == pytest.approx(theirs[i], abs=0.005), (metric, i)
