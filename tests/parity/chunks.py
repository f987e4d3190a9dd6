"""Scores with labels, and later chunks without, as NannyML and we both read them; seeded.

    python tests/parity/chunks.py FOLDER

writes ``NAME.labelled.parquet`` (score, answer, label) and ``NAME.chunks.parquet`` (score,
answer), which `nannyml_answers.py` reads.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

ROWS, CHUNKS = 1000, 5
LABELLED = 8000
# How the score follows from the true chance, and how far the chances move in later chunks.
MODELS = {
    "honest": (lambda p: p, 0.0),
    "overconfident": (lambda p: p**2 / (p**2 + (1 - p) ** 2), 0.3),
    "timid": (lambda p: 0.3 + 0.4 * p, 0.5),
    "coarse": (lambda p: np.round(p, 1), -0.4),
    "rare": (lambda p: p**3, 0.2),
}


def _chances(n, rng, shift):
    return 1 / (1 + np.exp(-rng.normal(shift - 0.5, 1.5, n)))


def drawn():
    """Return, by model, scores and labels of the past and scores of the later chunks."""
    rng = np.random.default_rng(5)
    made = {}
    for name, (score, shift) in MODELS.items():
        p = _chances(LABELLED, rng, 0.0)
        labels = rng.random(LABELLED) < p
        made[name] = score(p), labels, score(_chances(ROWS * CHUNKS, rng, shift))
    return made


def main(folder):
    """Write all tables into a folder."""
    for name, (scores, labels, later) in drawn().items():
        for role, one in (("labelled", scores), ("chunks", later)):
            table = pl.DataFrame({"score": one, "answer": (one >= 0.5).astype(int)})
            if role == "labelled":
                table = table.with_columns(label=pl.Series(labels.astype(int)))
            table.write_parquet(Path(folder) / f"{name}.{role}.parquet")


if __name__ == "__main__":
    main(sys.argv[1])
