"""The baseline of a version: what its columns looked like when it was trained.

Frozen at training and stored with the version; `judge` needs nothing else, in particular not
the training data.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import errors
from homeostat.lifecycle.monitoring import high
from homeostat.measures import bins, bursts, drift, noise, rarity, summary, tails

Floats = NDArray[np.float64]
Codes = NDArray[np.uint16]

GROUPS = 10
REFERENCE_ROWS = 3000
SURPRISE_ROWS = 10_000
CELLS_PER_DECADE = 10
_SLICE_ROWS = 32_768
SCORE = "score"
ANSWER = "answer"


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of one column in every window, computed once.

    `cuts` divide numbers into groups of about equal share; `grouped` counts the reference in
    them (for categories: in the order of the bins, then all others), then the missing.
    `magnitudes` counts log10 of the absolute values in tenths of a decade from
    `lowest_magnitude` up. `dependence` is how much more the groups of a window vary than
    those of independent rows, `missing_effect` the same of the missing values at the upper end
    of its interval; both are seen only where the reference is in time order. `high` is of the
    score alone.
    """

    is_number: bool
    n: int
    cuts: tuple[float, ...] = ()
    grouped: tuple[int, ...]
    magnitudes: tuple[int, ...] = ()
    lowest_magnitude: int = 0
    minimum: float | None = None
    maximum: float | None = None
    top_share: float
    repeat_share: float
    longest_run: int
    rare: int = 0
    dependence: noise.Design = noise.Design()
    missing_effect: float = 1.0
    longest_missing: int = 0
    high: high.High | None = None

    @property
    def missing_share(self) -> float:
        """Share of the reference without a value."""
        return self.grouped[-1] / max(1, self.n)

    @property
    def is_constant(self) -> bool:
        """Whether the reference held one value only, or none."""
        return sum(count > 0 for count in self.grouped[:-1]) <= 1 and self.top_share >= 1


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """Columns as they were at training, and labelled rows to weigh a shift by.

    `codes` holds up to 3000 reference rows as group numbers (uint16, row by row), `wrong`
    whether each was answered wrongly, `positive` whether its label is the positive of two
    classes; the last two are empty when labels or scores were not given.
    `surprise` is the tail of how rare rows are in all columns together (see `rarity`).
    """

    features: tuple[str, ...]
    n_rows: int
    bins: bins.TableBins
    summary: summary.TableSummary
    profiles: dict[str, Profile]
    has_score: bool = False
    codes: bytes = b""
    wrong: bytes = b""
    positive: bytes = b""
    surprise: tails.Tail | None = None

    @property
    def reference_codes(self) -> Codes:
        """Groups of the labelled reference rows, shape ``(n, len(features))``."""
        flat = np.frombuffer(self.codes, dtype="<u2")
        return flat.reshape(-1, max(1, len(self.features)))

    @property
    def reference_wrong(self) -> NDArray[np.uint8]:
        """1 where the reference row was answered wrongly, shape ``(n,)``."""
        return np.frombuffer(self.wrong, dtype=np.uint8)

    @property
    def reference_positive(self) -> NDArray[np.uint8]:
        """1 where the reference row is of the positive of two classes; empty otherwise."""
        return np.frombuffer(self.positive, dtype=np.uint8)


