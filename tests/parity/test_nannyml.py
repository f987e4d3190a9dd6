"""Estimated performance without labels agrees with NannyML's CBPE on the same chunks.

``tools/setup.sh nannyml`` makes the environment that answers.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from homeostat.measures import calibration, estimation

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-nannyml" / "bin" / "python"
ROWS, CHUNKS = 1000, 5
# How the score follows from the true chance, and how far the chances move in later chunks.
MODELS = {
    "honest": (lambda p: p, 0.0),
    "overconfident": (lambda p: p**2 / (p**2 + (1 - p) ** 2), 0.3),
    "timid": (lambda p: 0.3 + 0.4 * p, 0.5),
    "coarse": (lambda p: np.round(p, 1), -0.4),
    "rare": (lambda p: p**3, 0.2),
}

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no .venv-nannyml: tools/setup.sh nannyml makes it"
)


def _chances(n, rng, shift):
    return 1 / (1 + np.exp(-rng.normal(shift - 0.5, 1.5, n)))


def _table(score, label=None):
    columns = {"score": score, "answer": (score >= 0.5).astype(int)}
    return pl.DataFrame(columns if label is None else {**columns, "label": label.astype(int)})


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Return the folder with all tables and what NannyML expects of each chunk."""
    folder = tmp_path_factory.mktemp("chunks")
    rng = np.random.default_rng(5)
    for name, (score, shift) in MODELS.items():
        p = _chances(8000, rng, 0.0)
        _table(score(p), rng.random(8000) < p).write_parquet(
            folder / f"{name}.labelled.parquet"
        )
        later = score(_chances(ROWS * CHUNKS, rng, shift))
        _table(later).write_parquet(folder / f"{name}.chunks.parquet")
    ran = subprocess.run(
        [PYTHON, HERE / "nannyml_answers.py", folder, str(ROWS)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_estimates_are_within_half_a_point_of_nannymls(answered, name):
    labelled = pl.read_parquet(answered / f"{name}.labelled.parquet")
    fitted = calibration.fit(labelled["score"].to_numpy(), labelled["label"].to_numpy())
    scores = pl.read_parquet(answered / f"{name}.chunks.parquet")["score"].to_numpy()
    said = json.loads((answered / f"{name}.nannyml.json").read_text(encoding="utf-8"))
    assert len(said["auc"]) == CHUNKS
    for i, chunk in enumerate(scores.reshape(CHUNKS, ROWS)):
        ours = estimation.estimate(chunk, fitted).metrics
        for metric, theirs in said.items():
            assert ours[metric].value == pytest.approx(theirs[i], abs=0.005), (metric, i)
