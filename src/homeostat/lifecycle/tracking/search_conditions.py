"""What runs are searched by, as SQL: does a run hold, and which index range holds all that do.

Called by the plans of runs' search.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from homeostat.lifecycle.tracking import comparing, language, places, records
from homeostat.lifecycle.tracking.search_statement import Statement

_COMPARE: Final[dict[str, Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FIRST_SURROGATE: Final = 0xD800
_LAST_SURROGATE: Final = 0xDFFF
_NOT_FINITE: Final = ("-inf", "inf", "nan")
_TABLES: Final = {"metric": "latest_metrics", "param": "params", "tag": "tags"}
_ADDRESS: Final = (
    f"CASE WHEN substr(r.artifact_root, 1, 4) = 'run:' THEN '{places.SCHEME}:/'"
    " || r.experiment_id || '/' || r.id || '/artifacts' ELSE r.artifact_root END"
)
ATTRIBUTES: Final = {
    "run_id": "r.id",
    "run_name": "r.name",
    "status": "upper(r.status)",
    "user_id": 'r."user"',
    "artifact_uri": _ADDRESS,
    "pipeline": "r.pipeline",
    "start_time": "r.started_at",
    "end_time": "r.ended_at",
}
NUMBERS: Final = frozenset({"start_time", "end_time"})
"""The attributes that are numbers; the others are text."""


class Need(NamedTuple):
    """All conditions on one thing that a run keeps; each row of it must fulfil all.

    Besides the comparators of the language there are ``IS``, with the kind of a metric, and
    ``BEGINS``, with the head of a text as its index holds it.

    Parameters
    ----------
    subject, key
        As in a condition.
    conditions
        One or more.
    """

    subject: str
    key: str
    conditions: tuple[language.Condition, ...]

    @property
    def is_absent(self) -> bool:
        """Whether the run must not have it."""
        return any(one.comparator == "IS NULL" for one in self.conditions)


class Span(NamedTuple):
    """A stretch of an index in which all runs that fulfil a need stand.

    Parameters
    ----------
    table
        Called ``c`` in the words.
    parts
        Conditions of stretches that do not overlap; together they are the span.
    is_exact
        Whether every run in it fulfils the need.
    """

    table: str
    parts: tuple[str, ...]
    is_exact: bool

    @property
    def run(self) -> str:
        """The id of each of its runs, once."""
        # A run may read the same dataset in two versions.
        is_many = self.table == "run_datasets"
        column = "c.id" if self.table == "runs" else "c.run_id"
        return f"DISTINCT {column} AS run_id" if is_many else f"{column} AS run_id"

    def select(self, what: str) -> str:
        """Return the statement that reads all of it."""
        words = ("SELECT", what, "FROM", self.table, "c WHERE c.project = :project AND")
        return " UNION ALL ".join(" ".join((*words, part)) for part in self.parts)


def needs_of(conditions: Iterable[language.Condition]) -> tuple[Need, ...]:
    """Put conditions on the same thing together.

    Parameters
    ----------
    conditions
        Of a filter.

    Returns
    -------
    tuple of Need
        What is kept once for each key; a run may read several datasets, so a need for each.
    """
    grouped: dict[tuple[str, str, int], list[language.Condition]] = {}
    for n, one in enumerate(conditions):
        apart = n if one.subject in ("dataset", "attribute") else -1
        grouped.setdefault((one.subject, one.key, apart), []).append(one)
    return tuple(Need(key[0], key[1], tuple(found)) for key, found in grouped.items())


def kept_holds(made: Statement, need: Need, run: str) -> str:
    """Return the condition that a run keeps what a need asks for.

    Parameters
    ----------
    made
        The statement it goes into.
    need
        Of a metric, param, tag or dataset.
    run
        Expression of the run's id.

    Returns
    -------
    str
        True or false for each run, never null.
    """
    table = "run_datasets" if need.subject == "dataset" else _TABLES[need.subject]
    words = ["(SELECT 1 FROM", table, "c WHERE c.project = :project AND c.run_id =", run]
    if need.subject != "dataset":
        words.append(f"AND c.key = {made.bind(need.key)}")
    if need.is_absent:
        others = [one for one in need.conditions if one.comparator != "IS NULL"]
        return "1 = 0" if others else " ".join(("NOT EXISTS", *words, ")"))
    words.extend(f"AND {_row_holds(made, one)}" for one in need.conditions)
    return " ".join(("EXISTS", *words, ")"))


def run_holds(made: Statement, need: Need, row: str = "r") -> str:
    """Return the condition that a row of runs has an attribute as needed."""
    held: list[str] = []
    for one in need.conditions:
        column = ATTRIBUTES[one.key].replace("r.", f"{row}.")
        if one.key in NUMBERS:
            held.append(f"{column} {_operator(one)} {made.bind(_number(one))}")
        else:
            held.append(_text_holds(made, column, one))
    return " AND ".join(f"({words})" for words in held)


def _row_holds(made: Statement, one: language.Condition) -> str:
    if one.comparator == "IS NOT NULL":
        return "1 = 1"
    if one.comparator == "IS":
        return f"c.kind = {made.bind(str(one.value))}"
    if one.comparator == "BEGINS":
        return f"{made.bytewise('c.value_head')} = {made.bind(str(one.value))}"
    if one.subject == "dataset":
        column = {"name": "c.name", "digest": "c.digest", "context": "c.context"}[one.key]
        return f"({_text_holds(made, column, one)})"
    if one.subject != "metric":
        return f"({_text_holds(made, 'c.value', one)})"
    finite = f"c.kind = 'finite' AND c.value {_operator(one)} {made.bind(_number(one))}"
    others = _kinds([one])
    if not others:
        return f"({finite})"
    listed = ", ".join(f"'{kind}'" for kind in others)
    return f"({finite} OR c.kind IN ({listed}))"


def text_holds(made: Statement, one: language.Condition) -> str:
    """Return the condition that the value of a row called ``c``, a text, is as needed."""
    return _row_holds(made, one)


def _text_holds(made: Statement, column: str, one: language.Condition) -> str:
    if one.comparator in ("IN", "NOT IN"):
        assert isinstance(one.value, tuple)
        listed = made.among(column, one.value)
        return listed if one.comparator == "IN" else f"NOT ({listed})"
    value = str(one.value)
    if one.comparator == "LIKE":
        if made.is_sqlite:
            return f"{column} GLOB {made.bind(comparing.glob(value))}"
        return f"{column} LIKE {made.bind(value)} ESCAPE ''"
    if one.comparator == "ILIKE":
        if made.is_sqlite:
            return f"{column} LIKE {made.bind(value)}"
        # SQLite knows capitals of ASCII only; both are to find the same rows.
        return f"lower({column} COLLATE \"C\") LIKE {made.bind(_lower(value))} ESCAPE ''"
    if one.comparator in ("=", "!="):
        return f"{column} {_operator(one)} {made.bind(value)}"
    return f"{made.bytewise(column)} {_operator(one)} {made.bind(value)}"


def span_of(made: Statement, need: Need, experiments: Sequence[int]) -> Span | None:
    """Return where in an index the runs stand that may fulfil a need.

    Parameters
    ----------
    made
        The statement it goes into.
    need
        Any.
    experiments
        In which runs are searched.

    Returns
    -------
    Span or None
        None when no index helps.
    """
    if need.is_absent:
        return None
    inside = made.among("c.experiment_id", experiments)
    if need.subject == "attribute":
        return _span_of_runs(made, need, inside)
    if need.subject == "dataset":
        return _span_of_datasets(made, need, inside)
    here = f"{inside} AND c.key = {made.bind(need.key)}"
    if need.subject == "metric":
        return _span_of_metric(made, need, here)
    return _span_of_text(made, need, here)


def _span_of_metric(made: Statement, need: Need, here: str) -> Span:
    for one in need.conditions:
        if one.comparator == "IS":
            part = f"{here} AND c.kind = {made.bind(str(one.value))}"
            return Span("latest_metrics", (part,), is_exact=len(need.conditions) == 1)
    compared = [one for one in need.conditions if one.comparator in _COMPARE]
    finite = [f"c.value {_operator(one)} {made.bind(_number(one))}" for one in compared]
    parts = [" AND ".join((here, "c.kind = 'finite'", *finite))]
    parts.extend(f"{here} AND c.kind = '{kind}'" for kind in _kinds(compared))
    return Span("latest_metrics", tuple(parts), is_exact=True)


def _span_of_text(made: Statement, need: Need, here: str) -> Span:
    table = _TABLES[need.subject]
    is_only = len(need.conditions) == 1
    head = made.bytewise("c.value_head")
    for one in need.conditions:
        if one.comparator in ("=", "BEGINS"):
            text = str(one.value)
            is_whole = one.comparator == "BEGINS" or len(text) < records.HEAD_LENGTH
            bound = made.bind(text[: records.HEAD_LENGTH])
            return Span(table, (f"{here} AND {head} = {bound}",), is_exact=is_only and is_whole)
    for one in need.conditions:
        start = _prefix(str(one.value)) if one.comparator == "LIKE" else ""
        if start:
            words = f"{here} AND {head} >= {made.bind(start)}"
            behind = _next_text(start)
            if behind:
                words += f" AND {head} < {made.bind(behind)}"
            return Span(table, (words,), is_exact=False)
    is_any = is_only and need.conditions[0].comparator == "IS NOT NULL"
    return Span(table, (here,), is_exact=is_any)


def _span_of_datasets(made: Statement, need: Need, inside: str) -> Span | None:
    one = need.conditions[0]
    column = {"name": "c.name", "digest": "c.digest", "context": "c.context"}[need.key]
    if one.comparator not in ("=", "IN"):
        return None
    return Span(
        "run_datasets", (f"{inside} AND {_text_holds(made, column, one)}",), is_exact=True
    )


def _span_of_runs(made: Statement, need: Need, inside: str) -> Span | None:
    one = need.conditions[0]
    if need.key == "run_id" and one.comparator in ("=", "IN"):
        return Span("runs", (f"{_text_holds(made, 'c.id', one)} AND {inside}",), is_exact=True)
    return None


def _kinds(conditions: Sequence[language.Condition]) -> list[str]:
    """Which numbers that are not finite fulfil all conditions on a metric."""
    return [
        kind
        for kind in _NOT_FINITE
        if all(_COMPARE[one.comparator](float(kind), one.value) for one in conditions)
    ]


def _operator(one: language.Condition) -> str:
    return "<>" if one.comparator == "!=" else one.comparator


def _number(one: language.Condition) -> float:
    assert isinstance(one.value, int | float)
    return one.value


def _prefix(pattern: str) -> str:
    """Return the text every match of a LIKE pattern begins with, as long as an index holds."""
    ends = [at for at in (pattern.find("%"), pattern.find("_")) if at >= 0]
    return pattern[: min(ends, default=len(pattern))][: records.HEAD_LENGTH]


def _next_text(start: str) -> str:
    """Return the first text behind all that begin with `start`; empty when there is none."""
    for at in range(len(start) - 1, -1, -1):
        code = ord(start[at]) + 1
        if code == _FIRST_SURROGATE:
            code = _LAST_SURROGATE + 1  # no text holds what stands between
        if code <= sys.maxunicode:
            return start[:at] + chr(code)
    return ""


def _lower(text: str) -> str:
    return "".join(sign.lower() if sign.isascii() else sign for sign in text)
