"""How many different values a column holds, and five of them, from one kilobyte that adds.

`summary` makes a sketch of each column, `merging` and `windows` add them, `variety` tells them.
"""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Registers = NDArray[np.uint8]

_BITS = 10
REGISTERS = 1 << _BITS
_LEFT = 64 - _BITS
_SLICE_ROWS = 32_768
_EXACT = 2.0**53
_MOST_CHARACTERS = 80
_POOL = 64
_FEW = 256
_LARGEST = 2**64 - 1
_ZEROS = re.compile(r"\.0+(?!\d)")  # of a second

EXAMPLES = 5
"""So many values are kept to be shown."""
ERROR = 1.04 / math.sqrt(REGISTERS)
"""Relative standard error of `estimate`."""


class Sketch(msgspec.Struct, frozen=True):
    """The different values of a column, as far as one kilobyte tells.

    Attributes
    ----------
    registers
        Largest run of zeros in each of 1024 registers, one byte each.
    examples
        The up to five values with the smallest hashes, as hash and text, in order; a text
        longer than 80 characters is cut.
    """

    registers: bytes = bytes(REGISTERS)
    examples: tuple[tuple[int, str], ...] = ()


def of_numbers(
    values: NDArray[np.floating] | NDArray[np.integer],
    *,
    told: Callable[[float], str] | None = None,
    salt: int = 0,
) -> Sketch:
    """Make the sketch of numbers.

    Parameters
    ----------
    values
        Shape ``(n,)``; NaN and infinities are left out, repeats change nothing.
    told
        How an example is written; as a number when None.
    salt
        Tells kinds of values apart that share numbers, such as days and milliseconds.

    Returns
    -------
    Sketch
        See `estimate`.

    Examples
    --------
    >>> [text for _, text in of_numbers(np.array([2.0, 2.5, np.nan, 2.0])).examples]
    ['2', '2.5']
    """
    found = np.zeros(REGISTERS, dtype=np.uint8)
    kept: dict[int, float] = {}
    for start in range(0, len(values), _SLICE_ROWS):
        part = values[start : start + _SLICE_ROWS]
        if part.dtype.kind == "f" and not (finite := np.isfinite(part)).all():
            part = part[finite]
        hashes = hash_numbers(part)
        if salt:
            hashes ^= np.uint64(salt)
        _raise_registers(found, hashes)
        if new := least(hashes, list(kept)):
            kept.update((key, part[i].item()) for key, i in new)
            kept = dict(sorted(kept.items())[:EXAMPLES])
    write = told or _number_text
    return Sketch(found.tobytes(), tuple((key, _cut(write(v))) for key, v in kept.items()))


def of_names(names: Iterable[str]) -> Sketch:
    """Make the sketch of texts, best each of them once.

    Parameters
    ----------
    names
        Any number.

    Returns
    -------
    Sketch
        See `estimate`.

    Examples
    --------
    >>> sorted(text for _, text in of_names(["a", "b", "a"]).examples)
    ['a', 'b']
    """
    known = list(names)
    hashes = hash_names(known)
    found = np.zeros(REGISTERS, dtype=np.uint8)
    _raise_registers(found, hashes)
    shown = tuple((key, _cut(known[i])) for key, i in least(hashes, []))
    return Sketch(found.tobytes(), shown)


def of_series(values: pl.Series) -> Sketch:
    """Make the sketch of a column of numbers or times.

    Parameters
    ----------
    values
        With or without nulls, which are left out; times are written as such.

    Returns
    -------
    Sketch
        Integers count exactly, however large.

    Examples
    --------
    >>> [text for _, text in of_series(pl.Series([20_000]).cast(pl.Date)).examples]
    ['2024-10-04']
    """
    known = values.drop_nulls() if values.null_count() else values
    kind = values.dtype
    physical = known.to_physical() if kind.is_temporal() else known
    if not physical.dtype.is_integer():
        physical = physical.cast(pl.Float64)
    if not kind.is_temporal():
        return of_numbers(physical.to_numpy())

    def told(value: float) -> str:
        one = pl.Series([value]).cast(physical.dtype).cast(kind)
        text = str(one.item()) if isinstance(kind, pl.Duration) else one.cast(pl.String).item()
        return _ZEROS.sub("", text)

    return of_numbers(physical.to_numpy(), told=told, salt=zlib.crc32(repr(kind).encode()))


def _number_text(value: float) -> str:
    """Write a number the same whether it came as an integer or not."""
    is_whole = isinstance(value, int) or (value.is_integer() and abs(value) < _EXACT)
    return str(int(value)) if is_whole else repr(value)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def least(hashes: Hashes, known: Sequence[int]) -> list[tuple[int, int]]:
    """Find the smallest hashes that belong among the known smallest.

    Parameters
    ----------
    hashes
        Shape ``(n,)``, repeats and all.
    known
        In order; at most five.

    Returns
    -------
    list of (int, int)
        At most five in order, without those that are known, and where each comes first.

    Examples
    --------
    >>> least(np.array([7, 3, 9, 3], dtype=np.uint64), [9])
    [(3, 1), (7, 0)]
    """
    if len(known) == EXAMPLES:
        places = np.flatnonzero(hashes < np.uint64(known[-1]))
        found = _smallest(hashes[places])
    else:  # of hashes that all differ, about sixty are so small
        bound = _POOL * _LARGEST // max(_POOL, len(hashes))
        places = np.flatnonzero(hashes < np.uint64(bound))
        found = _smallest(hashes[places])
        if len(found) < EXAMPLES:
            places = np.arange(len(hashes))
            found = _smallest(hashes)
    new = [key for key in found if key not in known]
    if not new:
        return []
    first = (np.array(new, dtype=np.uint64)[:, None] == hashes[places]).argmax(axis=1)
    return list(zip(new, places[first].tolist(), strict=True))


