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


read_columns = rows.compile_columns(SCHEMA)


def both(names, columns, n_rows):
    """What the two readers make of a table: columns, or the sentence of the refusal."""
    said = []
    for way in (by_rows, read_columns):
        try:
            said.append(way(names, columns, n_rows))
        except InvalidInputError as error:
            said.append((str(error), error.facts))
    return said


def by_rows(names, columns, n_rows):
    found = [
        read(dict(zip(names, values, strict=True)), at)
        for at, values in enumerate(zip(*columns, strict=True))
    ]
    assert len(found) == n_rows
    return [[row[name] for row in found] for name in SCHEMA.names]


USUAL = {
    "income": st.floats(-1e9, 1e9) | st.integers(0, 9),
    "debt ratio": st.none() | st.floats(),
    "children": st.integers() | st.just(3.0),
    "owns": st.booleans(),
    "region": st.sampled_from(["north", "moon"]),
    "note": st.none() | st.text(max_size=3),
    "at": st.none() | st.sampled_from(["2026-01-31", "2026-01-31T12:00:00Z", "soon"]),
}


@given(st.data(), st.integers(1, 4))
def test_columns_are_read_as_their_rows_are(data, n_rows):
    names = data.draw(st.permutations(SCHEMA.names))
    columns = [
        data.draw(st.lists(USUAL[name], min_size=n_rows, max_size=n_rows)) for name in names
    ]
    if data.draw(st.booleans()):
        odd = data.draw(st.integers(0, len(names) - 1))
        columns[odd] = data.draw(st.lists(ANYTHING, min_size=n_rows, max_size=n_rows))
    if data.draw(st.integers(0, 9)) == 0:
        names[0] = "other"
    slow, fast = both(names, columns, n_rows)
    assert repr(fast) == repr(slow)  # tells 1 from 1.0, and NaN is itself


@pytest.mark.parametrize("kind", ["number", "integer", "boolean", "category", "timestamp"])
@pytest.mark.parametrize("is_nullable", [True, False])
@given(values=st.lists(ANYTHING | st.sampled_from([2**63, -(2**63), 10**400]), max_size=3))
def test_a_column_of_each_kind_is_read_as_its_rows_are(kind, is_nullable, values):
    schema = Schema((Column(name="a", kind=kind, nullable=is_nullable),))
    slow_read, fast_read = rows.compile_row(schema), rows.compile_columns(schema)
    refused = []
    for at, value in enumerate(values):
        try:
            slow_read({"a": value}, at)
        except InvalidInputError as error:
            refused.append(str(error))
    if refused:
        with pytest.raises(InvalidInputError) as refusal:
            fast_read(("a",), [values], len(values))
        assert str(refusal.value) == refused[0]
    else:
        slow = [[slow_read({"a": value})["a"] for value in values]]
        assert repr(fast_read(("a",), [values], len(values))) == repr(slow)


def test_columns_may_be_tuples_in_any_order():
    schema = Schema((Column(name="a", kind="number"), Column(name="b", kind="integer")))
    assert rows.compile_columns(schema)(("b", "a"), [(1, 2), (3, 0.5)], 2) == [
        [3.0, 0.5],
        [1, 2],
    ]


@pytest.mark.parametrize(
    ("names", "columns", "n_rows", "message"),
    [
        (["a", "a"], [[1.0], [2.0]], 1, "column 'a' comes twice"),
        (["a", "b"], [[1.0], [2.0, 3.0]], 1, "column 'b' has 2 values for 1 rows"),
        (["a", "b"], [[1.0, 2.0], []], 2, "column 'b' has 0 values for 2 rows"),
        (["a"], [[1.0]], 1, "rows[0].b: this column is missing"),
        (["a"], [[]], 0, "rows[0].b: this column is missing"),
    ],
)
def test_columns_that_are_no_table_are_refused(names, columns, n_rows, message):
    schema = Schema((Column(name="a", kind="number"), Column(name="b", kind="number")))
    with pytest.raises(InvalidInputError) as refusal:
        rows.compile_columns(schema)(names, columns, n_rows)
    assert message in str(refusal.value)


def test_categories_never_seen_are_named_by_column():
    find = rows.compile_unseen(SCHEMA)
    columns = read_columns(SCHEMA.names, [[value, value] for value in GOOD.values()], 2)
    assert find(columns) == {}
    columns[4] = ["moon", "north"]
    assert find(columns) == {"region": ["moon"]}
