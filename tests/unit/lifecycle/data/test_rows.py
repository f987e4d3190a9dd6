"""A request row is what the training data was, or is refused with its path."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.data import rows
from homeostat.lifecycle.data.entities import Column, Schema

SCHEMA = Schema(
    (
        Column(name="income", kind="number", minimum=0, maximum=10),
        Column(name="debt ratio", kind="number", nullable=True),
        Column(name="children", kind="integer"),
        Column(name="owns", kind="boolean"),
        Column(name="region", kind="category", categories=("north", "south")),
        Column(name="note", kind="text", nullable=True),
        Column(name="at", kind="timestamp", nullable=True),
    )
)
GOOD = {
    "income": 3,
    "debt ratio": 0.4,
    "children": 2,
    "owns": True,
    "region": "north",
    "note": None,
    "at": "2026-01-31T12:00:00+01:00",
}
read = rows.compile_row(SCHEMA)


def test_a_good_row_comes_back_typed_and_in_order():
    assert read(GOOD) == {
        **GOOD,
        "income": 3.0,
        "at": dt.datetime.fromisoformat("2026-01-31T11:00:00"),
    }
    shuffled = dict(reversed(GOOD.items()))
    assert list(read(shuffled)) == list(SCHEMA.names)
    assert isinstance(read(GOOD)["income"], float)


def test_unseen_categories_and_values_out_of_range_pass():
    assert read({**GOOD, "region": "moon", "income": 1e9})["region"] == "moon"


def test_a_gap_in_a_column_with_gaps_is_missing():
    assert read({**GOOD, "debt ratio": float("nan")})["debt ratio"] is None
    assert read({**GOOD, "at": None})["at"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"income": "abc"}, "rows[3].income: expected a number, got 'abc'"),
        ({"income": None}, "rows[3].income: expected a number, got null"),
        ({"income": True}, "rows[3].income: expected a number, got True"),
        ({"income": float("nan")}, "rows[3].income: expected a finite number, got nan"),
        ({"income": float("inf")}, "rows[3].income: expected a finite number, got inf"),
        (
            {"debt ratio": float("-inf")},
            "rows[3].debt ratio: expected a finite number, got -inf",
        ),
        ({"income": 10**400}, "rows[3].income: expected a number, got 1000"),
        ({"children": 2.5}, "rows[3].children: expected a whole number, got 2.5"),
        (
            {"children": 2**63},
            "rows[3].children: expected a whole number, got 9223372036854775808",
        ),
        ({"owns": 1}, "rows[3].owns: expected true or false, got 1"),
        ({"region": 7}, "rows[3].region: expected a text, got 7"),
        ({"region": ["a"]}, "rows[3].region: expected a text, got ['a']"),
        (
            {"at": "soon"},
            "rows[3].at: expected a time such as 2026-01-31T12:00:00Z, got 'soon'",
        ),
        ({"incme": 1}, "rows[3].incme: unknown column (did you mean 'income'?)"),
        (
            {"note": "x" * 100, "owns": "x" * 100},
            "got 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…",
        ),
    ],
)
def test_a_bad_value_is_refused_with_its_path(change, message):
    with pytest.raises(InvalidInputError) as refusal:
        read({**GOOD, **change}, 3)
    assert message in str(refusal.value)
    assert refusal.value.facts["path"].startswith("rows[3].")


def test_a_missing_column_is_refused():
    row = {name: value for name, value in GOOD.items() if name != "debt ratio"}
    with pytest.raises(
        InvalidInputError, match=r"rows\[0\]\.debt ratio: this column is missing"
    ):
        read(row)


@pytest.mark.parametrize("at", [None, 3, ["2026"], "2026-99-01"])
def test_a_time_that_must_be_there_is_refused_when_it_is_not(at):
    strict = rows.compile_row(Schema((Column(name="at", kind="timestamp"),)))
    with pytest.raises(InvalidInputError, match=r"rows\[0\]\.at: expected a time"):
        strict({"at": at})
    assert strict({"at": dt.date(2026, 1, 2)})["at"].day == 2


@pytest.mark.parametrize("row", [None, 3, "abc", [1, 2]])
def test_what_is_no_row_is_refused(row):
    with pytest.raises(InvalidInputError, match=r"rows\[0\]: expected an object"):
        read(row)


def test_whole_floats_are_integers():
    assert read({**GOOD, "children": 3.0})["children"] == 3
    assert isinstance(read({**GOOD, "children": 3.0})["children"], int)


def test_names_that_are_no_identifiers_work():
    schema = Schema(
        tuple(Column(name=name, kind="integer") for name in ("class", "a-b", "é", "1"))
    )
    row = {"class": 1, "a-b": 2, "é": 3, "1": 4}
    assert rows.compile_row(schema)(row) == row


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*SCHEMA.names, "other"]), ANYTHING))
def test_anything_else_is_refused_or_comes_back_clean(change):
    try:
        found = read({**GOOD, **change})
    except InvalidInputError as caught:
        refusal = caught
        found = {}
    else:
        refusal = None
    assert refusal is None or str(refusal).startswith("rows[0]")
    found.pop("at", None)
    json.dumps(found, allow_nan=False)
