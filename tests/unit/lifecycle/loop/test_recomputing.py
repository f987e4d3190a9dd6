"""Features of stored rows are what the pipeline's own steps make of them, or unknown."""

from __future__ import annotations

import polars as pl
import pytest

from homeostat.lifecycle.loop import metering

PIPELINE = """
import homeostat as hs
import polars as pl


@hs.step
def prepare(rows):
    return rows.drop_nulls("bad").select(pl.col("income") / 1000, "z", "bad")


@hs.step
def ranked(rows):
    return rows.with_columns(pl.col("income").rank())


@hs.step
def fit(x, y):
    raise SystemExit("nobody fits here")


@hs.pipeline
def scaled(rows):
    table = prepare(rows)
    return fit(table.select("z", "income"), table["bad"])


@hs.pipeline
def of_many(rows):
    return fit(ranked(prepare(rows)), 0)


@hs.pipeline
def without(rows):
    return fit(rows.select("z"), 0)
"""
ROWS = pl.DataFrame({"id": ["a", "b", "c"], "income": [1e3, 3e3, 2e3], "z": [1, 2, 3]})


@pytest.fixture(scope="module")
def meter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "pipeline.py").write_text(PIPELINE)
    with metering.opened(str(folder)) as found:
        yield found


def test_a_pipeline_computes_features_without_fitting(meter):
    rows = ROWS.with_columns(pl.lit(0).alias("bad"))
    said = meter.ask("pipeline:scaled", rows, names=("income", "z"))
    assert said.sentence == ""
    assert pl.read_ipc_stream(said.table).to_dict(as_series=False) == {
        "income": [1.0, 3.0, 2.0],
        "z": [1, 2, 3],
    }


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("of_many", "more than one row at once"),
        ("without", "no polars table with the columns income"),
        ("scaled", "0 of 3 rows"),
    ],
)
def test_what_cannot_be_computed_row_by_row_is_unknown(meter, name, why):
    outcome = pl.lit(0 if name != "scaled" else None, dtype=pl.Int64).alias("bad")
    said = meter.ask(f"pipeline:{name}", ROWS.with_columns(outcome), names=("income",))
    assert why in said.sentence
    assert said.table == b""
