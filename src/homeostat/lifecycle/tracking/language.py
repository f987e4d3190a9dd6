"""The language of filters and orders that MLflow's clients write; called by every search.

One grammar, and a table of `Fields` for each thing that is searched::

    FIELDS = Fields(
        attributes={"name": TEXT, "created_at": NUMBER, "run_id": LISTED},
        metrics=NUMBER,
        params=TEXT,
        tags=NULLABLE,
        orders=frozenset({"name", "created_at"}),
    )
    conditions = parse("name LIKE 'cr%' AND metrics.auc > 0.8", FIELDS)
    orders = order(["metrics.auc DESC", "name"], FIELDS)

A `Condition` carries values only, never text of a statement: who builds SQL binds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NoReturn

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.tracking import lexing, literals

Subject = Literal["attribute", "metric", "param", "tag", "dataset"]
Value = float | str | tuple[str, ...] | None

MOST_CONDITIONS: Final = 100
MOST_ORDERS: Final = 20

_COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=")
_LIKENESS: Final = ("=", "!=", "LIKE", "ILIKE")
_LISTS: Final = ("IN", "NOT IN")
_NULLS: Final = ("IS NULL", "IS NOT NULL")


class Kind(msgspec.Struct, frozen=True):
    """What a field is compared with, and how.

    Parameters
    ----------
    value
        number (unquoted), whole (a whole number, quoted or not) or text (quoted).
    comparators
        Those allowed, in capitals.
    """

    value: Literal["number", "whole", "text"]
    comparators: tuple[str, ...]


NUMBER: Final = Kind("number", _COMPARISONS)
WHOLE: Final = Kind("whole", _COMPARISONS)
TEXT: Final = Kind("text", _LIKENESS)
LISTED: Final = Kind("text", (*_LIKENESS, *_LISTS))
NULLABLE: Final = Kind("text", (*_LIKENESS, *_NULLS))
IDENTITY: Final = Kind("text", ("=", "!=", *_LISTS))


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of thing is searched and ordered by.

    Parameters
    ----------
    attributes
        Kind of each of its own fields; a word without a subject before it is one of these.
    metrics, params, tags
        Kind of what is kept under free keys; None when there is nothing such.
    datasets
        Kind of each field of its data; empty when data is not searched.
    orders
        Attributes it may be ordered by.
    ordered_subjects
        Subjects besides attributes whose keys it may be ordered by.
    aliases
        Other words for attributes.
    subjects
        Words that name a subject besides those all searches know.
    repeats
        The same thing may be ordered by twice; the first time counts.
    """

    attributes: Mapping[str, Kind]
    metrics: Kind | None = None
    params: Kind | None = None
    tags: Kind | None = None
    datasets: Mapping[str, Kind] = {}
    orders: frozenset[str] = frozenset()
    ordered_subjects: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = {}
    subjects: Mapping[str, Subject] = {}
    repeats: bool = False


class Condition(msgspec.Struct, frozen=True):
    """One comparison; several must all hold.

    Parameters
    ----------
    subject
        attribute, metric, param, tag or dataset.
    key
        Name of it, without quotes; for an attribute one of `Fields.attributes`.
    comparator
        In capitals; one that the kind of the field allows.
    value
        A number or text, texts for ``IN`` and ``NOT IN``, None for ``IS [NOT] NULL``.
    """

    subject: Subject
    key: str
    comparator: str
    value: Value


class Order(msgspec.Struct, frozen=True):
    """One field to order by.

    Parameters
    ----------
    subject
        attribute, metric, param or tag.
    key
        Name of it, without quotes.
    ascending
        Smallest first.
    """

    subject: Subject
    key: str
    ascending: bool


_SUBJECTS: Final[Mapping[str, Subject]] = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), "attribute"),
    **dict.fromkeys(("dataset", "datasets"), "dataset"),
}
_SHOWN: Final = {"param": "parameter"}


