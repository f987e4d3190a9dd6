"""What many runs keep, as columns in memory: a number or a text for each run.

Called by the memory of runs' search, which keeps them right. Runs stand in the order of their
ids. Columns are read key by key when a question first asks for one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import search_conditions
from homeostat.lifecycle.tracking.search_statement import Statement

ACTIVE: Final = 1
DELETED: Final = 2
STAGES: Final = {"active": ACTIVE, "deleted": DELETED}
"""Numbers of the stages; 0 is a run that is gone."""
MOST_TEXTS: Final = 20_000
"""Different texts of a column."""
LONGEST: Final = 1000
"""Characters of a text in a column."""
_STEP: Final = 8192
_ID_LENGTH: Final = 32
_TEXTS: Final = {"param": "params", "tag": "tags"}

Key = tuple[str, str]
"""Subject and key of a metric, param, tag or attribute."""


class UnheldError(Exception):
    """Columns cannot hold this; the database is to be asked."""


class Numbers:
    """The latest points of a metric, or the numbers of an attribute.

    Attributes
    ----------
    values
        Not a number and infinities as themselves.
    has
        False for runs without a point.
    """

    def __init__(self, n: int) -> None:
        self.values = np.zeros(n)
        self.has = np.zeros(n, dtype=bool)

    @property
    def size_bytes(self) -> int:
        """Taken in memory."""
        return self.values.nbytes + self.has.nbytes

    def put(self, at: np.ndarray, values: Sequence[float], kinds: Sequence[str]) -> None:
        """Set the points of runs, by value and kind."""
        found = np.array(values, dtype=float)
        if set(kinds) != {"finite"}:
            for place, kind in enumerate(kinds):
                if kind != "finite":
                    found[place] = float(kind)
        self.values[at] = found
        self.has[at] = True

    def clear(self, at: np.ndarray) -> None:
        """Make runs be without a point."""
        self.has[at] = False

    def widen(self, at: np.ndarray) -> None:
        """Make room for runs that come before these places."""
        self.values = np.insert(self.values, at, 0.0)
        self.has = np.insert(self.has, at, False)


class Texts:
    """The params or tags of one key, or the texts of an attribute.

    Attributes
    ----------
    codes
        Number of a run's text, -1 for runs without one.
    texts
        By number.
    """

    def __init__(self, n: int) -> None:
        self.codes = np.full(n, -1, dtype=np.int32)
        self.texts: list[str] = []
        self._known: dict[str, int] = {}
        self._ranks: np.ndarray | None = None

    @property
    def size_bytes(self) -> int:
        """Taken in memory."""
        return self.codes.nbytes + sum(4 * len(text) + 200 for text in self.texts)

    def put(self, at: np.ndarray, texts: Sequence[str]) -> None:
        """Set the texts of runs."""
        known = self._known
        for text in set(texts).difference(known):
            if len(known) >= MOST_TEXTS or len(text) > LONGEST:
                raise UnheldError
            known[text] = len(self.texts)
            self.texts.append(text)
            self._ranks = None
        self.codes[at] = [known[text] for text in texts]

    def clear(self, at: np.ndarray) -> None:
        """Make runs be without a text."""
        self.codes[at] = -1

    def widen(self, at: np.ndarray) -> None:
        """Make room for runs that come before these places."""
        self.codes = np.insert(self.codes, at, -1)

    def code_of(self, text: str) -> int:
        """Return the number of a text; -2 when no run has it."""
        return self._known.get(text, -2)

    def ranks(self) -> np.ndarray:
        """Return the place of each text in the order of their bytes, by number."""
        if self._ranks is None:
            order = sorted(range(len(self.texts)), key=self.texts.__getitem__)
            self._ranks = np.empty(len(order), dtype=np.int32)
            self._ranks[order] = np.arange(len(order), dtype=np.int32)
        return self._ranks


class Columns:
    """Of all runs of some experiments.

    Parameters
    ----------
    tx
        Reading suffices.
    experiments
        Whose runs.
    most_bytes
        More are not held.

    Attributes
    ----------
    high, low
        Halves of the ids.
    started
        When they began; milliseconds UTC.
    stages
        As in `STAGES`.

    Raises
    ------
    UnheldError
        When they are too many, or ids are not what they usually are.
    """

    def __init__(self, tx: Transaction, experiments: Sequence[int], *, most_bytes: int) -> None:
        self.experiments = experiments
        self.kept: dict[Key, Numbers | Texts] = {}
        halves, started, stages = [np.empty((0, 2), np.uint64)], [], []
        made = Statement(tx)
        inside = made.among("r.experiment_id", experiments)
        size_bytes = 0
        for rows in made.steps(
            _STEP,
            "SELECT r.id, r.started_at, r.lifecycle_stage FROM runs r",
            f"WHERE r.project = :project AND {inside}",
        ):
            ids, began, stage = zip(*rows, strict=True)
            halves.append(_halves(ids))
            started.append(np.array(began, dtype=np.int64))
            stages.append(np.array([STAGES[one] for one in stage], dtype=np.int8))
            size_bytes += 25 * len(rows)
            if size_bytes > most_bytes:
                raise UnheldError
        both = np.concatenate(halves)
        order = np.lexsort((both[:, 1], both[:, 0]))
        self.high = both[order, 0]
        self.low = both[order, 1]
        self.started = np.concatenate([*started, np.empty(0, np.int64)])[order]
        self.stages = np.concatenate([*stages, np.empty(0, np.int8)])[order]

    @property
    def size_bytes(self) -> int:
        """Taken in memory."""
        own = (self.high, self.low, self.started, self.stages)
        kept = sum(one.size_bytes for one in self.kept.values())
        return kept + sum(one.nbytes for one in own)

    def size_with(self, key: Key) -> int:
        """Return what all took in memory with one column more."""
        return self.size_bytes + (9 if _is_number(key) else 4) * len(self)

    def __len__(self) -> int:
        return len(self.high)

    def read(self, tx: Transaction, key: Key) -> None:
        """Read a column that is not held yet.

        Parameters
        ----------
        tx
            Not older than the columns.
        key
            Which.

        Raises
        ------
        UnheldError
            When there are too many different texts.
        """
        column: Numbers | Texts
        column = Numbers(len(self)) if _is_number(key) else Texts(len(self))
        made = Statement(tx)
        source = _source(made, key)
        inside = made.among("c.experiment_id", self.experiments)
        words = ("SELECT", source.what, "FROM", source.table, "c WHERE", source.held)
        for rows in made.steps(_STEP, *words, "AND", inside):
            self._put(column, rows)
        self.kept[key] = column

    def mend(self, tx: Transaction, ids: Sequence[str]) -> None:
        """Read runs anew that were written since.

        Parameters
        ----------
        tx
            A view of what was written.
        ids
            Of the runs, those of other experiments too.

        Raises
        ------
        UnheldError
            As `read`.
        """
        made = Statement(tx)
        rows = made.rows(
            "SELECT r.id, r.started_at, r.lifecycle_stage FROM",
            made.listed(ids),
            "x CROSS JOIN runs r WHERE r.project = :project AND r.id = x.value AND",
            made.among("r.experiment_id", self.experiments),
        )
        rows = sorted(rows)
        self._add([row[0] for row in rows])
        gone, is_known = self.places(ids)
        self.stages[gone[is_known]] = 0
        present = [row[0] for row in rows]
        at, _ = self.places(present)
        self.started[at] = [row[1] for row in rows]
        self.stages[at] = [STAGES[row[2]] for row in rows]
        for key, column in self.kept.items():
            column.clear(at)
            made = Statement(tx)
            source = _source(made, key)
            words = ("x CROSS JOIN", source.table, "c WHERE", source.held, "AND", source.run)
            found = made.rows(
                *("SELECT", source.what, "FROM", made.listed(present), *words, "= x.value")
            )
            self._put(column, found)

    def _put(self, column: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        """Set what some runs have; those that came later are looked at elsewhere."""
        if not rows:
            return
        ids, *found = zip(*rows, strict=True)
        at, is_known = self.places(ids)
        if not is_known.all():
            found = [tuple(itertools.compress(one, is_known)) for one in found]
            at = at[is_known]
        column.put(at, *found)

    def _add(self, ids: list[str]) -> None:
        """Make room for those of some runs, by id, that are new."""
        _, is_known = self.places(ids)
        new = _halves([one for one, known in zip(ids, is_known, strict=True) if not known])
        if not len(new):
            return
        at = self._first_not_before(new)
        self.high = np.insert(self.high, at, new[:, 0])
        self.low = np.insert(self.low, at, new[:, 1])
        self.started = np.insert(self.started, at, 0)
        self.stages = np.insert(self.stages, at, 0)
        for column in self.kept.values():
            column.widen(at)

    def places(self, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return where runs stand, and whether they are there; others may stand anywhere."""
        halves = _halves(ids)
        at = np.minimum(self._first_not_before(halves), max(len(self) - 1, 0))
        if not len(self):
            return at, np.zeros(len(at), dtype=bool)
        return at, (self.high[at] == halves[:, 0]) & (self.low[at] == halves[:, 1])

    def place_of(self, run_id: str) -> tuple[int, bool]:
        """Return the place of the first run whose id is not before one, and if it is this."""
        halves = _halves([run_id])
        at = int(self._first_not_before(halves)[0])
        is_it = at < len(self) and self.ids([at]) == [run_id]
        return at, is_it

    def ids(self, places: Any) -> list[str]:
        """Return the ids of the runs at some places."""
        both = np.stack([self.high[places], self.low[places]], axis=1)
        text = both.astype(">u8").tobytes().hex()
        return [text[at : at + _ID_LENGTH] for at in range(0, len(text), _ID_LENGTH)]

    def _first_not_before(self, halves: np.ndarray) -> np.ndarray:
        at = np.searchsorted(self.high, halves[:, 0])
        while True:  # ids that begin alike stand side by side
            inside = np.minimum(at, max(len(self) - 1, 0))
            is_before = at < len(self)
            if len(self):
                is_before &= self.high[inside] == halves[:, 0]
                is_before &= self.low[inside] < halves[:, 1]
            if not is_before.any():
                return at
            at = at + is_before


