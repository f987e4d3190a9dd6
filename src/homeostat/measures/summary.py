"""Mergeable column summaries on frozen bins; data snapshots, baselines and windows use them.

Bins are frozen once (see `bins`), from the rows a model is trained on. Whatever comes later is
counted on those bins, so every field adds: minutes merge into hours and days without reading a
row again, and two summaries on the same bins can be compared (see `drift`).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.measures import bins as frozen
from homeostat.measures import cells, distinct, frequent

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# A slice this long is sorted in the second-level cache, to look the edges up in it: six times
# cheaper than looking each value up in the edges.
_SLICE_ROWS = 32_768


class NumericSummary(msgspec.Struct, frozen=True, kw_only=True, tag="number"):
    """What was seen of one numeric column; every field adds (`merging`).

    `n` counts all rows; `nulls`, `nans`, `negative_infinities` and `positive_infinities` are
    parts of it. `minimum`, `maximum` and the sums are of finite values; the sums are taken
    after the bins' `center` is subtracted. `counts` are little-endian int64, one per bin.
    `values` are the different finite ones; None where nobody counted them.
    """

    bins_digest: str
    n: int
    nulls: int
    nans: int
    negative_infinities: int
    positive_infinities: int
    minimum: float | None
    maximum: float | None
    center: float
    centered_sum: float
    centered_squares: float
    counts: bytes
    values: distinct.Sketch | None = None

    @property
    def count_values(self) -> Counts:
        """Finite values in each bin, shape ``(k + 1,)``."""
        return np.frombuffer(self.counts, dtype="<i8")

    @property
    def n_finite(self) -> int:
        """Rows with a finite value."""
        gone = self.nulls + self.nans + self.negative_infinities + self.positive_infinities
        return self.n - gone

    @property
    def mean(self) -> float | None:
        """Mean of the finite values; None when there are none."""
        return self.center + self.centered_sum / self.n_finite if self.n_finite else None

    @property
    def variance(self) -> float | None:
        """Population variance of the finite values; None when there are none."""
        n = self.n_finite
        if not n:
            return None
        return max(0.0, self.centered_squares / n - (self.centered_sum / n) ** 2)


class CategorySummary(msgspec.Struct, frozen=True, kw_only=True, tag="category"):
    """What was seen of one categorical column; every field adds (`merging`).

    `counts` follow the bins' categories; `others` counts rows with any other value, the most
    frequent of which are in `unseen` (at most 50). Each of these, listed or not, may have up
    to `unseen_short` rows more than it says there: 0 where all are listed. `values` as for a
    number.
    """

    bins_digest: str
    n: int
    nulls: int
    counts: tuple[int, ...]
    others: int
    unseen: dict[str, int]
    values: distinct.Sketch | None = None
    unseen_short: int = 0


ColumnSummary = NumericSummary | CategorySummary


class TableSummary(msgspec.Struct, frozen=True):
    """Summaries of every column of a table, by name, and its rows."""

    n_rows: int
    columns: dict[str, ColumnSummary]


def summarise_numbers(
    values: Floats, bins: frozen.NumericBins, *, nulls: int = 0
) -> NumericSummary:
    """Count one numeric column on frozen edges.

    Parameters
    ----------
    values
        Shape ``(n,)``, in the unit of the bins; NaN and infinities are counted apart.
    bins
        From `freeze_numbers`.
    nulls
        Rows without a value, which are not in `values`; 0 or more.

    Returns
    -------
    NumericSummary
        With ``n == len(values) + nulls``.

    Raises
    ------
    ValueError
        When `values` is not one-dimensional or `nulls` is negative.

    Examples
    --------
    >>> bins = frozen.freeze_numbers(np.arange(4.0), bins=2, grid=0)
    >>> seen = summarise_numbers(np.array([0.0, 1.0, 9.0, np.nan, np.inf]), bins, nulls=1)
    >>> seen.n, seen.nulls, seen.nans, seen.positive_infinities, seen.maximum
    (6, 1, 1, 1, 9.0)
    >>> seen.count_values.tolist()
    [0, 2, 0, 1]
    """
    if np.ndim(values) != 1 or nulls < 0:
        msg = f"need one dimension and nulls >= 0; got {np.ndim(values)} and {nulls}"
        raise ValueError(msg)
    return _counted([values], bins, nulls=nulls)


def _counted(
    parts: Sequence[Floats], bins: frozen.NumericBins, *, nulls: int
) -> NumericSummary:
    """Count a column that lies in several pieces of memory."""
    n = sum(map(len, parts))
    counter = cells.Counter(bins.edge_values, n=n, most=_SLICE_ROWS)
    gone = np.zeros(3, dtype=np.int64)
    lows, highs = list[float](), list[float]()
    total = squares = 0.0
    room = np.empty(min(n, _SLICE_ROWS))  # one for all slices: no page is new
    for taken in (
        part[i : i + _SLICE_ROWS] for part in parts for i in range(0, len(part), _SLICE_ROWS)
    ):
        seen = counter.count(taken, room)
        gone += seen.others
        if not len(seen.finite):
            continue
        lows.append(seen.low)
        highs.append(seen.high)
        with np.errstate(over="ignore", invalid="ignore"):
            away = np.subtract(seen.finite, bins.center, out=room[: len(seen.finite)])
            total += float(away.sum())
            # Not a dot product: its threads would wait for each other on a busy machine.
            squares += float(np.square(away, out=away).sum())
    n_low, n_high, n_nan = gone.tolist()
    n_finite, step = n - n_low - n_high - n_nan, bins.quantum
    ends_at = np.concatenate([[0], counter.below(), [n_finite]])
    counts = ends_at[1:] - ends_at[:-1]
    return NumericSummary(
        bins_digest=bins.digest,
        n=n + nulls,
        nulls=nulls,
        nans=n_nan,
        negative_infinities=n_low,
        positive_infinities=n_high,
        minimum=min(lows, default=None),
        maximum=max(highs, default=None),
        center=bins.center,
        centered_sum=frozen.rounded(total, step),
        centered_squares=frozen.rounded(squares, step * step * frozen.QUANTA),
        counts=np.ascontiguousarray(counts, dtype="<i8").tobytes(),
    )


def summarise_categories(values: pl.Series, bins: frozen.CategoryBins) -> CategorySummary:
    """Count one categorical column on frozen categories.

    Parameters
    ----------
    values
        Strings, booleans, categoricals or enums, with or without nulls.
    bins
        From `freeze_categories`.

    Returns
    -------
    CategorySummary
        With ``n == len(values)``.

    Examples
    --------
    >>> bins = frozen.freeze_categories(pl.Series(["a", "b"]))
    >>> seen = summarise_categories(pl.Series(["a", "c", None]), bins)
    >>> seen.counts, seen.others, seen.nulls, seen.unseen
    ((1, 0), 1, 1, {'c': 1})
    """
    tally = frequent.Tally(bins.categories)
    different: distinct.Sketch | None = None
    nulls = values.null_count()
    for part in frequent.slices(values):
        # What is counted already raised its register; a text may be asked about twice.
        new = distinct.of_names(name for name in part if not tally.knows(name))
        different = distinct.merge(different, new) if different else new
        tally.add(part)
    if different is None and nulls == len(values):
        different = distinct.of_names(())
    counts = tuple(tally.named.values())
    unseen, short = frequent.listed(tally.others)
    return CategorySummary(
        bins_digest=bins.digest,
        n=len(values),
        nulls=nulls,
        counts=counts,
        others=len(values) - nulls - sum(counts),
        unseen=unseen,
        values=different,
        unseen_short=tally.short + short,
    )


def summarise_column(
    values: pl.Series, bins: frozen.Bins, *, is_sketched: bool = False
) -> ColumnSummary:
    """Count one column on its frozen bins.

    Parameters
    ----------
    values
        The column; a column whose type no longer suits numeric bins counts as nulls where it
        cannot be read as a number.
    bins
        From `freeze_column`.
    is_sketched
        Whether different numbers are counted too; categories always are.

    Returns
    -------
    NumericSummary or CategorySummary
        As the bins are.

    Examples
    --------
    >>> column = pl.Series([1.0, 2.0, None])
    >>> summarise_column(column, frozen.freeze_column(column)).nulls
    1
    """
    if isinstance(bins, frozen.CategoryBins):
        return summarise_categories(values, bins)
    if not frozen.is_numeric(values):
        flat = values.dtype in {pl.String, pl.Boolean}
        empty = pl.Series(values.name, [None] * len(values), dtype=pl.Float64)
        values = values.cast(pl.Float64, strict=False) if flat else empty
    # A long column is not copied into one piece.
    pieces = values.get_chunks() if len(values) >= cells.LEAST_ROWS else [values]
    parts = [frozen.numbers(piece) for piece in pieces]
    seen = _counted(parts, bins, nulls=values.null_count())
    sketch = distinct.of_series(values) if is_sketched else None
    return msgspec.structs.replace(seen, values=sketch)


def summarise_table(frame: pl.DataFrame, bins: frozen.TableBins) -> TableSummary:
    """Count every column that has bins; columns the frame lacks are counted as null.

    Parameters
    ----------
    frame
        Any number of rows; columns without bins are left out.
    bins
        From `freeze_table`.

    Returns
    -------
    TableSummary
        One summary for each of the bins.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": [1, 2, 2]})
    >>> summarise_table(frame, frozen.freeze_table(frame)).columns["a"].n
    3
    """
    n, known = frame.height, set(frame.columns)
    columns: dict[str, ColumnSummary] = {}
    for name, kept in bins.columns.items():
        kind = pl.Float64() if isinstance(kept, frozen.NumericBins) else pl.String()
        values = frame[name] if name in known else pl.Series(name, [None] * n, dtype=kind)
        columns[name] = summarise_column(values, kept, is_sketched=True)
    return TableSummary(n, columns)


def encode(value: TableSummary | frozen.TableBins) -> bytes:
    """Pack a summary or its bins into compact bytes; `decode_summary`, `decode_bins` undo it.

    Parameters
    ----------
    value
        Of any number of columns.

    Returns
    -------
    bytes
        Compressed msgpack; about 1 to 4 KB a column for a summary, 10 KB for bins.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": [1, 2]})
    >>> kept = frozen.freeze_table(frame)
    >>> decode_bins(encode(kept)) == kept
    True
    """
    return zlib.compress(msgspec.msgpack.encode(value), 6)


def decode_summary(packed: bytes) -> TableSummary:
    """Unpack a summary.

    Parameters
    ----------
    packed
        From `encode`.

    Returns
    -------
    TableSummary
        Equal to what was packed.

    Raises
    ------
    ValueError
        When the bytes hold no summary.
    """
    return _decode(packed, TableSummary)


def decode_bins(packed: bytes) -> frozen.TableBins:
    """Unpack bins.

    Parameters
    ----------
    packed
        From `encode`.

    Returns
    -------
    TableBins
        Equal to what was packed.

    Raises
    ------
    ValueError
        When the bytes hold no bins.
    """
    return _decode(packed, frozen.TableBins)


_T = TypeVar("_T")


def _decode(packed: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(zlib.decompress(packed), type=kind)
    except (zlib.error, msgspec.MsgspecError) as broken:
        msg = f"these bytes hold no {kind.__name__}: {broken}"
        raise ValueError(msg) from broken
