"""Tables read and written batch by batch are what was meant, whole or not at all."""

from __future__ import annotations

import polars as pl
import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.data import batches, writing

ROWS = pl.DataFrame({"a": range(10), "b": [f"t{at}" for at in range(10)]})


def read(source, n, **options):
    return list(source.batches(n, **options))


@pytest.mark.parametrize("ending", ["parquet", "csv", "tsv", "arrow"])
def test_batches_are_the_rows_of_all_files_in_order(tmp_path, ending):
    paths = [tmp_path / f"{name}.{ending}" for name in "xy"]
    for path, part in zip(paths, (ROWS[:7], ROWS[7:]), strict=True):
        with writing.Draft(path) as draft:
            draft.write(part[:2])
            draft.write(part[2:])
        assert (draft.n_rows, draft.digest) == (part.height, batches.digest(path))
    source = batches.Source(paths)
    found = read(source, 3, columns=["b", "a"])
    ends = [one.first_row + one.frame.height for one in found]
    assert [one.first_row for one in found] == [0, *ends[:-1]]
    assert max(one.frame.height for one in found) <= 3
    assert found[-1].share == 1.0
    together = pl.concat([one.frame for one in found])
    assert together["b"].to_list() == ROWS["b"].to_list()
    kind = "integer" if source.is_text else "number"
    values = batches.values(together["a"], kind, is_text=source.is_text)
    assert values == list(range(10))


@pytest.mark.parametrize(
    ("kind", "texts", "values"),
    [
        ("number", ["1.5", "", "NA", "abc", "inf"], [1.5, None, None, "abc", float("inf")]),
        ("integer", ["3", "4.0", "4.5"], [3.0, 4.0, 4.5]),
        ("integer", ["9007199254740993"], [9007199254740993]),
        ("boolean", ["true", "False", "1", "maybe"], [True, False, True, "maybe"]),
        ("category", ["NA", "x"], ["NA", "x"]),
        ("timestamp", ["2026-04-05", ""], ["2026-04-05", None]),
    ],
)
def test_text_is_read_by_the_schema_and_what_is_none_of_it_stays_text(kind, texts, values):
    assert batches.values(pl.Series(texts), kind, is_text=True) == values


def test_what_is_no_table_is_said_in_a_sentence(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    (tmp_path / "y.csv").write_text("a,c\n1,2\n")
    with pytest.raises(errors.InvalidInputError, match="do not have the same columns: b, c"):
        batches.Source([tmp_path / "x.csv", tmp_path / "y.csv"])
    (tmp_path / "z.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(errors.InvalidInputError, match=r"z\.csv is not a readable csv file"):
        read(batches.Source([tmp_path / "z.csv"]), 10)
    (tmp_path / "w.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(errors.InvalidInputError, match="not a readable parquet file"):
        batches.Source([tmp_path / "w.parquet"])
    with pytest.raises(errors.InvalidInputError, match="is a folder"):
        batches.Source([tmp_path])


def test_a_draft_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "out.parquet"
    path.write_bytes(b"of yesterday")

    def fail():
        with writing.Draft(path) as draft:
            draft.write(ROWS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"of yesterday"
    assert [one.name for one in tmp_path.iterdir()] == ["out.parquet"]
    with pytest.raises(errors.InvalidInputError, match="there is no folder"):
        writing.Draft(tmp_path / "none" / "out.parquet")
