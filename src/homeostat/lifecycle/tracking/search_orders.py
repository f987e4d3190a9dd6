"""The order of runs as SQL: values, then NaN, then missing; newest first among equals.

Called by the plans of runs' search. A place in an order is, for each `language.Order`, a rank
and a value, then the start of the run and its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from homeostat.lifecycle.tracking import language, tokens
from homeostat.lifecycle.tracking.search_conditions import ATTRIBUTES, NUMBERS
from homeostat.lifecycle.tracking.search_statement import Statement

_TABLES: Final = {"metric": "latest_metrics", "param": "params", "tag": "tags"}
FINITE: Final = 1
NAN: Final = 3
MISSING: Final = 4


class Term(NamedTuple):
    """One thing to order by, never null.

    Parameters
    ----------
    words
        The expression.
    ascending
        Smallest first.
    """

    words: str
    ascending: bool


def rank_of(kind: str, *, ascending: bool) -> int:
    """Return where numbers of a kind stand: infinities at their end, NaN behind them."""
    if kind == "nan":
        return NAN
    if kind == "finite":
        return FINITE
    return 0 if (kind == "-inf") == ascending else FINITE + 1


def joins(made: Statement, orders: Sequence[language.Order]) -> str:
    """Return the joins that bring what runs, called ``r``, are ordered by."""
    words: list[str] = []
    for n, one in enumerate(orders):
        if one.subject in _TABLES:
            words.append(
                f"LEFT JOIN {_TABLES[one.subject]} o{n} ON o{n}.project = :project"
                f" AND o{n}.run_id = r.id AND o{n}.key = {made.bind(one.key)}"
            )
    return " ".join(words)


def terms(made: Statement, orders: Sequence[language.Order]) -> list[Term]:
    """Return all there is to order by, ending with what is unique."""
    found: list[Term] = []
    for n, one in enumerate(orders):
        if one.subject == "metric":
            ranks = " ".join(
                f"WHEN '{kind}' THEN {rank_of(kind, ascending=one.ascending)}"
                for kind in ("finite", "-inf", "inf", "nan")
            )
            rank = f"CASE o{n}.kind {ranks} ELSE {MISSING} END"
            value = f"CASE o{n}.kind WHEN 'finite' THEN o{n}.value ELSE 0.0 END"
        else:
            column = ATTRIBUTES[one.key] if one.subject == "attribute" else f"o{n}.value"
            nothing = "0" if one.subject == "attribute" and one.key in NUMBERS else "''"
            rank = f"CASE WHEN {column} IS NULL THEN {MISSING} ELSE {FINITE} END"
            value = f"COALESCE({column}, {nothing})"
            if nothing == "''":
                value = made.bytewise(f"({value})")
        found.extend((Term(rank, ascending=True), Term(value, ascending=one.ascending)))
    found.append(Term("r.started_at", ascending=False))
    found.append(Term(made.bytewise("r.id"), ascending=True))
    return found


def ordering(order: Sequence[Term]) -> str:
    """Return the words behind ORDER BY."""
    return ", ".join(f"{term.words} {'ASC' if term.ascending else 'DESC'}" for term in order)


def behind(made: Statement, order: Sequence[Term], place: Sequence[Any]) -> str:
    """Return the condition of the rows that come behind a place.

    Parameters
    ----------
    made
        The statement it goes into.
    order
        All terms.
    place
        A value for each of them.

    Returns
    -------
    str
        True for every row behind it.
    """
    return tokens.behind(
        order,
        place,
        either="({} OR {})".format,
        both="({} AND {})".format,
        beyond=lambda one, at: f"{one.words} {'>' if one.ascending else '<'} {made.bind(at)}",
        same=lambda one, at: f"{one.words} = {made.bind(at)}",
    )


def checked(place: Sequence[Any] | None, orders: Sequence[language.Order]) -> list[Any] | None:
    """Return the place a token held, or refuse one that does not fit; as `tokens.placed`."""
    kinds: list[type] = []
    for one in orders:
        is_number = one.subject == "attribute" and one.key in NUMBERS
        kinds.extend((int, float if one.subject == "metric" else int if is_number else str))
    return tokens.placed(place, [*kinds, int, str])
