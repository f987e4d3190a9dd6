"""The nouns of data: columns, schemas, checks, datasets and their snapshots."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from homeostat.foundation.errors import InvalidInputError

Kind = Literal["number", "integer", "boolean", "category", "text", "timestamp"]
CheckKind = Literal[
    "type",
    "no-nulls",
    "finite",
    "range",
    "categories",
    "unique",
    "key",
    "time-order",
    "freshness",
    "row-count",
]
DatasetName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a table.

    Attributes
    ----------
    name
        As in the table.
    kind
        ``number``, ``integer``, ``boolean``, ``category``, ``text`` or ``timestamp``.
    nullable
        Whether a value may be missing.
    categories
        Known values of a category, sorted; None for other kinds.
    minimum, maximum
        Of the finite values; milliseconds UTC for a timestamp; None where there is no order.
    """

    name: str
    kind: Kind
    nullable: bool = False
    categories: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None


class Schema(msgspec.Struct, frozen=True):
    """The columns of a table, in order."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def find(self, name: str) -> Column | None:
        """Return the column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def select(self, names: tuple[str, ...]) -> Schema:
        """Return the schema of some columns, in the order of this schema."""
        return Schema(tuple(column for column in self.columns if column.name in names))

    def without(self, names: tuple[str, ...]) -> Schema:
        """Return the schema of the other columns."""
        return Schema(tuple(column for column in self.columns if column.name not in names))


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which a schema differs from the one before.

    Attributes
    ----------
    column, kind
        Which column, and ``added``, ``removed``, ``kind``, ``nullable``, ``categories`` or
        ``range``.
    sentence
        The same for people.
    breaks
        Whether rows of the new schema cannot stand where rows of the old one did.
    """

    column: str
    kind: str
    sentence: str
    breaks: bool


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must hold in a table.

    Attributes
    ----------
    kind
        What is asked.
    column
        Of which column; None for the table as a whole.
    minimum, maximum
        Bounds of ``range`` (closed), ``row-count``; milliseconds for a timestamp.
    values
        Allowed values of ``categories``.
    max_age_s
        For ``freshness``: how old the newest row may be.
    """

    kind: CheckKind
    column: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] | None = None
    max_age_s: float | None = None


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a check saw.

    Attributes
    ----------
    check
        What was asked.
    passed
        Whether it holds.
    sentence
        What was seen and what is needed.
    n_failing
        Rows in which it does not hold.
    rows
        The first of them, numbered from 0.
    """

    check: Check
    passed: bool
    sentence: str
    n_failing: int = 0
    rows: tuple[int, ...] = ()


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A series of snapshots under one name."""

    name: str
    n_snapshots: int
    created_at: int
    created_by: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a dataset; never changes.

    Attributes
    ----------
    id, dataset, number
        Its reference is ``snapshot:<id>``; numbers count from 1 in a dataset.
    digest, size_bytes, format
        BLAKE3 and length of the file as given, and its format.
    n_rows
        Rows of the table.
    schema
        Its columns.
    summary
        Digest of the blob with frozen bins and column summaries.
    checks
        What was checked when it was added.
    differences
        How its schema differs from the snapshot before.
    key, time
        Columns that identify and order rows; None where there are none.
    source
        Where it came from, for people; may be empty.
    """

    id: str
    dataset: str
    number: int
    digest: str
    size_bytes: int
    format: str
    n_rows: int
    schema: Schema
    summary: str
    checks: tuple[CheckResult, ...]
    differences: tuple[Difference, ...]
    key: str | None
    time: str | None
    source: str
    created_at: int
    created_by: str

    @property
    def reference(self) -> str:
        """How events, runs and lineage name it."""
        return f"snapshot:{self.id}"

    @property
    def owner(self) -> str:
        """Whose key seals its bytes."""
        return f"dataset:{self.dataset}"


def check_name(name: str) -> None:
    """Refuse what cannot name a dataset.

    Raises
    ------
    InvalidInputError
        When it is not made of letters, digits, ``.``, ``_`` and ``-``, or over 100 of them.
    """
    try:
        msgspec.convert(name, DatasetName)
    except msgspec.ValidationError:
        raise InvalidInputError(
            f"{name!r} cannot name a dataset",
            hint="use up to 100 letters, digits, '.', '_' and '-', the first a letter or digit",
        ) from None
