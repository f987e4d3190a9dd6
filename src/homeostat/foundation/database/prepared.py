"""Statements compiled once and handed to the driver; for the few that every write repeats.

SQLAlchemy takes about 50 microseconds to execute a statement it has compiled before, the
driver about 5. Records modules prepare what stands on the way of each event, run or edge;
all other statements go through `Transaction.execute`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite

from homeostat.foundation.database.metadata import metadata

# Both drivers take values by name in these two styles, and by place in the other two.
_DIALECTS: Final[dict[str, sa.Dialect]] = {
    "sqlite": pysqlite.dialect(paramstyle="named"),
    "postgresql": psycopg.dialect(),  # type: ignore[no-untyped-call]
}
_BY_PLACE: Final[dict[str, sa.Dialect]] = {
    "sqlite": pysqlite.dialect(paramstyle="qmark"),
    "postgresql": psycopg.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}
_WORD: Final = re.compile(r"\w+")


class Cursor(Protocol):
    """What a driver gives back: rows as plain tuples, in the order of their columns."""

    @property
    def rowcount(self) -> int:
        """Rows changed."""

    def fetchone(self) -> Any:
        """Return the next row, None behind the last."""

    def fetchmany(self, size: int) -> list[Any]:
        """Return the next rows, none behind the last."""

    def fetchall(self) -> list[Any]:
        """Return the rows left."""


class Prepared:
    """A statement as text for each driver.

    Parameters
    ----------
    statement
        With named parameters of plain types (text, numbers, bytes) only, none expanding; or
        one for each dialect, by its name. An insert without values takes every column.

    Attributes
    ----------
    is_write
        Whether it changes something.
    is_plain
        Whether it only adds rows and never changes one that is there.
    target
        Table it writes to; empty for one that reads.
    """

    __slots__ = (
        *("_statement", "_tables", "_texts", "_texts_by_place", "_texts_of_rows"),
        *("is_plain", "is_write", "target"),
    )

    def __init__(self, statement: sa.Executable | Mapping[str, sa.Executable]) -> None:
        self._statement = statement
        kinds = statement.values() if isinstance(statement, Mapping) else (statement,)
        first: Any = next(iter(kinds))
        self.is_write = bool(first.is_dml)
        self.target: str = first.table.name if self.is_write else ""
        self.is_plain = isinstance(statement, sa.Insert)
        self._tables: frozenset[str] | None = None
        self._texts: dict[str, str] = {}
        self._texts_by_place: dict[str, str] = {}
        self._texts_of_rows: dict[int, str] = {}

    def text(self, dialect: str) -> str:
        """Return the statement as one driver takes it; compiled on first use.

        Parameters
        ----------
        dialect
            ``sqlite`` or ``postgresql``.

        Returns
        -------
        str
            Parameters stand in it by name.
        """
        found = self._texts.get(dialect)
        if found is None:
            found = self._texts[dialect] = str(self._compiled(dialect, _DIALECTS))
        return found

    def tables(self, dialect: str) -> frozenset[str]:
        """Return the tables it may look at or write to.

        Parameters
        ----------
        dialect
            ``sqlite`` or ``postgresql``.

        Returns
        -------
        frozenset of str
            Those whose names stand in its text, whether as a table or as something else.
        """
        if self._tables is None:
            words = _WORD.findall(self.text(dialect))
            self._tables = frozenset(words).intersection(metadata.tables)
        return self._tables

    def text_by_place(self, dialect: str) -> str:
        """Return the statement for rows that are plain tuples; compiled on first use.

        Parameters
        ----------
        dialect
            ``sqlite`` or ``postgresql``.

        Returns
        -------
        str
            An insert takes the columns in the order of its table.
        """
        found = self._texts_by_place.get(dialect)
        if found is None:
            found = self._texts_by_place[dialect] = str(self._compiled(dialect, _BY_PLACE))
        return found

    def text_of_rows(self, n: int) -> str:
        """Return an insert of some rows at once, for SQLite's driver.

        It is a third cheaper than one row after the other.

        Parameters
        ----------
        n
            Rows; their values follow each other by place.

        Returns
        -------
        str
            The same object each time, as the driver looks it up.
        """
        found = self._texts_of_rows.get(n)
        if found is None:
            one = self.text_by_place("sqlite")
            begins = one.index("(", one.index(" VALUES "))
            ends = one.index(")", begins) + 1
            rows = ", ".join([one[begins:ends]] * n)
            found = self._texts_of_rows[n] = one[:begins] + rows + one[ends:]
        return found

    def _compiled(self, dialect: str, styles: Mapping[str, sa.Dialect]) -> Any:
        chosen: Any = self._statement
        if isinstance(chosen, Mapping):
            chosen = chosen[dialect]
        return chosen.compile(dialect=styles[dialect])
