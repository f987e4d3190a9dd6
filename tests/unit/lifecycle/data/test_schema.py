"""A schema says what columns are, and how they changed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.data import schema, tables
from homeostat.lifecycle.data.entities import Column, Schema

SHARED = Path(__file__).parents[5] / "shared" / "data"


def moment(*parts):
    return dt.datetime(*parts)  # noqa: DTZ001 - tables hold naive UTC


def kind_of(values, dtype=None):
    return schema.infer_column(pl.Series("x", values, dtype=dtype))


def test_kinds_follow_types_and_values():
    assert kind_of([1, 2]).kind == "integer"
    assert kind_of([1.5, 2.0]).kind == "number"
    assert kind_of([True, False]).kind == "boolean"
    assert kind_of([dt.date(2026, 1, 1)]).kind == "timestamp"
    assert kind_of(["a", "b", "a"]).kind == "category"
    assert kind_of(["a"], pl.Categorical).kind == "category"
    assert kind_of([f"name {n}" for n in range(40)]).kind == "text"
    assert kind_of([f"name {n}" for n in range(12)]).kind == "text"
    assert kind_of([f"c{n % 60}" for n in range(2000)]).kind == "category"
    assert kind_of([f"c{n % 60}" for n in range(600)]).kind == "text"


def test_bounds_categories_and_gaps_are_kept():
    number = kind_of([3.0, None, float("nan"), -1.0])
    assert (number.minimum, number.maximum, number.nullable) == (-1.0, 3.0, True)
    assert kind_of(["b", None, "a"]).categories == ("a", "b")
    assert not kind_of([1, 2]).nullable
    at = kind_of([moment(1970, 1, 1, 0, 0, 1), moment(1970, 1, 2)])
    assert (at.minimum, at.maximum) == (1000.0, 86_400_000.0)


@pytest.mark.parametrize(
    ("values", "dtype", "part"),
    [
        ([None, None], None, "column 'x' has no value in any of its 2 rows"),
        ([float("nan")] * 3, None, "column 'x' has no number in any of its 3 rows"),
        ([1.0, float("inf")], None, "infinite value in 1 rows, first in row 1"),
        ([[1], [2]], None, "no plain value"),
        ([b"x"], None, "no plain value"),
    ],
)
def test_columns_without_plain_finite_values_are_refused(values, dtype, part):
    with pytest.raises(InvalidInputError, match="column 'x'") as refusal:
        kind_of(values, dtype)
    assert part in str(refusal.value)


def test_equal_schemas_do_not_differ():
    found = schema.infer(pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    assert schema.differences(found, found) == ()


def test_each_change_is_a_sentence():
    before = schema.infer(
        pl.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [0.5, 1.0], "d": [True, False]})
    )
    after = schema.infer(
        pl.DataFrame({"a": [1, None], "b": ["x", "z"], "c": [0.1, 3.0], "e": [1, 1]})
    )
    found = schema.differences(before, after)
    assert [difference.sentence for difference in found] == [
        "column 'a' now has missing values",
        "column 'b' has new categories: 'z'",
        "column 'c' now runs from 0.1 to 3; before, from 0.5 to 1",
        "column 'd' (boolean) is gone",
        "column 'e' (integer) is new",
    ]
    assert [difference.breaks for difference in found] == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        ("integer", "number", False),
        ("category", "text", False),
        ("number", "category", True),
        ("timestamp", "text", True),
    ],
)
def test_only_unrelated_kinds_break(old, new, breaks):
    (found,) = schema.differences(
        Schema((Column(name="a", kind=old),)), Schema((Column(name="a", kind=new),))
    )
    assert found.breaks is breaks
    assert found.sentence == f"column 'a' was {old} and is {new}"


def test_a_schema_gives_its_parts():
    found = schema.infer(pl.DataFrame({"a": [1], "b": [2], "c": [3]}))
    assert found.names == ("a", "b", "c")
    assert found.select(("c", "a")).names == ("a", "c")
    assert found.without(("a",)).names == ("b", "c")
    assert found.find("z") is None


@pytest.mark.parametrize("name", ["elec2", "bank_marketing", "adult", "hmda_boston"])
def test_real_tables_are_understood(name):
    path = SHARED / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"the real tables are not in {SHARED}")
    frame = tables.read(path)
    found = schema.infer(frame)
    assert found.names == tuple(frame.columns)
    assert {column.kind for column in found.columns} <= {"number", "integer", "category"}
    read = schema.compile_row(found)
    for index, row in enumerate(frame.head(50).to_dicts()):
        assert read(row, index) == row
