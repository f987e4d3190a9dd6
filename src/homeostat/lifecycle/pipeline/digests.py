"""Content digests of values, the same in every process; keys and the cache stand on them.

Structure is hashed, not pickled bytes: pickles differ with memo order and shared
strings, so two equal values would not always meet.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import struct
import sys
import types
import uuid
from collections.abc import Callable
from typing import Any, Final

import blake3
import msgspec
import numpy as np
import polars as pl

from homeostat.lifecycle.pipeline import lazy

CodeOf = Callable[[Any], bytes]
"""Gives the digest of a function or class; `b""` when only its name counts."""

_NAN: Final = struct.pack("<d", float("nan"))
_PLAIN: Final = (
    dt.datetime,
    dt.date,
    dt.time,
    dt.timedelta,
    decimal.Decimal,
    uuid.UUID,
    range,
    slice,
    complex,
    np.dtype,
)
_CODE: Final = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)


class NoDigestError(TypeError):
    """A value whose content cannot be told apart from that of another one.

    Parameters
    ----------
    kind
        The type's qualified name.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(f"a {kind} has no content digest")
        self.kind = kind


def name_only(code: Any) -> bytes:
    """Tell nothing about code beyond its name; the default where code is judged elsewhere.

    Parameters
    ----------
    code
        Any function or class.

    Returns
    -------
    bytes
        Always empty.
    """
    del code
    return b""


def of(value: Any, *, code_of: CodeOf = name_only) -> str:
    """Return the content digest of a value.

    Parameters
    ----------
    value
        Numbers, text, bytes, containers, arrays, frames, dataclasses, enums, paths (by
        the content of the file), estimators and whatever else `copy` could rebuild.
    code_of
        What a function or class met inside counts for, beside its name.

    Returns
    -------
    str
        64 hexadecimal digits (BLAKE3).

    Raises
    ------
    NoDigestError
        When something inside has no content: a lock, an open file, a connection, a generator.

    Examples
    --------
    >>> of([1, 2]) == of([1, 2]), of(1) == of(1.0), of({2, 1}) == of({1, 2})
    (True, False, True)
    """
    quick = _QUICK.get(type(value))
    return (_Walk(code_of).digest(value) if quick is None else quick(value)).hex()


def of_parts(tag: str, *parts: str | bytes) -> str:
    """Return one digest over a few texts, each kept apart from its neighbour.

    Parameters
    ----------
    tag
        What the digest is of; two tags never give the same digest.
    *parts
        Texts or bytes, order counts.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> of_parts("key", "ab", "c") == of_parts("key", "a", "bc")
    False
    """
    raw = tuple(part.encode() if isinstance(part, str) else part for part in parts)
    return _node(tag, *raw).hex()


def _node(tag: str, *parts: bytes) -> bytes:
    lengths = struct.pack(f"<{len(parts)}q", *map(len, parts))
    return blake3.blake3(b"".join((tag.encode(), b"\0", lengths, *parts))).digest()


def _type_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class _Stream:
    """A file that only hashes what is written into it."""

    def __init__(self, tag: str) -> None:
        self.hasher = blake3.blake3(tag.encode() + b"\0")

    def write(self, data: Any) -> int:
        self.hasher.update(data)
        return len(data)

    def flush(self) -> None:
        """Have nothing to flush."""


def write_frame(frame: pl.DataFrame, target: Any) -> None:
    """Write a frame as the one Arrow IPC stream that its digest is taken over.

    Parameters
    ----------
    frame
        Any frame without Object columns.
    target
        A binary file open for writing.
    """
    # The oldest layout has no string views, whose buffers depend on how a frame was cut.
    frame.rechunk().write_ipc_stream(target, compat_level=pl.CompatLevel.oldest())


