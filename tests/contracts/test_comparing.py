"""Conditions as SQL mean on both databases what they mean in plain words."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from homeostat.lifecycle.tracking import comparing

TEXTS = ("", "a", "A", "ab", "a*b", "a?b", "a[b]", "a%b", "a_b", "a\\b", "é", "b\nc", "]", "^a")
PATTERNS = ("", "a", "%", "_", "a%", "%b", "a_b", "a*b", "a?%", "%[b]", "%\\b", "_%", "]", "^%")


def is_like(text, pattern, *, flags=0):
    """LIKE in plain words: % is anything, _ one character, all else itself."""
    signs = {"%": ".*", "_": "."}
    return re.fullmatch(
        "".join(signs.get(sign, re.escape(sign)) for sign in pattern), text, flags | re.DOTALL
    )


@pytest.mark.parametrize("comparator", ["LIKE", "ILIKE", "=", "!="])
def test_texts_compare_alike_everywhere(database, comparator):
    told = {
        "LIKE": is_like,
        "ILIKE": lambda text, pattern: is_like(text, pattern, flags=re.IGNORECASE),
        "=": lambda text, pattern: text == pattern,
        "!=": lambda text, pattern: text != pattern,
    }[comparator]
    with database.read() as tx:
        for pattern in PATTERNS:
            for text in TEXTS:
                column = sa.cast(sa.literal(text), sa.Text)
                held = comparing.holds(tx, column, comparator, pattern)
                answer = tx.execute(sa.select(sa.case((held, 1), else_=0))).scalar_one()
                assert bool(answer) == bool(told(text, pattern)), (text, pattern)


def test_lists_compare_alike_everywhere(database):
    with database.read() as tx:
        column = sa.cast(sa.literal("a"), sa.Text)
        for comparator, values, told in (
            ("IN", ("a", "b"), 1),
            ("IN", ("A",), 0),
            ("NOT IN", ("a",), 0),
            ("NOT IN", ("b", "c"), 1),
        ):
            held = comparing.holds(tx, column, comparator, values)
            assert tx.execute(sa.select(sa.case((held, 1), else_=0))).scalar_one() == told
