"""Tensors of the Open Inference Protocol as lists and as bytes; used by `v2`.

References
----------
.. [1] KServe, *Open Inference Protocol*, V2 REST, tensor data types.
.. [2] NVIDIA, *Triton Inference Server, binary tensor data extension*.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.serving import served

CODES: Final = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""How `struct` calls an element of each type of fixed size; little-endian, without gaps."""
DATATYPES: Final = (*CODES, "BYTES")
_NUMBERS: Final = frozenset({int, float})
TYPES: Final[dict[str, frozenset[type]]] = {
    **{name: frozenset({int}) if "INT" in name else _NUMBERS for name in CODES},
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str}),
}
"""What JSON holds where a tensor has a type; a gap is null in each."""
BOUNDS: Final = {
    name: (0, 2**bits - 1)
    if name.startswith("U")
    else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for name in CODES
    if "INT" in name
    for bits in (int(name.strip("UINT")),)
}
"""Least and greatest value of each type of whole numbers."""
_WORDS: Final = {"BOOL": "true or false", "BYTES": "a text"}
_LENGTH: Final = struct.Struct("<I")
_DIMENSIONS_AT_MOST: Final = 8
_VALUES_AT_MOST: Final = 2**40
_MATRIX: Final = 2


class Tensor(msgspec.Struct):
    """One column, or all features side by side; without data where they follow as bytes."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] | None = None

    @property
    def binary_bytes(self) -> Any:
        """How many bytes of the body are its data; None when the data are JSON."""
        return (self.parameters or {}).get("binary_data_size")


def values(tensor: Tensor, data: memoryview | None, *, at: int) -> list[Any]:
    """Return a tensor's values, the last dimension fastest.

    Parameters
    ----------
    tensor
        As it was sent.
    data
        Its bytes, where they came after the JSON.
    at
        Its place among the inputs, for messages.

    Returns
    -------
    list
        As many as its shape says. Texts and numbers may stand side by side in a matrix of
        BYTES as JSON, for its columns may be of any kind.

    Raises
    ------
    InvalidInputError
        When type, shape and data do not fit each other; names the value.
    TooLargeError
        When it has more than 10,000 rows.
    """
    where = f"inputs[{at}]"
    if tensor.datatype not in DATATYPES:
        raise errors.InvalidInputError(
            f"{where}.datatype: {tensor.datatype[:40]!r} is not one of {', '.join(DATATYPES)}"
        )
    size = _size(tensor.shape, where=f"{where}.shape")
    if data is None:
        found = _flat(tensor.data, where=f"{where}.data")
    elif tensor.data is not None:
        raise errors.InvalidInputError(f"{where}: has data as JSON and as bytes")
    elif tensor.datatype == "BYTES":
        found = _texts(data, size, where=where)
    else:
        found = _numbers(data, tensor.datatype, size, where=where)
    if len(found) != size:
        raise errors.InvalidInputError(
            f"{where}.data: {len(found)} values for shape {tensor.shape}"
        )
    if data is None and not (tensor.datatype == "BYTES" and _is_matrix(tensor)):
        _check(found, tensor.datatype, where=f"{where}.data")
    return found


def columns(
    tensors: Sequence[Tensor], found: Sequence[list[Any]], features: Sequence[str]
) -> tuple[Sequence[str], list[list[Any]]]:
    """Return the columns that tensors stand for.

    Parameters
    ----------
    tensors
        One of shape [n] or [n, 1] per column, or a single one of shape [n, features].
    found
        Their `values`.
    features
        What the model takes; a matrix is read in their order.

    Returns
    -------
    tuple
        Names and columns, all of one length.

    Raises
    ------
    InvalidInputError
        When shapes do not fit each other or the model, or a name comes twice.
    """
    first = tensors[0]
    if len(tensors) == 1 and len(first.shape) == _MATRIX and first.name not in features:
        width = first.shape[1]
        if width != len(features):
            raise errors.InvalidInputError(
                f"inputs[0].shape: {first.shape} has {width} columns, "
                f"and the model takes {len(features)} features",
                hint=f"in this order: {', '.join(features)[:400]}",
            )
        return features, [found[0][start::width] for start in range(width)]
    seen: set[str] = set()
    for at, (tensor, column) in enumerate(zip(tensors, found, strict=True)):
        if not tensor.shape or math.prod(tensor.shape[1:]) != 1:
            raise errors.InvalidInputError(
                f"inputs[{at}].shape: {tensor.shape} is no column; "
                "send [rows], or a single tensor [rows, features]"
            )
        if len(column) != len(found[0]):
            raise errors.InvalidInputError(
                f"inputs[{at}] {tensor.name[:80]!r} has {len(column)} rows, "
                f"{first.name[:80]!r} has {len(found[0])}"
            )
        if tensor.name in seen:
            raise errors.InvalidInputError(f"inputs[{at}]: {tensor.name[:80]!r} comes twice")
        seen.add(tensor.name)
    return [tensor.name for tensor in tensors], list(found)


def pack(datatype: str, data: Sequence[Any]) -> bytes:
    """Return values as bytes.

    Parameters
    ----------
    datatype
        One of `DATATYPES`.
    data
        Of that type; None is an empty text.

    Returns
    -------
    bytes
        Little-endian; a text is its length in 4 bytes, then its UTF-8.
    """
    if datatype == "BYTES":
        texts = [b"" if one is None else str(one).encode() for one in data]
        return b"".join([part for text in texts for part in (_LENGTH.pack(len(text)), text)])
    return struct.pack(f"<{len(data)}{CODES[datatype]}", *data)


def _size(shape: list[int], *, where: str) -> int:
    size = math.prod(shape)
    if len(shape) > _DIMENSIONS_AT_MOST or any(one < 0 for one in shape):
        raise errors.InvalidInputError(f"{where}: {str(shape)[:80]} is no shape of a table")
    if size > _VALUES_AT_MOST or (shape and shape[0] > served.ROWS_AT_MOST):
        raise errors.TooLargeError(
            f"one request scores up to {served.ROWS_AT_MOST} rows; "
            f"{where} says {str(shape)[:80]}",
            hint="send them in parts",
        )
    return size


def _flat(data: list[Any] | None, *, where: str) -> list[Any]:
    if data is None:
        raise errors.InvalidInputError(f"{where}: is missing")
    depth = 0
    while data and any([type(one) is list for one in data]):  # noqa: C419 - a list is faster
        depth += 1
        if depth > _DIMENSIONS_AT_MOST or not all(isinstance(one, list) for one in data):
            raise errors.InvalidInputError(f"{where}: is not nested evenly")
        data = [value for part in data for value in part]
    return data


def _is_matrix(tensor: Tensor) -> bool:
    return len(tensor.shape) == _MATRIX and tensor.shape[1] != 1


def _check(found: list[Any], datatype: str, *, where: str) -> None:
    """Refuse the first value that is not of the type; 2.0 is a whole number."""
    types, bounds = TYPES[datatype], BOUNDS.get(datatype)
    if bounds is None and types.issuperset(set(map(type, found)) - {type(None)}):
        return
    for at, value in enumerate(found):
        if value is None:
            continue
        if bounds is not None:
            is_whole = type(value) is int or (type(value) is float and value.is_integer())
            fits = is_whole and bounds[0] <= value <= bounds[1]
        else:
            fits = type(value) in types
        if not fits:
            words = _WORDS.get(datatype, "a number")
            if bounds is not None:
                words = f"a whole number from {bounds[0]} to {bounds[1]}"
            path = f"{where}[{at}]"
            raise errors.InvalidInputError(
                f"{path}: {datatype} holds {words}, got {repr(value)[:40]}", path=path
            )


def _numbers(data: memoryview, datatype: str, size: int, *, where: str) -> list[Any]:
    layout = struct.Struct(f"<{CODES[datatype]}")
    if len(data) != size * layout.size:
        raise errors.InvalidInputError(
            f"{where}: {len(data)} bytes for {size} values of {layout.size} bytes each"
        )
    if datatype == "BOOL" and not set(data) <= {0, 1}:
        raise errors.InvalidInputError(f"{where}: a BOOL is a byte of 0 or 1")
    return list(struct.unpack(f"<{size}{CODES[datatype]}", data))


def _texts(data: memoryview, size: int, *, where: str) -> list[Any]:
    found: list[Any] = []
    start = 0
    while start < len(data):
        begin = start + _LENGTH.size
        end = begin + _LENGTH.unpack_from(data, start)[0] if begin <= len(data) else begin
        if end > len(data) or len(found) == size:
            raise errors.InvalidInputError(
                f"{where}: its bytes are no {size} texts, each after its length in 4 bytes"
            )
        try:
            found.append(str(data[begin:end], "utf-8"))
        except UnicodeDecodeError:
            raise errors.InvalidInputError(
                f"{where}: text {len(found)} is no UTF-8", path=f"{where}[{len(found)}]"
            ) from None
        start = end
    return found
