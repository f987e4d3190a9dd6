"""MLflow's scoring protocol: four forms of JSON, and CSV; called by `app`.

References
----------
.. [1] MLflow, *Local inference server, accepted input formats*, 3.x.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from homeostat.doors.predict import answers, asked, commas
from homeostat.foundation import errors
from homeostat.lifecycle.serving import engine, served

FORMS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
CSV: Final = "text/csv"
TAKEN: Final = ("application/json", CSV)


class Split(msgspec.Struct):
    """A table as pandas writes it with ``orient="split"``."""

    columns: list[str]
    data: list[list[Any]]
    index: list[Any] | None = None


class Invocation(msgspec.Struct):
    """A request; exactly one form is given."""

    dataframe_split: Split | None = None
    dataframe_records: list[dict[str, Any]] | None = None
    instances: list[Any] | None = None
    inputs: dict[str, Any] | list[Any] | None = None
    keys: list[str | int | None] | None = None
    params: dict[str, Any] | None = None


_invocation = msgspec.json.Decoder(Invocation)


async def invoke(call: asked.Call) -> answers.Reply:
    """Answer a request.

    Parameters
    ----------
    call
        JSON in one of the four forms, or CSV with a header.

    Returns
    -------
    Reply
        ``predictions``, as MLflow has them, and beside them what we add.

    Raises
    ------
    InvalidInputError
        When it is of no known form, or a row does not fit the schema.
    """
    return answers.json(write(await asked.predict(call, read(call))))


def read(call: asked.Call) -> asked.Asked:
    """Read a request.

    Parameters
    ----------
    call
        As `invoke` takes it; rows without names are read in the order of the features.

    Returns
    -------
    Asked
        What is to be scored.

    Raises
    ------
    InvalidInputError
        When not exactly one form is given, or rows differ in length.
    WrongMediaError
        When it is neither JSON nor CSV.
    """
    if asked.need_media(call.headers, TAKEN) == CSV:
        found = commas.read(call.body, dict(call.now.columns))
        return found._replace(keys=asked.keys_of(None, n_rows=found.n_rows, header=call.key))
    request = asked.decode(_invocation, call.body)
    given = [form for form in FORMS if getattr(request, form) is not None]
    if len(given) != 1:
        raise errors.InvalidInputError(
            f"the body has {' and '.join(given) or 'none'} of {', '.join(FORMS)}; "
            "exactly one is needed"
        )
    if request.dataframe_split is not None:
        found = _split(request.dataframe_split)
    elif request.dataframe_records is not None:
        found = _records(request.dataframe_records)
    elif isinstance(request.inputs, dict):
        found = _columns(request.inputs)
    else:
        found = _rows(request.instances or request.inputs or [], call.now)
    told = request.params or {}
    keys = request.keys if request.keys is not None else told.get("keys", told.get("key"))
    return found._replace(keys=asked.keys_of(keys, n_rows=found.n_rows, header=call.key))


def write(found: engine.Prediction) -> dict[str, Any]:
    """Return the answer: ``predictions`` as MLflow has it, and beside it what we add.

    Parameters
    ----------
    found
        What the engine said.
    """
    said: dict[str, Any] = {
        "predictions": [_typed(answer) for answer in found.answers],
        "scores": found.scores,
        "ids": found.ids,
        "keys": found.keys,
        "versions": found.versions,
    }
    if found.unseen:
        said["unseen"] = found.unseen
    if found.chances is not None:
        said["classes"] = found.classes
        said["probabilities"] = found.chances
    return said


def _split(table: Split) -> asked.Asked:
    width = len(table.columns)
    if len(set(table.columns)) != width:
        raise errors.InvalidInputError("dataframe_split.columns: a name comes twice")
    for at, row in enumerate(table.data):
        if len(row) != width:
            raise errors.InvalidInputError(
                f"dataframe_split.data[{at}]: {len(row)} values for {width} columns"
            )
    columns = list(zip(*table.data, strict=True)) or [()] * width
    return asked.Asked(table.columns, columns, len(table.data))


def _records(rows: Sequence[dict[str, Any]]) -> asked.Asked:
    names = list(rows[0]) if rows else []
    try:
        if any(len(row) != len(names) for row in rows):
            return asked.Asked((), (), len(rows), rows=rows)
        columns = [[row[name] for row in rows] for name in names]
    except KeyError:
        return asked.Asked((), (), len(rows), rows=rows)
    return asked.Asked(names, columns, len(rows))


def _columns(columns: dict[str, Any]) -> asked.Asked:
    lists = [name for name, values in columns.items() if isinstance(values, list)]
    if columns and not lists:  # one row, as MLflow takes it
        return asked.Asked(list(columns), [[value] for value in columns.values()], 1)
    for name, value in columns.items():
        if not isinstance(value, list):
            path = f"inputs.{name}"
            raise errors.InvalidInputError(
                f"{path}: expected a list as {lists[0]!r} has, got {repr(value)[:40]}",
                path=path,
                hint="send a list for each column, or one value for each",
            )
    sizes = {len(values) for values in columns.values()}
    if len(sizes) > 1:
        raise errors.InvalidInputError(f"inputs: columns have {sorted(sizes)} values")
    return asked.Asked(list(columns), list(columns.values()), max(sizes, default=0))


def _rows(given: Sequence[Any], now: served.Served) -> asked.Asked:
    names = now.features
    if given and all([type(row) is list and len(row) == len(names) for row in given]):  # noqa: C419
        return asked.Asked(names, list(zip(*given, strict=True)), len(given))
    for at, row in enumerate(given):
        if not isinstance(row, dict):
            raise errors.InvalidInputError(
                f"rows[{at}]: expected an object, or a list of {len(names)} values; "
                "all rows of one form"
            )
    return _records(given)


def _typed(answer: Any) -> Any:
    """Return a class such as "1" as the number it was; MLflow's clients expect that."""
    if isinstance(answer, str) and answer.removeprefix("-").isdecimal():
        return int(answer)
    return answer
