"""A process that explains for its prediction server until the line closes.

Started by `room` as ``python -m homeostat.lifecycle.explanations.child``. It gives way to
predictions: the system gives it the time that they leave.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import blake3
import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.explanations import contributions, explain, orders, original
from homeostat.lifecycle.pipeline import tied
from homeostat.measures import residual

IDLE_S: Final = 600.0
KEPT: Final = 8
_NICE: Final = 10

_decode = msgspec.msgpack.Decoder(orders.Order).decode
_encode = msgspec.msgpack.Encoder().encode
Known = OrderedDict[str, contributions.Explainer]


def main(line_fd: int, dump_fd: int, parent: int) -> None:
    """Explain until the parent closes the line, or asks for nothing for ten minutes.

    Parameters
    ----------
    line_fd
        Of the socket to the parent.
    dump_fd
        Where the interpreter writes if it crashes.
    parent
        Its process id: when it is gone, so is this process.
    """
    # Read when the libraries of models are loaded: threads that spin would take the time of
    # predictions, and a few rows need none.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    line = tied.line(line_fd, dump_fd, parent=parent)
    known: Known = OrderedDict()
    while line.poll(IDLE_S):
        try:
            order = _decode(line.recv_bytes())
        except (EOFError, OSError):
            return
        line.send_bytes(_encode(answer(order, known)))


def answer(order: orders.Order, known: Known) -> orders.Reply:
    """Do an order.

    Parameters
    ----------
    order
        What to explain.
    known
        Versions that are loaded already, by digest; the one longest not asked for goes first.

    Returns
    -------
    Done or Failed
        Nothing is raised.
    """
    try:
        members = [
            explain.Member(one.version, one.weight, _explainer(one, Path(order.folder), known))
            for one in order.members
        ]
        columns = _typed(order.columns, members)
        rules = explain.Rules(order.explain, order.protected, order.favourable)
        found = explain.explain(
            members,
            columns,
            rules=rules,
            options=order.options,
            thresholds=order.thresholds,
            corrector=None if order.corrector is None else residual.Applied(order.corrector),
        )
        return orders.Done(found)
    except errors.HomeostatError as error:
        return orders.Failed(error.code, error.message, error.hint, dict(error.facts))
    except BaseException as error:  # noqa: BLE001 - a model is the user's code; it may exit
        said = f"explaining raised {type(error).__name__}: {error}".partition("\n")[0]
        return orders.Failed(errors.UserCodeError.code, said, "", {})


def _explainer(source: orders.Source, folder: Path, known: Known) -> contributions.Explainer:
    found = known.get(source.digest)
    if found is None:
        files = {path: _read(folder, digest) for path, digest in source.files.items()}
        opened = original.open_version(files, is_trusted=source.is_trusted)
        found = known[source.digest] = contributions.Explainer(opened)
        while len(known) > KEPT:
            known.popitem(last=False)
    known.move_to_end(source.digest)
    return found


def _read(folder: Path, digest: str) -> bytes:
    try:
        data = (folder / digest).read_bytes()
    except OSError as error:
        raise errors.UnavailableError(
            f"a file of the version cannot be read here: {error.strerror}",
            hint="try again when the plan was followed anew",
        ) from None
    if blake3.blake3(data).hexdigest() != digest:
        raise errors.CorruptError(f"the file {digest} of the version holds other bytes")
    return data


def _typed(
    columns: dict[str, list[Any]], members: list[explain.Member]
) -> dict[str, list[Any]]:
    """Return columns as validation made them; times travel as text."""
    times = {
        column.name
        for one in members
        for column in one.explainer.of.description.schema.columns
        if column.kind == "timestamp"
    }
    return {
        name: [
            dt.datetime.fromisoformat(one) if isinstance(one, str) else one for one in values
        ]
        if name in times
        else values
        for name, values in columns.items()
    }


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
