"""Does the work of a group of requests in one commit; `writer` gives it one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa

from homeostat.foundation import errors, log
from homeostat.foundation.database import answers, borders, engine, shared, transaction
from homeostat.foundation.database.transaction import Transaction

logger = log.get(__name__)

# Groups done with a savepoint for each request after one had to be done again.
CAREFUL_GROUPS: Final = 32
SLOW_COMMIT_S: Final = 0.002
SLOW_GROUP_S: Final = 0.008
"""From where on a group would keep an event loop from others for too long."""
_SLOW_IN_A_ROW: Final = 3
# Pages of SQLite's write-ahead log: how many are there before they are brought home, and about
# how many a commit writes, for itself and for each row.
MOST_PAGES: Final = 4000
_PAGES_OF_COMMIT: Final = 10
_PAGES_OF_ROW: Final = 0.3


class Committer:
    """What lasts from one group to the next; used by one thread at a time.

    Parameters
    ----------
    database
        Where to write.
    """

    def __init__(self, database: engine.Database) -> None:
        self._database = database
        self._n_careful = 0
        self._n_slow = 0
        self._pages = 0.0
        self._rows = 0
        self._known = shared.Known()

    @property
    def is_slow(self) -> bool:
        """Whether the last groups took long, for the disk or for their work."""
        return self._n_slow >= _SLOW_IN_A_ROW

    @property
    def owes_checkpoint(self) -> bool:
        """Whether SQLite's write-ahead log should be brought home."""
        return self._pages >= MOST_PAGES

    def checkpoint(self) -> None:
        """Bring SQLite's write-ahead log home: writes its pages to their places."""
        self._pages = 0.0
        try:
            self._database.checkpoint()
        except Exception:
            # Nothing is lost: the log holds it, and the next write says what is wrong.
            logger.exception("the write-ahead log could not be brought home")

    def serve(
        self, group: list[answers.Request], *, is_patient: bool = True
    ) -> list[answers.Outcome]:
        """Do a group and return what each request came to, once that is committed.

        Parameters
        ----------
        group
            One or more.
        is_patient
            Whether to wait for another process that writes.

        Returns
        -------
        list of Outcome
            One for each request.

        Raises
        ------
        OccupiedError
            When it is not patient and another process writes; nothing was done.
        """
        failed: list[answers.Outcome] = []
        began = time.perf_counter()
        try:
            done = self._commit(group, failed, is_patient=is_patient)
        except engine.OccupiedError:
            raise
        except Exception as error:  # noqa: BLE001 - the writer must outlive every failure
            self._known.drop(None)
            told = {id(outcome.request) for outcome in failed}
            return [*failed, *answers.undone([r for r in group if id(r) not in told], error)]
        if time.perf_counter() - began > SLOW_GROUP_S:
            self._n_slow = _SLOW_IN_A_ROW
        # Observers first: who reads after their answer must find caches up to date.
        for item in done:
            borders.call_back(item.tx)
        return [*failed, *(answers.Outcome(item.request, item.result, None) for item in done)]

    def _commit(
        self,
        group: list[answers.Request],
        failed: list[answers.Outcome],
        *,
        is_patient: bool,
    ) -> list[answers.Done]:
        """Do the work of a group and commit it; what fails is undone alone."""
        is_shared = len(group) > 1
        if is_shared and self._n_careful == 0 and all(r.may_repeat for r in group):
            done = self._attempt(group, failed, is_careful=False, is_patient=is_patient)
            if done is not None:
                return done
            failed.clear()
            self._n_careful = CAREFUL_GROUPS
        self._n_careful = max(0, self._n_careful - 1)
        done = self._attempt(group, failed, is_careful=is_shared, is_patient=is_patient)
        assert done is not None
        return done

    def _attempt(
        self,
        group: list[answers.Request],
        failed: list[answers.Outcome],
        *,
        is_careful: bool,
        is_patient: bool,
    ) -> list[answers.Done] | None:
        """Do the work of a group in one transaction; None, and undone, as `_do` says."""
        with self._database.group(is_patient=is_patient) as connection:
            # Straight to the driver: both have `execute`, and three statements a request
            # through SQLAlchemy would cost as much as the work itself.
            raw: Any = connection.connection.dbapi_connection
            self._known.begin(raw, is_sqlite=self._database.is_sqlite)
            done = self._do(connection, group, failed, mark=raw.execute if is_careful else None)
            if done:
                began = time.perf_counter()
                borders.commit(connection)
                self._note(raw, time.perf_counter() - began)
            else:
                borders.give_up(connection)
        return done

    def _note(self, raw: Any, took_s: float) -> None:
        """Count what a commit cost."""
        self._n_slow = self._n_slow + 1 if took_s > SLOW_COMMIT_S else 0
        if self._database.is_sqlite:
            rows = raw.total_changes
            # A new connection counts from 0.
            self._pages += _PAGES_OF_COMMIT + _PAGES_OF_ROW * max(0, rows - self._rows)
            self._rows = rows

    def _do(
        self,
        connection: sa.Connection,
        group: list[answers.Request],
        failed: list[answers.Outcome],
        *,
        mark: Callable[[str], Any] | None,
    ) -> list[answers.Done] | None:
        """Do the work, each between savepoints set by `mark`.

        Without `mark` None is returned when one of several requests left something to undo:
        savepoints cost a quarter of a small write and are needed by few groups.
        """
        done: list[answers.Done] = []
        common = shared.Shared(self._known, self._database.told())
        signer = self._database.signer
        is_joint = mark is None and len(group) > 1
        for request in group:
            if mark:
                mark("SAVEPOINT request")
            before = dict(common.memo)
            tx = Transaction(connection, project=request.project, signer=signer, shared=common)
            try:
                result = request.work(tx)
                if not is_joint:
                    tx.flush()
            except Exception as error:
                if tx.is_broken:
                    # The database itself gave out: no savepoint can be trusted any more.
                    raise
                if is_joint and tx.has_marks:
                    self._known.drop(None)
                    return None
                if mark:
                    mark("ROLLBACK TO SAVEPOINT request")
                self._forget(tx, common, before)
                failed.append(answers.Outcome(request, None, error))
            else:
                done.append(answers.Done(request, tx, result))
            if mark:
                mark("RELEASE SAVEPOINT request")
        return done if self._settled(connection, common, is_joint=is_joint) else None

    def _forget(self, tx: Transaction, common: shared.Shared, before: dict[Any, Any]) -> None:
        """Forget what a request left that failed."""
        if tx.has_marks:
            self._known.drop(None)
            common.pending.clear()
        common.memo.clear()
        common.memo.update(before)

    def _settled(
        self, connection: sa.Connection, common: shared.Shared, *, is_joint: bool
    ) -> bool:
        """Do what was put off; False when a row that waited was refused, nobody knows whose."""
        try:
            transaction.settle(connection, common, signer=self._database.signer)
        except errors.HomeostatError as error:
            if not is_joint or isinstance(error, errors.UnavailableError):
                raise
            self._known.drop(None)
            return False
        return True
