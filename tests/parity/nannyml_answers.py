"""What NannyML's CBPE expects of chunks; run by the Python of its own environment.

    python nannyml_answers.py FOLDER ROWS

reads ``NAME.labelled.parquet`` (score, answer, label) and ``NAME.chunks.parquet`` (score,
answer), and writes ``NAME.nannyml.json``: the expected AUC, accuracy and F1 of each chunk.
It does not depend on the rest of this project.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import nannyml
import pandas as pd

METRICS = {"roc_auc": "auc", "accuracy": "accuracy", "f1": "f1"}


def main(folder, rows):
    """Answer for every pair of tables in the folder."""
    warnings.filterwarnings("ignore")
    for path in sorted(Path(folder).glob("*.labelled.parquet")):
        name = path.name.removesuffix(".labelled.parquet")
        estimator = nannyml.CBPE(
            metrics=list(METRICS),
            y_pred_proba="score",
            y_pred="answer",
            y_true="label",
            problem_type="classification_binary",
            chunk_size=int(rows),
        )
        estimator.fit(pd.read_parquet(path))
        table = estimator.estimate(pd.read_parquet(path.with_name(f"{name}.chunks.parquet")))
        found = table.filter(period="analysis").to_df()
        said = {ours: found[(theirs, "value")].tolist() for theirs, ours in METRICS.items()}
        path.with_name(f"{name}.nannyml.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
