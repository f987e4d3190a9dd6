"""Scores a table of any size in bounded memory; the SDK's `predictions.score` calls it.

A batch is read, scored, written and forgotten. The output appears when it is whole.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import msgspec
import polars as pl

from homeostat.foundation import clock, errors, ids
from homeostat.lifecycle.data import batches, writing
from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.serving import batched, bundled, results, spread

BadRows = Literal["fail", "skip", "keep"]
SEGMENT_ROWS = 10_000
_RESERVED = (*results.RESULTS, results.PROBLEM)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How a table is to be scored.

    Attributes
    ----------
    key
        Column that rows are routed and labelled by; None without one.
    keep
        Columns that are copied beside the results, in this order.
    bad_rows
        What becomes of a row that cannot be scored: ``fail`` ends it all, ``skip`` leaves it
        out, ``keep`` keeps it with its problem. Skipped and kept ones are told with reason and
        values in ``<output>.bad.jsonl``.
    executor
        Where batches are scored.
    batch_rows
        Rows in a batch, 1 to 1,000,000.
    is_logged
        Whether rows are made ready for the deployment's log.
    """

    key: str | None = None
    keep: tuple[str, ...] = ()
    bad_rows: BadRows = "fail"
    executor: spread.Name = "inline"
    batch_rows: int = 10_000
    is_logged: bool = False


class Done(NamedTuple):
    """What came of it.

    `segments` are files to hand over to the deployment's log: id and path.
    """

    n_rows: int
    n_scored: int
    n_bad: int
    seconds: float
    input_digest: str
    output_digest: str
    segments: tuple[tuple[str, Path], ...]


Progress = Callable[[float, int], None]
"""Told the share of the input that is read (0 to 1) and the rows that are done."""


def score(
    folder: Path,
    source: batches.Source,
    output: Path,
    *,
    asked: Asked,
    progress: Progress = lambda _, __: None,
) -> Done:
    """Score a table into a file.

    Parameters
    ----------
    folder
        Holds the bundle, as `bundled.Bundle.store` wrote it; segments for the log are left
        there.
    source
        The table.
    output
        Where results go; a file that is there is replaced when the new one is whole.
    asked
        How.
    progress
        Called after each batch.

    Returns
    -------
    Done
        The output is in its place.

    Raises
    ------
    InvalidInputError
        When columns are missing, or with ``fail`` when a row cannot be scored: names it.
    UnavailableError
        When the disk refuses.
    UserCodeError
        When a worker process dies.
    """
    began = time.perf_counter()
    bundle = bundled.Bundle.from_folder(folder)
    bench = batched.Bench(bundle, key=asked.key)
    _check(source, asked)
    if any(path.resolve() == output.resolve() for path in source.paths):
        raise errors.InvalidInputError(f"{output} is the input too; name another output")
    wanted = bench.wanted(source.columns)
    log = _Log(folder, bench) if asked.is_logged else None
    n_rows = n_bad = 0
    with writing.Draft(output) as draft, _Bad(output, asked) as bad:
        scored = _scored(bench, bundle, folder, source, wanted, asked)
        with contextlib.closing(scored):
            for batch, done in scored:
                n_rows += batch.frame.height
                n_bad += bad.tell(batch, done.rows)
                draft.write(_result(batch.frame, done.rows, asked))
                if log is not None:
                    log.add(done)
                progress(batch.share, n_rows)
        if n_rows == 0:
            raise errors.InvalidInputError("the table has no rows; there is nothing to score")
    return Done(
        n_rows=n_rows,
        n_scored=n_rows - n_bad,
        n_bad=n_bad,
        seconds=time.perf_counter() - began,
        input_digest=source.digest(),
        output_digest=draft.digest,
        segments=() if log is None else log.close(),
    )


def _check(source: batches.Source, asked: Asked) -> None:
    for name in asked.keep:
        if name not in source.columns:
            raise errors.InvalidInputError(f"the table has no column {name!r} to keep")
        if name in _RESERVED:
            raise errors.InvalidInputError(
                f"a column {name!r} cannot be kept: a result has that name",
                hint="rename it in the table",
            )


