"""Table summaries packed for storage, and many of them added at once: hours, days, months.

`summary.encode` is smaller and slower; this is for windows, which are merged by the hundred.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import distinct, frequent, summary

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

_VERSION = 2  # 1 had no registers, hashes and examples
_INTS, _FLOATS = 5, 5
_RARE = 50  # at most one count in this many may be an exception to the width
_WIDTHS = (1, 2, 4, 8)
_UNKNOWN = 255  # no run of zeros is as long, and as the largest it stays when windows are added
_NONE = 2**64 - 1  # in place of a hash where there are fewer examples


class _Shape(msgspec.Struct, frozen=True, array_like=True):
    """What windows on the same bins have in common."""

    names: tuple[str, ...]
    is_number: tuple[bool, ...]
    digests: tuple[str, ...]
    lengths: tuple[int, ...]


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    """One window; what is long is a view, which is not copied when it is read."""

    version: int
    n_rows: int
    shape: bytes
    ints: bytes
    floats: bytes
    width: int
    counts: memoryview
    places: bytes
    rest: bytes
    unseen: dict[str, dict[str, int]]
    registers: memoryview = memoryview(b"")
    hashes: bytes = b""
    examples: bytes = b""


class _Values:
    """Adds what windows say of the values of their `k` columns."""

    def __init__(self, k: int) -> None:
        self._registers = np.zeros(k * distinct.REGISTERS, dtype=np.uint8)
        self._hashes: list[NDArray[np.uint64]] = []
        self._texts: list[bytes] = []
        self._k = k

    def add(self, window: _Packed) -> None:
        """Add one window; one of the first version leaves the values of all unknown."""
        if not window.registers:
            self._registers[:] = _UNKNOWN
            return
        own = np.frombuffer(window.registers, dtype=np.uint8)
        np.maximum(self._registers, own, out=self._registers)
        self._hashes.append(np.frombuffer(window.hashes, dtype="<u8").reshape(self._k, -1))
        self._texts.append(window.examples)

    def sketches(self) -> list[distinct.Sketch | None]:
        """Return the sketch of each column; None where a window did not know its values."""
        registers = self._registers.reshape(self._k, -1)
        if not self._hashes or not registers.size:
            return [None] * self._k
        hashes = np.stack(self._hashes, axis=1).reshape(self._k, -1)  # five of each window
        unpacked: dict[int, list[list[str]]] = {}
        found: list[distinct.Sketch | None] = []
        for j, own in enumerate(hashes):
            if registers[j, 0] == _UNKNOWN:
                found.append(None)
                continue
            shown: list[tuple[int, str]] = []
            for key, place in distinct.least(own, []):
                if key == _NONE:
                    break
                w, i = divmod(place, distinct.EXAMPLES)
                if w not in unpacked:
                    texts = self._texts[w]
                    unpacked[w] = msgspec.msgpack.decode(texts, type=list[list[str]])
                shown.append((key, unpacked[w][j][i]))
            found.append(distinct.Sketch(registers[j].tobytes(), tuple(shown)))
        return found


def pack(seen: summary.TableSummary) -> bytes:
    """Pack the summary of a window.

    Parameters
    ----------
    seen
        Of any number of columns.

    Returns
    -------
    bytes
        About one byte for each bin of each column while the window is small, two or four
        when it is large.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"a": [1, 2]})
    >>> from homeostat.measures import bins
    >>> one = summary.summarise_table(frame, bins.freeze_table(frame))
    >>> merge([pack(one)]) == one
    True
    """
    columns = list(seen.columns.values())
    counts = [_counts(column) for column in columns]
    shape = _Shape(
        tuple(seen.columns),
        tuple(isinstance(column, summary.NumericSummary) for column in columns),
        tuple(column.bins_digest for column in columns),
        tuple(len(each) for each in counts),
    )
    ints = np.array([_ints(column) for column in columns], dtype="<i8").reshape(-1, _INTS)
    floats = np.array([_floats(column) for column in columns], dtype="<f8").reshape(-1, _FLOATS)
    flat = np.concatenate([np.zeros(0, dtype=np.int64), *counts])
    width = next(w for w in _WIDTHS if _exceptions(flat, w).sum() * _RARE <= len(flat))
    large = _exceptions(flat, width)
    known = [column.values for column in columns]
    packed = _Packed(
        version=_VERSION,
        n_rows=seen.n_rows,
        shape=msgspec.msgpack.encode(shape),
        ints=ints.tobytes(),
        floats=floats.tobytes(),
        width=width,
        counts=memoryview(np.where(large, 0, flat).astype(f"<u{width}").tobytes()),
        places=np.flatnonzero(large).astype("<u4").tobytes(),
        rest=flat[large].astype("<i8").tobytes(),
        unseen={
            name: column.unseen
            for name, column in seen.columns.items()
            if isinstance(column, summary.CategorySummary) and column.unseen
        },
        registers=memoryview(b"".join(map(_registers, known))),
        hashes=b"".join(map(_hashes, known)),
        examples=msgspec.msgpack.encode(
            [[text for _, text in each.examples] if each else [] for each in known]
        ),
    )
    return msgspec.msgpack.encode(packed)


def _registers(known: distinct.Sketch | None) -> bytes:
    return known.registers if known else bytes([_UNKNOWN]) * distinct.REGISTERS


def _hashes(known: distinct.Sketch | None) -> bytes:
    found = np.full(distinct.EXAMPLES, _NONE, dtype="<u8")
    if known is not None:
        found[: len(known.examples)] = [key for key, _ in known.examples]
    return found.tobytes()


def _exceptions(flat: Counts, width: int) -> NDArray[np.bool_]:
    return flat >= 1 << min(8 * width, 63)


def _counts(column: summary.ColumnSummary) -> Counts:
    if isinstance(column, summary.NumericSummary):
        return column.count_values
    return np.array(column.counts, dtype=np.int64)


def _ints(column: summary.ColumnSummary) -> tuple[int, ...]:
    if isinstance(column, summary.CategorySummary):
        return column.n, column.nulls, column.others, column.unseen_short, 0
    ends = column.negative_infinities, column.positive_infinities
    return column.n, column.nulls, column.nans, *ends


def _floats(column: summary.ColumnSummary) -> tuple[float | None, ...]:
    if isinstance(column, summary.CategorySummary):
        return (np.nan,) * _FLOATS
    sums = column.center, column.centered_sum, column.centered_squares
    return column.minimum, column.maximum, *sums


def merge(packed: Sequence[bytes]) -> summary.TableSummary:
    """Add the summaries of many windows.

    Parameters
    ----------
    packed
        From `pack`, one or more, of the same columns on the same bins.

    Returns
    -------
    TableSummary
        As if all rows had been counted together; the order of the windows does not matter
        (sums are multiples of the bins' quantum; `unseen` while it holds at most 50
        categories, then to `unseen_short` rows).

    Raises
    ------
    ValueError
        When there is no window, bytes hold none, or bins differ.
    """
    if not packed:
        msg = "need one window or more; got none"
        raise ValueError(msg)
    first = _decode(packed[0])
    shape = msgspec.msgpack.decode(first.shape, type=_Shape)
    k = len(shape.names)
    counts = np.zeros(sum(shape.lengths), dtype=np.int64)
    ints = np.zeros((k, _INTS), dtype=np.int64)
    sums = np.zeros((k, 2))
    low, high = np.full(k, np.nan), np.full(k, np.nan)
    n_rows, unseen = 0, {name: Counter[str]() for name in shape.names}
    values = _Values(k)
    centers = np.frombuffer(first.floats, dtype="<f8").reshape(k, _FLOATS)[:, 2]
    for each in packed:
        window = _decode(each)
        if window.shape != first.shape:
            msg = "windows of different columns or bins do not add"
            raise ValueError(msg)
        n_rows += window.n_rows
        counts += np.frombuffer(window.counts, dtype=f"<u{window.width}")
        if window.places:
            places = np.frombuffer(window.places, dtype="<u4")
            counts[places] += np.frombuffer(window.rest, dtype="<i8")
        ints += np.frombuffer(window.ints, dtype="<i8").reshape(k, _INTS)
        floats = np.frombuffer(window.floats, dtype="<f8").reshape(k, _FLOATS)
        np.fmin(low, floats[:, 0], out=low)
        np.fmax(high, floats[:, 1], out=high)
        sums += floats[:, 3:]
        for name, counted in window.unseen.items():
            unseen[name].update(counted)
        values.add(window)
    ends = np.cumsum([0, *shape.lengths])
    columns: dict[str, summary.ColumnSummary] = {}
    for j, (name, sketch) in enumerate(zip(shape.names, values.sketches(), strict=True)):
        own = counts[ends[j] : ends[j + 1]]
        whole = ints[j].tolist()
        if shape.is_number[j]:
            floats = np.array([low[j], high[j], centers[j], *sums[j]])
            found: summary.ColumnSummary = _number(shape.digests[j], whole, floats, own)
        else:
            found = _category(shape.digests[j], whole, unseen[name], own)
        columns[name] = msgspec.structs.replace(found, values=sketch)
    return summary.TableSummary(n_rows, columns)


def _category(
    digest: str, whole: list[int], unseen: dict[str, int], counts: Counts
) -> summary.CategorySummary:
    n, nulls, others, missing, _ = whole
    listed, short = frequent.listed(unseen)
    return summary.CategorySummary(
        bins_digest=digest,
        n=n,
        nulls=nulls,
        counts=tuple(counts.tolist()),
        others=others,
        unseen=listed,
        unseen_short=missing + short,
    )


def _number(
    digest: str,
    whole: list[int],
    floats: Floats,
    counts: Counts,
) -> summary.NumericSummary:
    low, high, center, total, squares = floats.tolist()
    n, nulls, nans, negative, positive = whole
    return summary.NumericSummary(
        bins_digest=digest,
        n=n,
        nulls=nulls,
        nans=nans,
        negative_infinities=negative,
        positive_infinities=positive,
        minimum=None if np.isnan(low) else low,
        maximum=None if np.isnan(high) else high,
        center=center,
        centered_sum=total,
        centered_squares=squares,
        counts=np.ascontiguousarray(counts, dtype="<i8").tobytes(),
    )


def digests(packed: bytes) -> dict[str, str]:
    """Return which bins each column of a window was counted on, without reading the counts.

    Parameters
    ----------
    packed
        From `pack`.

    Returns
    -------
    dict
        Column to the digest of its bins.

    Raises
    ------
    ValueError
        When the bytes hold no window.
    """
    shape = msgspec.msgpack.decode(_decode(packed).shape, type=_Shape)
    return dict(zip(shape.names, shape.digests, strict=True))


def _decode(packed: bytes) -> _Packed:
    try:
        return msgspec.msgpack.decode(packed, type=_Packed)
    except msgspec.MsgspecError as broken:
        msg = f"these bytes hold no window: {broken}"
        raise ValueError(msg) from broken
