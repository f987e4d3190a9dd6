"""Rules of a plan: who is sent to an arm for what a request says, before any share counts.

A rule is a list of conditions that must all hold, and the arm that answers then; the first
rule that fits wins. Written as ``region = north and income >= 1000 -> canary``. Checked by
`actions` against the schema, compiled by `router` for every process that answers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from homeostat.foundation import errors
from homeostat.lifecycle.serving.entities import Condition, Operator, Rule, Value

RULES_AT_MOST: Final = 50
CONDITIONS_AT_MOST: Final = 20
VALUES_AT_MOST: Final = 1000
_SIGNS: Final[Mapping[str, Operator]] = {
    "=": "eq",
    "in": "in",
    ">=": "at-least",
    "<": "below",
}
_CONDITION = re.compile(r"\s*(.+?)\s*(>=|<|=|\sin\s)\s*(.+?)\s*")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "category": (str,),
    "text": (str,),
}


class Place(NamedTuple):
    """Where a process finds a column of a request."""

    features: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    key: str = ""


Find = Callable[
    [Sequence[str], Sequence[Sequence[Any]], Sequence[Sequence[Any]]], Sequence[Any]
]
Holds = Callable[[Any], bool]


def parse(text: str) -> Rule:
    """Read a rule as people write it.

    Parameters
    ----------
    text
        ``COLUMN = VALUE and COLUMN in A|B and COLUMN >= 3 and COLUMN < 9 -> ARM``.

    Returns
    -------
    Rule
        Named by its text; a value that reads as a number or as true or false is one.

    Raises
    ------
    InvalidInputError
        When it cannot be read.

    Examples
    --------
    >>> rule = parse("region in north|south and income >= 1000 -> canary")
    >>> rule.arm, [(one.column, one.operator, one.values) for one in rule.conditions]
    ('canary', [('region', 'in', ('north', 'south')), ('income', 'at-least', (1000,))])
    """
    said, arrow, arm = text.rpartition("->")
    if not arrow or not arm.strip():
        raise _unreadable(text)
    conditions = []
    for part in said.split(" and "):
        found = _CONDITION.fullmatch(part)
        if found is None or not all(one.strip() for one in found[3].split("|")):
            raise _unreadable(text)
        operator = _SIGNS[found[2].strip()]
        values = found[3].split("|") if operator == "in" else [found[3]]
        meant = tuple(_value(one.strip()) for one in values)
        conditions.append(Condition(found[1], operator, meant))
    return Rule(" ".join(text.split()), arm.strip(), tuple(conditions))


def check(rules: Sequence[Rule], *, arms: Collection[str]) -> None:
    """Refuse rules that no process could follow, whatever the schema.

    Parameters
    ----------
    rules
        Of a plan.
    arms
        Names of its arms.

    Raises
    ------
    InvalidInputError
        When there are too many, two have one name, or one has no condition or an unknown arm.
    """
    names = [rule.name for rule in rules]
    if len(rules) > RULES_AT_MOST or len(set(names)) != len(names) or "" in names:
        raise _wrong(f"it has up to {RULES_AT_MOST} rules with distinct names; seen {names}")
    for rule in rules:
        if rule.arm not in arms:
            raise _wrong(
                f"rule {rule.name!r} sends to {rule.arm!r}, which is none of its arms "
                f"{', '.join(arms)}"
            )
        if not 1 <= len(rule.conditions) <= CONDITIONS_AT_MOST:
            raise _wrong(
                f"rule {rule.name!r} has {len(rule.conditions)} conditions; "
                f"1 to {CONDITIONS_AT_MOST} are needed"
            )
        for condition in rule.conditions:
            _check_values(rule, condition)


def check_columns(
    rules: Sequence[Rule], *, kinds: Mapping[str, str], context: Collection[str], key: str
) -> None:
    """Refuse rules on columns that no request has, or on values that no column has.

    Parameters
    ----------
    rules
        Of a plan that `check` has passed.
    kinds
        Kind of each feature of the model, by name.
    context
        Columns beside the features that requests may carry: the protected ones.
    key
        Column of the key; compared as text. Empty when there is none.

    Raises
    ------
    InvalidInputError
        Naming the rule and the column.
    """
    for rule in rules:
        for one in rule.conditions:
            told = f"rule {rule.name!r}: column {one.column!r}"
            if one.column not in kinds:
                if one.column != key and one.column not in context:
                    known = ", ".join([*kinds, *context, *([key] if key else [])])
                    raise _wrong(f"{told} is in no request; known are {known}")
                if one.column == key and not all(isinstance(v, str) for v in one.values):
                    raise _wrong(f"{told} is the key, which is compared as text")
                continue
            kind = kinds[one.column]
            if kind not in _TYPES:
                raise _wrong(f"{told} is a {kind}, which rules do not compare")
            if not all(type(value) in _TYPES[kind] for value in one.values):
                raise _wrong(f"{told} is a {kind}; seen {list(one.values)}")
            if one.operator in {"at-least", "below"} and kind not in {"number", "integer"}:
                raise _wrong(f"{told} is a {kind}, which has no order")


def compile_rules(
    rules: Sequence[Rule], *, arms: Sequence[str], place: Place
) -> list[tuple[int, list[tuple[Find, Holds]]]]:
    """Prepare rules for one layout of requests.

    Parameters
    ----------
    rules
        Checked.
    arms
        Names of the plan's arms, in order.
    place
        What requests hold.

    Returns
    -------
    list
        Index of the arm and conditions, as (how to find the column, what must hold of a value).
        A rule on a column that requests lack is left out: it can never fit.
    """
    compiled = []
    for rule in rules:
        finders = [_finder(one.column, place) for one in rule.conditions]
        found = [one for one in finders if one is not None]
        if len(found) == len(finders):
            tests = [_test(one, is_text=one.column == place.key) for one in rule.conditions]
            compiled.append((arms.index(rule.arm), list(zip(found, tests, strict=True))))
    return compiled


def _finder(column: str, place: Place) -> Find | None:
    if column in place.features:
        at = place.features.index(column)
        return lambda _keys, columns, _context: columns[at]
    if column in place.context:
        at = place.context.index(column)
        return lambda _keys, _columns, context: context[at]
    if column == place.key:
        return lambda keys, _columns, _context: keys
    return None


def _test(condition: Condition, *, is_text: bool) -> Holds:
    values = condition.values
    if condition.operator in {"eq", "in"}:
        # True is 1 to Python, but not to a caller.
        wanted = frozenset((type(one) is bool, one) for one in values)
        return lambda value: value is not None and (type(value) is bool, value) in wanted
    bound = str(values[0]) if is_text else values[0]
    kinds = (str,) if is_text else (int, float)
    if condition.operator == "at-least":
        return lambda value: type(value) in kinds and value >= bound
    return lambda value: type(value) in kinds and value < bound


def _check_values(rule: Rule, condition: Condition) -> None:
    needed = VALUES_AT_MOST if condition.operator == "in" else 1
    if not condition.column or not 1 <= len(condition.values) <= needed:
        raise _wrong(
            f"rule {rule.name!r}: {condition.column!r} {condition.operator} takes 1 to "
            f"{needed} values; seen {len(condition.values)}"
        )
    if not all(math.isfinite(one) for one in condition.values if isinstance(one, float)):
        raise _wrong(f"rule {rule.name!r}: {condition.column!r} is compared with no number")


def _value(text: str) -> Value:
    if text in {"true", "false"}:
        return text == "true"
    quoted = text[:1] == text[-1:] in {'"', "'"} and len(text) > 1
    if quoted:
        return text[1:-1]
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def _unreadable(text: str) -> errors.InvalidInputError:
    return errors.InvalidInputError(
        f"{text!r} is no rule", hint="write one as: region = north and income >= 1000 -> canary"
    )


def _wrong(why: str) -> errors.InvalidInputError:
    return errors.InvalidInputError(f"this plan cannot be served: {why}")