def _scored(  # noqa: PLR0917 - the parts of one call, split for its length
    bench: batched.Bench,
    bundle: bundled.Bundle,
    folder: Path,
    source: batches.Source,
    wanted: Sequence[str],
    asked: Asked,
) -> Generator[tuple[batches.Batch, batched.Scored], None, None]:
    columns = list(dict.fromkeys([*wanted, *asked.keep]))
    found = source.batches(asked.batch_rows, columns=columns)
    if asked.executor == "inline":
        for batch in found:
            yield (
                batch,
                bench.score(
                    batch.frame,
                    first_row=batch.first_row,
                    is_text=source.is_text,
                    is_logged=asked.is_logged,
                ),
            )
        return

    def parts() -> Iterator[tuple[batches.Batch, tuple[Any, ...]]]:
        for batch in found:
            options = (batch.first_row, source.is_text, asked.is_logged)
            yield batch, (batched.to_arrow(batch.frame.select(wanted)), options)

    # Machines of a cluster share no disk, so there the bundle itself travels, once.
    place = bundle if asked.executor == "ray" else str(folder)
    results = spread.ordered(
        batched.score_apart, parts(), executor=asked.executor, shared=(place, asked.key)
    )
    for batch, (rows, log, n_logged) in results:
        yield batch, batched.Scored(pl.read_ipc(rows), log, n_logged)


def _result(frame: pl.DataFrame, rows: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    together = pl.concat([frame.select(asked.keep), rows], how="horizontal")
    if asked.bad_rows == "keep":
        return together
    return together.filter(pl.col(results.PROBLEM).is_null()).drop(results.PROBLEM)


class _Bad:
    """The file of rows that could not be scored; there only when there are any."""

    def __init__(self, output: Path, asked: Asked) -> None:
        self._path = output.with_name(f"{output.stem}.bad.jsonl")
        self._draft = output.with_name(f".{self._path.name}.part")
        self._how = asked.bad_rows
        self._file: Any = None

    def __enter__(self) -> Self:
        return self

    def tell(self, batch: batches.Batch, rows: pl.DataFrame) -> int:
        """Write down the bad rows of a batch, or refuse the first one."""
        problems = rows[results.PROBLEM]
        if problems.null_count() == len(problems):
            return 0
        places = problems.is_not_null().arg_true().to_list()
        if self._how == "fail":
            at = places[0]
            raise errors.InvalidInputError(
                _named(batch.first_row + at, problems[at]),
                hint="rows count from 0; --bad-rows skip or keep goes on without it",
                row=batch.first_row + at,
            )
        if self._file is None:
            self._file = self._draft.open("wb")
        for at in places:
            told = {
                "row": batch.first_row + at,
                "problem": problems[at],
                "values": batch.frame.row(at, named=True),
            }
            self._file.write(msgspec.json.encode(told, enc_hook=str) + b"\n")
        return len(places)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        if kind is None and self._file is not None:
            self._draft.replace(self._path)
            return
        self._draft.unlink(missing_ok=True)
        if kind is None:
            self._path.unlink(missing_ok=True)  # of an earlier table


def _named(row: int, problem: str) -> str:
    return problem if problem.startswith("rows[") else f"rows[{row}]: {problem}"


class _Log:
    """Segments of the deployment's log, as a prediction server would have written them."""

    def __init__(self, folder: Path, bench: batched.Bench) -> None:
        self._folder = folder
        self._deployment = bench.document.deployment
        self._parts: list[bytes] = []
        self._n_rows = 0
        self._done: list[tuple[str, Path]] = []

    def add(self, done: batched.Scored) -> None:
        """Take the frames of a batch."""
        self._parts.append(done.log)
        self._n_rows += done.n_logged
        if self._n_rows >= SEGMENT_ROWS:
            self._cut()

    def close(self) -> tuple[tuple[str, Path], ...]:
        """Return all segments, in the order of the rows."""
        if self._n_rows:
            self._cut()
        return tuple(self._done)

    def _cut(self) -> None:
        segment = ids.new_id()
        opened = frames.Opened(segment, self._deployment, clock.now_ms())
        path = self._folder / f"{segment}.segment"
        path.write_bytes(b"".join([frames.encode(opened), *self._parts]))
        self._done.append((segment, path))
        self._parts, self._n_rows = [], 0
