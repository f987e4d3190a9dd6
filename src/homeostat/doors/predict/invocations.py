"""MLflow's scoring protocol: the four JSON forms of ``/invocations``; used by `app`.

References
----------
.. [1] MLflow, *Local inference server, accepted input formats*, 3.x.
"""

from __future__ import annotations

from typing import Any

import msgspec

from homeostat.doors.predict import asked
from homeostat.foundation import errors
from homeostat.lifecycle.serving import engine, served

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


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
    inputs: dict[str, list[Any]] | list[Any] | None = None
    keys: list[str | int | None] | None = None
    params: dict[str, Any] | None = None


_invocation = msgspec.json.Decoder(Invocation)


def read(body: bytes, now: served.Served, *, key: str | None) -> asked.Asked:
    """Read a request.

    Parameters
    ----------
    body
        JSON.
    now
        What answers; rows without names are read in the order of its features.
    key
        The header's key.

    Returns
    -------
    Asked
        Rows by column name.

    Raises
    ------
    InvalidInputError
        When not exactly one form is given, or rows differ in length.
    """
    request = asked.decode(_invocation, body)
    given = [form for form in FORMS if getattr(request, form) is not None]
    if len(given) != 1:
        raise errors.InvalidInputError(
            f"the body has {' and '.join(given) or 'none'} of {', '.join(FORMS)}; "
            "exactly one is needed"
        )
    if request.dataframe_split is not None:
        rows = _split(request.dataframe_split)
    elif request.dataframe_records is not None:
        rows = request.dataframe_records
    elif isinstance(request.inputs, dict):
        rows = _columns(request.inputs)
    else:
        rows = _rows(request.instances or request.inputs or [], now)
    told = request.params or {}
    keys = asked.keys_of(request.keys or told.get("keys"), n_rows=len(rows), header=key)
    return asked.Asked(rows, keys)


def write(found: engine.Prediction) -> dict[str, Any]:
    """Return the answer: ``predictions`` as MLflow has it, and beside it what we add."""
    return {
        "predictions": [_typed(answer) for answer in found.answers],
        "scores": found.scores,
        "ids": found.ids,
        "keys": found.keys,
        "versions": found.versions,
    }


def _split(table: Split) -> list[dict[str, Any]]:
    width = len(table.columns)
    if len(set(table.columns)) != width:
        raise errors.InvalidInputError("dataframe_split.columns: a name comes twice")
    for at, row in enumerate(table.data):
        if len(row) != width:
            raise errors.InvalidInputError(
                f"dataframe_split.data[{at}]: {len(row)} values for {width} columns"
            )
    return [dict(zip(table.columns, row, strict=True)) for row in table.data]


def _columns(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    sizes = {len(values) for values in columns.values()}
    if len(sizes) > 1:
        raise errors.InvalidInputError(f"inputs: columns have {sorted(sizes)} values")
    return asked.rows_of(list(columns), list(columns.values()))


def _rows(given: list[Any], now: served.Served) -> list[dict[str, Any]]:
    names = [name for name, _ in now.columns]
    rows: list[dict[str, Any]] = []
    for at, row in enumerate(given):
        if isinstance(row, dict):
            rows.append(row)
        elif isinstance(row, list) and len(row) == len(names):
            rows.append(dict(zip(names, row, strict=True)))
        else:
            raise errors.InvalidInputError(
                f"rows[{at}]: expected an object, or a list of {len(names)} values"
            )
    return rows


def _typed(answer: Any) -> Any:
    """Return a class such as "1" as the number it was; MLflow's clients expect that."""
    if isinstance(answer, str) and answer.lstrip("-").isdigit():
        return int(answer)
    return answer
