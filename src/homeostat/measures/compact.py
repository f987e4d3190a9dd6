"""Whole numbers, most of them small, kept in half a byte each and added by the hundred.

`windows` keeps counts and registers so: it takes about the room that general compression
would, and no time to be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

NONE, HALF = -1, 0
"""Widths in which nothing but exceptions is kept, and two numbers in a byte."""
_LANES = {HALF: ("<u1", 4), 1: ("<u2", 8), 2: ("<u4", 16)}
_TOGETHER = 16  # so many numbers of a width can be added in twice the width
_WIDTHS = (HALF, 1, 2, 4, 8)
_SMALLER = 2  # this many times smaller without zeros, or they are kept: they are added faster


class Packed(NamedTuple):
    """Numbers of 0 or more in `dense`, and at `places` the `rest`, which are 0 there.

    `width` is of a number in `dense`, in bytes, or `HALF` or `NONE`; `place_width` of a place.
    """

    width: int
    dense: bytes | memoryview
    places: bytes
    rest: bytes
    place_width: int


def pack(values: NDArray[np.integer]) -> Packed:
    """Pack numbers in about as few bytes as they take.

    Parameters
    ----------
    values
        Shape ``(n,)``, 0 or more.

    Returns
    -------
    Packed
        See `added` and `largest`.

    Examples
    --------
    >>> packed = pack(np.array([3, 0, 700, 15, 1]))
    >>> packed.width == HALF, added([packed], 5).tolist()
    (True, [3, 0, 700, 15, 1])
    """
    n, most = len(values), int(values.max(initial=0))
    place = 2 if n <= 1 << 16 else 4
    rest = next(w for w in (1, 2, 4, 8) if most < 1 << 8 * w or w == 8)  # noqa: PLR2004 - bytes
    width, sizes = NONE, [_SMALLER * (place + rest) * int(np.count_nonzero(values))]
    for each in _WIDTHS:
        limit = _limit(each)
        extra = int(np.count_nonzero(values > limit)) if most > limit else 0
        sizes.append(_size(n, each) + (place + rest) * extra)
        if sizes[-1] < min(sizes[:-1]):
            width = each
        if not extra:
            break
    large = values > (0 if width == NONE else _limit(width))
    return Packed(
        width,
        b"" if width == NONE else _dense(np.where(large, 0, values), width),
        np.flatnonzero(large).astype(f"<u{place}").tobytes(),
        values[large].astype(f"<u{rest}").tobytes(),
        place,
    )


def _limit(width: int) -> int:
    return 15 if width == HALF else (1 << min(8 * width, 63)) - 1


def _size(n: int, width: int) -> int:
    return (n + 1) // 2 if width == HALF else n * width


def _dense(values: NDArray[np.integer], width: int) -> bytes:
    if width != HALF:
        return values.astype(f"<u{width}").tobytes()
    low = values[::2].astype(np.uint8)
    low[: len(values) // 2] |= values[1::2].astype(np.uint8) << np.uint8(4)
    return low.tobytes()


def _blocks(
    packed: Sequence[Packed], width: int, kind: str
) -> Iterator[NDArray[np.unsignedinteger]]:
    """Read what is dense in a width, a few rows at a time, as numbers of another width."""
    rows = [each.dense for each in packed if each.width == width and each.dense]
    pad = bytes(-len(rows[0]) % np.dtype(kind).itemsize) if rows else b""
    for start in range(0, len(rows), _TOGETHER):
        taken = rows[start : start + _TOGETHER]
        joined = (
            b"".join(part for row in taken for part in (row, pad)) if pad else b"".join(taken)
        )
        yield np.frombuffer(joined, dtype=kind).reshape(len(taken), -1)


def _exceptions(
    packed: Sequence[Packed],
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.unsignedinteger]]]:
    """Return the places and numbers that are not dense, as many together as there can be."""
    found: dict[tuple[int, int], list[Packed]] = {}
    for each in packed:
        if each.places:
            rest = len(each.rest) * each.place_width // len(each.places)
            found.setdefault((each.place_width, rest), []).append(each)
    for (place, rest), those in found.items():
        places = np.frombuffer(b"".join(each.places for each in those), dtype=f"<u{place}")
        numbers = np.frombuffer(b"".join(each.rest for each in those), dtype=f"<u{rest}")
        yield places.astype(np.intp), numbers


def added(packed: Sequence[Packed], n: int) -> Counts:
    """Add up what was packed.

    Parameters
    ----------
    packed
        From `pack`, of `n` numbers each.
    n
        How many numbers.

    Returns
    -------
    NDArray
        Shape ``(n,)``; exact while below 2**63.
    """
    found = np.zeros(n, dtype=np.int64)
    for width, (kind, bits) in _LANES.items():
        lane = np.dtype(kind).type
        sums = np.zeros((2, (n + 1) // 2), dtype=np.int64)
        for block in _blocks(packed, width, kind):
            high = (block >> lane(bits)).sum(axis=0, dtype=kind)
            # What the sum of all has lost by overflow is of the high numbers only.
            sums[0] += block.sum(axis=0, dtype=kind) - (high << lane(bits))
            sums[1] += high
        found[::2] += sums[0]
        found[1::2] += sums[1, : n // 2]
    for width in (4, 8):
        for block in _blocks(packed, width, f"<u{width}"):
            found += block.sum(axis=0, dtype=np.int64)
    for places, numbers in _exceptions(packed):
        np.add.at(found, places, numbers.astype(np.int64))
    return found


def largest(packed: Sequence[Packed], n: int) -> NDArray[np.uint8]:
    """Return the largest of what was packed in each place.

    Parameters
    ----------
    packed
        From `pack`, of `n` numbers below 256 each.
    n
        How many numbers.

    Returns
    -------
    NDArray
        Shape ``(n,)``.

    Examples
    --------
    >>> largest([pack(np.array([3, 20, 0])), pack(np.array([4, 1, 0]))], 3).tolist()
    [4, 20, 0]
    """
    found = np.zeros(n, dtype=np.uint8)
    low, high = np.zeros((2, (n + 1) // 2), dtype=np.uint8)
    for block in _blocks(packed, HALF, "<u1"):
        np.maximum(low, (block & np.uint8(15)).max(axis=0), out=low)
        np.maximum(high, block.max(axis=0), out=high)  # its first half decides
    found[::2] = low
    found[1::2] = high[: n // 2] >> np.uint8(4)
    for block in _blocks(packed, 1, "<u1"):
        np.maximum(found, block.max(axis=0), out=found)
    for places, numbers in _exceptions(packed):
        np.maximum.at(found, places, numbers.astype(np.uint8))
    return found
