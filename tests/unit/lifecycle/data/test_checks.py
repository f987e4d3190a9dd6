"""Checks say what was seen, what is needed and in which rows."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.data import checks, schema
from homeostat.lifecycle.data.entities import Check


def moment(*parts):
    return dt.datetime(*parts)  # noqa: DTZ001 - tables hold naive UTC


GOOD = pl.DataFrame(
    {
        "id": ["a", "b", "c"],
        "income": [1.0, 2.0, 3.0],
        "region": ["n", "s", "n"],
        "at": [moment(2026, 1, day) for day in (1, 2, 3)],
    }
)
SCHEMA = schema.infer(GOOD)


def run(frame, *asked, **more):
    return checks.run(frame, SCHEMA, asked, **more)


def test_a_table_passes_the_checks_it_implies():
    results = checks.run(GOOD, SCHEMA, checks.derive(SCHEMA, key="id", time="at"))
    assert all(result.passed for result in results)
    assert {result.check.kind for result in results} == {
        "row-count",
        "key",
        "time-order",
        "type",
        "no-nulls",
        "finite",
        "range",
        "categories",
    }


@pytest.mark.parametrize(
    ("change", "check", "rows", "part"),
    [
        (
            {"income": [1.0, None, float("nan")]},
            Check(kind="no-nulls", column="income"),
            (1, 2),
            "2 of 3",
        ),
        ({"income": [float("inf"), 1, 2]}, Check(kind="finite", column="income"), (0,), "inf"),
        (
            {"income": [0.0, 2.0, 9.0]},
            Check(kind="range", column="income", minimum=1, maximum=3),
            (0, 2),
            "from 1 to 3",
        ),
        (
            {"region": ["n", "x", None]},
            Check(kind="categories", column="region", values=("n", "s")),
            (1,),
            "'n', 's'",
        ),
        ({"id": ["a", "b", "a"]}, Check(kind="unique", column="id"), (0, 2), "comes twice"),
        (
            {"id": ["a", None, "a"]},
            Check(kind="key", column="id"),
            (0, 1, 2),
            "a key of its own",
        ),
        (
            {"at": [moment(2026, 1, 2), moment(2026, 1, 1), None]},
            Check(kind="time-order", column="at"),
            (1, 2),
            "backwards",
        ),
        (
            {"at": [moment(2026, 1, 2)] * 3},
            Check(kind="range", column="at", maximum=0),
            (0, 1, 2),
            "first row 0",
        ),
        (
            {"income": ["a", "b", "c"]},
            Check(kind="range", column="income", minimum=1),
            (0, 1, 2),
            "'a'",
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, Check) else "",
)
def test_failing_rows_are_named(change, check, rows, part):
    (result,) = run(
        GOOD.with_columns(**{n: pl.Series(v, strict=False) for n, v in change.items()}), check
    )
    assert not result.passed
    assert result.rows == rows
    assert result.n_failing == len(rows)
    assert part in result.sentence


def test_at_most_ten_rows_are_named():
    frame = pl.DataFrame({"income": [None] * 30 + [1.0]})
    (result,) = run(frame, Check(kind="no-nulls", column="income"))
    assert (result.n_failing, len(result.rows)) == (30, 10)


def test_types_may_be_related():
    whole = GOOD.with_columns(income=pl.Series([1, 2, 3]))
    assert run(whole, Check(kind="type", column="income"))[0].passed
    texts = GOOD.with_columns(income=pl.Series(["a", "b", "c"]))
    (result,) = run(texts, Check(kind="type", column="income"))
    assert result.sentence == "column 'income' is category, needed is number"
    gone = GOOD.with_columns(income=pl.lit(None))
    assert not run(gone, Check(kind="type", column="income"))[0].passed


def test_a_column_that_is_gone_fails():
    (result,) = run(GOOD.drop("income"), Check(kind="no-nulls", column="income"))
    assert (result.passed, result.sentence) == (False, "column 'income' is gone")


def test_a_column_nobody_knows_is_refused():
    with pytest.raises(InvalidInputError, match="did you mean 'income'"):
        run(GOOD, Check(kind="no-nulls", column="incom"))


def test_rows_are_counted():
    assert run(GOOD, Check(kind="row-count", minimum=3))[0].passed
    (result,) = run(GOOD, Check(kind="row-count", minimum=4, maximum=9))
    assert result.sentence == "3 rows; needed are 4 to 9"
    assert not result.passed


def test_freshness_is_measured_from_the_newest_row():
    newest_at = int(dt.datetime(2026, 1, 3, tzinfo=dt.UTC).timestamp() * 1000)
    check = Check(kind="freshness", column="at", max_age_s=3600)
    assert run(GOOD, check, now_at=newest_at + 3_600_000)[0].passed
    (late,) = run(GOOD, check, now_at=newest_at + 3_601_000)
    assert late.sentence == "the newest 'at' is 3601 s old; allowed are 3600 s"


def derived(frame, **more):
    found = checks.derive(schema.infer(frame), **more)
    return {
        check.column: (check.minimum, check.maximum) for check in found if check.kind == "range"
    }


def test_new_rows_may_go_a_little_beyond_old_ones():
    frame = pl.DataFrame({"a": [1, 3], "b": [-1.0, 1.0], "c": [10.0, 11.0], "d": [5, 5]})
    assert derived(frame) == {"a": (0, 5), "b": (-3, 3), "c": (9, 12), "d": (5, 5)}


def test_keys_and_times_are_new_each_time():
    frame = pl.DataFrame({"id": [1, 2], "at": [10, 20], "x": [0, 1]})
    assert set(derived(frame, key="id", time="at")) == {"x"}
