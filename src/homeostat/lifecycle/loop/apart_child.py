"""A process that opens a model for its parent, and scores rows with it, until the line closes.

Started by `apart` as `python -m homeostat.lifecycle.loop.apart_child`. It has no house.
"""

from __future__ import annotations

import sys

import msgspec
import numpy as np
import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.loop import apart, latency
from homeostat.lifecycle.pipeline import failures, tied
from homeostat.lifecycle.registry import adopt, load
from homeostat.lifecycle.registry.predictor import Predictor

_decode = msgspec.msgpack.Decoder(apart.Order).decode


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
    held: list[Predictor] = []
    while True:
        try:
            order = _decode(line.recv_bytes())
        except (EOFError, OSError):
            return
        line.send_bytes(msgspec.msgpack.encode(_answer(order, held)))


def _answer(order: apart.Order, held: list[Predictor]) -> apart.Reply:
    try:
        if isinstance(order, apart.Learn):
            return _learned(order)
        if isinstance(order, apart.Open):
            held[:] = [load.load(order.files, is_trusted=order.is_trusted)]
            return apart.Opened(description=msgspec.json.encode(held[0].description))
        rows = pl.read_ipc_stream(order.rows)
        if isinstance(order, apart.Time):
            return apart.Timed(latency_p99_ms=latency.measured(held[0], rows))
        scores = held[0].scores(rows)
        return apart.Scored(scores=scores.astype("<f8").tobytes())
    except errors.HomeostatError as error:
        return apart.Refused(
            code=error.code, message=error.message, hint=error.hint, facts=dict(error.facts)
        )
    except BaseException as error:  # noqa: BLE001 - also SystemExit: the model's code may raise anything
        said = failures.of(error, what="the model")
        return apart.Refused(
            code=said.code, message=said.message, hint=said.hint, facts=dict(said.facts)
        )


def _learned(order: apart.Learn) -> apart.Learned:
    rows = pl.read_ipc_stream(order.rows)
    found = adopt.adopt(
        order.files,
        rows,
        target=order.target,
        apart=order.apart,
        is_trusted=order.is_trusted,
        is_regression=order.is_regression,
    )
    labelled = rows[order.target].is_not_null().to_numpy()
    features = rows.filter(pl.col(order.target).is_not_null())
    names = list(found.description.schema.names)
    return apart.Learned(
        description=msgspec.json.encode(found.description),
        labelled=labelled.astype(np.uint8).tobytes(),
        truth=found.truth.astype("<f8").tobytes(),
        scores=found.scores.astype("<f8").tobytes(),
        latency_p99_ms=latency.measured(found.predictor, features.select(names)),
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
