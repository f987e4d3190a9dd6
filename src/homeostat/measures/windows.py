"""Table summaries packed for storage, and many of them added at once: hours, days, months.

`summary.encode` is smaller and slower; this is for windows, which are merged by the hundred.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import compact, distinct, frequent, summary

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

_VERSION = 3  # 2 had nothing in half a byte; 1 had no registers, hashes and examples
_INTS, _FLOATS = 5, 5
_OLD_PLACE = 4  # bytes, before the third version
_UNKNOWN = 255  # no run of zeros is as long, and as the largest it stays when windows are added
_NONE = 2**64 - 1  # in place of a hash where there are fewer examples


class _Shape(msgspec.Struct, frozen=True, array_like=True):
    """What windows on the same bins have in common."""

    names: tuple[str, ...]
    is_number: tuple[bool, ...]
    digests: tuple[str, ...]
    lengths: tuple[int, ...]


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    """One window; what is long is a view, which is not copied when it is read.

    For what `compact` has packed see there.
    """

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
    register_width: int = 1
    register_places: bytes = b""
    register_rest: bytes = b""
    place_widths: tuple[int, int] = (_OLD_PLACE, _OLD_PLACE)

    def packed_counts(self) -> compact.Packed:
        """Return the counts of all columns, one after the other."""
        place = self.place_widths[0]
        return compact.Packed(self.width, self.counts, self.places, self.rest, place)

    def packed_registers(self) -> compact.Packed:
        """Return the registers of all columns, one after the other."""
        places, rest = self.register_places, self.register_rest
        place = self.place_widths[1]
        return compact.Packed(self.register_width, self.registers, places, rest, place)


def _sketches(found: Sequence[_Packed], k: int) -> list[distinct.Sketch | None]:
    """Add what windows say of the values of their `k` columns.

    None where a window did not know its values; one of the first version knew none.
    """
    if not k or any(window.version == 1 for window in found):
        return [None] * k
    packed = [window.packed_registers() for window in found]
    registers = compact.largest(packed, k * distinct.REGISTERS).reshape(k, -1)
    joined = np.frombuffer(b"".join(window.hashes for window in found), dtype="<u8")
    hashes = joined.reshape(len(found), k, distinct.EXAMPLES)
    # Only five are asked for: none is above the fifth of any window.
    bounds = hashes[:, :, -1].min(axis=0)
    of_columns = np.ascontiguousarray(hashes.swapaxes(0, 1)).reshape(k, -1)
    unpacked: dict[int, list[list[str]]] = {}
    sketches: list[distinct.Sketch | None] = []
    for j, own in enumerate(of_columns):
        if registers[j, 0] == _UNKNOWN:
            sketches.append(None)
            continue
        shown: list[tuple[int, str]] = []
        few = np.sort(own[own <= bounds[j]])
        few = few[np.append(True, few[1:] != few[:-1])]
        for key in few[: distinct.EXAMPLES].tolist():
            if key == _NONE:
                break
            w, i = divmod(int((own == np.uint64(key)).argmax()), distinct.EXAMPLES)
            if w not in unpacked:
                texts = found[w].examples
                unpacked[w] = msgspec.msgpack.decode(texts, type=list[list[str]])
            shown.append((key, unpacked[w][j][i]))
        sketches.append(distinct.Sketch(registers[j].tobytes(), tuple(shown)))
    return sketches


def pack(seen: summary.TableSummary) -> bytes:
    """Pack the summary of a window.

    Parameters
    ----------
    seen
        Of any number of columns.

    Returns
    -------
    bytes
        About half a byte for each bin of each column while the window is small, one to four
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
    flat = compact.pack(np.concatenate([np.zeros(0, dtype=np.int64), *counts]))
    known = [column.values for column in columns]
    joined = np.frombuffer(b"".join(map(_registers, known)), dtype=np.uint8)
    registers = compact.pack(joined)
    packed = _Packed(
        version=_VERSION,
        n_rows=seen.n_rows,
        shape=msgspec.msgpack.encode(shape),
        ints=ints.tobytes(),
        floats=floats.tobytes(),
        width=flat.width,
        counts=memoryview(flat.dense),
        places=flat.places,
        rest=flat.rest,
        unseen={
            name: column.unseen
            for name, column in seen.columns.items()
            if isinstance(column, summary.CategorySummary) and column.unseen
        },
        registers=memoryview(registers.dense),
        hashes=b"".join(map(_hashes, known)),
        examples=msgspec.msgpack.encode(
            [[text for _, text in each.examples] if each else [] for each in known]
        ),
        register_width=registers.width,
        register_places=registers.places,
        register_rest=registers.rest,
        place_widths=(flat.place_width, registers.place_width),
    )
    return msgspec.msgpack.encode(packed)