def _smallest(pool: Hashes) -> list[int]:
    if len(pool) <= _FEW:
        return sorted(set(pool.tolist()))[:EXAMPLES]
    found: list[int] = []
    while len(pool) and len(found) < EXAMPLES:
        smallest = pool.min()
        found.append(int(smallest))
        pool = pool[pool > smallest]
    return found


def _raise_registers(found: Registers, hashes: Hashes) -> None:
    """Raise registers to the runs of zeros in hashes; few of many can raise any."""
    floor = int(found.min())
    rest = hashes & np.uint64((1 << _LEFT) - 1)
    if floor:
        can = rest < np.uint64(1 << (_LEFT - floor))
        hashes, rest = hashes[can], rest[can]
    place = (hashes >> np.uint64(_LEFT)).view(np.int64)
    # float64 keeps the position of the highest bit of 54 exactly: its exponent, less 1023.
    highest = rest.view(np.int64).astype(np.float64).view(np.int64)
    highest >>= 52
    rank = np.minimum(_LEFT + 1 + 1022 - highest, _LEFT + 1)
    np.maximum.at(found, place, rank.astype(np.uint8))


def merge(left: Sketch | None, right: Sketch | None) -> Sketch | None:
    """Return the sketch of both sets together; order and repeats do not matter.

    Parameters
    ----------
    left, right
        Sketches, or None where the values are not known.

    Returns
    -------
    Sketch or None
        Exactly that of all values at once; None when either is not known.
    """
    if left is None or right is None:
        return None
    a, b = (np.frombuffer(each.registers, dtype=np.uint8) for each in (left, right))
    both = sorted({*left.examples, *right.examples})[:EXAMPLES]
    return Sketch(np.maximum(a, b).tobytes(), tuple(both))


def estimate(seen: Sketch) -> float:
    """Estimate the number of different values.

    Parameters
    ----------
    seen
        Of any column.

    Returns
    -------
    float
        Relative standard error 3.25 % (`ERROR`); small numbers are nearly exact.

    Notes
    -----
    Counting empty registers is used up to 2.5 registers' worth of values, as in the paper; 64
    bits need no correction at the upper end.

    Examples
    --------
    >>> 45 < estimate(of_numbers(np.arange(50.0))) < 55
    True

    References
    ----------
    .. [1] P. Flajolet, E. Fusy, O. Gandouet and F. Meunier, "HyperLogLog: the analysis of a
       near-optimal cardinality estimation algorithm", AofA 2007.
    """
    registers = np.frombuffer(seen.registers, dtype=np.uint8)
    alpha = 0.7213 / (1 + 1.079 / REGISTERS)
    raw = alpha * REGISTERS**2 / float(np.sum(np.exp2(-registers.astype(np.float64))))
    empty = int(np.count_nonzero(registers == 0))
    if raw <= 2.5 * REGISTERS and empty:
        return REGISTERS * math.log(REGISTERS / empty)
    return raw


def hash_numbers(values: NDArray[np.floating] | NDArray[np.integer]) -> Hashes:
    """Hash numbers by value: 1 and 1.0 alike, 0.0 and -0.0 alike.

    Parameters
    ----------
    values
        Shape ``(n,)``; integers above 2**53 keep every digit.

    Returns
    -------
    NDArray
        Shape ``(n,)``, uint64.

    References
    ----------
    .. [1] G. Steele, D. Lea and C. Flood, "Fast splittable pseudorandom number generators",
       OOPSLA 2014: the mixing function.
    """
    wide = values.astype(np.float64)
    wide += 0.0  # turns -0.0 to 0.0
    bits = wide.view(np.uint64)
    if values.dtype.kind in "iu" and (large := np.abs(wide) > _EXACT).any():
        bits[large] = values[large].astype(np.int64).view(np.uint64)
    room = np.empty_like(bits)
    with np.errstate(over="ignore"):
        bits += np.uint64(0x9E3779B97F4A7C15)
        bits ^= np.right_shift(bits, np.uint64(30), out=room)
        bits *= np.uint64(0xBF58476D1CE4E5B9)
        bits ^= np.right_shift(bits, np.uint64(27), out=room)
        bits *= np.uint64(0x94D049BB133111EB)
        bits ^= np.right_shift(bits, np.uint64(31), out=room)
    return bits


def hash_names(names: Iterable[str]) -> Hashes:
    """Hash texts, best each of them once.

    Parameters
    ----------
    names
        Any number.

    Returns
    -------
    NDArray
        Shape ``(n,)``, uint64; the same in every process and on every machine.
    """
    packed = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(packed, dtype="<u8")