def parse(text: str, fields: Fields) -> tuple[Condition, ...]:
    """Read a filter: comparisons joined by AND.

    Parameters
    ----------
    text
        Such as ``metrics.auc > 0.8 AND params.model = 'tree'``; empty for no condition.
    fields
        Of what is searched.

    Returns
    -------
    tuple of Condition
        In the order they stand; all must hold.

    Raises
    ------
    InvalidInputError
        When it is not in the grammar, or names a field or a comparison that is not allowed.

    Examples
    --------
    >>> runs = Fields(attributes={"run_id": LISTED}, metrics=NUMBER)
    >>> parse("metrics.`a b` >= 1e-3", runs)
    (Condition(subject='metric', key='a b', comparator='>=', value=0.001),)
    >>> parse("run_id IN ('x', 'y')", runs)[0].value
    ('x', 'y')
    """
    lexing.check_text(text)
    if not text.strip():
        return ()
    reader = lexing.Reader(text)
    found = [_condition(reader, fields)]
    while (piece := reader.next()).kind != "end":
        if not lexing.is_word(piece, "AND"):
            _refuse_clause(reader, piece)
        found.append(_condition(reader, fields))
        if len(found) > MOST_CONDITIONS:
            raise errors.InvalidInputError(
                f"a filter has at most {MOST_CONDITIONS} conditions; this one has more"
            )
    return tuple(found)


def order(texts: Sequence[str], fields: Fields) -> tuple[Order, ...]:
    """Read what to order by, the most important first.

    Parameters
    ----------
    texts
        Such as ``metrics.auc DESC``; ascending without a word.
    fields
        Of what is ordered.

    Returns
    -------
    tuple of Order
        In the same order.

    Raises
    ------
    InvalidInputError
        When one is not in the grammar, is not to be ordered by, or stands there twice and
        may not.

    Examples
    --------
    >>> order(["name desc"], Fields(attributes={"name": TEXT}, orders=frozenset({"name"})))
    (Order(subject='attribute', key='name', ascending=False),)
    """
    if len(texts) > MOST_ORDERS:
        raise errors.InvalidInputError(
            f"order_by has at most {MOST_ORDERS} clauses; got {len(texts)}"
        )
    found = tuple(_order(text, fields) for text in texts)
    first: dict[tuple[str, str], Order] = {}
    for one in found:
        first.setdefault((one.subject, one.key), one)
    if len(first) < len(found) and not fields.repeats:
        raise errors.InvalidInputError(f"`order_by` contains duplicate fields: {list(texts)}")
    return tuple(first.values())


def _condition(reader: lexing.Reader, fields: Fields) -> Condition:
    named = reader.next()
    is_named = named.kind == "word" or (named.kind == "quoted" and named.text[0] == '"')
    if not is_named:
        if reader.peek().kind == "compared":
            raise errors.InvalidInputError(
                "Invalid comparison clause. Expected 'Identifier' found"
                f" '{lexing.cut(named.text)}'"
            )
        _refuse_clause(reader, named)
    subject, key = _field(named.text, fields)
    comparator = _comparator(reader, named)
    kind, key = _kind(subject, key, fields)
    shown = _SHOWN.get(subject, subject)
    if comparator in _NULLS:
        if comparator not in kind.comparators:
            raise errors.InvalidInputError(
                "IS NULL / IS NOT NULL is only supported for tags and params, not for"
                f" '{shown}' '{lexing.cut(key)}'"
            )
        return Condition(subject, key, comparator, None)
    is_list = comparator in _LISTS
    value = reader.next()
    texts = literals.read_list(reader) if value.kind == "open" else None
    literals.check(value, shown, key, kind=kind.value, is_listed="IN" in kind.comparators)
    if comparator not in kind.comparators:
        if is_list or texts is not None:
            _refuse_list(fields)
        raise errors.InvalidInputError(
            f"Invalid comparator '{comparator}' not one of {list(kind.comparators)}"
        )
    if is_list != (texts is not None):
        raise errors.InvalidInputError(
            f"Invalid comparison clause. '{comparator}' is followed by"
            f" {'a list of quoted strings' if is_list else 'one value'}; got"
            f" '{'(' if texts else lexing.cut(value.text)}'"
        )
    return Condition(
        subject,
        key,
        comparator,
        texts if is_list else literals.read(value, key, kind=kind.value),
    )


def _comparator(reader: lexing.Reader, named: lexing.Piece) -> str:
    piece = reader.next()
    if piece.kind == "compared":
        return piece.text
    if lexing.is_word(piece, "LIKE", "ILIKE", "IN"):
        return piece.text.upper()
    if lexing.is_word(piece, "NOT") and lexing.is_word(reader.peek(), "IN", "LIKE", "ILIKE"):
        return f"NOT {reader.next().text.upper()}"
    if lexing.is_word(piece, "IS"):
        following = reader.next()
        if lexing.is_word(following, "NULL"):
            return "IS NULL"
        if lexing.is_word(following, "NOT") and lexing.is_word(reader.next(), "NULL"):
            return "IS NOT NULL"
    raise errors.InvalidInputError(
        f"Invalid clause(s) in filter string: '{lexing.cut(named.text)}' is followed by"
        f" '{lexing.cut(piece.text)}', not by a comparison"
    )


