"""The usual forms of a request, read straight into columns; what is unusual is left to others.

Called by `app` before the full readers of `v2` and `invocations`. Whatever is not plainly right
returns None, and the full reader takes the request or says what is wrong with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from homeostat.doors.predict import tensors


class Columns(NamedTuple):
    """A request in columns: their names, their values, and the caller's name for it."""

    names: Sequence[str]
    columns: Sequence[Sequence[Any]]
    n_rows: int
    request_id: str = ""


class _Tensor(msgspec.Struct, gc=False):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: msgspec.Raw | None = None


class _Infer(msgspec.Struct):
    inputs: list[_Tensor]
    id: str = ""
    parameters: msgspec.Raw | None = None
    outputs: msgspec.Raw | None = None


class _Split(msgspec.Struct):
    columns: list[str]
    data: list[list[Any]]


class _Invocation(msgspec.Struct):
    dataframe_split: _Split | None = None
    dataframe_records: list[dict[str, Any]] | None = None
    instances: msgspec.Raw | None = None
    inputs: msgspec.Raw | None = None
    keys: msgspec.Raw | None = None
    params: msgspec.Raw | None = None


_TYPES: dict[str, Any] = {"number": float, "boolean": bool}
_TEXTS = frozenset({"category", "text"})
# What fits each value of a kind; whole numbers in a tensor of their own are for `infer`.
_DATATYPES: dict[str, Any] = {
    "number": Literal["FP64", "FP32", "FP16"],
    "boolean": Literal["BOOL"],
}
_WITH_GAPS = {
    name: types | {type(None)}
    for name, types in tensors.TYPES.items()
    if name not in tensors.BOUNDS
}
_WHOLE = frozenset({int})
_infer = msgspec.json.Decoder(_Infer)
_invocation = msgspec.json.Decoder(_Invocation)


class Form:
    """A request to infer one row, compiled: names, shapes and types are checked by msgspec.

    Parameters
    ----------
    columns
        Features as (name, kind of the schema), in their order.

    Notes
    -----
    It knows the row with every feature in its place and no gap; all others are left to `infer`.
    """

    def __init__(self, columns: Sequence[tuple[str, str]]) -> None:
        self._numbers = [at for at, (_, kind) in enumerate(columns) if kind == "number"]
        self._decoder: msgspec.json.Decoder[Any] | None = None
        if columns and all(kind in _TYPES or kind in _TEXTS for _, kind in columns):
            tensors = tuple(_tensor(at, name, kind) for at, (name, kind) in enumerate(columns))
            fields: list[Any] = [("inputs", tuple[tensors]), ("id", str, "")]  # type: ignore[valid-type]
            form = msgspec.defstruct("Infer", fields, forbid_unknown_fields=True, gc=False)
            self._decoder = msgspec.json.Decoder(form)

    def read(self, body: bytes) -> tuple[list[Any], str] | None:
        """Read a request.

        Parameters
        ----------
        body
            JSON of the Open Inference Protocol.

        Returns
        -------
        tuple or None
            The row, checked, and the caller's name for it; None when it is anything else.
        """
        if self._decoder is None:
            return None
        try:
            request = self._decoder.decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        row = [tensor.data[0] for tensor in request.inputs]
        if not math.isfinite(sum([row[at] for at in self._numbers])):
            return None
        return row, request.id


def _tensor(at: int, name: str, kind: str) -> type[msgspec.Struct]:
    fields: list[Any] = [
        ("name", Literal[name]),
        ("shape", tuple[Literal[1]]),
        ("datatype", _DATATYPES.get(kind, Literal["BYTES"])),
        ("data", tuple[_TYPES.get(kind, str)]),  # type: ignore[misc]
    ]
    return msgspec.defstruct(f"Tensor{at}", fields, forbid_unknown_fields=True, gc=False)


def infer(body: bytes) -> Columns | None:
    """Read a request to infer: one flat tensor per column, without parameters.

    Parameters
    ----------
    body
        JSON of the Open Inference Protocol.

    Returns
    -------
    Columns or None
        None when it is anything else.
    """
    try:
        request = _infer.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    if request.parameters is not None or request.outputs is not None or not request.inputs:
        return None
    n_rows = len(request.inputs[0].data)
    shape = [n_rows]
    names: list[str] = []
    columns: list[list[Any]] = []
    for tensor in request.inputs:
        data = tensor.data
        if (
            len(data) != n_rows
            or tensor.shape != shape
            or tensor.parameters is not None
            or not _fits(data, tensor.datatype)
        ):
            return None
        names.append(tensor.name)
        columns.append(data)
    if len(set(names)) != len(names):
        return None
    return Columns(names, columns, n_rows, request.id)


def _fits(data: list[Any], datatype: str) -> bool:
    """Tell whether values are plainly of a type; where it is not plain, no."""
    types = _WITH_GAPS.get(datatype)
    if types is not None:
        return type(data[0]) in types if len(data) == 1 else types.issuperset(map(type, data))
    least, greatest = tensors.BOUNDS.get(datatype, (1, 0))
    if not _WHOLE.issuperset(map(type, data)):
        return False
    return all([least <= one <= greatest for one in data])  # noqa: C419 - a list is faster


def invocation(body: bytes) -> Columns | None:
    """Read a request in one of MLflow's two forms with names.

    Parameters
    ----------
    body
        JSON with ``dataframe_split`` or ``dataframe_records`` and nothing else.

    Returns
    -------
    Columns or None
        None when it is anything else.
    """
    try:
        request = _invocation.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    others = (request.instances, request.inputs, request.keys, request.params)
    if any(one is not None for one in others):
        return None
    table, records = request.dataframe_split, request.dataframe_records
    if table is not None:
        return None if records is not None else _split(table)
    return _records(records) if records else None


def _split(table: _Split) -> Columns | None:
    width = len(table.columns)
    if not table.data or len(set(table.columns)) != width:
        return None
    if any(len(row) != width for row in table.data):
        return None
    return Columns(table.columns, list(zip(*table.data, strict=True)), len(table.data))


def _records(rows: list[dict[str, Any]]) -> Columns | None:
    names = list(rows[0])
    if any(len(row) != len(names) for row in rows):
        return None
    try:
        columns = [[row[name] for row in rows] for name in names]
    except KeyError:
        return None
    return Columns(names, columns, len(rows))