class _Walk:
    """One value's walk; remembers what it met so that shared parts are hashed once."""

    def __init__(self, code_of: CodeOf) -> None:
        self.code_of = code_of
        self.done: dict[int, bytes] = {}
        self.open: dict[int, int] = {}
        self.alive: list[Any] = []  # an id is only good while its object lives

    def digest(self, value: Any) -> bytes:
        kind = type(value)
        quick = _QUICK.get(kind)
        if quick is not None:
            return quick(value)
        if kind is lazy.Output:
            return bytes.fromhex(lazy.digest(value))
        known = self.done.get(id(value))
        if known is not None:
            return known
        if id(value) in self.open:
            return _node("cycle", str(len(self.open) - self.open[id(value)]).encode())
        self.open[id(value)] = len(self.open)
        try:
            found = self._structure(value, kind)
        finally:
            del self.open[id(value)]
        self.done[id(value)] = found
        self.alive.append(value)
        return found

    def _structure(self, value: Any, kind: type) -> bytes:
        for known, walk in _KNOWN:
            if isinstance(value, known):
                return walk(self, value, kind)
        if kind.__module__.partition(".")[0] == "pandas":
            found = _pandas(self, value)
            if found is not None:
                return found
        return self._object(value, kind)

    def _object(self, value: Any, kind: type) -> bytes:
        try:
            rebuilt = value.__reduce_ex__(4)
        except Exception as error:
            # Any type may refuse in its own way; each refusal means the same here.
            raise NoDigestError(_type_name(kind)) from error
        if isinstance(rebuilt, str):
            return _node("named", _type_name(kind).encode(), rebuilt.encode())
        parts = [_type_name(kind).encode(), self.code_of(kind)]
        parts.extend(self.digest(part) for part in rebuilt[:3])
        parts.extend(self.digest(list(part)) for part in rebuilt[3:5] if part is not None)
        return _node("object", *parts)


def _float(value: float) -> bytes:
    return _node("float", _NAN if value != value else struct.pack("<d", value))  # noqa: PLR0124 - NaN is what differs from itself


def _sequence(walk: _Walk, value: Any, kind: type) -> bytes:
    return _node(_type_name(kind), *(walk.digest(item) for item in value))


def _mapping(walk: _Walk, value: Any, kind: type) -> bytes:
    pairs = (part for pair in value.items() for part in pair)
    return _node(_type_name(kind), *(walk.digest(part) for part in pairs))


def _set(walk: _Walk, value: Any, kind: type) -> bytes:
    return _node(_type_name(kind), *sorted(walk.digest(item) for item in value))


def _array(walk: _Walk, value: Any, kind: type) -> bytes:
    shape = f"{_type_name(kind)}{value.dtype.descr}{value.shape}".encode()
    if value.dtype.hasobject:
        return _node("array", shape, *(walk.digest(item) for item in value.ravel().tolist()))
    flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    return _node("array", shape, blake3.blake3(flat.data).digest())


def _frame(walk: _Walk, value: Any, kind: type) -> bytes:
    del kind
    if any(isinstance(dtype, pl.Object) for dtype in value.dtypes):
        pairs = [(column.name, str(column.dtype), column.to_list()) for column in value]
        return _node("frame-of-objects", walk.digest(pairs))
    stream = _Stream("frame")
    write_frame(value, stream)
    return stream.hasher.digest()


def _series(walk: _Walk, value: Any, kind: type) -> bytes:
    return _node(_type_name(kind), _frame(walk, value.to_frame(), kind))


def _lazy_frame(walk: _Walk, value: Any, kind: type) -> bytes:
    # A plan names files, not their content: only the collected rows can be compared.
    del walk, value
    raise NoDigestError(_type_name(kind))


def _enum(walk: _Walk, value: Any, kind: type) -> bytes:
    del walk
    return _node("enum", _type_name(kind).encode(), value.name.encode())


def _fields(walk: _Walk, value: Any, kind: type) -> bytes:
    if isinstance(value, msgspec.Struct):
        names: tuple[str, ...] = value.__struct_fields__
    else:
        names = tuple(field.name for field in dataclasses.fields(value))
    parts = [walk.digest((name, getattr(value, name))) for name in names]
    return _node("record", _type_name(kind).encode(), walk.code_of(kind), *parts)


