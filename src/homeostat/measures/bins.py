"""Bins frozen from a reference; `summary` counts every later row on them."""

from __future__ import annotations

import hashlib
import math

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.measures import frequent

Floats = NDArray[np.float64]

_SAMPLE_ROWS = 100_000
_QUANTUM_BITS = 34
QUANTA = 2.0**_QUANTUM_BITS


class NumericBins(msgspec.Struct, frozen=True, kw_only=True, tag="number"):
    """Edges of one numeric column, frozen from a reference; `edges` are little-endian float64.

    Bin 0 is everything below the first edge, the last bin everything from the last edge up,
    each other bin is closed on its left side. `center` is subtracted before sums are taken.
    """

    edges: bytes
    center: float
    digest: str

    @property
    def edge_values(self) -> Floats:
        """The edges, strictly increasing, in the unit of the column; shape ``(k,)``."""
        return np.frombuffer(self.edges, dtype="<f8")

    @property
    def quantum(self) -> float:
        """Sums are rounded to multiples of this, so that they add exactly in any order.

        A power of two, about 1e-10 of the distance from the center to the outer edges: float64
        holds sums of half a million values at that distance without rounding again, and of a
        hundred times as many usual ones.
        """
        edges = self.edge_values
        ends = (abs(float(edge) - self.center) for edge in (edges[0], edges[-1]))
        scale = max(ends) or abs(self.center) / 1024 or 1.0
        exponent = math.frexp(scale)[1] - _QUANTUM_BITS if math.isfinite(scale) else 0
        return math.ldexp(1.0, exponent)


class CategoryBins(msgspec.Struct, frozen=True, kw_only=True, tag="category"):
    """Categories of one column, frozen from a reference; not complete when too many."""

    categories: tuple[str, ...]
    is_complete: bool
    digest: str


Bins = NumericBins | CategoryBins


class TableBins(msgspec.Struct, frozen=True):
    """Bins of every column of a table, by name."""

    columns: dict[str, Bins]


def is_numeric(values: pl.Series) -> bool:
    """Say whether a column is counted on edges (numbers and times) or by category.

    Parameters
    ----------
    values
        The column; only its type is looked at.

    Returns
    -------
    bool
        True for numbers and times; booleans are categories.

    Examples
    --------
    >>> is_numeric(pl.Series([1, 2])), is_numeric(pl.Series(["a"]))
    (True, False)
    """
    return values.dtype.is_numeric() or values.dtype.is_temporal()


def numbers(values: pl.Series) -> Floats:
    """Return the values of a numeric or time column that are not null.

    Parameters
    ----------
    values
        Numbers, or times (counted in their physical unit).

    Returns
    -------
    NDArray
        Shape ``(n - nulls,)``, float64; NaN and infinities are kept.

    Raises
    ------
    TypeError
        When the column is neither numeric nor temporal.

    Examples
    --------
    >>> numbers(pl.Series([1, None, 3])).tolist()
    [1.0, 3.0]
    """
    if not is_numeric(values):
        msg = f"column {values.name!r} holds {values.dtype}, not numbers"
        raise TypeError(msg)
    known = values.drop_nulls() if values.null_count() else values
    physical = known.to_physical() if known.dtype.is_temporal() else known
    return np.asarray(physical.cast(pl.Float64).to_numpy())


