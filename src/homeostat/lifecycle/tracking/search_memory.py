"""Columns of runs that are kept in memory between searches, and right under writes.

Called by `search.find` and by the planning of runs' search, on SQLite. Where conditions are
wide and few runs fulfil all of them, no index helps: each run must be looked at, and in
columns that is a matter of milliseconds. Runs that were written since the columns were read
are looked at in the database; where others than this process have written, the columns are
given up. What they find is checked and put in order by the database, like all other answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from homeostat.foundation.database import Transaction, changes
from homeostat.lifecycle.tracking import search_choice, search_plans
from homeostat.lifecycle.tracking.search_columns import Columns, Key, UnheldError
from homeostat.lifecycle.tracking.search_plans import Question, Row

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all columns of a database."""
MOST_WRITTEN: Final = 500
"""Runs written since that are looked at one by one; columns are mended when there are more."""
MOST_CHECKED: Final = 4096
"""Runs the database checks for one page before another way is taken."""
REST: Final = 20
"""How many times as long as it took to read columns they are not read again."""
_BY_RUN: Final = changes.Rows("run_id", "experiment_id", named=("in_run",))
_TABLES: Final = {
    "runs": changes.Rows("id", "experiment_id", named=("in_run",)),
    **dict.fromkeys(("latest_metrics", "params", "tags"), _BY_RUN),
}


class Held:
    """Columns of some experiments' runs.

    Parameters
    ----------
    told
        By whom this process tells what it writes.
    project, experiments
        Whose runs.
    """

    def __init__(self, told: changes.Changes, project: str, experiments: Sequence[int]) -> None:
        self.lock = threading.Lock()
        self.columns: Columns | None = None
        self._told = told
        self._project = project
        self._experiments = tuple(experiments)
        self._follower = changes.Follower(_TABLES, experiments)
        self._refused: set[Key] = set()
        self._is_refused = False
        self._rests_until = 0.0

    @property
    def size_bytes(self) -> int:
        """Taken in memory."""
        return 0 if self.columns is None else self.columns.size_bytes

    def drop(self) -> None:
        """Give the columns up."""
        self.columns = None
        self._refused.clear()
        self._told.forget(self._follower)

    def bring(self, wanted: search_choice.Wanted, *, may_read: bool) -> Columns:
        """Return columns, right for all but the runs `written` names.

        Parameters
        ----------
        wanted
            Which; some that only filter may be missing.
        may_read
            Whether to read what is not held.

        Raises
        ------
        UnheldError
            When they cannot be had.
        """
        if not self._refused.isdisjoint(wanted.ordering):
            raise UnheldError
        columns = self._right()
        if columns is None:
            if not may_read:
                raise UnheldError
            columns = self._begin()
        filtering = [key for key in wanted.filtering if key not in self._refused]
        keys = [*wanted.ordering, *filtering]
        if not (may_read or columns.kept.keys() >= set(keys)):
            raise UnheldError
        for key in keys:
            if key in columns.kept:  # the last used stand last
                columns.kept[key] = columns.kept.pop(key)
            elif not self._read(columns, key, wanted=keys) and key in wanted.ordering:
                raise UnheldError
        return columns

    def written(self) -> list[str]:
        """Return the runs that were written since; `UnheldError` when nobody can say."""
        self._told.look()
        if self._follower.is_lost:
            raise UnheldError
        return list(self._follower.ids)

    def _right(self) -> Columns | None:
        """Return what is held, mended where much was written; None when it is given up."""
        if self.columns is not None:
            self._told.look()
        if self._follower.is_lost:
            self.drop()
        if self.columns is not None and len(self._follower.ids) > MOST_WRITTEN:
            self._mend(self.columns)
        return self.columns

    def _begin(self) -> Columns:
        if time.monotonic() < self._rests_until:
            raise UnheldError
        began = time.monotonic()
        with self._told.anew(self._follower, project=self._project) as (tx, _):
            try:
                made = Columns(tx, self._experiments, most_bytes=MOST_BYTES)
            except BaseException:
                self.drop()
                raise
            finally:
                self._rest(began)
        self.columns = made
        return made

    def _read(self, columns: Columns, key: Key, *, wanted: Sequence[Key]) -> bool:
        """Read a column; False when it cannot be held, which is then known."""
        for old in list(columns.kept):
            if columns.size_with(key) > MOST_BYTES and old not in wanted:
                del columns.kept[old]
        if columns.size_with(key) > MOST_BYTES:
            raise UnheldError
        began = time.monotonic()
        try:
            with self._told.view(project=self._project) as tx:
                columns.read(tx, key)
        except UnheldError:
            self._refused.add(key)
            return False
        finally:
            self._rest(began)
        return True

    def _rest(self, began: float) -> None:
        now = time.monotonic()
        self._rests_until = max(self._rests_until, now) + REST * (now - began)

    def _mend(self, columns: Columns) -> None:
        with self._told.anew(self._follower, project=self._project) as (tx, ids):
            if ids is None:
                self.drop()
                return
            try:
                columns.mend(tx, list(ids))
            except BaseException:
                self.drop()
                raise


