"""Where explanations are made: one process of their own, beside a prediction server's worker.

Owned by `doors.predict.explaining`. Loading an original imports libraries of models, and
explaining is arithmetic for milliseconds: in the worker both would hold up predictions. The
process is started by the first order, ends after ten minutes without one, and is killed when
an order takes too long. What waits is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.explanations import entities, orders
from homeostat.lifecycle.pipeline import workers

CHILD: Final = "homeostat.lifecycle.explanations.child"
TIMEOUT_S: Final = 30.0
START_S: Final = 30.0
RETRY_S: Final = 2.0

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(orders.Reply).decode


class Room:
    """One explaining process and the orders that wait for it.

    Parameters
    ----------
    timeout_s
        Seconds that an order may take, above 0; the first of a version loads it.
    start_s
        Seconds more for the first order of a process, which imports libraries of models.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S, start_s: float = START_S) -> None:
        self._timeout_s = timeout_s
        self._start_s = start_s
        self._thread = ThreadPoolExecutor(1, "homeostat-explain")
        self._lock = threading.Lock()
        self._waiting = 0
        self._worker: workers.Worker | None = None
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """Rows that are being explained or wait for it."""
        return self._waiting

    async def explain(self, order: orders.Order) -> list[entities.Explanation]:
        """Explain rows.

        Parameters
        ----------
        order
            1 to 64 rows.

        Returns
        -------
        list of Explanation
            One per row.

        Raises
        ------
        TooLargeError
            When there are more rows than may ever wait.
        UnavailableError
            When too many rows wait already.
        UserCodeError
            When the model raises, hangs or crashes.
        HomeostatError
            Whatever else is wrong with the version.
        """
        n_rows = order.n_rows
        if n_rows > entities.ROWS_AT_MOST:
            raise errors.TooLargeError(
                f"one request explains up to {entities.ROWS_AT_MOST} rows; seen {n_rows}",
                hint="send them in parts",
            )
        with self._lock:
            if self._waiting + n_rows > entities.ROWS_AT_MOST:
                raise errors.UnavailableError(
                    f"{self._waiting} rows wait to be explained here and "
                    f"{entities.ROWS_AT_MOST} may",
                    hint="try again; predictions are answered all the while",
                    retry_after_s=RETRY_S,
                )
            self._waiting += n_rows
        future = self._thread.submit(self._run, order)

        def leave(_: Future[orders.Reply]) -> None:
            with self._lock:
                self._waiting -= n_rows

        future.add_done_callback(leave)
        reply = await asyncio.wrap_future(future)
        if isinstance(reply, orders.Failed):
            raise reply.error()
        return reply.rows

    def close(self) -> None:
        """Stop the process; what waits is given up."""
        self._is_closed = True
        worker = self._worker
        self._thread.shutdown(wait=False, cancel_futures=True)
        if worker is not None:
            worker.kill()

    def _run(self, order: orders.Order) -> orders.Reply:
        """Have the process explain; runs in the one thread."""
        if self._is_closed:
            raise _stopping()
        worker, limit_s = self._worker, self._timeout_s
        if worker is None or not worker.is_alive():
            if worker is not None:
                worker.kill()
            worker = self._worker = workers.Worker(CHILD)
            limit_s += self._start_s
        worker.send_bytes(_encode(order))
        is_there, data = True, None
        with contextlib.suppress(OSError):  # closed by `close`
            is_there = worker.wait(limit_s)
            data = worker.receive_bytes() if is_there else None
        if data is not None:
            reply: orders.Reply = _decode(data)
            return reply
        self._worker = None
        worker.kill()
        if self._is_closed:
            raise _stopping()
        if is_there:
            raise errors.UserCodeError(
                "the process that explains ended before it answered",
                hint="a model that crashes explains nothing; score it in the pipeline",
            )
        raise errors.UserCodeError(
            f"the explanation took longer than {limit_s:g} s and was stopped",
            hint="ask for fewer rows, or without a counterfactual",
            timeout_s=limit_s,
        )


def _stopping() -> errors.UnavailableError:
    return errors.UnavailableError("this prediction server is stopping")
