"""Scores one batch of a table as the prediction server would, in whatever process it runs.

Called by `bulk` here, in worker processes or on Ray. A batch is checked by the same compiled
schema, dealt to the same arms, scored by the same composite and corrected by the same code as a
request, so that a row gets the same score either way.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import blake3
import msgspec
import polars as pl

from homeostat.foundation import clock, errors, ids
from homeostat.lifecycle.corrections import compiled
from homeostat.lifecycle.data import batches
from homeostat.lifecycle.data import tables as data_tables
from homeostat.lifecycle.pipeline import steps
from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.registry import format as formats
from homeostat.lifecycle.serving import (
    composite,
    entities,
    loading,
    plan,
    router,
    served,
)

ARM = "batch"
"""What the log calls rows that were scored in bulk; their plan says which arm scored them."""

PROBLEM = "problem"
RESULTS = ("score", "answer", "version", "arm")


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A plan and the files of its versions, by digest: all that scoring needs."""

    document: entities.PlanDocument
    files: dict[str, bytes]

    def store(self, folder: Path) -> None:
        """Write it for other processes of this machine, by `from_folder`.

        Parameters
        ----------
        folder
            An existing one.
        """
        (folder / "files").mkdir(exist_ok=True)
        for digest, data in self.files.items():
            (folder / "files" / digest).write_bytes(data)
        (folder / "plan.json").write_bytes(msgspec.json.encode(self.document))

    @classmethod
    def from_folder(cls, folder: Path) -> Bundle:
        """Read what `store` wrote.

        Parameters
        ----------
        folder
            Where.

        Returns
        -------
        Bundle
            The same.
        """
        document = msgspec.json.decode(
            (folder / "plan.json").read_bytes(), type=entities.PlanDocument
        )
        files = {path.name: path.read_bytes() for path in (folder / "files").iterdir()}
        return cls(document=document, files=files)


class Scored(NamedTuple):
    """What came of a batch.

    `rows` has one row for each of the batch, in its order: ``score``, ``answer``, ``version``,
    ``arm`` and ``problem``, which is null where the others are not. `log` holds the frames of
    the rows that were scored, for `predictions`.
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
        Column of the table that rows are routed and labelled by; without one the stable arm
        answers all, and each row is known by its id.

    Raises
    ------
    CorruptError
        When a file is not what its digest says.
    """

    def __init__(self, bundle: Bundle, *, key: str | None) -> None:
        self.document = document = bundle.document
        self._key = key
        self._loaded = {one.version: _load(bundle, one) for one in document.versions}
        champion = self._loaded[plan.champion(document.plan)]
        self.columns = champion.columns
        self._read, self._validate = champion.read, champion.validate
        features = tuple(name for name, _ in self.columns)
        self._context = tuple(name for name in document.protected if name not in features)
        kinds = tuple(kind for _, kind in self.columns)
        self.layout = frames.Layout(features, kinds, self._context)
        self._router = router.Router(document.plan)
        self._arms = [self._arm(one) for one in document.plan.arms]

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
        keys = self._keys(frame, good)
        named = _ids(len(good))
        dealt: dict[int, list[int]] = {}
        for at, key in enumerate(keys or []):
            dealt.setdefault(self._router.arm(key), []).append(at)
        if keys is None and good:
            dealt = {0: list(range(len(good)))}
        context = {
            name: [_plain(one) for one in frame[name].gather(good).to_list()]
            if name in frame.columns
            else [None] * len(good)
            for name in self._context
        }
        found: dict[int, tuple[float, Any, str, str]] = {}
        log, n_logged = [frames.encode(self.layout)], 0
        for index, rows in sorted(dealt.items()):
            batch = _Batch(
                {name: [column[at] for at in rows] for name, column in checked.items()},
                {name: [column[at] for at in rows] for name, column in context.items()},
            )
            arm = self._arms[index]
            done = arm.score(batch, len(rows))
            label = plan.label(arm.arm)
            for at, score, answer in zip(rows, done.served, done.answers, strict=True):
                found[good[at]] = (score, answer, label, arm.arm.name)
            for at, why in done.faults.items():
                del found[good[rows[at]]]
                problems[good[rows[at]]] = why
            if is_logged:
                named_rows = [(named[at], keys[at] if keys else named[at]) for at in rows]
                log.append(self._frame(arm, batch, done, named_rows=named_rows))
                n_logged += len(rows) - len(done.faults)
        return Scored(_table(frame.height, found, problems), b"".join(log), n_logged)

    def _checked(
        self, frame: pl.DataFrame, first_row: int, *, is_text: bool
    ) -> tuple[dict[str, list[Any]], list[int], dict[int, str]]:
        """Return validated columns of the rows that fit, which those are, and what is wrong."""
        names = self.layout.features
        given = [
            batches.values(frame[name], kind, is_text=is_text) for name, kind in self.columns
        ]
        n_rows = frame.height
        try:
            checked = self._read(names, given, n_rows)
            return dict(zip(names, checked, strict=True)), list(range(n_rows)), {}
        except errors.InvalidInputError:
            pass
        good, rows, problems = [], [], {}
        for at, row in enumerate(zip(*given, strict=True)):
            try:
                rows.append(self._validate(dict(zip(names, row, strict=True)), first_row + at))
                good.append(at)
            except errors.InvalidInputError as error:
                problems[at] = error.message
        return {name: [row[name] for row in rows] for name in names}, good, problems

    def _keys(self, frame: pl.DataFrame, good: list[int]) -> list[str] | None:
        if self._key is None:
            return None
        return [str(one) for one in frame[self._key].gather(good).to_list()]

    def _frame(
        self, arm: _Arm, batch: _Batch, done: _Done, *, named_rows: list[tuple[str, str]]
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
                ids=pick([one for one, _ in named_rows]),
                keys=pick([key for _, key in named_rows]),
                features=[pick(batch.features[name]) for name in self.layout.features],
                context=[pick(batch.context[name]) for name in self._context],
                scores=scores,
                answers=pick(done.answers),
                members=[str(seat.version) for seat in arm.seats],
                member_scores=[pick(one) for one in done.member_scores],
                served=pick(done.served) if is_changed else [],
                fired=pick(done.fired) if done.fired else [],
            )
        )

    def _arm(self, arm: entities.Arm) -> _Arm:
        members = sorted(arm.members, key=lambda member: member.version)
        seats = [
            composite.Seat(one.version, one.weight, self._loaded[one.version].predictor)
            for one in members
        ]
        loaded = self._loaded[members[0].version]
        applied = compiled.compile(
            self.document.corrections,
            classes=loaded.classes,
            positive=loaded.labels[1] if loaded.labels else None,
            now_ms=clock.now_ms(),
            version=plan.label(arm),
        )
        return _Arm(arm, seats, loaded.labels, applied, self._loaded)


