"""What NannyML's CBPE expects of chunks; run by the Python of an environment that has NannyML.

    python tests/parity/chunks.py FOLDER
    python tests/parity/nannyml_answers.py FOLDER ROWS tests/parity/nannyml.json

reads the tables that `chunks.py` wrote, and writes the expected AUC, accuracy and F1 of each
chunk of so many rows. It does not depend on the rest of this project. NannyML is too large to
be installed wherever the tests run, so its answers are kept.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import nannyml
import pandas as pd

METRICS = {"roc_auc": "auc", "accuracy": "accuracy", "f1": "f1"}


def main(folder, rows, out):
    """Answer for every pair of tables in the folder."""
    warnings.filterwarnings("ignore")
    said = {}
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
        chunks = pd.read_parquet(path.with_name(f"{name}.chunks.parquet"))
        table = estimator.estimate(chunks)
        found = table.filter(period="analysis").to_df()
        said[name] = {"mean_score": float(chunks["score"].mean())} | {
            ours: found[(theirs, "value")].tolist() for theirs, ours in METRICS.items()
        }
    told = {"nannyml": nannyml.__version__, "models": said}
    Path(out).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
