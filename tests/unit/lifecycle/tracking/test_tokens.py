"""Page tokens: they hold a place of one search and are refused by any other."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.foundation import errors
from homeostat.lifecycle.tracking import tokens

values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.none(),
)


@given(st.lists(values, max_size=6))
def test_a_place_comes_back_as_it_was(place):
    token = tokens.make(["a", 1], place)
    assert tokens.read(token, ["a", 1]) == place
    assert token.isascii()


def test_no_token_is_the_first_page():
    assert tokens.read("", "anything") is None


def test_a_token_of_another_question_is_refused():
    token = tokens.make(["a > 1"], [1.0])
    with pytest.raises(errors.InvalidInputError, match="Invalid page token"):
        tokens.read(token, ["a > 2"])


garbage = [
    "x",
    "!!!",
    "{}",
    "é",
    base64.b64encode(b"{}").decode(),
    base64.b64encode(b'{"offset": 5}').decode(),
    base64.b64encode(b'["x", [[1]]]').decode(),
    base64.b64encode(b"\xff\xff").decode(),
]


@pytest.mark.parametrize("token", garbage)
def test_what_is_no_token_is_refused(token):
    with pytest.raises(errors.InvalidInputError, match="Invalid page token"):
        tokens.read(token, "q")


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(errors.InvalidInputError):
        tokens.read(text, "q")