class _Batch(NamedTuple):
    features: dict[str, list[Any]]
    context: dict[str, list[Any]]


class _Done(NamedTuple):
    scores: list[float]
    served: list[float]
    answers: list[Any]
    fired: list[str]
    member_scores: list[list[float]]
    faults: dict[int, str]


class _Arm(NamedTuple):
    arm: entities.Arm
    seats: list[composite.Seat]
    labels: tuple[str | None, str] | None
    applied: compiled.Applied | None
    loaded: Mapping[int, served.Loaded]

    def score(self, batch: _Batch, n_rows: int) -> _Done:
        """Score the rows of one arm, corrected as an answer would be."""
        scored = composite.score(self.seats, batch.features, n_rows)
        scores: list[float] = scored.scores.tolist()
        members = scored.member_scores.tolist()
        faults = {at: why.sentence for at, why in scored.faults.items()}
        if self.applied is None:
            said = [None if at in faults else self._label(one) for at, one in enumerate(scores)]
            return _Done(scores, scores, said, [], members, faults)
        for at in faults:
            scores[at] = float("nan")
        columns = {**batch.features, **batch.context}
        now = clock.now_ms()
        outcome = self.applied.apply(scores, columns, now)
        if outcome.to_fallback:
            other = self._fallback(outcome.to_fallback, batch)
            outcome = self.applied.apply(scores, columns, now, fallback=other)
        failed = {at: faults.get(at, "the fallback failed") for at in outcome.failed}
        return _Done(scores, outcome.scores, outcome.answers, outcome.fired, members, failed)

    def _fallback(self, rows: Sequence[int], batch: _Batch) -> dict[int, float]:
        number = self.applied.fallback_version if self.applied else None
        loaded = None if number is None else self.loaded.get(number)
        if number is None or loaded is None:
            return dict.fromkeys(rows, float("nan"))
        part = {name: [column[at] for at in rows] for name, column in batch.features.items()}
        seat = composite.Seat(number, 1.0, loaded.predictor)
        done = composite.score([seat], part, len(rows))
        return dict(zip(rows, done.scores.tolist(), strict=True))

    def _label(self, score: float) -> Any:
        return score if self.labels is None else self.labels[score >= compiled.EVEN]


@steps.step
def score_apart(
    place: str | Bundle,
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
    return Bench(Bundle.from_folder(Path(folder)), key=key)


def _bench_of(bundle: Bundle, key: str | None) -> Bench:
    name = f"{msgspec.json.encode(bundle.document).decode()}\0{key}"
    if name not in _benches:
        _benches.clear()
        _benches[name] = Bench(bundle, key=key)
    return _benches[name]


def _load(bundle: Bundle, version: entities.VersionFiles) -> served.Loaded:
    files = {path: _file(bundle, digest) for path, digest in version.files.items()}
    if version.description:
        files[formats.DESCRIPTION] = _file(bundle, version.description)
    return loading.load(files, is_trusted=version.is_trusted)


def _file(bundle: Bundle, digest: str) -> bytes:
    data = bundle.files[digest]
    if blake3.blake3(data).hexdigest() != digest:
        raise errors.CorruptError(f"the file {digest} of a version came with other bytes")
    return data


def _ids(n_rows: int) -> list[str]:
    first = int(ids.new_id(), 16)
    return [f"{first + at:032x}" for at in range(n_rows)]


def _plain(value: Any) -> Any:
    """Keep what a log can hold; anything else is context as text."""
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _table(
    n_rows: int,
    found: Mapping[int, tuple[float, Any, str, str]],
    problems: Mapping[int, str],
) -> pl.DataFrame:
    nothing = (None, None, None, None)
    columns = list(zip(*[found.get(at, nothing) for at in range(n_rows)], strict=True))
    answers = columns[1]
    is_number = all(one is None or isinstance(one, float) for one in answers)
    kinds: list[Any] = [pl.Float64(), pl.Float64() if is_number else pl.String()]
    kinds += [pl.String(), pl.String()]
    series = [
        pl.Series(name, values, dtype=kind)
        for name, values, kind in zip(RESULTS, columns, kinds, strict=True)
    ]
    said = [problems.get(at) for at in range(n_rows)]
    return pl.DataFrame([*series, pl.Series(PROBLEM, said, dtype=pl.String())])
