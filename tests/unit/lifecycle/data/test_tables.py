"""Tables come in whole and in order, or are refused with one sentence."""

from __future__ import annotations

import io

import polars as pl
import pytest

from homeostat.foundation.errors import InvalidInputError, NotFoundError
from homeostat.lifecycle.data import tables

FRAME = pl.DataFrame(
    {"id": [3, 1, 2], "income": [1.5, None, 2.0], "city": ["a", "b", "a"]},
    schema={"id": pl.Int64, "income": pl.Float64, "city": pl.String},
)


def refused(call):
    with pytest.raises(InvalidInputError) as refusal:
        call()
    message = str(refusal.value)
    assert "\n" not in message
    return message


def test_parquet_comes_back_as_it_was_and_in_order(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(tables.encode(FRAME))
    assert tables.read(path).equals(FRAME)
    assert tables.encode(FRAME) == tables.encode(FRAME)


@pytest.mark.parametrize("ending", ["csv", "tsv", "arrow", "feather"])
def test_other_formats_come_back_in_order(tmp_path, ending):
    path = tmp_path / f"rows.{ending}"
    if ending in {"csv", "tsv"}:
        FRAME.write_csv(path, separator="\t" if ending == "tsv" else ",")
    else:
        FRAME.write_ipc(path)
    assert tables.read(path).equals(FRAME)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(NotFoundError, match="there is no file"):
        tables.read(tmp_path / "none.parquet")


def test_a_folder_is_refused(tmp_path):
    assert "is a folder" in refused(lambda: tables.read(tmp_path))


def test_an_unknown_ending_is_refused(tmp_path):
    assert ".parquet" in refused(lambda: tables.read(tmp_path / "rows.xlsx"))


@pytest.mark.parametrize("kind", tables.FORMATS)
def test_an_empty_file_is_refused(kind):
    assert "is empty: 0 bytes" in refused(lambda: tables.decode(b"", kind))


def test_a_table_without_rows_is_refused():
    assert "is empty: 0 rows" in refused(
        lambda: tables.decode(tables.encode(FRAME.clear()), "parquet")
    )
    assert "is empty: 0 rows" in refused(lambda: tables.decode(b"a,b\n", "csv"))


@pytest.mark.parametrize("kept", [3, 20, -1, -30])
def test_a_cut_parquet_file_is_refused(kept):
    cut = tables.encode(FRAME)[:kept]
    message = refused(lambda: tables.decode(cut, "parquet", where="rows.parquet"))
    assert message.startswith("rows.parquet is not a readable parquet file")


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_bytes_of_another_kind_are_refused(kind):
    assert "not a readable" in refused(lambda: tables.decode(b"garbage" * 40, kind))


def test_an_unknown_format_is_refused():
    assert "known are parquet" in refused(lambda: tables.decode(b"x", "xml"))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a,b\n1,2\n3\n4,5\n", "line 3: 1 fields, but the first line names 2"),
        ("a,b\n1,2\n\n4,5,6\n", "line 4: 3 fields"),
        ("a,a\n1,2\n", "names the column 'a' twice"),
        ("a,,c\n1,2,3\n", "no name for column 2"),
        ('a,b\n1,"x\n', "line 2: unexpected end of data"),
    ],
)
def test_ragged_text_is_refused_with_its_line(text, part):
    assert part in refused(lambda: tables.decode(text.encode(), "csv", where="rows.csv"))


def test_text_that_is_not_utf8_is_refused_with_its_line():
    assert "line 2" in refused(lambda: tables.decode(b"a\n\xff\n", "csv"))


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
def test_the_separator_is_found(separator):
    text = f"\ufeffa{separator}b\n1{separator}x\n"
    assert tables.decode(text.encode(), "csv").rows() == [(1, "x")]


def test_numbers_with_words_for_missing_are_numbers():
    frame = tables.decode(b"a,b,c,d\n1,NA,NA,x\nNA,2.5,x,\n?,3,NA,y\n", "csv")
    assert frame.schema == {
        "a": pl.Int64,
        "b": pl.Float64,
        "c": pl.String,
        "d": pl.String,
    }
    assert frame["a"].to_list() == [1, None, None]
    assert frame["c"].to_list() == ["NA", "x", "NA"]


@pytest.mark.parametrize(
    ("texts", "dtype"),
    [
        (["2026-01-02", "2026-01-01"], pl.Date),
        (["2026-01-02 10:00:00", "2026-01-02 10:00:00.5"], pl.Datetime("us")),
        (["2026-01-02T10:00:00"], pl.Datetime("us")),
        (["2026-01-02 10:00"], pl.Datetime("us")),
        (["2026-01-02T10:00:00Z", "2026-01-02T10:00:00+01:00"], pl.Datetime("us", "UTC")),
        (["2026-01-02", "soon"], pl.String),
        (["2026-01-02", "2026-13-02"], pl.String),
    ],
)
def test_times_are_recognised_when_all_are(texts, dtype):
    lines = "\n".join(f"{text},true" for text in ["at", *texts]).replace("at,true", "at,ok")
    frame = tables.decode(lines.encode(), "csv")
    assert frame.schema == {"at": dtype, "ok": pl.Boolean}
    assert frame["at"].null_count() == 0


def test_quoted_fields_may_hold_separators_and_lines():
    frame = tables.decode(b'a,b\n1,"x, y\nz"\n', "csv")
    assert frame.rows() == [(1, "x, y\nz")]


def test_several_files_are_one_table_in_the_order_of_their_names(tmp_path):
    for name, value in (("b", 2), ("a", 1)):
        pl.DataFrame({"x": [value], "y": [value * 0.5]}).write_parquet(
            tmp_path / f"{name}.parquet"
        )
    pl.DataFrame({"y": [7], "x": [3]}).write_csv(tmp_path / "c.csv")
    assert tables.read_all("*", folder=tmp_path).rows() == [(1, 0.5), (2, 1.0), (3, 7.0)]
    assert tables.read_all(str(tmp_path / "a.*"), folder=tmp_path).height == 1


def test_files_that_do_not_fit_together_are_refused(tmp_path):
    pl.DataFrame({"x": [1]}).write_csv(tmp_path / "a.csv")
    pl.DataFrame({"z": [1]}).write_csv(tmp_path / "b.csv")
    assert "same columns: x, z" in refused(lambda: tables.read_all("*.csv", folder=tmp_path))
    pl.DataFrame({"x": ["text"]}).write_csv(tmp_path / "b.csv")
    assert "does not fit the files" in refused(
        lambda: tables.read_all("*.csv", folder=tmp_path)
    )
    with pytest.raises(NotFoundError, match="no file fits"):
        tables.find("*.parquet", folder=tmp_path)


def test_an_unknown_column_is_named_with_the_nearest():
    assert tables.need_column(FRAME.columns, "city", role="target") == "city"
    message = refused(lambda: tables.need_column(FRAME.columns, "citty", role="target"))
    assert message == ("the target column 'citty' is not in the table (did you mean 'city'?)")
    assert "its columns are id, income" in refused(
        lambda: tables.need_column(FRAME.columns, "zzzz", role="key")
    )


def test_encode_gives_a_plain_parquet_file():
    assert pl.read_parquet(io.BytesIO(tables.encode(FRAME))).equals(FRAME)
