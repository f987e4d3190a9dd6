"""A process that asks functions of the user for numbers, until the line closes.

Started by `metering` as `python -m homeostat.lifecycle.loop.metering_child`. It has no house.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import msgspec
import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.loop import apart, fitting_child, metering
from homeostat.lifecycle.pipeline import failures, fingerprint, handed, load, tied

_decode = msgspec.msgpack.Decoder(metering.Question).decode
_THREE = 3


def main(line_fd: int, dump_fd: int, parent: int) -> None:
    """Answer questions until the parent closes the line.

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
    while True:
        try:
            question = _decode(line.recv_bytes())
        except (EOFError, OSError):
            return
        line.send_bytes(msgspec.msgpack.encode(_answer(question)))


def _answer(question: metering.Question) -> metering.Answer:
    try:
        sys.path[:] = question.path
        if question.names:
            return _computed(question)
        function = load.function(question.function, question.folder)
        code = fingerprint.reached(function).digest
        said = function(pl.read_ipc_stream(question.rows))
        return _number(said, question.function, code=code)
    except errors.HomeostatError as error:
        return metering.Answer(sentence=str(error))
    except BaseException as error:  # noqa: BLE001 - also SystemExit: a user's function may raise anything
        return metering.Answer(sentence=failures.of(error, what=question.function).message)


def _computed(question: metering.Question) -> metering.Answer:
    """Let a pipeline compute features, and see whether each row's depend on that row only."""
    pipeline = load.pipeline(question.function, question.folder)
    rows = pl.read_ipc_stream(question.rows)
    into = fitting_child.only_table(pipeline)

    def computed(some: pl.DataFrame) -> pl.DataFrame:
        return handed.table(pipeline, some, into=into, names=question.names)

    whole = computed(rows)
    if whole.height != rows.height:
        return metering.Answer(
            sentence=f"its steps return {whole.height} of {rows.height} rows, without their key"
        )
    half = rows.reverse()[: max(1, rows.height // 2)]
    if not computed(half).equals(whole.reverse()[: half.height]):
        return metering.Answer(sentence="its steps look at more than one row at once")
    return metering.Answer(table=apart.packed(whole))


def _number(said: Any, name: str, *, code: str) -> metering.Answer:
    """Take a number, None, or a number with its interval."""
    if said is None:
        return metering.Answer(code=code)
    parts = said if isinstance(said, tuple) and len(said) == _THREE else (said,)
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        seen = repr(said)[:80]
        return metering.Answer(
            sentence=f"{name} returned {seen}; a finite number, None or (number, low, high) "
            "is needed",
            code=code,
        )
    low, high = (numbers[1], numbers[2]) if len(numbers) == _THREE else (None, None)
    return metering.Answer(value=numbers[0], low=low, high=high, code=code)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
