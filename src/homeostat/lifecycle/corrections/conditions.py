"""Whether a condition holds of a row; called by `compiled` in the prediction server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from homeostat.lifecycle.corrections.entities import Clause

Columns = Mapping[str, Sequence[Any]]
Holds = Callable[[int, Columns], bool]
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "lt": lambda seen, wanted: seen < wanted,
    "le": lambda seen, wanted: seen <= wanted,
    "gt": lambda seen, wanted: seen > wanted,
    "ge": lambda seen, wanted: seen >= wanted,
}


def text(value: Any) -> str:
    """Write a value so that 1, 1.0 and "1" are equal.

    Parameters
    ----------
    value
        Of a request or a condition.

    Examples
    --------
    >>> [text(one) for one in (1, 1.0, "1", 0.5, True)]
    ['1', '1', '1', '0.5', 'True']
    """
    if type(value) is float and value.is_integer():
        return str(int(value))
    return str(value)


def value_of(column: str, at: int, columns: Columns) -> Any:
    """Return a row's value of a column; None where there is no such column.

    Parameters
    ----------
    column
        Its name.
    at
        The row.
    columns
        Features and context, by name.
    """
    found = columns.get(column)
    return None if found is None else found[at]


def compile_all(wanted: Sequence[Clause]) -> Holds:
    """Return a function that says whether every condition holds of a row.

    Parameters
    ----------
    wanted
        Conditions; none of them holds of every row.

    Returns
    -------
    callable
        Of the row's number and the columns.

    Examples
    --------
    >>> holds = compile_all([Clause("age", "lt", 18), Clause("region", "eq", "east")])
    >>> holds(0, {"age": [17.0], "region": ["east"]})
    True
    >>> holds(0, {"age": [None], "region": ["east"]})
    False
    """
    tests = [(one.column, _compile(one)) for one in wanted]

    def holds(at: int, columns: Columns) -> bool:
        for column, test in tests:  # noqa: SIM110 - a generator costs more than the loop
            if not test(value_of(column, at, columns)):
                return False
        return True

    return holds


def _compile(one: Clause) -> Callable[[Any], bool]:
    if one.op == "is_null":
        return _is_null
    if one.op in _ORDER:
        return _ordered(_ORDER[one.op], float(one.value))  # type: ignore[arg-type]
    values = one.value if isinstance(one.value, tuple) else (one.value,)
    known = frozenset(text(value) for value in values)
    if one.op == "ne":
        return lambda seen: _is_null(seen) or text(seen) not in known
    return lambda seen: not _is_null(seen) and text(seen) in known


def _ordered(compare: Callable[[float, float], bool], wanted: float) -> Callable[[Any], bool]:
    def test(seen: Any) -> bool:
        # NaN is in no order; text that came for a number is the schema's business.
        return isinstance(seen, int | float) and compare(seen, wanted)

    return test


def _is_null(seen: Any) -> bool:
    return seen is None or seen != seen  # noqa: PLR0124 - NaN is missing too