def _registers(known: distinct.Sketch | None) -> bytes:
    return known.registers if known else bytes([_UNKNOWN]) * distinct.REGISTERS


def _hashes(known: distinct.Sketch | None) -> bytes:
    found = np.full(distinct.EXAMPLES, _NONE, dtype="<u8")
    if known is not None:
        found[: len(known.examples)] = [key for key, _ in known.examples]
    return found.tobytes()


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
    found = [_decode(each) for each in packed]
    if any(window.shape != found[0].shape for window in found):
        msg = "windows of different columns or bins do not add"
        raise ValueError(msg)
    shape = msgspec.msgpack.decode(found[0].shape, type=_Shape)
    k = len(shape.names)
    counts = compact.added([window.packed_counts() for window in found], sum(shape.lengths))
    joined = b"".join(window.ints for window in found)
    ints = np.frombuffer(joined, dtype="<i8").reshape(-1, k, _INTS).sum(axis=0)
    joined = b"".join(window.floats for window in found)
    floats = np.frombuffer(joined, dtype="<f8").reshape(-1, k, _FLOATS)
    low, high = np.fmin.reduce(floats[:, :, 0]), np.fmax.reduce(floats[:, :, 1])
    sums = floats[:, :, 3:].sum(axis=0)
    unseen = {name: Counter[str]() for name in shape.names}
    for window in found:
        for name, counted in window.unseen.items():
            unseen[name].update(counted)
    ends = np.cumsum([0, *shape.lengths])
    columns: dict[str, summary.ColumnSummary] = {}
    for j, (name, sketch) in enumerate(zip(shape.names, _sketches(found, k), strict=True)):
        own = counts[ends[j] : ends[j + 1]]
        whole = ints[j].tolist()
        if shape.is_number[j]:
            told = np.array([low[j], high[j], floats[0, j, 2], *sums[j]])
            column: summary.ColumnSummary = _number(shape.digests[j], whole, told, own)
        else:
            column = _category(shape.digests[j], whole, unseen[name], own)
        columns[name] = msgspec.structs.replace(column, values=sketch)
    return summary.TableSummary(sum(window.n_rows for window in found), columns)


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


def counted_on(packed: Sequence[bytes], digests: dict[str, str]) -> list[bytes]:
    """Return the windows that were counted on some bins, without reading their counts.

    Parameters
    ----------
    packed
        From `pack`.
    digests
        Of the bins of each column.

    Returns
    -------
    list of bytes
        Those windows that have these columns and no others, on these bins.

    Raises
    ------
    ValueError
        When bytes hold no window.
    """
    known: dict[bytes, bool] = {}  # hundreds of windows share a shape
    found = []
    for each in packed:
        if (own := _decode(each).shape) not in known:
            shape = msgspec.msgpack.decode(own, type=_Shape)
            known[own] = dict(zip(shape.names, shape.digests, strict=True)) == digests
        if known[own]:
            found.append(each)
    return found


def _decode(packed: bytes) -> _Packed:
    try:
        return msgspec.msgpack.decode(packed, type=_Packed)
    except msgspec.MsgspecError as broken:
        msg = f"these bytes hold no window: {broken}"
        raise ValueError(msg) from broken