def _path(walk: _Walk, value: pathlib.Path, kind: type) -> bytes:
    del kind
    if value.is_dir():
        inner = [p for p in sorted(value.rglob("*")) if p.is_file()]
        return _node("folder", *(walk.digest((str(p.relative_to(value)), p)) for p in inner))
    if value.is_file():
        hasher = blake3.blake3(max_threads=blake3.blake3.AUTO).update_mmap(str(value))
        return _node("file", value.suffix.encode(), hasher.digest())
    return _node("path", str(value).encode())


def _code(walk: _Walk, value: Any, kind: type) -> bytes:
    del kind
    if isinstance(value, types.MethodType):
        return _node("method", walk.digest(value.__func__), walk.digest(value.__self__))
    name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}"
    own = getattr(value, "__self__", None)
    is_bound = own is not None and not isinstance(own, types.ModuleType)
    if isinstance(value, types.BuiltinFunctionType) and is_bound:
        return _node("built-in method", name.encode(), walk.digest(own))
    return _node("code", name.encode(), walk.code_of(value))


def _module(walk: _Walk, value: types.ModuleType, kind: type) -> bytes:
    del walk, kind
    return _node("module", value.__name__.encode())


def _plain(walk: _Walk, value: Any, kind: type) -> bytes:
    del walk
    return _node("plain", _type_name(kind).encode(), repr(value).encode())


def _pandas(walk: _Walk, value: Any) -> bytes | None:
    pandas: Any = sys.modules["pandas"]
    if isinstance(value, pandas.DataFrame):
        columns = [value.iloc[:, place] for place in range(value.shape[1])]
        inner = [_column(walk, column) for column in columns]
        return _node("pandas", walk.digest(value.columns), walk.digest(value.index), *inner)
    if isinstance(value, pandas.Series):
        return _node("pandas-series", walk.digest(value.index), _column(walk, value))
    if isinstance(value, pandas.Index):
        names = walk.digest(list(value.names))
        return _node("pandas-index", str(value.dtype).encode(), names, _values(walk, value))
    return None


def _column(walk: _Walk, column: Any) -> bytes:
    name = walk.digest(column.name)
    return _node("column", name, str(column.dtype).encode(), _values(walk, column))


def _values(walk: _Walk, column: Any) -> bytes:
    values = column.to_numpy()
    return _array(walk, values, type(values))


_QUICK: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda _: _node("none"),
    bool: lambda value: _node("bool", b"1" if value else b"0"),
    int: lambda value: _node("int", str(value).encode()),
    float: _float,
    str: lambda value: _node("str", value.encode("utf-8", "surrogatepass")),
    bytes: lambda value: _node("bytes", value),
    type(...): lambda _: _node("ellipsis"),
}

_KNOWN: Final[tuple[tuple[Any, Callable[[_Walk, Any, type], bytes]], ...]] = (
    (enum.Enum, _enum),
    ((list, tuple), _sequence),
    ((dict, types.MappingProxyType), _mapping),
    ((set, frozenset), _set),
    ((np.ndarray, np.generic), _array),
    (pl.DataFrame, _frame),
    (pl.Series, _series),
    (pl.LazyFrame, _lazy_frame),
    (pathlib.Path, _path),
    (_CODE, _code),
    (types.ModuleType, _module),
    (_PLAIN, _plain),
    (msgspec.Struct, _fields),
    ((bytearray, memoryview), lambda _w, value, _k: _node("bytes", bytes(value))),
)


_SHOWN: Final = frozenset((type(None), bool, int, float, str))


def shown(value: Any, *, limit: int = 60) -> str | None:
    """Write a small value for people, so that a miss can say what a parameter was before.

    Parameters
    ----------
    value
        Anything.
    limit
        Longest text, in characters.

    Returns
    -------
    str or None
        None when the value is not a number, a text, a truth value or a short container of them.

    Examples
    --------
    >>> shown(0.05), shown(object())
    ('0.05', None)
    """
    kind = type(value)
    if kind is lazy.Output:
        return None  # asking what it is would read it
    if kind not in _SHOWN:
        if not isinstance(value, list | tuple | set | frozenset):
            return None
        if not all(isinstance(item, bool | int | float | str | None) for item in value):
            return None
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
