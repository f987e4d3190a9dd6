"""Models that are opened in a process of their own; called by `scoring` and `judging`.

A pickle is a program. This process holds the database and the keys, so it never opens one: a
child does, under a time limit, and sends back numbers. The child also opens everything that
came from elsewhere for the first time, whatever its format.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import executors, workers
from homeostat.lifecycle.registry.entities import Description

CHILD: Final = "homeostat.lifecycle.loop.apart_child"
OPEN_S = 120.0
SCORE_S = 300.0
LEARN_S = 900.0


class Learn(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Describe a model by labelled rows, an Arrow stream; see `adopt.adopt`."""

    files: dict[str, bytes]
    rows: bytes
    target: str
    apart: tuple[str, ...]
    is_trusted: bool
    is_regression: bool = False


class Open(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Load a version; the process holds one."""

    files: dict[str, bytes]
    is_trusted: bool


class Score(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Score rows, an Arrow stream, with the version that was loaded."""

    rows: bytes


class Time(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Time single answers to rows, an Arrow stream, of the version that was loaded."""

    rows: bytes


class Learned(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What was learned: outcomes and scores of the labelled rows as little-endian bytes.

    Attributes
    ----------
    labelled
        1 for each of the given rows that has a label, else 0.
    truth, scores
        Of the labelled rows, float64, as `adopt.Adopted` has them; scores row by row.
    latency_p99_ms
        99th percentile of one answer alone.
    """

    description: bytes
    labelled: bytes
    truth: bytes
    scores: bytes
    latency_p99_ms: float


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The version answers."""

    description: bytes


class Scored(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Scores as little-endian float64, row by row."""

    scores: bytes


class Timed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """99th percentile of one answer alone."""

    latency_p99_ms: float


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An error, to be raised again."""

    code: str
    message: str
    hint: str
    facts: dict[str, Any]


Order = Learn | Open | Score | Time
Reply = Learned | Opened | Scored | Timed | Refused
_decode = msgspec.msgpack.Decoder(Reply).decode


class Apart:
    """A version that answers from a process of its own, as a `Predictor` does from this one.

    Parameters
    ----------
    files
        Path to bytes, with the description of its adoption.
    is_trusted
        Whether somebody who may has said that this version may run its code.

    Raises
    ------
    HomeostatError
        As `load.load` raises it there.
    """

    def __init__(self, files: Mapping[str, bytes], *, is_trusted: bool) -> None:
        self._files = dict(files)
        self._is_trusted = is_trusted
        self._lock = threading.Lock()
        self._worker: workers.Worker | None = None
        opened = self._open()
        self.description = msgspec.json.decode(opened.description, type=Description)

    def scores(self, rows: pl.DataFrame) -> NDArray[np.float64]:
        """Return what the model says of each row, as `Predictor.scores` does.

        Raises
        ------
        UserCodeError
            When the model raises, hangs or crashes; the next call begins anew.
        """
        names = [name for name in self.description.schema.names if name in rows.columns]
        found = self._asked(Score(rows=packed(rows.select(names))))
        assert isinstance(found, Scored)
        return shaped(found.scores, self.description)

    def latency(self, rows: pl.DataFrame) -> float:
        """Return the 99th percentile of one answer alone, in ms; errors as `scores`."""
        found = self._asked(Time(rows=packed(rows)))
        assert isinstance(found, Timed)
        return found.latency_p99_ms

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._worker is not None:
                self._worker.kill()
                self._worker = None

    def _asked(self, order: Order) -> Reply:
        with self._lock:
            if self._worker is None:
                self._open()
            assert self._worker is not None
            return self._ask(self._worker, order, timeout_s=SCORE_S)

    def _open(self) -> Opened:
        self._worker = workers.Worker(CHILD)
        order = Open(files=self._files, is_trusted=self._is_trusted)
        found = self._ask(self._worker, order, timeout_s=OPEN_S)
        assert isinstance(found, Opened)
        return found

    def _ask(self, worker: workers.Worker, order: Order, *, timeout_s: float) -> Reply:
        try:
            return _asked(worker, order, what="the model", timeout_s=timeout_s)
        except errors.HomeostatError:
            if isinstance(order, Open) or not worker.is_alive():
                worker.kill()
                self._worker = None
            raise


def learn(order: Learn, *, timeout_s: float = LEARN_S) -> Learned:
    """Describe and score a model in a process that ends afterwards.

    Parameters
    ----------
    order
        The model's files and labelled rows.
    timeout_s
        Seconds that opening and scoring may take together.

    Returns
    -------
    Learned
        Its description, and how it does on the rows.

    Raises
    ------
    UserCodeError
        When the model raises, hangs or crashes.
    HomeostatError
        As `adopt.adopt` raises it there.
    """
    worker = workers.Worker(CHILD)
    try:
        found = _asked(worker, order, what="the model", timeout_s=timeout_s)
    finally:
        worker.kill()
    assert isinstance(found, Learned)
    return found


def shaped(scores: bytes, described: Description) -> NDArray[np.float64]:
    """Return scores as a model gave them, of several classes one row for each of the rows."""
    found = np.frombuffer(scores, dtype="<f8")
    return (
        found.reshape(-1, len(described.classes)) if described.task == "multiclass" else found
    )


def packed(rows: pl.DataFrame) -> bytes:
    """Return a table as an Arrow stream."""
    buffer = io.BytesIO()
    rows.write_ipc_stream(buffer)
    return buffer.getvalue()


def _asked(worker: workers.Worker, order: Order, *, what: str, timeout_s: float) -> Reply:
    """Send an order and return its reply; a process that hangs is killed."""
    end = time.monotonic() + timeout_s
    worker.send_bytes(msgspec.msgpack.encode(order))
    if not worker.wait(max(end - time.monotonic(), 0.0)):
        worker.kill()
        raise errors.UserCodeError(
            f"{what} did not answer within {timeout_s:g} s and was stopped", timeout_s=timeout_s
        )
    data = worker.receive_bytes()
    if data is None:
        raise executors.died(worker, what=what)
    reply: Reply = _decode(data)
    if isinstance(reply, Refused):
        kind = errors.by_code().get(reply.code, errors.HomeostatError)
        raise kind(reply.message, hint=reply.hint, **reply.facts)
    return reply