def _field(named: str, fields: Fields) -> tuple[Subject, str]:
    if named[0] == '"' or (named[0] == "`" and not re.match(r"`\w+`\.", named)):
        return "attribute", named[1:-1]
    word, dot, key = named.partition(".")
    if not dot:
        return "attribute", named
    word = word.strip("`")
    subject = fields.subjects.get(word) or _SUBJECTS.get(word)
    if subject is None:
        raise errors.InvalidInputError(
            f"Invalid entity type '{lexing.cut(word)}'. Valid values are"
            " ['metric', 'parameter', 'tag', 'attribute', 'dataset']"
        )
    key = key.lstrip()
    if not key:
        raise errors.InvalidInputError(f"'{lexing.cut(named)}' names no key behind its dot")
    return subject, key[1:-1] if key[0] in "`\"'" else key


def _kind(subject: Subject, key: str, fields: Fields) -> tuple[Kind, str]:
    """Find the kind of a field and the one name it has; refuse one there is not."""
    if subject == "attribute":
        name = fields.aliases.get(key, key)
        if name not in fields.attributes:
            _refuse_key("attribute", key, [*fields.attributes, *fields.aliases])
        return fields.attributes[name], name
    if subject == "dataset" and fields.datasets:
        if key not in fields.datasets:
            _refuse_key("dataset", key, fields.datasets)
        return fields.datasets[key], key
    of_subject = {"metric": fields.metrics, "param": fields.params, "tag": fields.tags}
    kind = of_subject.get(subject)
    if kind is None:
        known = {"metric": fields.metrics, "parameter": fields.params, "tag": fields.tags}
        valid = ["attribute", *(name for name, found in known.items() if found is not None)]
        raise errors.InvalidInputError(
            f"Invalid entity type '{_SHOWN.get(subject, subject)}'. Valid entity types are"
            f" {valid}"
        )
    return kind, key


_ORDER: Final = re.compile(
    r"(?P<field>(?:`?[^\W\d]\w*`?\.)?" + lexing.KEY + r")(?:\s+(?P<way>\w+))?\s*"
)


def _order(text: str, fields: Fields) -> Order:
    lexing.check_text(text)
    match = _ORDER.fullmatch(text.strip())
    if match is None:
        raise errors.InvalidInputError(
            f"Invalid order_by clause '{lexing.cut(text)}'. Could not be parsed."
        )
    way = (match["way"] or "asc").lower()
    if way not in ("asc", "desc"):
        raise errors.InvalidInputError(
            f"Invalid ordering key in order_by clause '{lexing.cut(text)}'."
        )
    subject, key = _field(match["field"], fields)
    if subject == "attribute":
        name = fields.aliases.get(key, key)
        if name not in fields.orders:
            of_orders = [
                word for word, meant in fields.aliases.items() if meant in fields.orders
            ]
            _refuse_key("attribute", key, [*sorted(fields.orders), *of_orders])
        return Order(subject, name, way == "asc")
    if subject not in fields.ordered_subjects:
        raise errors.InvalidInputError(
            f"Invalid order_by entity: {_SHOWN.get(subject, subject)}"
        )
    return Order(subject, key, way == "asc")


def _refuse_clause(reader: lexing.Reader, piece: lexing.Piece) -> NoReturn:
    shown = lexing.cut(piece.text) or lexing.cut(reader.text.strip())
    raise errors.InvalidInputError(f"Invalid clause(s) in filter string: '{shown}'")


def _refuse_key(subject: str, key: str, known: Iterable[str]) -> NoReturn:
    raise errors.InvalidInputError(
        f"Invalid {subject} key '{lexing.cut(key)}' specified. Valid keys are {list(known)}"
    )


def _refuse_list(fields: Fields) -> NoReturn:
    listed = [name for name, kind in fields.attributes.items() if "IN" in kind.comparators]
    raise errors.InvalidInputError(
        f"Only {sorted(listed)} attributes support comparison with a list of quoted string"
        " values."
    )