class Memory:
    """All that is held of one database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, frozenset[int]], Held] = {}

    def of(self, told: changes.Changes, project: str, asked: Question) -> Held:
        """Return what is held of a question's experiments, maybe nothing yet."""
        which = project, frozenset(asked.experiments)
        with self._lock:
            held = self._held.pop(which, None) or Held(told, project, asked.experiments)
            self._held[which] = held  # the last used stand last
        return held

    def make_room(self, last: Held) -> None:
        """Give up what was used longest ago, until all is small enough."""
        with self._lock:
            size_bytes = sum(one.size_bytes for one in self._held.values())
            for which, one in list(self._held.items()):
                is_idle = one is not last and one.lock.acquire(blocking=False)
                if not is_idle:
                    continue
                try:
                    if one.columns is None or size_bytes > MOST_BYTES:
                        size_bytes -= one.size_bytes
                        one.drop()
                        del self._held[which]
                finally:
                    one.lock.release()


def first_runs(
    tx: Transaction, asked: Question, *, place: Sequence[Any] | None, limit: int, may_read: bool
) -> list[Row] | None:
    """Return the first runs behind a place, from columns.

    A run is found as it is at some instant of the call.

    Parameters
    ----------
    tx
        A view.
    asked
        The question.
    place
        Where the page before ended; None for the first page.
    limit
        Most rows returned.
    may_read
        Whether to read columns that are not held: seconds for a million runs.

    Returns
    -------
    list of Row or None
        In order; None where columns do not help.
    """
    told = tx.changes
    if told is None:
        return None
    try:
        wanted = search_choice.wanted(asked)
        memory = told.copies.setdefault(__name__, Memory())
        held = memory.of(told, tx.project, asked)
        if not held.lock.acquire(blocking=may_read):
            return None
        try:
            columns = held.bring(wanted, may_read=may_read)
            return _found(tx, asked, held, columns, place=place, limit=limit)
        finally:
            held.lock.release()
            if may_read:
                memory.make_room(held)
    except (UnheldError, changes.BusyError):
        return None


def _found(
    tx: Transaction,
    asked: Question,
    held: Held,
    columns: Columns,
    *,
    place: Sequence[Any] | None,
    limit: int,
) -> list[Row]:
    tx.state()  # what is told from here on, this view need not show
    written = held.written()
    chosen = search_choice.fulfilling(columns, asked, tx)
    ordered = search_choice.Ordered(columns, asked, chosen, place=place)
    old, is_known = columns.places(written)
    anew = frozenset(old[is_known].tolist())
    n = limit
    while True:
        first = [at for at in ordered.first(n + len(anew)).tolist() if at not in anew]
        ids = columns.ids(first) if first else []
        among = [*ids, *written]
        rows = search_plans.sorted_runs(
            tx, asked, place=place, limit=len(among) + 1, among=among
        )
        is_all = n + len(anew) >= len(ordered)
        # Behind the last of them others may stand, but not before it.
        known = set(ids)
        if is_all or sum(row[0] in known for row in rows) >= limit:
            return rows[:limit]
        n *= 8
        if n > max(MOST_CHECKED, limit):
            raise UnheldError
