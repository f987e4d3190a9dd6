"""Which rows the writer of this process has written, for those who keep copies of rows.

The engine holds one; transactions of the writer tell it, and runs' search keeps columns with
it. What is written is told before it is committed, so whoever reads and then asks what was
told misses nothing. What others have written, processes or connections, nobody tells: that
they did is seen by SQLite's own count, and then every copy is worthless.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from homeostat.foundation.database.metadata import metadata

PATIENCE_S: Final = 0.25
"""A reader waits for the end of a commit."""
MOST_TOLD: Final = 50_000
"""Rows a follower hears of; one who did not ask for so long begins anew."""


class BusyError(Exception):
    """Somebody was writing for so long that nothing could be seen."""


class Rows(NamedTuple):
    """How the rows of a table say whose they are.

    Parameters
    ----------
    owner, within
        Columns of the id, and of what it belongs to.
    named
        Parameters by which statements name the owner, where they do not write rows.
    """

    owner: str
    within: str
    named: Sequence[str]


class Follower:
    """One who keeps copies of rows.

    Parameters
    ----------
    tables
        Those it follows, by name.
    within
        What the rows belong to that it has copies of.

    Attributes
    ----------
    ids
        Owners of rows that were written since the copies were made, maybe of a few others.
    is_lost
        True when rows were written and nobody can say which.
    """

    __slots__ = ("_tables", "_within", "ids", "is_lost")

    def __init__(self, tables: Mapping[str, Rows], within: Collection[Any]) -> None:
        self._tables: dict[str, tuple[int, int, Sequence[str]]] = {}
        for name, rows in tables.items():
            columns = list(metadata.tables[name].columns.keys())
            places = columns.index(rows.owner), columns.index(rows.within)
            self._tables[name] = (*places, (*rows.named, rows.owner))
        self._within = frozenset(within)
        self.ids: set[str] = set()
        self.is_lost = True

    def hear(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Take note of rows that are inserted, in the order of the table's columns."""
        known = self._tables.get(table)
        if known is None or self.is_lost:
            return
        owner, within, _ = known
        self.ids.update([row[owner] for row in rows if row[within] in self._within])
        if len(self.ids) > MOST_TOLD:
            self.lose()

    def hear_named(self, table: str, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Take note of a statement by the values it is run with."""
        known = self._tables.get(table)
        if known is None or self.is_lost:
            return
        for one in parameters:
            owner = next((one[name] for name in known[2] if name in one), None)
            if owner is None:
                self.lose()
                return
            self.ids.add(owner)

    def lose(self) -> None:
        """Know that copies are worthless."""
        self.is_lost = True
        self.ids = set()


class Changes:
    """What one process writes to an SQLite database.

    Parameters
    ----------
    own
        Returns the driver's connection of the writer; asked only while nobody writes.
    view
        Opens a view of a project.

    Attributes
    ----------
    quiet
        Held by the writer as long as something is written and not committed.
    copies
        What is kept with its help, by who keeps it.
    view
        As given.
    """

    def __init__(self, own: Callable[[], Any], view: Callable[..., Any]) -> None:
        self.quiet = threading.RLock()
        self.copies: dict[str, Any] = {}
        self._own = own
        self.view = view
        self._followers: tuple[Follower, ...] = ()
        self._state: tuple[Any, int] | None = None

    def told(self) -> Changes | None:
        """Return whom to tell what is written: nobody where none follows."""
        return self if self._followers else None

    def begin(self, raw: Any) -> None:
        """See whether others have written; called by the writer when nobody else can.

        Parameters
        ----------
        raw
            Its connection at the driver.
        """
        if not self._followers:
            return
        state = raw, raw.execute("PRAGMA data_version").fetchone()[0]
        if state != self._state:
            self._state = state
            for one in self._followers:
                one.lose()

    def rows(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Tell of rows that are inserted."""
        for one in self._followers:
            one.hear(table, rows)

    def named(self, table: str | None, parameters: Any) -> None:
        """Tell of a statement and the values it is run with; None for any table."""
        if parameters is None:
            parameters = {}
        listed = [parameters] if isinstance(parameters, Mapping) else parameters
        for one in self._followers:
            if table is None:
                one.lose()
            else:
                one.hear_named(table, listed)

    def look(self) -> None:
        """See whether others have written until now; their followers are lost then.

        Raises
        ------
        BusyError
            When somebody is writing for long.
        """
        with self._while_quiet():
            self.begin(self._own())

    @contextlib.contextmanager
    def anew(
        self, follower: Follower, *, project: str
    ) -> Iterator[tuple[Any, frozenset[str] | None]]:
        """Open a view to make copies from, or to mend them.

        Parameters
        ----------
        follower
            Hears from now on of what is written behind the view.
        project
            Namespace to read in.

        Yields
        ------
        tuple
            The view as a transaction, and what the follower had heard of before, which the
            view shows all of; None when it was lost.

        Raises
        ------
        BusyError
            When somebody is writing for long.
        """
        with contextlib.ExitStack() as stack:
            with self._while_quiet():
                if follower not in self._followers:
                    follower.lose()
                    self._followers = (*self._followers, follower)
                self.begin(self._own())
                heard = None if follower.is_lost else frozenset(follower.ids)
                follower.ids = set()
                follower.is_lost = False
                tx = stack.enter_context(self.view(project=project))
                tx.state()  # from here on the view stands still
            yield tx, heard

    def forget(self, follower: Follower) -> None:
        """Tell a follower no more; its copies are worthless."""
        follower.lose()
        with contextlib.suppress(BusyError), self._while_quiet():
            self._followers = tuple(one for one in self._followers if one is not follower)

    @contextlib.contextmanager
    def _while_quiet(self) -> Iterator[None]:
        if not self.quiet.acquire(timeout=PATIENCE_S):
            raise BusyError
        try:
            yield
        finally:
            self.quiet.release()
