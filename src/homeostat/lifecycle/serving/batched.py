"""Scores one batch of a table as the prediction server would, in whatever process it runs.

Called by `bulk` here, in worker processes or on Ray. A batch is checked by the same compiled
schema, dealt to the arms by the same rules and keys, scored by the same composite and corrected
by the same code as a request, so that a row gets the same score either way.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl

from homeostat.foundation import clock, errors, ids
from homeostat.lifecycle.data import batches
from homeostat.lifecycle.data import tables as data_tables
from homeostat.lifecycle.pipeline import steps
from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.predictions import keys as known_by
from homeostat.lifecycle.serving import (
    arms,
    bundled,
    plan,
    results,
    router,
    rules,
    several,
)

ARM = "batch"
"""What the log calls rows that were scored in bulk; their plan says which arm scored them."""


class Scored(NamedTuple):
    """What came of a batch.

    `rows` has one row for each of the batch, in its order: ``score``, ``answer``, ``version``,
    ``arm``, of several classes ``p.<class>`` for each, and ``problem``, which is null where the
    others are not. `log` holds the frames of the rows that were scored, for `predictions`.
    """

    rows: pl.DataFrame
    log: bytes
    n_logged: int


class Bench:
    """A plan with its versions loaded.

    Parameters
    ----------
    bundle
        From the server.
    key
        Column of the table that rows are routed and labelled by; without one each row is known
        by its id, as it is online.

    Raises
    ------
    CorruptError
        When a file is not what its digest says.
    """

    def __init__(self, bundle: bundled.Bundle, *, key: str | None) -> None:
        self.document = document = bundle.document
        self._key = key
        self._loaded = {one.version: bundled.load(bundle, one) for one in document.versions}
        champion = self._loaded[plan.champion(document.plan)]
        self.columns = champion.columns
        self._read, self._validate = champion.read, champion.validate
        self._find_unseen = champion.unseen
        self._is_number = (
            champion.labels is None and not champion.is_several and not document.corrections
        )
        features = tuple(name for name, _ in self.columns)
        self._context = tuple(name for name in document.protected if name not in features)
        kinds = tuple(kind for _, kind in self.columns)
        first = plan.champion(document.plan)
        self._classes = several.classes_of(self._loaded, first=first)
        self.layout = frames.Layout(features, kinds, self._context, self._classes)
        place = rules.Place(features, self._context, document.key)
        self._router = router.Router(document.plan, place=place)
        self._arms = [arms.prepare(document, one, self._loaded) for one in document.plan.arms]

    def wanted(self, columns: Sequence[str]) -> list[str]:
        """Return which columns of a table a batch must have.

        Parameters
        ----------
        columns
            All there are.

        Returns
        -------
        list of str
            Features, protected columns that are there, the key.

        Raises
        ------
        InvalidInputError
            When a feature or the key is not there.
        """
        for name in self.layout.features:
            if name not in columns:
                near = data_tables.nearest(name, list(columns))
                raise errors.InvalidInputError(
                    f"the table has no column {name!r}, which the model needs", hint=near
                )
        if self._key is not None and self._key not in columns:
            near = data_tables.nearest(self._key, list(columns))
            raise errors.InvalidInputError(
                f"the table has no column {self._key!r} to be the key", hint=near
            )
        aside = [name for name in (*self._context, self._key) if name in columns]
        return list(dict.fromkeys([*self.layout.features, *[name for name in aside if name]]))

    def score(
        self, frame: pl.DataFrame, *, first_row: int, is_text: bool, is_logged: bool = False
    ) -> Scored:
        """Score a batch.

        Parameters
        ----------
        frame
            The columns that `wanted` named.
        first_row
            Of the batch in its table, from 0; problems name rows by it.
        is_text
            Whether the values come from a CSV.
        is_logged
            Whether frames for the log are made.

        Returns
        -------
        Scored
            A row that does not fit the schema, or that a member could not score, has a problem
            in words and no score.
        """
        checked, good, problems = self._checked(frame, first_row, is_text=is_text)
        named = ids.new_ids(len(good))
        keys = known_by.of_rows(named, None, self._told(frame, good), column=self._key or "")
        context = {
            name: [frames.plain(one) for one in frame[name].gather(good).to_list()]
            if name in frame.columns
            else [None] * len(good)
            for name in self._context
        }
        whole = arms.Batch(checked, context)
        found = results.Results(frame.height, is_number=self._is_number, classes=self._classes)
        log, n_logged = [frames.encode(self.layout)], 0
        dealt, ruled = self._dealt(keys, whole)
        fallen: list[int] = []
        # The stable arm comes last: it answers what another arm failed on, as online.
        for index, dealt_rows in reversed(dealt):
            arm, batch = self._arms[index], whole
            rows = dealt_rows if index or not fallen else sorted([*dealt_rows, *fallen])
            places = good
            if len(rows) < len(good):
                batch = arms.Batch(
                    {name: [column[at] for at in rows] for name, column in checked.items()},
                    {name: [column[at] for at in rows] for name, column in context.items()},
                )
                places = [good[at] for at in rows]
            if not rows:
                continue
            done = arm.score(batch, len(rows))
            if index:
                fallen += [rows[at] for at in done.faults]
            found.put(places, done, arm)
            for at, why in done.faults.items():
                found.drop(places[at])
                if not index:
                    problems[places[at]] = why
            if is_logged:
                share = arm.arm.share
                chances = [1.0 if ruled[at] else share for at in rows] if ruled else []
                known = [(named[at], keys[at]) for at in rows]
                log.append(self._frame(arm, batch, done, known=known, chances=chances))
                n_logged += len(rows) - len(done.faults)
        return Scored(found.table(problems), b"".join(log), n_logged)

    def _dealt(
        self, keys: Sequence[str], whole: arms.Batch
    ) -> tuple[list[tuple[int, Sequence[int]]], Sequence[bool]]:
        """Return which arm scores which rows, as online, and which rows a rule sent to it.

        The latter is empty where there is but one arm.
        """
        if not keys:
            return [], []
        if len(self._arms) == 1:
            return [(0, range(len(keys)))], []
        columns = [whole.features[name] for name in self.layout.features]
        context = [whole.context[name] for name in self._context]
        chosen, ruled = self._router.deal(keys, columns, context)
        dealt: dict[int, list[int]] = {0: []}
        for at, arm in enumerate(chosen):
            dealt.setdefault(arm, []).append(at)
        return sorted(dealt.items()), ruled

    def _checked(
        self, frame: pl.DataFrame, first_row: int, *, is_text: bool
    ) -> tuple[dict[str, list[Any]], list[int], dict[int, str]]:
        """Return validated columns of the rows that fit, which those are, and what is wrong."""
        names = self.layout.features
        given = [
            batches.values(frame[name], kind, is_text=is_text) for name, kind in self.columns
        ]
        n_rows = frame.height
        good, problems = list(range(n_rows)), {}
        try:
            columns = self._read(names, given, n_rows)
        except errors.InvalidInputError:
            rows: list[dict[str, Any]] = []
            good = []
            for at, row in enumerate(zip(*given, strict=True)):
                try:
                    named = dict(zip(names, row, strict=True))
                    rows.append(self._validate(named, first_row + at))
                    good.append(at)
                except errors.InvalidInputError as error:
                    problems[at] = error.message
            columns = [[row[name] for row in rows] for name in names]
        bad = self._unknown(frame, good, first_row)
        bad |= self._unseen(columns, [first_row + at for at in good])
        if bad:
            problems |= {good[at]: told for at, told in bad.items()}
            left = [at for at in range(len(good)) if at not in bad]
            columns = [[column[at] for at in left] for column in columns]
            good = [good[at] for at in left]
        return dict(zip(names, columns, strict=True)), good, problems

    def _told(self, frame: pl.DataFrame, rows: list[int]) -> list[Any] | None:
        """Return what the table says as the key of rows; None without a column of keys."""
        if self._key is None:
            return None
        return [frames.plain(one) for one in frame[self._key].gather(rows).to_list()]

    def _unknown(self, frame: pl.DataFrame, rows: list[int], first_row: int) -> dict[int, str]:
        """Return what is wrong with the keys of rows, if anything is."""
        told, column = self._told(frame, rows), self._key or ""
        problems: dict[int, str] = {}
        try:
            known_by.of_column(told or (), column=column)
        except errors.InvalidInputError:
            for at, value in enumerate(told or ()):
                try:
                    known_by.of_column([value], column=column, first_row=first_row + rows[at])
                except errors.InvalidInputError as error:
                    problems[at] = error.message
        return problems

    def _unseen(self, columns: list[list[Any]], rows: Sequence[int]) -> dict[int, str]:
        """Return what is wrong with `rows` of a category that training never saw, if it is."""
        if self.document.unseen != "refuse" or self._find_unseen is None:
            return {}
        problems: dict[int, str] = {}
        for name, values in self._find_unseen(columns).items():
            column = columns[self.layout.features.index(name)]
            for at, value in enumerate(column):
                if value in values:
                    path = f"rows[{rows[at]}].{name}"
                    told = f"{path}: training never saw {str(value)[:40]!r}"
                    problems.setdefault(at, told)
        return problems

    def _frame(
        self,
        arm: arms.Arm,
        batch: arms.Batch,
        done: arms.Done,
        *,
        known: Sequence[tuple[str, str]],
        chances: Sequence[float],
    ) -> bytes:
        kept = [at for at in range(len(done.served)) if at not in done.faults]

        def pick(values: Sequence[Any]) -> list[Any]:
            return [values[at] for at in kept]

        scores = pick(done.scores)
        is_changed = any(a != b for a, b in zip(scores, pick(done.served), strict=True))
        return frames.encode(
            frames.Batch(
                served_at=clock.now_ms(),
                generation=self.document.plan.generation,
                arm=ARM,
                answered=True,
                version=plan.label(arm.arm),
                ids=pick([one for one, _ in known]),
                keys=pick([key for _, key in known]),
                features=[pick(batch.features[name]) for name in self.layout.features],
                context=[pick(batch.context[name]) for name in self._context],
                scores=scores,
                answers=pick(done.answers),
                members=[str(seat.version) for seat in arm.seats],
                member_scores=[
                    self._rows(one, kept) if self._classes else pick(one)
                    for one in done.member_scores
                ],
                served=pick(done.served) if is_changed else [],
                fired=pick(done.fired) if done.fired else [],
                propensities=pick(chances) if chances else [],
                chances=[one for at in kept for one in done.chances[at]]
                if done.chances
                else [],
            )
        )

    def _rows(self, values: Sequence[float], kept: Sequence[int]) -> list[float]:
        """Return what a member said of each class of some rows."""
        n = len(self._classes)
        return [one for at in kept for one in values[at * n : (at + 1) * n]]


@steps.step
def score_apart(
    place: str | bundled.Bundle,
    key: str | None,
    frame: bytes,
    options: tuple[int, bool, bool],
) -> tuple[bytes, bytes, int]:
    """Score a batch that came from another process.

    Parameters
    ----------
    place
        Folder of a bundle, or the bundle itself where no disk is shared; loaded once in a
        process.
    key
        As for `Bench`.
    frame
        The batch as Arrow.
    options
        First row, whether it is text, whether it is logged.

    Returns
    -------
    tuple
        Rows as Arrow, log and number of logged rows, of `Scored`.
    """
    bench = _bench_of_folder(place, key) if isinstance(place, str) else _bench_of(place, key)
    first_row, is_text, is_logged = options
    batch = pl.read_ipc(io.BytesIO(frame))
    done = bench.score(batch, first_row=first_row, is_text=is_text, is_logged=is_logged)
    return to_arrow(done.rows), done.log, done.n_logged


def to_arrow(frame: pl.DataFrame) -> bytes:
    """Write a batch for another process."""
    target = io.BytesIO()
    frame.write_ipc(target)
    return target.getvalue()


_benches: dict[str, Bench] = {}


@functools.lru_cache(maxsize=2)
def _bench_of_folder(folder: str, key: str | None) -> Bench:
    return Bench(bundled.Bundle.from_folder(Path(folder)), key=key)


def _bench_of(bundle: bundled.Bundle, key: str | None) -> Bench:
    name = f"{msgspec.json.encode(bundle.document).decode()}\0{key}"
    if name not in _benches:
        _benches.clear()
        _benches[name] = Bench(bundle, key=key)
    return _benches[name]
