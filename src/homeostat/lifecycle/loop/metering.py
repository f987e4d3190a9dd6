"""Asks functions of the user for numbers, in a process apart; called by `measuring`.

A function may hang, crash or raise as it likes: what comes back is a number or one sentence.
It runs where pipelines run, from the project's folder of the worker, and the digest of the code
it reached is kept beside each number.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Final

import msgspec
import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.loop import apart
from homeostat.lifecycle.pipeline import executors, workers

CHILD: Final = "homeostat.lifecycle.loop.metering_child"
TIME_S: Final = 60.0
"""Seconds that importing the file and one answer may take together."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of which rows.

    Attributes
    ----------
    function, folder
        ``module:name``, and where the module is.
    path
        Where other modules are found.
    rows
        A table as an Arrow stream.
    names
        Columns of a model, where `function` is a pipeline that is asked to compute them.
    """

    function: str
    folder: str
    path: tuple[str, ...]
    rows: bytes
    names: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the function said: a number with its interval where it gave one, or why not.

    Attributes
    ----------
    value, low, high
        None where the function returned None.
    code
        Digest of the code that it reached.
    sentence
        What went wrong; empty when nothing did.
    table
        Columns that a pipeline computed, as an Arrow stream.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    code: str = ""
    sentence: str = ""
    table: bytes = b""


_decode = msgspec.msgpack.Decoder(Answer).decode


class Meter:
    """One process for the questions of one look, started at the first.

    Parameters
    ----------
    folder
        Of the project.
    timeout_s
        Seconds for each question.
    """

    def __init__(self, folder: str, *, timeout_s: float = TIME_S) -> None:
        self._folder = folder
        self._timeout_s = timeout_s
        self._worker: workers.Worker | None = None

    def ask(self, function: str, rows: pl.DataFrame, *, names: tuple[str, ...] = ()) -> Answer:
        """Return what a function says of rows; never raises what the function did.

        Parameters
        ----------
        function
            ``module:name``.
        rows
            Given to it as a polars frame.
        names
            Columns of a model, where the function is a pipeline: it computes them up to the
            step that fits.
        """
        question = Question(
            function=function,
            folder=self._folder,
            path=tuple(sys.path),
            rows=apart.packed(rows),
            names=names,
        )
        if self._worker is None:
            self._worker = workers.Worker(CHILD)
        try:
            return self._asked(self._worker, question)
        except errors.UserCodeError as error:
            self.close()
            return Answer(sentence=error.message)

    def close(self) -> None:
        """End the process; the next question starts another."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _asked(self, worker: workers.Worker, question: Question) -> Answer:
        end = time.monotonic() + self._timeout_s
        worker.send_bytes(msgspec.msgpack.encode(question))
        if not worker.wait(max(end - time.monotonic(), 0.0)):
            said = f"did not answer within {self._timeout_s:g} s and was stopped"
            raise errors.UserCodeError(f"{question.function} {said}")
        data = worker.receive_bytes()
        if data is None:
            raise executors.died(worker, what=question.function)
        return _decode(data)


@contextlib.contextmanager
def opened(folder: str, *, timeout_s: float = TIME_S) -> Iterator[Meter]:
    """Yield a meter and end its process afterwards.

    Parameters
    ----------
    folder, timeout_s
        As for `Meter`.
    """
    meter = Meter(folder, timeout_s=timeout_s)
    try:
        yield meter
    finally:
        meter.close()
