"""Slices as people write them, ``age < 25 and region in ('north', 'south')``; read, not run.

A small language of conditions on the columns of a row. What is read here is a tree;
`monitoring.slicing` evaluates it on a table. Nothing of it is ever given to an interpreter.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

import msgspec

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
Value = bool | int | float | str

LONGEST = 2000
DEEPEST = 32
WIDEST = 200
WRITTEN: Final = "such as \"age < 25 and region in ('north', 'south')\""
_LARGEST: Final = 2**53
_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<word>[A-Za-z_]\w*(?:\.\w+)*)
    | (?P<sign><=|>=|!=|<>|==|[=<>(),])
    )""",
    re.VERBOSE,
)
_KEYWORDS: Final = frozenset(
    ("and", "or", "not", "in", "is", "null", "like", "between", "true", "false")
)
_SAME: Final[dict[str, Operator]] = {"==": "=", "<>": "!="}


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """A column beside a value; false where the column is missing."""

    column: str
    operator: Operator
    value: Value


class Among(msgspec.Struct, frozen=True, tag="among"):
    """A column in a list of values, or outside of it; false where it is missing."""

    column: str
    values: tuple[Value, ...]
    is_inside: bool = True


class Like(msgspec.Struct, frozen=True, tag="like"):
    """A text beside a pattern, ``%`` for any characters; false where it is missing."""

    column: str
    pattern: str
    is_alike: bool = True


class Missing(msgspec.Struct, frozen=True, tag="missing"):
    """A column without a value, or with one."""

    column: str
    is_missing: bool = True


class Every(msgspec.Struct, frozen=True, tag="every"):
    """All of them."""

    parts: tuple[Condition, ...]


class Either(msgspec.Struct, frozen=True, tag="either"):
    """At least one of them."""

    parts: tuple[Condition, ...]


class Not(msgspec.Struct, frozen=True, tag="not"):
    """The rows for which it does not hold, missing values included."""

    part: Condition


Condition = Compare | Among | Like | Missing | Every | Either | Not


def parse(text: str) -> Condition:
    """Read a slice.

    Parameters
    ----------
    text
        Comparisons of a column with a value (``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``),
        ``between … and …``, ``in (…)``, ``like 'a%'``, ``is null``; joined by ``and``, ``or``,
        ``not`` and parentheses. Texts stand between single quotes, columns whose name is no
        plain word between double ones. Up to 2,000 characters, 32 parentheses deep.

    Returns
    -------
    Condition
        ``and`` binds more tightly than ``or``.

    Raises
    ------
    ValueError
        When it is not understood; says where.

    Examples
    --------
    >>> parse("age < 25 and region in ('north', 'south')").parts[0]
    Compare(column='age', operator='<', value=25)
    >>> parse("income is not null")
    Missing(column='income', is_missing=False)
    """
    if len(text) > LONGEST:
        raise ValueError(f"a slice has up to {LONGEST} characters; got {len(text)}")
    reading = _Reading(_tokens(text))
    found = reading.either()
    if reading.seen is not None:
        raise ValueError(f"{_told(reading.seen)} was not expected after {_before(reading)}")
    return found


def columns(condition: Condition) -> tuple[str, ...]:
    """Return the columns that a condition looks at, in order, each once.

    Examples
    --------
    >>> columns(parse("b > 1 or (a = 'x' and b < 0)"))
    ('b', 'a')
    """
    if isinstance(condition, Every | Either):
        found = [name for part in condition.parts for name in columns(part)]
        return tuple(dict.fromkeys(found))
    if isinstance(condition, Not):
        return columns(condition.part)
    return (condition.column,)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            near = text[at:].strip()[:20]
            raise ValueError(f"{near!r} at character {at + 1} is not understood")
        kind, word = match.lastgroup, match[match.lastgroup]
        if kind == "word" and word.lower() in _KEYWORDS:
            kind, word = "keyword", word.lower()
        found.append(_Token(kind, word, match.start(match.lastgroup) + 1))
        at = match.end()
    return found


