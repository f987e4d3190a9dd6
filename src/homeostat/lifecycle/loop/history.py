"""A table as a backtest needs it: in time order, features that trees can take, 0/1 labels.

Called by `backtest.run`. Whatever is left out or changed is said in `notes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.data import tables

CLOCK_SHARE = 0.99
"""A column that moves one way in this share of its steps is a clock."""
CLOCK_VALUES = 20
"""With fewer distinct values in the warm-up, moving one way may be chance."""
KEY_SHARE = 0.9
"""A text column with this share of distinct values names rows; it does not describe them."""


Task = Literal["binary", "multiclass", "regression"]
MOST_CLASSES = 100
"""More classes than this are a number or a key, not a target to classify."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in the order they happened.

    `features` has only numbers (Float64, missing as null) and text; `labels` is shape
    ``(n,)``: 0 and 1 where 1 stands for the class `positive`, the place of the class among
    `classes`, or the number itself. `classes` is empty for regression, `positive` and
    `negative` are empty unless there are two classes. `delays` are the rows until each label
    is known, -1 for one that never comes; None where that is the same for all. `times` are
    when each row happened, ms UTC, None where the table has no dates; `groups` are columns that
    are no features but that guards and gates look at; `quantile` is which one of a number is
    foretold, None for its mean.
    """

    features: pl.DataFrame
    labels: NDArray[Any]
    positive: str
    negative: str
    warmup: int
    notes: tuple[str, ...]
    task: Task = "binary"
    classes: tuple[str, ...] = ()
    delays: NDArray[np.int64] | None = None
    times: NDArray[np.int64] | None = None
    groups: pl.DataFrame = pl.DataFrame()
    quantile: float | None = None


def prepare(  # noqa: PLR0913 - each is a column or a share of the same table
    frame: pl.DataFrame,
    *,
    target: str,
    time: str | None = None,
    drop: Sequence[str] = (),
    warmup: float = 0.125,
    regression: bool = False,
    delay: str | None = None,
    known: str | None = None,
    late_s: float | None = None,
    groups: Sequence[str] = (),
    quantile: float | None = None,
) -> History:
    """Make a history of a table.

    Parameters
    ----------
    frame
        One row for each observation, in time order unless `time` is given.
    target
        Column to predict. Of two classes the later in sorted order counts as 1.
    time
        Column to sort by, stably; not a feature.
    drop
        Columns that are no features.
    warmup
        Share of the rows, inside (0, 1), that train the first model.
    regression
        Whether the target is a number to come close to instead of a class.
    delay
        Column of the rows until a label is known, missing where it never comes; no feature.
    known, late_s
        Instead, where `time` holds dates: column of the instants at which labels were known,
        or seconds from a row to its label.
    groups
        Columns that are kept beside the features, such as protected ones.
    quantile
        Which one of a number is to be foretold, inside (0, 1); its mean when None.

    Returns
    -------
    History
        Never shares memory that the caller may change.

    Raises
    ------
    InvalidInputError
        When a column is not there, the target has one class or more than 100, or is no
        number; the warm-up has one class only, no feature is left, or lateness in seconds is
        told of rows without a date.

    Notes
    -----
    A numeric column that moves one way over the warm-up is a clock: each later row lies
    outside all that was learned from it, so it is left out, and a note says so.
    """
    own = [name for name in (time, delay, known) if name]
    _check_columns(frame, [target, *own, *drop, *groups])
    if not 0 < warmup < 1:
        raise InvalidInputError(
            f"the warm-up is a share of the rows inside (0, 1); got {warmup}"
        )
    if time == target:
        raise InvalidInputError(
            f"'{target}' cannot be both the target and the time", hint="change --time"
        )
    notes: list[str] = []
    if time is not None:
        frame = _placed(frame, time, notes).sort(time, maintain_order=True)
    n_all = frame.height
    frame = frame.filter(_is_known(frame, target))
    if frame.height < n_all:
        notes.append(f"{n_all - frame.height} rows without a label are left out")
    labels, classes = _numbers(frame[target]) if regression else _labels(frame[target])
    n_warmup = int(frame.height * warmup)
    if n_warmup < 2 or len(np.unique(labels[:n_warmup])) < 2:  # noqa: PLR2004 - two classes
        raise InvalidInputError(
            f"the first {n_warmup} rows hold one class of '{target}' only",
            hint="choose a larger --warmup",
        )
    unwanted = {target, *drop, *own, *groups}
    columns = [name for name in frame.columns if name not in unwanted]
    features = _features(frame.select(columns), n_warmup=n_warmup, notes=notes)
    times = None if time is None else _instants(frame[time])
    delays = _delays(frame[delay]) if delay else None
    if known is not None or late_s is not None:
        told_at = None if known is None else _instants(frame[known], missing=-1)
        delays = _late(times, told_at, late_s=late_s)
    return History(
        features=features,
        labels=labels,
        positive=classes[1] if len(classes) == 2 else "",  # noqa: PLR2004 - two classes
        negative=classes[0] if len(classes) == 2 else "",  # noqa: PLR2004
        warmup=n_warmup,
        notes=tuple(notes),
        task=_task(classes),
        classes=classes,
        delays=delays,
        times=times,
        quantile=quantile,
        groups=frame.select(pl.col(name).cast(pl.String) for name in groups),
    )


def numbers(rows: History) -> NDArray[np.float64]:
    """Return the features as numbers, shape ``(n, d)``, NaN where missing.

    Text becomes its place among the sorted texts of the warm-up; text that is not among them
    is missing.
    """
    columns = []
    for column in rows.features.iter_columns():
        number = column
        if column.dtype == pl.String:
            known = column[: rows.warmup].drop_nulls().unique().sort()
            places = pl.Series(np.arange(len(known), dtype=np.float64), dtype=pl.Float64)
            number = column.replace_strict(known, places, default=None)
        columns.append(number.cast(pl.Float64).fill_null(np.nan).to_numpy())
    return np.column_stack(columns)


def _check_columns(frame: pl.DataFrame, names: Sequence[str]) -> None:
    if frame.is_empty():
        raise InvalidInputError("the table has no rows")
    for name in names:
        if name not in frame.columns:
            raise InvalidInputError(
                f"the table has no column '{name}'",
                hint=tables.nearest(name, frame.columns),
            )


def _is_known(frame: pl.DataFrame, column: str) -> pl.Expr:
    known = pl.col(column).is_not_null()
    return known & pl.col(column).is_not_nan() if frame[column].dtype.is_float() else known


def _placed(frame: pl.DataFrame, time: str, notes: list[str]) -> pl.DataFrame:
    """Leave out rows without a time: there is no saying what came before them."""
    if frame[time].dtype.is_nested():
        raise InvalidInputError(
            f"the time column '{time}' holds {frame[time].dtype}, which has no order"
        )
    placed = frame.filter(_is_known(frame, time))
    if placed.is_empty():
        raise InvalidInputError(f"the time column '{time}' has no value in any row")
    if placed.height < frame.height:
        notes.append(f"{frame.height - placed.height} rows without a time are left out")
    return placed


def _delays(column: pl.Series) -> NDArray[np.int64]:
    if not column.dtype.is_integer():
        raise InvalidInputError(
            f"'{column.name}' holds {column.dtype}; a delay is a whole number of rows"
        )
    if (column < 0).any():
        raise InvalidInputError(
            f"labels cannot come before their rows; '{column.name}' holds negative numbers"
        )
    return column.fill_null(-1).cast(pl.Int64).to_numpy().copy()


def _instants(column: pl.Series, *, missing: int = 0) -> NDArray[np.int64] | None:
    """Return dates as ms UTC; None of a column that holds none."""
    if column.dtype != pl.Date and not isinstance(column.dtype, pl.Datetime):
        return None
    found = column.cast(pl.Datetime("ms")).cast(pl.Int64)
    return found.fill_null(missing).to_numpy().copy()


def _late(
    times: NDArray[np.int64] | None, known: NDArray[np.int64] | None, *, late_s: float | None
) -> NDArray[np.int64]:
    """Return how many rows were answered before each label was known; -1 where never."""
    if times is None or (known is None and late_s is None):
        raise InvalidInputError(
            "labels that are late by a time need rows with dates",
            hint="name a column of dates with --time, or the lateness in rows",
        )
    begun = np.maximum.accumulate(times)
    if known is None:
        assert late_s is not None, "checked above"
        known = times + round(late_s * 1000)
    places = np.arange(len(times))
    found = np.searchsorted(begun, np.where(known < 0, begun[-1] + 1, known)) - places - 1
    return np.where(known < 0, -1, np.maximum(found, 0))


def _task(classes: tuple[str, ...]) -> Task:
    if not classes:
        return "regression"
    return "binary" if len(classes) == 2 else "multiclass"  # noqa: PLR2004 - two classes


def _numbers(column: pl.Series) -> tuple[NDArray[Any], tuple[str, ...]]:
    if not column.dtype.is_numeric():
        raise InvalidInputError(
            f"the target '{column.name}' holds {column.dtype}; a regression needs numbers"
        )
    values = column.cast(pl.Float64).to_numpy()
    if not np.isfinite(values).all():
        raise InvalidInputError(f"the target '{column.name}' holds values that are not finite")
    return values.copy(), ()


def _labels(column: pl.Series) -> tuple[NDArray[Any], tuple[str, ...]]:
    if column.is_empty():
        raise InvalidInputError(f"the target '{column.name}' has no value in any row")
    classes = column.unique().sort().to_list()
    if len(classes) == 1:
        raise InvalidInputError(
            f"the target '{column.name}' has one class only: {classes[0]!r}; "
            "a classifier needs two"
        )
    if len(classes) > MOST_CLASSES:
        raise InvalidInputError(
            f"the target '{column.name}' has {len(classes)} classes; at most {MOST_CLASSES} "
            "are taken",
            hint="is it a number to predict? then say --task regression",
        )
    labels = np.searchsorted(np.array(classes), column.to_numpy())
    return labels.astype(np.int8), tuple(str(each) for each in classes)


def _features(frame: pl.DataFrame, *, n_warmup: int, notes: list[str]) -> pl.DataFrame:
    kept: list[pl.Series] = []
    for column in frame.iter_columns():
        feature, reason = _feature(column, n_warmup=n_warmup)
        if reason:
            notes.append(f"'{column.name}' is no feature: {reason}")
        if feature is not None:
            kept.append(feature)
    if not kept:
        why = "; ".join(notes) or "every column is the target, the time or dropped"
        raise InvalidInputError("no feature is left", hint=why)
    return pl.DataFrame(kept)


def _feature(column: pl.Series, *, n_warmup: int) -> tuple[pl.Series | None, str]:
    kind = column.dtype
    if column.null_count() == len(column):
        return None, "it has no value in any row"
    if kind in (pl.String, pl.Categorical) or isinstance(kind, pl.Enum):
        text = column.cast(pl.String)
        if text.n_unique() > KEY_SHARE * len(text):
            return None, "nearly every row has its own text"
        return text, ""
    if kind.is_temporal():
        number = column.to_physical().cast(pl.Float64)
    elif kind.is_numeric() or kind == pl.Boolean:
        number = column.cast(pl.Float64)
    else:
        return None, f"the type {kind} is neither number nor text"
    finite = pl.Series(column.name, np.where(np.isfinite(number.to_numpy()), number, np.nan))
    finite = finite.fill_nan(None)
    if finite.null_count() == len(finite):
        return None, "it has no finite value in any row"
    if _is_clock(finite[:n_warmup]):
        return None, "it only ever moves one way, so later rows are unlike all learned ones"
    return finite, ""


def _is_clock(column: pl.Series) -> bool:
    values = column.drop_nulls()
    if values.n_unique() < CLOCK_VALUES:
        return False
    steps = np.diff(values.to_numpy())
    steps = steps[steps != 0]
    rising = float(np.mean(steps > 0))
    return max(rising, 1 - rising) >= CLOCK_SHARE
