"""What Evidently says of pairs of tables; run by the Python of its own environment.

    python evidently_answers.py FOLDER

reads ``NAME.reference.parquet`` and ``NAME.current.parquet`` there, and writes
``NAME.evidently.json``: each test of each column, and the tests of the default preset.
It does not depend on the rest of this project.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from evidently import Report
from evidently.core.datasets import Dataset
from evidently.legacy.calculations.stattests.registry import get_registered_stattest
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset

NUMBER = ("psi", "ks", "wasserstein", "jensenshannon")
CATEGORY = ("psi", "chisquare", "jensenshannon")


def cleaned(column):
    """Drop what Evidently drops before it calls a test."""
    return column.replace([-np.inf, np.inf], np.nan).dropna()


def score(test, reference, current, kind):
    """Return the score of one test, or the name of the error it raised."""
    try:
        found = get_registered_stattest(test, kind)(reference, current, kind, None).drift_score
    except Exception as error:  # noqa: BLE001 - any error is an answer
        return type(error).__name__
    return None if found is None else float(found)


def each_test(reference, current):
    """Return kind and scores by column."""
    kinds = Dataset.from_any(current).data_definition
    said = {}
    for name in current.columns:
        kind = kinds.get_column_type(name)
        is_number = kind == ColumnType.Numerical or current[name].dtype.kind in "fu"
        taken = ColumnType.Numerical if is_number else ColumnType.Categorical
        pair = [cleaned(table[name]) for table in (reference, current)]
        tests = NUMBER if is_number else CATEGORY
        said[name] = {
            "kind": kind.value,
            "scores": {test: score(test, *pair, taken) for test in tests},
        }
    return said


def preset(reference, current):
    """Return test and score by column, as the default preset decides."""
    run = Report([DataDriftPreset()]).run(current, reference)
    found = {}
    for metric in run.dict()["metrics"]:
        told = metric["config"]
        if "column" in told:
            value = metric["value"]
            known = isinstance(value, float) and not math.isnan(value)
            found[told["column"]] = [told["method"], float(value) if known else None]
    return found


def main(folder):
    """Answer for every pair of tables in the folder."""
    warnings.filterwarnings("ignore")
    for path in sorted(Path(folder).glob("*.reference.parquet")):
        name = path.name.removesuffix(".reference.parquet")
        reference = pd.read_parquet(path)
        current = pd.read_parquet(path.with_name(f"{name}.current.parquet"))
        said = {"columns": each_test(reference, current), "preset": {}}
        if name.startswith("preset"):
            said["preset"] = preset(reference, current)
        out = path.with_name(f"{name}.evidently.json")
        out.write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
