"""The Open Inference Protocol, version 2, over JSON: one tensor per column; used by `app`.

References
----------
.. [1] KServe, *Open Inference Protocol*, V2 REST.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from homeostat.doors.predict import asked
from homeostat.foundation import errors
from homeostat.lifecycle.serving import engine, served

_DATATYPES = frozenset(
    {
        "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
        "FP16", "FP32", "FP64", "BYTES",
    }
)  # fmt: skip
_OF_KIND = {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}
_MATRIX = 2


class Tensor(msgspec.Struct):
    """One column, or all features side by side."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] | None = None


class Infer(msgspec.Struct):
    """A request."""

    inputs: list[Tensor]
    id: str = ""
    parameters: dict[str, Any] | None = None
    outputs: list[Any] | None = None


_infer = msgspec.json.Decoder(Infer)


def read(body: bytes, now: served.Served, *, key: str | None) -> asked.Asked:
    """Read a request to infer.

    Parameters
    ----------
    body
        JSON.
    now
        What answers; a single matrix is read in the order of its features.
    key
        The header's key.

    Returns
    -------
    Asked
        Rows by column name. Values are checked against the schema by the engine.

    Raises
    ------
    InvalidInputError
        When it is no V2 request, or a tensor's data do not fit its shape.
    """
    request = asked.decode(_infer, body)
    if not request.inputs:
        raise errors.InvalidInputError("inputs: expected at least one tensor, got none")
    names, columns = _columns(request.inputs, now)
    rows = asked.rows_of(names, columns)
    told = request.parameters or {}
    given = told.get("keys", told.get("key"))
    keys = asked.keys_of(given, n_rows=len(rows), header=key)
    return asked.Asked(rows, keys, request.id)


def write(found: engine.Prediction, *, model: str, request_id: str) -> dict[str, Any]:
    """Return the answer of a prediction.

    Parameters
    ----------
    found
        What the engine said.
    model
        Name of the deployment.
    request_id
        The caller's; the first prediction's id when empty.

    Returns
    -------
    dict
        Outputs ``score`` (FP64) and ``answer`` (BYTES, or FP64 for a regression), and
        ``version`` (BYTES) where rows were answered by different arms.
    """
    shape = [len(found.scores)]
    is_text = not found.answers or not isinstance(found.answers[0], float)
    outputs = [
        {"name": "score", "shape": shape, "datatype": "FP64", "data": found.scores},
        {
            "name": "answer",
            "shape": shape,
            "datatype": "BYTES" if is_text else "FP64",
            "data": found.answers,
        },
    ]
    if len(set(found.versions)) > 1:
        outputs.append(
            {"name": "version", "shape": shape, "datatype": "BYTES", "data": found.versions}
        )
    return {
        "model_name": model,
        "model_version": found.versions[0],
        "id": request_id or found.ids[0],
        "parameters": {
            "generation": found.generation,
            "ids": found.ids,
            "keys": found.keys,
            "arms": found.arms,
        },
        "outputs": outputs,
    }


def describe(now: served.Served) -> dict[str, Any]:
    """Return a deployment's metadata: its name, versions, inputs and outputs."""
    plan = now.document.plan
    return {
        "name": now.document.deployment,
        "versions": [str(one.version) for one in now.document.versions],
        "platform": "homeostat",
        "parameters": {"generation": plan.generation, "model": now.document.model},
        "inputs": [
            {"name": name, "datatype": _OF_KIND.get(kind, "BYTES"), "shape": [-1]}
            for name, kind in now.columns
        ],
        "outputs": [
            {"name": "score", "datatype": "FP64", "shape": [-1]},
            {"name": "answer", "datatype": "BYTES", "shape": [-1]},
        ],
    }


def _columns(
    tensors: Sequence[Tensor], now: served.Served
) -> tuple[list[str], list[Sequence[Any]]]:
    features = [name for name, _ in now.columns]
    first = tensors[0]
    is_matrix = len(tensors) == 1 and len(first.shape) == _MATRIX and first.name not in features
    if is_matrix and first.shape[1] == len(features):
        values = _values(first, at=0)
        width = len(features)
        return features, [values[start::width] for start in range(width)]
    columns: list[Sequence[Any]] = []
    names: list[str] = []
    for at, tensor in enumerate(tensors):
        values = _values(tensor, at=at)
        if columns and len(values) != len(columns[0]):
            raise errors.InvalidInputError(
                f"inputs[{at}] {tensor.name!r} has {len(values)} rows, "
                f"{names[0]!r} has {len(columns[0])}"
            )
        if tensor.name in names:
            raise errors.InvalidInputError(f"inputs[{at}]: {tensor.name!r} comes twice")
        names.append(tensor.name)
        columns.append(values)
    return names, columns


def _values(tensor: Tensor, *, at: int) -> list[Any]:
    if tensor.datatype not in _DATATYPES:
        raise errors.InvalidInputError(
            f"inputs[{at}].datatype: {tensor.datatype!r} is not one of "
            f"{', '.join(sorted(_DATATYPES))}"
        )
    values = tensor.data
    while values and isinstance(values[0], list):
        if not all(isinstance(one, list) for one in values):
            raise errors.InvalidInputError(f"inputs[{at}].data: is not nested evenly")
        values = [value for part in values for value in part]
    if len(values) != math.prod(tensor.shape):
        raise errors.InvalidInputError(
            f"inputs[{at}].data: {len(values)} values for shape {tensor.shape}"
        )
    return values
