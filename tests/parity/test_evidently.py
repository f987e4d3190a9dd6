"""`drift_report` by Evidently's convention gives Evidently's numbers, column by column.

``tools/setup.sh evidently`` makes the environment that answers; it needs a pandas older than
ours. One process there answers for all pairs, which both sides read from the same files.
"""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest

import homeostat
from parity import pairs

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-evidently" / "bin" / "python"
STATISTICS = {
    "psi": "psi",
    "ks": "ks_p",
    "wasserstein": "wasserstein",
    "jensenshannon": "js",
    "chisquare": "chi2_p",
}
TESTS = {
    "K-S p_value": "ks",
    "Wasserstein distance (normed)": "wasserstein",
    "Jensen-Shannon distance": "jensenshannon",
    "chi-square p_value": "chisquare",
    "Z-test p_value": "z",
}
# The distance is a root: shares equal but for rounding leave 1e-9 of it, or NaN, on their side.
NOISE = {"jensenshannon": 1e-7}

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no .venv-evidently: tools/setup.sh evidently makes it"
)


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Return the folder with all pairs of tables and what Evidently says of them."""
    folder = tmp_path_factory.mktemp("pairs")
    pairs.write(folder)
    ran = subprocess.run(
        [PYTHON, HERE / "evidently_answers.py", folder],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return folder


def _is_same(test, theirs, ours):
    """Compare one number; where Evidently fails or answers NaN, we must not invent one."""
    noise = NOISE.get(test, 1e-12)
    ours_is_number = ours is not None and not math.isnan(ours)
    if isinstance(theirs, str) or theirs is None or math.isnan(theirs):
        return not ours_is_number or (test in NOISE and ours < noise)
    return ours_is_number and math.isclose(theirs, ours, rel_tol=1e-6, abs_tol=noise)


def _report(folder, name):
    reference, current = (
        folder / f"{name}.{role}.parquet" for role in ("reference", "current")
    )
    said = json.loads((folder / f"{name}.evidently.json").read_text(encoding="utf-8"))
    return homeostat.drift_report(reference, current, convention="evidently"), said


@pytest.mark.parametrize("kind", ["numbers", "categories"])
@pytest.mark.parametrize("rows", pairs.SIZES, ids=lambda rows: f"{rows[0]}-{rows[1]}")
def test_every_statistic_is_evidentlys(answered, kind, rows):
    report, said = _report(answered, f"{kind}-{rows[0]}-{rows[1]}")
    ours = report.values()
    compared = [
        (name, test, theirs, ours[name][STATISTICS[test]])
        for name, column in said["columns"].items()
        for test, theirs in column["scores"].items()
    ]
    assert len(compared) >= 36
    assert [told for told in compared if not _is_same(*told[1:])] == []


@pytest.mark.parametrize("kind", ["numbers", "categories"])
@pytest.mark.parametrize("n", [rows[0] for rows in pairs.PRESET_SIZES])
def test_the_default_preset_takes_the_same_test_with_the_same_score(answered, kind, n):
    report, said = _report(answered, f"preset-{kind}-{n}")
    ours = {row["column"]: (row["test"], row["score"]) for row in report.table().to_dicts()}
    assert said["preset"].keys() == ours.keys()
    odd = [
        (name, test, score, ours[name])
        for name, (test, score) in said["preset"].items()
        if ours[name][0] != TESTS[test] or not _is_same(TESTS[test], score, ours[name][1])
    ]
    assert odd == []
