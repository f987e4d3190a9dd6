"""A slice means what plain Python says that it means, and nothing in it is ever run."""

from __future__ import annotations

import math
import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.foundation import errors
from homeostat.lifecycle.monitoring import slicing
from homeostat.lifecycle.policy import slices

KINDS = {"n": "number", "f": "number", "t": "text", "b": "truth"}
VALUES = {
    "n": st.none() | st.integers(-3, 3),
    "f": st.none() | st.sampled_from([-1.5, 0.0, 0.5, 2.0, math.nan]),
    "t": st.none() | st.sampled_from(["", "a", "ab", "b%", "it's"]),
    "b": st.none() | st.booleans(),
}
LITERALS = {
    "number": st.integers(-3, 3) | st.sampled_from([-1.5, 0.5, 2.0]),
    "text": st.sampled_from(["", "a", "ab", "it's"]),
    "truth": st.booleans(),
}
SCHEMA = {"n": pl.Int64, "f": pl.Float64, "t": pl.String, "b": pl.Boolean}
ROWS = st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=8)


@st.composite
def compared(draw):
    column = draw(st.sampled_from(sorted(KINDS)))
    kind = KINDS[column]
    value = LITERALS[kind]
    signs = ["=", "!="] if kind == "truth" else ["=", "!=", "<", "<=", ">", ">="]
    forms = [
        st.builds(slices.Compare, st.just(column), st.sampled_from(signs), value),
        st.builds(
            slices.Among,
            st.just(column),
            st.lists(value, min_size=1, max_size=3).map(tuple),
            st.booleans(),
        ),
        st.builds(slices.Missing, st.just(column), st.booleans()),
    ]
    if kind == "text":
        pattern = st.sampled_from(["%", "a%", "%b", "a", "%'%", ".%"])
        forms.append(st.builds(slices.Like, st.just(column), pattern, st.booleans()))
    return draw(st.one_of(forms))


def joined(inner):
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(slices.Every, parts),
        st.builds(slices.Either, parts),
        st.builds(slices.Not, inner),
    )


CONDITIONS = st.recursive(compared(), joined, max_leaves=6)


def holds(condition, row):
    """Say by plain Python whether a row is in a slice."""
    if isinstance(condition, slices.Every):
        return all(holds(part, row) for part in condition.parts)
    if isinstance(condition, slices.Either):
        return any(holds(part, row) for part in condition.parts)
    if isinstance(condition, slices.Not):
        return not holds(condition.part, row)
    value = row[condition.column]
    is_missing = value is None or value != value  # noqa: PLR0124 - NaN
    if isinstance(condition, slices.Missing):
        return is_missing == condition.is_missing
    if is_missing:
        return False
    if isinstance(condition, slices.Among):
        return (value in condition.values) == condition.is_inside
    if isinstance(condition, slices.Like):
        pattern = ".*".join(map(re.escape, condition.pattern.split("%")))
        is_alike = re.fullmatch(pattern, value, re.DOTALL) is not None
        return is_alike == condition.is_alike
    wanted = condition.value
    return {
        "=": value == wanted,
        "!=": value != wanted,
        "<": value < wanted,
        "<=": value <= wanted,
        ">": value > wanted,
        ">=": value >= wanted,
    }[condition.operator]


def written(condition):
    """Write a condition as a person would, with parentheses everywhere."""
    if isinstance(condition, slices.Every):
        return "(" + " and ".join(map(written, condition.parts)) + ")"
    if isinstance(condition, slices.Either):
        return "(" + " OR ".join(map(written, condition.parts)) + ")"
    if isinstance(condition, slices.Not):
        return f"not {written(condition.part)}"
    name = condition.column
    if isinstance(condition, slices.Missing):
        return f"{name} is {'' if condition.is_missing else 'not '}null"
    if isinstance(condition, slices.Among):
        inside = ", ".join(map(literal, condition.values))
        return f"{name} {'' if condition.is_inside else 'not '}in ({inside})"
    if isinstance(condition, slices.Like):
        return (
            f'"{name}" {"" if condition.is_alike else "not "}like {literal(condition.pattern)}'
        )
    return f"{name}{condition.operator}{literal(condition.value)}"


def literal(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


@settings(max_examples=60)
@given(CONDITIONS, ROWS)
def test_a_slice_holds_for_the_rows_that_plain_python_says(condition, rows):
    read = slices.parse(written(condition))
    table = pl.DataFrame(rows, schema=SCHEMA)
    expected = [holds(condition, row) for row in rows]
    assert slicing.inside(table, read).to_list() == expected
    assert set(slices.columns(read)) <= set(SCHEMA)


@settings(max_examples=60)
@given(st.text(max_size=60))
def test_any_other_text_is_refused_and_never_run(text):
    try:
        slices.parse(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - most texts are refused, some are slices


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("age <", "got the end"),
        ("__import__('os')", "comparison was expected"),
        ("age < 1; drop table x", "is not understood"),
        ("a = 9007199254740993", "2\\*\\*53"),
        ("a in (1, 'x')", "several kinds"),
        ("a < true", "truth value"),
        ("(" * 40 + "a = 1" + ")" * 40, "32 parentheses"),
        ("a = 1 " * 500, "2000 characters"),
        ("a = 1 a", "was not expected"),
    ],
)
def test_what_is_no_slice_is_refused_with_its_place(text, told):
    with pytest.raises(ValueError, match=told):
        slices.parse(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [("ag = 1", "did you mean 'age'"), ("age = 'x'", "does not hold text")],
)
def test_a_slice_that_does_not_fit_the_rows_is_refused(text, told):
    with pytest.raises(errors.InvalidInputError, match=told):
        slicing.inside(pl.DataFrame({"age": [1]}), slices.parse(text))


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical, pl.Enum(["x", "y"])])
def test_categories_are_compared_as_text(kind):
    rows = pl.DataFrame({"segment": pl.Series(["x", "y", None], dtype=kind)})
    found = slicing.inside(rows, slices.parse("segment = 'x'"))
    assert found.to_list() == [True, False, False]