def _halves(ids: Sequence[str]) -> np.ndarray:
    """Return ids as pairs of numbers that stand in the same order."""
    text = "".join(ids)
    if not {_ID_LENGTH}.issuperset(map(len, ids)) or text != text.lower():
        raise UnheldError
    try:
        held = bytes.fromhex(text)
    except ValueError:
        raise UnheldError from None
    if 2 * len(held) != len(text):
        raise UnheldError
    return np.frombuffer(held, dtype=">u8").reshape(-1, 2).astype(np.uint64)


class _Source(NamedTuple):
    """Where a column comes from; the table is called ``c``."""

    table: str
    run: str
    what: str
    held: str


def _is_number(key: Key) -> bool:
    is_attribute = key[0] == "attribute"
    return key[0] == "metric" or (is_attribute and key[1] in search_conditions.NUMBERS)


def _source(made: Statement, key: Key) -> _Source:
    held = "c.project = :project"
    if key[0] == "attribute":
        value = search_conditions.ATTRIBUTES[key[1]].replace("r.", "c.")
        what = f"c.id, {value}"
        if key[1] in search_conditions.NUMBERS:
            what = f"{what}, 'finite'"
        return _Source("runs", "c.id", what, f"{held} AND {value} IS NOT NULL")
    held = f"{held} AND c.key = {made.bind(key[1])}"
    if key[0] == "metric":
        return _Source("latest_metrics", "c.run_id", "c.run_id, c.value, c.kind", held)
    return _Source(_TEXTS[key[0]], "c.run_id", "c.run_id, c.value", held)