def freeze(
    frame: pl.DataFrame,
    *,
    features: Sequence[str],
    score: str | None = None,
    label: str | None = None,
    threshold: float = 0.5,
    answer: str | None = None,
    wrong: NDArray[np.bool_] | None = None,
) -> Baseline:
    """Freeze a baseline from the rows a model is trained on, or held out beside them.

    Parameters
    ----------
    frame
        Rows in time order, one or more.
    features
        Columns that are served.
    score
        Column of the probability of the positive class, or of the answer where there are
        several, or of the number itself, best from rows the model was not fitted on; None when
        there is none.
    label
        Column of the outcome: 0 and 1, booleans, or two classes of which the later in the
        alphabet is positive; None when there is none.
    threshold
        Scores from here up are answered positive.
    answer
        Column of the answer, of several classes; None otherwise.
    wrong
        Shape ``(n,)``, which rows were answered wrongly, where no label of two classes says it.

    Returns
    -------
    Baseline
        Up to 3000 evenly spaced rows are kept (as group numbers); where score and label are
        given, blame weighs shifts by them.

    Raises
    ------
    InvalidInputError
        When a column is missing, the frame is empty, or the label has more than two classes.
    """
    named = [*features, *(name for name in (score, label) if name)]
    lacking = [name for name in named if name not in frame.columns]
    if lacking or frame.is_empty():
        raise errors.InvalidInputError(
            f"a baseline needs rows and the columns {named}; "
            f"got {frame.height} rows, without {lacking}",
            hint="freeze it from the rows the model was trained on",
        )
    kept = frame.select(features)
    if score:
        kept = kept.with_columns(frame[score].cast(pl.Float64).alias(SCORE))
    if answer:
        kept = kept.with_columns(frame[answer].alias(ANSWER))
    frozen = bins.freeze_table(kept)
    seen = summary.summarise_table(kept, frozen)
    profiles = {
        column.name: _with_dependence(
            column,
            _profile(column, frozen.columns[column.name], seen.columns[column.name]),
            frozen.columns[column.name],
        )
        for column in kept
    }
    positive = b""
    if score and label:
        answered = frame[score].cast(pl.Float64).to_numpy() >= threshold
        truth = _positive(frame[label])
        wrong = answered != truth
        positive = truth[:: -(-frame.height // REFERENCE_ROWS)].astype(np.uint8).tobytes()
    step = -(-frame.height // REFERENCE_ROWS)
    rows = frame[::step]
    mistakes = b"" if wrong is None else wrong[::step].astype(np.uint8).tobytes()
    columns = [group(rows[name], profiles[name], frozen.columns[name]) for name in features]
    codes = np.column_stack(columns).astype("<u2").tobytes() if columns else b""
    return Baseline(
        features=tuple(features),
        n_rows=frame.height,
        bins=frozen,
        summary=seen,
        profiles=profiles,
        has_score=score is not None,
        codes=codes,
        wrong=mistakes,
        positive=positive,
        surprise=_surprise(
            kept[:: -(-frame.height // SURPRISE_ROWS)].select(features), frozen, seen
        ),
    )


def _positive(label: pl.Series) -> NDArray[np.bool_]:
    """Return where the label is the positive class."""
    classes = sorted(label.drop_nulls().unique().to_list())
    if len(classes) > 2:  # noqa: PLR2004 - a score is the probability of one of two classes
        raise errors.InvalidInputError(
            f"label {label.name!r} has {len(classes)} classes; a baseline with scores needs two"
        )
    if set(classes) <= {0, 1}:
        return np.asarray(label.fill_null(0).cast(pl.Int64).to_numpy() == 1)
    return np.asarray((label == classes[-1]).fill_null(value=False).to_numpy())


def numbers(values: pl.Series) -> Floats:
    """Return a numeric column as float64 with NaN where a value is missing or not finite."""
    if values.dtype.is_nested():
        return np.full(len(values), np.nan)
    if not bins.is_numeric(values):
        values = values.cast(pl.Float64, strict=False)
    physical = values.to_physical() if values.dtype.is_temporal() else values
    x = np.array(physical.cast(pl.Float64).to_numpy(), dtype=np.float64)
    x[~np.isfinite(x)] = np.nan
    return x


def group(values: pl.Series, profile: Profile, kept: bins.Bins) -> Codes:
    """Return the group of each row: shape ``(n,)``; the last group is of missing values."""
    missing = len(profile.grouped) - 1
    if isinstance(kept, bins.NumericBins):
        x = numbers(values)
        codes = np.searchsorted(np.asarray(profile.cuts), x, side="right")
        return np.where(np.isnan(x), missing, codes).astype(np.uint16)
    index: dict[str | None, int] = {name: i for i, name in enumerate(kept.categories)}
    index[None] = missing
    others = missing - 1
    if values.dtype.is_nested():
        return np.where(values.is_null().to_numpy(), missing, others).astype(np.uint16)
    found = np.empty(len(values), dtype=np.uint16)
    for start in range(0, len(values), _SLICE_ROWS):  # few texts at a time are Python's
        names = values.slice(start, _SLICE_ROWS).cast(pl.String).to_list()
        found[start : start + _SLICE_ROWS] = [index.get(name, others) for name in names]
    return found


def rare(kept: bins.Bins, seen: summary.ColumnSummary) -> rarity.Column:
    """Return how rare values of a column are, from its bins and its summary."""
    if isinstance(kept, bins.CategoryBins):
        assert isinstance(seen, summary.CategorySummary)
        return rarity.categories(
            kept.categories, seen.counts, others=seen.others, nulls=seen.nulls
        )
    assert isinstance(seen, summary.NumericSummary)
    ends = (seen.minimum, seen.maximum)
    return rarity.numbers(kept.edge_values, seen.count_values, n=seen.n, ends=ends)


def _surprise(
    rows: pl.DataFrame, frozen: bins.TableBins, seen: summary.TableSummary
) -> tails.Tail | None:
    """Return the tail of how rare reference rows are in all columns together."""
    total = np.zeros(rows.height)
    for values in rows:
        column = rare(frozen.columns[values.name], seen.columns[values.name])
        total -= np.log(rarity.chances(column, plain(values, column)))
    return tails.fit(total)


def plain(values: pl.Series, column: rarity.Column) -> list[Any]:
    """Return a column as `rarity` asks for it: texts of categories, or numbers."""
    if not column.known:
        found: list[Any] = numbers(values).tolist()
        return found
    if values.dtype.is_nested():
        return [None] * len(values)
    return values.cast(pl.String).to_list()


def _profile(values: pl.Series, kept: bins.Bins, seen: summary.ColumnSummary) -> Profile:
    if isinstance(kept, bins.CategoryBins) or isinstance(seen, summary.CategorySummary):
        return _category_profile(values, kept, seen)
    x = numbers(values)
    finite = x[~np.isnan(x)]
    counts = seen.count_values
    groups = drift.group_bins(counts, groups=GROUPS)
    borders = np.flatnonzero(np.diff(groups))
    cuts = kept.edge_values[borders]
    grouped = np.bincount(groups, weights=counts).astype(int)
    magnitudes, lowest = _magnitudes(finite)
    runs = run_lengths(x)
    _, each = np.unique(finite, return_counts=True)
    return Profile(
        is_number=True,
        n=len(x),
        cuts=tuple(cuts.tolist()),
        grouped=(*grouped.tolist(), len(x) - len(finite)),
        magnitudes=magnitudes,
        lowest_magnitude=lowest,
        minimum=seen.minimum,
        maximum=seen.maximum,
        top_share=float(each.max() / len(finite)) if len(finite) else 1.0,
        repeat_share=_repeat_share(runs),
        longest_run=int(runs.max(initial=0)),
    )


def _with_dependence(values: pl.Series, profile: Profile, kept: bins.Bins) -> Profile:
    codes = group(values, profile, kept)
    n_groups = len(profile.grouped) - 1
    known = codes[codes < n_groups]
    dependence = noise.design(known, n_groups=n_groups)
    is_missing = codes == n_groups
    runs = run_lengths(is_missing.astype(np.float64))
    return msgspec.structs.replace(
        profile,
        dependence=dependence,
        missing_effect=bursts.effect(is_missing, dependence),
        longest_missing=int(runs[is_missing[np.cumsum(runs) - 1]].max(initial=0)),
        high=high.freeze(numbers(values), dependence) if values.name == SCORE else None,
    )


def _category_profile(
    values: pl.Series, kept: bins.Bins, seen: summary.ColumnSummary
) -> Profile:
    assert isinstance(kept, bins.CategoryBins)
    assert isinstance(seen, summary.CategorySummary)
    runs = np.zeros(0, dtype=np.int64)
    if not values.dtype.is_nested():
        begins = values.ne_missing(values.shift(1)) | values.is_null()
        runs = np.diff(np.flatnonzero(begins.to_numpy()), append=len(values))
    known = seen.n - seen.nulls
    return Profile(
        is_number=False,
        n=seen.n,
        grouped=(*seen.counts, seen.others, seen.nulls),
        top_share=max(seen.counts, default=0) / known if known else 1.0,
        repeat_share=_repeat_share(runs),
        longest_run=int(runs.max(initial=0)),
        rare=sum(count == 1 for count in seen.counts) + seen.others,
    )


def run_lengths(x: Floats) -> NDArray[np.int64]:
    """Return the lengths of runs of one value, in order; a missing value ends a run.

    Examples
    --------
    >>> run_lengths(np.array([1.0, 1.0, 2.0, np.nan, 2.0])).tolist()
    [2, 1, 1, 1]
    """
    if not len(x):
        return np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(np.concatenate([[True], x[1:] != x[:-1]]))
    return np.diff(starts, append=len(x))


def _repeat_share(runs: NDArray[np.int64]) -> float:
    """Share of rows that repeat the row before, rounded up a little."""
    n = int(runs.sum())
    return (n - len(runs) + 1) / (n + 1)


def magnitude(x: Floats) -> Floats:
    """Return log10 of the absolute values in tenths of a decade; NaN for zero and missing."""
    with np.errstate(divide="ignore"):
        found = np.log10(np.abs(x)) * CELLS_PER_DECADE
    return np.where(np.isfinite(found), found, np.nan)


def _magnitudes(finite: Floats) -> tuple[tuple[int, ...], int]:
    found = magnitude(finite)
    cells = np.floor(found[~np.isnan(found)]).astype(int)
    if not len(cells):
        return (), 0
    lowest = int(cells.min())
    return tuple(np.bincount(cells - lowest).tolist()), lowest


def encode(frozen: Baseline) -> bytes:
    """Pack a baseline into bytes to be stored with its version."""
    return zlib.compress(msgspec.msgpack.encode(frozen), 6)


def decode(packed: bytes) -> Baseline:
    """Unpack `encode`.

    Raises
    ------
    CorruptError
        When the bytes hold no baseline.
    """
    try:
        return msgspec.msgpack.decode(zlib.decompress(packed), type=Baseline)
    except (zlib.error, msgspec.MsgspecError) as broken:
        raise errors.CorruptError(f"these bytes hold no baseline: {broken}") from broken
