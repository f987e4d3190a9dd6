"""A drift report reads what people have, says the same in every form, and promises little."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import homeostat
from homeostat.foundation import errors
from homeostat.lifecycle.monitoring import report, report_source
from homeostat.measures import bins, summary, windows

KEYS = ["psi", "ks", "ks_p", "wasserstein", "js", "chi2_p"]


def _tables(shift=0.8, n=4000, m=3000):
    rng = np.random.default_rng(3)

    def one(rows, moved):
        return pl.DataFrame(
            {
                "age": rng.normal(40 + 10 * moved, 10, rows),
                "visits": rng.poisson(3, rows),
                "region": rng.choice(["north", "south", "east"], rows),
                "member": rng.random(rows) < 0.5,
            }
        )

    return one(n, 0.0), one(m, shift)


@pytest.fixture(scope="module")
def tables():
    return _tables()


@pytest.mark.parametrize("convention", ["homeostat", "evidently"])
def test_values_have_six_keys_and_none_where_one_does_not_apply(tables, convention):
    values = homeostat.drift_report(*tables, convention=convention).values()
    assert list(values) == tables[0].columns
    assert all(list(found) == KEYS for found in values.values())
    numeric = {key for key, value in values["age"].items() if value is not None}
    assert numeric == {"psi", "ks", "ks_p", "wasserstein", "js"}
    named = {key for key, value in values["region"].items() if value is not None}
    assert named == {"psi", "js", "chi2_p"}


@pytest.mark.parametrize("convention", ["homeostat", "evidently"])
def test_every_form_of_a_table_gives_the_same_numbers(tables, convention, tmp_path):
    expected = homeostat.drift_report(*tables, convention=convention).values()
    paths = [tmp_path / f"{i}.parquet" for i in range(2)]
    texts = [tmp_path / f"{i}.csv" for i in range(2)]
    for table, path, text in zip(tables, paths, texts, strict=True):
        table.write_parquet(path, row_group_size=700)
        table.write_csv(text)
    for pair in (
        paths,
        [str(path) for path in paths],
        [str(text) for text in texts],
        [table.to_pandas() for table in tables],
        [table.to_arrow() for table in tables],
        [table.lazy() for table in tables],
    ):
        assert homeostat.drift_report(*pair, convention=convention).values() == expected


def test_the_two_conventions_measure_the_same_thing(tables):
    ours, theirs = (
        homeostat.drift_report(*tables, convention=c) for c in ("homeostat", "evidently")
    )
    a, b = ours.values()["age"], theirs.values()["age"]
    assert a["ks"] == pytest.approx(b["ks"], abs=2e-3)
    assert a["wasserstein"] == pytest.approx(b["wasserstein"], rel=0.02)
    assert ours.drifted() == theirs.drifted() == ("age",)


def test_stored_summaries_give_the_report_of_their_rows(tables):
    kept = bins.freeze_table(tables[0])
    seen = [summary.summarise_table(table, kept) for table in tables]
    packed = [
        windows.pack(summary.summarise_table(part, kept)) for part in tables[1].iter_slices(500)
    ]
    stored = report.from_summaries(kept, seen[0], windows.merge(packed))
    direct = homeostat.drift_report(*tables)
    assert stored.values() == direct.values()
    assert stored.drifted() == direct.drifted()
    assert [column.kind for column in stored.columns] == [c.kind for c in direct.columns]


def test_nothing_has_drifted_where_nothing_changed():
    named = [homeostat.drift_report(*_tables(0.0, n, 500)).drifted() for n in (300, 500, 4000)]
    assert named == [(), (), ()]


def test_a_handful_of_rows_is_not_enough_data():
    found = homeostat.drift_report({"x": list(range(500))}, {"x": [9000] * 12})
    assert found.drifted() == ()
    assert found.columns[0].note == "not enough data: 12 rows, 30 needed"


@pytest.mark.parametrize("convention", ["homeostat", "evidently"])
def test_odd_columns_are_told_and_not_invented(convention):
    reference = {"gone": [1, 2], "became_text": [1, 2], "empty": [None, None], "when": [1, 2]}
    current = {"new": [1], "became_text": ["a"], "empty": [1.0], "when": [[1]]}
    found = homeostat.drift_report(reference, current, convention=convention)
    notes = {column.name: column.note for column in found.columns}
    assert notes["gone"] == "not in the current table"
    assert notes["new"] == "not in the reference"
    assert notes["became_text"] == "a number (Int64) became a category (String)"
    assert notes["empty"] == "no values to compare"
    assert all(set(values.values()) == {None} for values in found.values().values())


def test_a_burst_of_missing_values_is_told():
    values = [float(i) for i in range(2000)]
    holed = [None if i % 3 == 0 else float(i) for i in range(2000)]
    column = homeostat.drift_report({"x": values}, {"x": holed}).columns[0]
    assert not column.is_drifted
    assert column.note == "missing in 0.0% of the reference and 33.4% of the current rows"


def test_the_table_has_a_row_for_each_column(tables):
    table = homeostat.drift_report(*tables).table()
    assert table["column"].to_list() == tables[0].columns
    assert set(KEYS) <= set(table.columns)
    assert table.filter(pl.col("column") == "age")["is_drifted"].item()


def test_json_holds_everything_and_no_number_json_lacks(tables):
    constant = {"x": ["a"] * 50}
    found = homeostat.drift_report(constant, constant, convention="evidently")
    assert math.isnan(found.values()["x"]["chi2_p"])
    assert json.loads(found.to_json())["columns"][0]["values"]["chi2_p"] is None
    told = json.loads(homeostat.drift_report(*tables).to_json())
    assert (told["n_reference"], told["n_current"]) == (4000, 3000)


def test_the_page_stands_alone_and_escapes_names():
    rng = np.random.default_rng(0)
    name = "<script>alert(1)</script>"
    tables = [{name: rng.normal(size=300), "c&d": rng.choice(["<b>", "x"], 300)} for _ in "rc"]
    page = homeostat.drift_report(*tables).to_html()
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!#)", page)
    assert "url(" not in page
    assert page.count("<svg") == 2
    assert "prefers-color-scheme: dark" in page


def test_pandas_columns_of_several_types_are_compared_as_text():
    frame = pd.DataFrame({"x": ["a", 1, None] * 40}, dtype=object)
    assert homeostat.drift_report(frame, frame).values()["x"]["psi"] == 0


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(errors.InvalidInputError, match="the reference table is a int"):
        homeostat.drift_report(3, {"a": [1]})
    with pytest.raises(errors.InvalidInputError, match=r"'.*none.parquet' cannot be read"):
        homeostat.drift_report({"a": [1]}, tmp_path / "none.parquet")
    with pytest.raises(errors.InvalidInputError, match="convention 'other' is unknown"):
        homeostat.drift_report({"a": [1]}, {"a": [1]}, convention="other")
    (tmp_path / "text.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(errors.InvalidInputError, match="is not what its name says it is"):
        homeostat.drift_report({"a": [1]}, tmp_path / "text.parquet")
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    arrow = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    for table in (tmp_path / "twice.csv", arrow, pd.DataFrame([[1, 2]], columns=["a", "a"])):
        with pytest.raises(errors.InvalidInputError, match="several columns named 'a'"):
            homeostat.drift_report({"a": [1]}, table)
    pl.DataFrame({"a": [1, 2, 3]}).write_ipc(tmp_path / "one.arrow")
    assert homeostat.drift_report(tmp_path / "one.arrow", {"a": [1]}).n_reference == 3
    batch = pa.record_batch({"a": [1, 2]})
    assert homeostat.drift_report(batch, batch).n_reference == 2


def test_a_file_read_in_pieces_is_compared_as_the_whole_table(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    n = 2000
    table = pl.DataFrame(
        {
            "x": pl.Series([None, np.inf, np.nan, *rng.normal(size=n - 3)]),
            "big": pl.Series(2**53 + np.arange(n)),
            "name": rng.choice(["a", "b", None], n).tolist(),
            "flag": rng.random(n) < 0.5,
            "day": pl.Series(rng.integers(0, 900, n)).cast(pl.Date),
            "id": [f"row {i}" for i in range(n)],
        }
    )
    table.write_parquet(tmp_path / "now.parquet", row_group_size=700)
    frame = table.to_pandas().assign(mixed=[None] * 400 + ["a", 1] * 800)
    whole, objects = (report.drift_report(each[:500], each) for each in (table, frame))
    monkeypatch.setattr(report_source, "_PIECE_ROWS", 300)
    assert report.drift_report(table[:500], tmp_path / "now.parquet") == whole
    assert report.drift_report(frame[:500], frame) == objects
    assert whole.columns[-1].note == "nearly every value differs"
    assert whole.columns[-1].n_current == n


def test_rare_values_in_small_tables_are_not_enough_data_instead_of_drift():
    rng = np.random.default_rng(0)
    for _ in range(20):
        before, now = (
            pl.DataFrame({f"c{j}": rng.random(n) < 0.03 for j in range(20)}) for n in (3000, 40)
        )
        found = report.drift_report(before, now)
        assert not found.drifted()
        assert all(c.note.startswith("not enough data: 40 rows") for c in found.columns)
        assert {c["chi2_p"] for c in found.values().values()} == {None}
    assert not report.drift_report(before, pl.concat([before] * 2)).columns[0].note
