"""What the transactions of one commit have in common; called by `transaction` and `writer`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final

from homeostat.foundation.database.changes import Changes
from homeostat.foundation.database.prepared import Prepared

_MOST_KNOWN: Final = 2048
_VERSION: Final = "PRAGMA data_version"


class Known:
    """Rows that were read and that nobody has changed since; forgotten by table.

    Every write but a plain insert makes its table forgotten, whoever writes: what this
    connection writes is seen by its transactions, what others write by SQLite's own count.
    """

    __slots__ = ("_by_table", "_state")

    def __init__(self) -> None:
        self._by_table: dict[str, dict[Hashable, Any]] = {}
        self._state: tuple[Any, int] | None = None

    def get(self, table: str, key: Hashable) -> Any:
        """Return what is known of a row, None when nothing is."""
        rows = self._by_table.get(table)
        return None if rows is None else rows.get(key)

    def put(self, table: str, key: Hashable, value: Any) -> None:
        """Remember what was read of a row that exists, or was written."""
        rows = self._by_table.setdefault(table, {})
        if len(rows) >= _MOST_KNOWN:
            rows.clear()
        rows[key] = value

    def drop(self, table: str | None) -> None:
        """Forget the rows of a table; all rows when None."""
        if table is None:
            self._by_table.clear()
        else:
            self._by_table.pop(table, None)

    def begin(self, raw: Any, *, is_sqlite: bool) -> None:
        """Forget what others may have changed since the last commit.

        Parameters
        ----------
        raw
            The driver's connection, holding the lock of writers.
        is_sqlite
            Elsewhere nothing tells what others did, and all is forgotten.
        """
        state = None
        if is_sqlite:
            state = raw, raw.execute(_VERSION).fetchone()[0]
        if state is None or state != self._state:
            self._by_table.clear()
        self._state = state


class Pending:
    """Rows that wait to be inserted with those of the commit's other requests.

    Attributes
    ----------
    tables
        Names of the tables they go to; empty when none wait.
    error
        Why some could not be written: the transaction cannot be committed any more.
    """

    __slots__ = ("_rows", "error", "tables")

    def __init__(self) -> None:
        self._rows: dict[Prepared, list[tuple[Any, ...]]] = {}
        self.tables: set[str] = set()
        self.error: Exception | None = None

    def add(self, statement: Prepared, rows: Sequence[tuple[Any, ...]]) -> int:
        """Let some rows wait; return how many of their statement wait now."""
        waiting = self._rows.get(statement)
        if waiting is None:
            waiting = self._rows[statement] = []
            self.tables.add(statement.target)
        waiting += rows
        return len(waiting)

    def take(self) -> list[tuple[Prepared, list[tuple[Any, ...]]]]:
        """Return all that wait, by statement in the order of their first; none wait then."""
        found = list(self._rows.items())
        self._rows.clear()
        self.tables.clear()
        return found

    def clear(self) -> None:
        """Forget all that wait, and that some could not be written."""
        self.take()
        self.error = None


class Shared:
    """One for all transactions of a commit.

    Attributes
    ----------
    memo
        See `Transaction`.
    pending
        Rows that are inserted before the commit.
    known
        Rows that were read; outlives the commit.
    told
        Who is told of what is written; None for nobody.
    """

    __slots__ = ("known", "memo", "pending", "told")

    def __init__(self, known: Known | None = None, told: Changes | None = None) -> None:
        self.told = told
        self.memo: dict[Any, Any] = {}
        self.pending = Pending()
        self.known = known or Known()
