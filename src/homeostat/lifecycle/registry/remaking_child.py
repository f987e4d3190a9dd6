"""The process that runs one recorded pipeline again; started by `remaking.run`.

It has no house and no network of ours: it reads the folder it is given and writes into it.
"""

from __future__ import annotations

import ast
import functools
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.pipeline import (
    cache,
    digests,
    drive,
    entities,
    failures,
    kept,
    load,
    sources,
    steps,
)
from homeostat.lifecycle.registry import described, own, remaking
from homeostat.lifecycle.registry import format as formats
from homeostat.lifecycle.registry import load as loading


class _Scored(msgspec.Struct, frozen=True):
    now: tuple[float, ...] = ()
    then: tuple[float, ...] = ()
    of_example: bool = False
    unasked: str = ""


class _Keeping:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.start: entities.RunStart | None = None
        self.end: entities.RunEnd | None = None

    def begin(self, start: entities.RunStart) -> None:
        """See `recorders.Recorder.begin`."""
        self.start = start

    def finish(self, start: entities.RunStart, end: entities.RunEnd) -> None:
        """See `recorders.Recorder.finish`."""
        self.start, self.end = start, end


def main(folder: Path) -> None:
    """Run the order of a folder and write what came of it.

    Parameters
    ----------
    folder
        As `remaking.run` prepared it.
    """
    order = msgspec.json.decode((folder / remaking.ORDER).read_bytes(), type=remaking.Order)
    told = _Keeping()
    wrong: errors.HomeostatError | None = None
    scored = _Scored()
    try:
        made, rows = _make(folder, order, told)
        scored = _scored(folder, made, rows)
    except errors.HomeostatError as error:
        wrong = error
    except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
        wrong = failures.of(error, what=f"pipeline {order.target!r}")
    answer = remaking.Answer(
        start=told.start,
        end=told.end,
        code="" if wrong is None else wrong.code,
        message="" if wrong is None else wrong.message,
        hint="" if wrong is None else wrong.hint,
        scores=scored.now,
        recorded=scored.then,
        of_example=scored.of_example,
        unasked=scored.unasked,
    )
    place = folder / remaking.ANSWER
    part = place.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(answer))
    part.replace(place)


def _make(
    folder: Path, order: remaking.Order, told: _Keeping
) -> tuple[dict[str, bytes], pl.DataFrame]:
    """Run the pipeline, write the model; return its files and the rows to compare on."""
    pipeline = load.pipeline(order.target, folder / remaking.CODE)
    tables = {table.name: pl.read_parquet(folder / table.file) for table in order.tables}
    name, rows = next(iter(tables.items()))
    tables[name] = rows.head(order.n_learned)
    given = {
        table.name: sources.Source(
            table.reference, table.digest, functools.partial(tables.__getitem__, table.name)
        )
        for table in order.tables
    }
    # An empty cache of its own: what was kept from the first time would prove nothing.
    outcome = drive.run(
        pipeline,
        inputs=given,
        parameters=_settings(pipeline, order.parameters),
        cache=cache.Cache(folder / "cache"),
        recorder=told,
        executor="inline",
    )
    estimator = outcome.result
    recorded = described.read(formats.read_folder(folder / remaking.RECORDED))
    is_regression = recorded.task == "regression"
    if not is_regression and not hasattr(estimator, "predict_proba"):
        raise errors.UserCodeError(
            f"pipeline {order.target!r} returned {type(estimator).__name__}, "
            "which has no predict_proba"
        )
    missing = [name for name in order.features if name not in rows.columns]
    if missing:
        raise errors.InvalidInputError(
            f"the version takes {missing[0]!r}, which is no column of its recorded data"
        )
    features = tables[name].select(order.features)
    files = formats.pack(
        estimator,
        schema=schemas.infer(features),
        example=features,
        target=order.label,
        run_id=outcome.run_id,
        outcomes=tables[name][order.label] if is_regression else None,
        code={one.path: one.text for one in kept.of_project(pipeline.folder)},
    )
    formats.write_folder(files, folder / remaking.MODEL)
    return files, rows.select(order.features)


def _scored(folder: Path, made: dict[str, bytes], rows: pl.DataFrame) -> _Scored:
    """Ask both models for the scores of the same rows, in this very environment."""
    now = loading.load(made, is_trusted=True)
    recorded = formats.read_folder(folder / remaking.RECORDED)
    try:
        # Whoever asked for this runs the recorded code here; a stranger's pickle is none of it.
        then = loading.load(recorded, is_trusted=own.is_own(recorded))
    except errors.HomeostatError as error:
        about = described.read(recorded)
        return _Scored(
            now=tuple(now.scores(about.example).ravel().tolist()),
            then=tuple(np.ravel(about.scores).tolist()),
            of_example=True,
            unasked=error.message,
        )
    return _Scored(
        now=tuple(now.scores(rows).ravel().tolist()),
        then=tuple(then.scores(rows).ravel().tolist()),
    )


def _settings(pipeline: steps.Pipeline[..., Any], recorded: dict[str, str]) -> dict[str, Any]:
    """Return the settings to give: those that the code's own defaults do not give already."""
    found: dict[str, Any] = {}
    for name, text in recorded.items():
        known = pipeline.signature.parameters.get(name)
        if known is not None and digests.shown(known.default, limit=500) == text:
            continue
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            if known is not None and type(known.default).__name__ == text:
                continue  # only its type was recorded; the code's own default is all we have
            found[name] = text
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