class _Reading:
    """Tokens that are being read, by recursive descent."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._n = 0

    @property
    def seen(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    @property
    def before(self) -> _Token | None:
        return self._tokens[self._at - 1] if self._at else None

    def _took(self, *words: str) -> bool:
        token = self.seen
        if token is None or token.kind not in {"keyword", "sign"} or token.text not in words:
            return False
        self._at += 1
        return True

    def _need(self, word: str) -> None:
        if not self._took(word):
            raise ValueError(f"{word!r} was expected, got {_told(self.seen)}")

    def either(self) -> Condition:
        parts = [self._every()]
        while self._took("or"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _every(self) -> Condition:
        parts = [self._one()]
        while self._took("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Condition:
        self._n += 1
        if self._n > WIDEST or self._depth > DEEPEST:
            raise ValueError(
                f"a slice has up to {WIDEST} conditions, {DEEPEST} parentheses deep"
            )
        is_not = self._took("not")
        if is_not or self._took("("):
            self._depth += 1
            inner = self._one() if is_not else self.either()
            self._depth -= 1
            if is_not:
                return Not(inner)
            self._need(")")
            return inner
        return self._condition(self._column())

    def _column(self) -> str:
        token = self.seen
        if token is None or token.kind not in {"word", "quoted"}:
            raise ValueError(f"the name of a column was expected, got {_told(token)}")
        self._at += 1
        if token.kind == "quoted":
            return token.text[1:-1].replace('""', '"')
        return token.text

    def _condition(self, column: str) -> Condition:
        if self._took("is"):
            is_missing = not self._took("not")
            self._need("null")
            return Missing(column, is_missing)
        is_plain = not self._took("not")
        if self._took("in"):
            self._need("(")
            values = [self._value()]
            while self._took(","):
                values.append(self._value())
            self._need(")")
            if len({_kind(value) for value in values}) > 1:
                raise ValueError(f"the values that {column!r} is in are of several kinds")
            return Among(column, tuple(values), is_plain)
        if self._took("like"):
            pattern = self._value()
            if not isinstance(pattern, str):
                raise ValueError(f"like needs a text between single quotes, got {pattern!r}")
            return Like(column, pattern, is_plain)
        if self._took("between"):
            low = self._value()
            self._need("and")
            both = (Compare(column, ">=", low), Compare(column, "<=", self._value()))
            within = Every(both)
            return within if is_plain else Every((Missing(column, False), Not(within)))
        token = self.seen
        if not is_plain or not self._took("=", "==", "!=", "<>", "<", "<=", ">", ">="):
            raise ValueError(f"a comparison was expected after {column!r}, got {_told(token)}")
        assert token is not None
        return _compared(column, token.text, self._value())

    def _value(self) -> Value:
        token = self.seen
        if token is not None and token.kind == "number":
            self._at += 1
            return _number(token.text)
        if token is not None and token.kind == "text":
            self._at += 1
            return token.text[1:-1].replace("''", "'")
        if self._took("true"):
            return True
        if self._took("false"):
            return False
        raise ValueError(
            f"a number, true, false or a text between single quotes was expected, "
            f"got {_told(token)}"
        )


def _compared(column: str, sign: str, value: Value) -> Compare:
    operator: Operator = _SAME.get(sign, sign)  # type: ignore[arg-type]
    if isinstance(value, bool) and operator not in {"=", "!="}:
        raise ValueError(f"{column!r} cannot be compared with a truth value by {sign!r}")
    return Compare(column, operator, value)


def _number(text: str) -> int | float:
    if re.fullmatch(r"[+-]?\d+", text):
        if abs(int(text)) > _LARGEST:
            raise ValueError(f"whole numbers go to 2**53; got {text}")
        return int(text)
    return float(text)


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"


def _told(token: _Token | None) -> str:
    return "the end" if token is None else f"{token.text!r} at character {token.at}"


def _before(reading: _Reading) -> str:
    return _told(reading.before)