def freeze_numbers(values: Floats, *, bins: int = 1000, grid: int = 64) -> NumericBins:
    """Freeze the edges of one numeric column from a reference sample.

    Parameters
    ----------
    values
        Shape ``(n,)``, any unit; non-finite values are left out; at most 100 000 evenly
        spaced ones are looked at.
    bins
        Number of quantile bins, 2 or more. A value that fills a whole bin gets a bin of its
        own, so counts of point masses are exact.
    grid
        Number of equally wide cells added over the range and one range to either side, so
        that what leaves the reference is still located; 0 or more.

    Returns
    -------
    NumericBins
        Strictly increasing edges; one edge (0.0) when no value is finite.

    Raises
    ------
    ValueError
        When `bins` is less than 2 or `grid` is negative.

    Examples
    --------
    >>> frozen = freeze_numbers(np.arange(100.0), bins=4, grid=0)
    >>> frozen.edge_values.tolist()
    [0.0, 24.75, 49.5, 74.25, 99.0]
    """
    if bins < 2 or grid < 0:  # noqa: PLR2004 - one bin tells nothing
        msg = f"need bins >= 2 and grid >= 0; got {bins} and {grid}"
        raise ValueError(msg)
    step = -(-len(values) // _SAMPLE_ROWS) or 1
    sample = np.asarray(values[::step], dtype=np.float64)
    sample = np.sort(sample[np.isfinite(sample)])
    if not len(sample):
        return _numeric_bins(np.zeros(1), center=0.0)
    with np.errstate(over="ignore", invalid="ignore"):  # ends of the floating-point range
        quantiles = _quantiles(sample, np.linspace(0, 1, bins + 1))
    atoms = quantiles[1:][quantiles[1:] == quantiles[:-1]]
    low, high = float(sample[0]), float(sample[-1])
    width = high - low
    cells: Floats = np.empty(0)
    if grid and width > 0 and np.isfinite(low - width) and np.isfinite(high + width):
        cells = np.linspace(low - width, high + width, 3 * grid + 1)
    edges = np.unique(np.concatenate([quantiles, np.nextafter(atoms, np.inf), cells]))
    return _numeric_bins(edges[np.isfinite(edges)], center=float(sample[len(sample) // 2]))


def _quantiles(ordered: Floats, shares: Floats) -> Floats:
    """Return what `numpy.quantile` would, to the last bit, without ordering them anew."""
    places = shares * (len(ordered) - 1)
    before = np.floor(places).astype(np.intp)
    part = places - before
    low, high = ordered[before], ordered[np.minimum(before + 1, len(ordered) - 1)]
    apart = high - low
    return np.asarray(np.where(part < 0.5, low + apart * part, high - apart * (1 - part)))  # noqa: PLR2004


def _numeric_bins(edges: Floats, *, center: float) -> NumericBins:
    packed = np.ascontiguousarray(edges + 0.0, dtype="<f8").tobytes()  # + 0.0 turns -0.0 to 0.0
    return NumericBins(edges=packed, center=center, digest=_digest(packed))


def _digest(packed: bytes) -> str:
    return hashlib.blake2b(packed, digest_size=8).hexdigest()


def rounded(value: float, quantum: float) -> float:
    """Round a sum to a multiple of a quantum; see `NumericBins.quantum`.

    Parameters
    ----------
    value
        Any number.
    quantum
        A power of two; 0 leaves the value as it is.

    Returns
    -------
    float
        The nearest multiple; the value itself where it is too large to have a fraction.

    Examples
    --------
    >>> rounded(0.3, 0.25), rounded(1e300, 0.25)
    (0.25, 1e+300)
    """
    if not quantum or not math.isfinite(value) or not math.isfinite(value / quantum):
        return value
    return round(value / quantum) * quantum


def freeze_categories(values: pl.Series, *, cap: int = 256) -> CategoryBins:
    """Freeze the categories of one column from a reference sample.

    Parameters
    ----------
    values
        Strings, booleans, categoricals or enums; nulls are left out.
    cap
        Most categories to keep, 1 or more; the most frequent are kept, of more than 8192 as
        far as `frequent.Tally` knows.

    Returns
    -------
    CategoryBins
        Categories in alphabetical order.

    Raises
    ------
    ValueError
        When `cap` is less than 1.

    Examples
    --------
    >>> freeze_categories(pl.Series(["b", "a", "b", None])).categories
    ('a', 'b')
    """
    if cap < 1:
        msg = f"need cap >= 1; got {cap}"
        raise ValueError(msg)
    tally = frequent.Tally()
    for part in frequent.slices(values):
        tally.add(part)
    names = tuple(sorted(frequent.first(tally.others, cap)))
    is_complete = not tally.short and len(names) == len(tally.others)
    packed = msgspec.json.encode([names, is_complete])
    return CategoryBins(categories=names, is_complete=is_complete, digest=_digest(packed))


def freeze_column(values: pl.Series, *, bins: int = 1000, cap: int = 256) -> Bins:
    """Freeze the bins of one column, by its type.

    Parameters
    ----------
    values
        The column of the reference, any number of rows.
    bins, cap
        See `freeze_numbers` and `freeze_categories`.

    Returns
    -------
    NumericBins or CategoryBins
        See `is_numeric` for which.

    Raises
    ------
    ValueError
        When `bins` or `cap` is out of range.

    Examples
    --------
    >>> type(freeze_column(pl.Series([True, False]))).__name__
    'CategoryBins'
    """
    if is_numeric(values):
        return freeze_numbers(numbers(values), bins=bins)
    return freeze_categories(values, cap=cap)


def freeze_table(frame: pl.DataFrame, *, bins: int = 1000, cap: int = 256) -> TableBins:
    """Freeze the bins of every column of a table.

    Parameters
    ----------
    frame
        The reference, any number of rows.
    bins, cap
        See `freeze_numbers` and `freeze_categories`.

    Returns
    -------
    TableBins
        In the order of the columns.

    Examples
    --------
    >>> list(freeze_table(pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})).columns)
    ['a', 'b']
    """
    return TableBins({c.name: freeze_column(c, bins=bins, cap=cap) for c in frame})
