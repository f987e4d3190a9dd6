"""Whole runs of a user's pipeline in a process of their own; called by `candidates`.

Importing the pipeline's file, its body and its steps are the user's code: there they may
hang, crash or exit as they like. What comes back are the files of a model, never an object.
"""

from __future__ import annotations

import atexit
import functools
import threading
import time
from typing import Any, Final

import msgspec

from homeostat.foundation import clock, errors, ids, log
from homeostat.lifecycle.pipeline import entities, executors, recorders, workers

CHILD: Final = "homeostat.lifecycle.loop.fitting_child"

_log = log.get(__name__)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, and on which rows.

    Attributes
    ----------
    pipeline, folder
        `module:name`, and where the module is.
    path
        Where other modules are found.
    cache
        Folder of the step cache.
    reference, digest
        Of the rows, as a run records its input.
    rows
        A table as an Arrow stream.
    target
        Column the model predicts.
    apart
        Columns that are no features where the estimator does not name its own.
    is_regression
        Whether a number is predicted instead of a class.
    """

    pipeline: str
    folder: str
    path: tuple[str, ...]
    cache: str
    reference: str
    digest: str
    rows: bytes
    target: str
    apart: tuple[str, ...]
    is_regression: bool = False


class Began(msgspec.Struct, frozen=True, tag=True):
    """The run works."""

    start: entities.RunStart


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The run is over, well or not."""

    start: entities.RunStart
    end: entities.RunEnd


class Made(msgspec.Struct, frozen=True, tag=True):
    """The last word of an order that went well.

    Attributes
    ----------
    run_id
        Of the run.
    files
        Of the model, path to bytes, as `registry.format.pack` writes them.
    """

    run_id: str
    files: dict[str, bytes]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The last word of an order that did not: an error, to be raised again."""

    code: str
    message: str
    hint: str
    facts: dict[str, Any]


Message = Began | Ended | Made | Failed
_decode = msgspec.msgpack.Decoder(Message).decode


class Room:
    """Processes that run orders; one is kept warm, with the user's libraries imported."""

    def __init__(self) -> None:
        self._idle: list[workers.Worker] = []
        self._lock = threading.Lock()

    def run(self, order: Order, *, recorder: recorders.Recorder, timeout_s: float) -> Made:
        """Run a pipeline; stop it and all it started when its time is up.

        Parameters
        ----------
        order
            What to run.
        recorder
            Told about the run, also about one that had to be stopped.
        timeout_s
            Seconds that import, body and steps may take together.

        Returns
        -------
        Made
            A model's files.

        Raises
        ------
        UserCodeError
            When the pipeline raises, hangs, crashes, or returns nothing that can predict.
        HomeostatError
            As the process raised it.
        """
        worker = self._take()
        told = _Told(order, recorder)
        last: Made | Failed | None = None
        try:
            worker.send_bytes(msgspec.msgpack.encode(order))
            last = _listen(worker, told, timeout_s=timeout_s)
        except errors.UserCodeError as error:
            told.stopped(error)
            raise
        finally:
            if last is None:
                worker.kill()
            else:
                self._give_back(worker)
        if isinstance(last, Failed):
            kind = errors.by_code().get(last.code, errors.HomeostatError)
            raise kind(last.message, hint=last.hint, **last.facts)
        return last

    def close(self) -> None:
        """Stop the warm processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()

    def _take(self) -> workers.Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive():
                    return worker
                worker.kill()
        return workers.Worker(CHILD)

    def _give_back(self, worker: workers.Worker) -> None:
        with self._lock:
            if not self._idle:
                self._idle.append(worker)
                return
        worker.kill()


@functools.cache
def room() -> Room:
    """Return this process's room.

    Returns
    -------
    Room
        Closed when the process ends.
    """
    made = Room()
    atexit.register(made.close)
    return made


class _Told:
    """What the recorder knows of a run."""

    def __init__(self, order: Order, recorder: recorders.Recorder) -> None:
        self._recorder = recorder
        self._is_over = False
        self._began = time.monotonic()
        # Stands for a run that is stopped before it could tell of itself.
        self._start = entities.RunStart(
            run_id=ids.new_id(),
            pipeline=order.pipeline.partition(":")[2],
            started_at=clock.now_ms(),
            inputs=(
                entities.RunInput(name="rows", reference=order.reference, digest=order.digest),
            ),
        )

    def began(self, message: Began) -> None:
        self._start = message.start
        try:
            self._recorder.begin(message.start)
        except errors.HomeostatError as error:
            # The end is told again, whole; what is wrong then reaches the caller.
            _log.warning("a run's beginning is not recorded", error=str(error))

    def ended(self, message: Ended) -> None:
        self._is_over = True
        self._recorder.finish(message.start, message.end)

    def stopped(self, error: errors.UserCodeError) -> None:
        if self._is_over:
            return
        error.facts["run_id"] = self._start.run_id
        end = entities.RunEnd(
            status="failed",
            ended_at=clock.now_ms(),
            error=error.message,
            wall_s=time.monotonic() - self._began,
        )
        self._recorder.finish(self._start, end)


def _listen(worker: workers.Worker, told: _Told, *, timeout_s: float) -> Made | Failed:
    """Take messages until the last one; raise UserCodeError when it does not come."""
    end = time.monotonic() + timeout_s
    while worker.wait(max(end - time.monotonic(), 0.0)):
        data = worker.receive_bytes()
        if data is None:
            raise executors.died(worker, what="the pipeline")
        message: Message = _decode(data)
        if isinstance(message, Began):
            told.began(message)
        elif isinstance(message, Ended):
            told.ended(message)
        else:
            return message
    raise errors.UserCodeError(
        f"the pipeline did not finish within {timeout_s:g} s and was stopped",
        hint="look for what it waits for; importing its file counts too",
        timeout_s=timeout_s,
    )
