"""A process that runs whole pipelines for its parent until the line closes.

Started by `fitting.Room` as `python -m homeostat.lifecycle.loop.fitting_child`. It has no
house: it reads and writes the step cache, and tells its parent what to record.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.loop import fitting
from homeostat.lifecycle.pipeline import cache as caches
from homeostat.lifecycle.pipeline import (
    drive,
    entities,
    failures,
    kept,
    load,
    sources,
    steps,
    tied,
)
from homeostat.lifecycle.registry import format as formats

_HINT = 'return a fitted classifier, or say task = "regression" under [model]'

Tell = Callable[[fitting.Message], None]


def main(line_fd: int, dump_fd: int, parent: int) -> None:
    """Serve orders until the parent closes the line.

    Parameters
    ----------
    line_fd
        Of the socket to the parent.
    dump_fd
        Where the interpreter writes if it crashes.
    parent
        Its process id: when it is gone, so is this process.
    """
    line = tied.line(line_fd, dump_fd, parent=parent)
    speaking = threading.Lock()
    known: dict[str, caches.Cache] = {}
    decode = msgspec.msgpack.Decoder(fitting.Order).decode

    def tell(message: fitting.Message) -> None:
        with speaking:
            line.send_bytes(msgspec.msgpack.encode(message))

    while True:
        try:
            order = decode(line.recv_bytes())
        except (EOFError, OSError):
            return
        cache = known.setdefault(order.cache, caches.Cache(Path(order.cache)))
        tell(_answer(order, cache, tell))


def _answer(order: fitting.Order, cache: caches.Cache, tell: Tell) -> fitting.Message:
    try:
        sys.path[:] = order.path
        return _made(order, cache, tell)
    except errors.HomeostatError as error:
        return fitting.Failed(error.code, error.message, error.hint, dict(error.facts))
    except BaseException as error:  # noqa: BLE001 - also SystemExit: an order ends itself only
        said = failures.of(error, what=f"pipeline {order.pipeline!r}")
        return fitting.Failed(said.code, said.message, said.hint, dict(said.facts))


def _made(order: fitting.Order, cache: caches.Cache, tell: Tell) -> fitting.Made:
    pipeline = load.pipeline(order.pipeline, order.folder)
    rows = pl.read_ipc_stream(order.rows)
    source = sources.Source(order.reference, order.digest, lambda: rows)
    outcome = drive.run(
        pipeline,
        inputs={only_table(pipeline): source},
        parameters={},
        cache=cache,
        recorder=_Telling(tell),
        # This process is the one apart; a step with a limit of its own gets one more.
        executor="inline",
    )
    estimator = outcome.result
    asked = "predict" if order.is_regression else "predict_proba"
    if not hasattr(estimator, asked):
        raise errors.UserCodeError(
            f"pipeline {order.pipeline!r} returned {type(estimator).__name__}, "
            f"which has no {asked}",
            hint="return a fitted regressor" if order.is_regression else _HINT,
        )
    features = rows.select(feature_names(estimator, rows, apart=order.apart))
    files = formats.pack(
        estimator,
        schema=schemas.infer(features),
        example=features,
        target=order.target,
        run_id=outcome.run_id,
        outcomes=rows[order.target] if order.is_regression else None,
        code={one.path: one.text for one in kept.of_project(pipeline.folder)},
    )
    return fitting.Made(outcome.run_id, files)


class _Telling:
    """A recorder that has the parent record."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def begin(self, start: entities.RunStart) -> None:
        """See `recorders.Recorder.begin`."""
        self._tell(fitting.Began(start))

    def finish(self, start: entities.RunStart, end: entities.RunEnd) -> None:
        """See `recorders.Recorder.finish`."""
        self._tell(fitting.Ended(start, end))


def only_table(pipeline: steps.Pipeline[..., Any]) -> str:
    """Return the name of the parameter that takes the rows: the one without a default.

    Parameters
    ----------
    pipeline
        As it was loaded.

    Raises
    ------
    InvalidInputError
        When there is none, or more than one.
    """
    needed = [
        name
        for name, parameter in pipeline.signature.parameters.items()
        if parameter.default is parameter.empty
    ]
    if len(needed) != 1:
        raise errors.InvalidInputError(
            f"pipeline {pipeline.name!r} needs exactly one parameter without a default, the "
            f"table of rows; it has {len(needed)}: {', '.join(needed) or 'none'}",
        )
    return str(needed[0])


def feature_names(estimator: Any, frame: pl.DataFrame, *, apart: tuple[str, ...]) -> list[str]:
    """Return the columns an estimator takes, in the order it was fitted.

    Parameters
    ----------
    estimator
        Its ``feature_names_in_`` counts where it has one.
    frame
        Rows as served; without names, every column but those of `apart`.
    apart
        Target, key, time and protected columns.

    Raises
    ------
    InvalidInputError
        When it was fitted on a column that is not served.
    """
    told = getattr(estimator, "feature_names_in_", None)
    if told is None:
        return [name for name in frame.columns if name not in apart]
    names = [str(name) for name in told]
    strange = [name for name in names if name not in frame.columns]
    if strange:
        raise errors.InvalidInputError(
            f"the estimator was fitted on {strange[0]!r}, which is no column of the data",
            hint="put what makes new columns into the estimator, as a scikit-learn Pipeline",
            column=strange[0],
        )
    return names


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
