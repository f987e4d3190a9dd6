"""A corrector at work: what a line and a few small trees add to the logit of an answer.

A corrector is a document of plain numbers: no pickle, and no library is needed to answer with
it. `loop.corrector` learns one; prediction servers, tables and explanations apply it through
`Applied`. A row gets the same bits however many rows come with it: all sums run over columns
and trees in their order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.measures import forest

LINE_CLIP: Final = 4.0
LARGEST_LOGIT: Final = 30.0
LARGEST_VALUE: Final = 1e100
"""Squares and their sums must stay finite."""
CLIP: Final = 0.001
_FEW: Final = 10
"""So many rows are quicker walked one by one than column by column."""

Floats = NDArray[np.float64]
Columns = Mapping[str, Sequence[Any]]
Kind = Literal["number", "text", "time"]


class Column(msgspec.Struct, frozen=True, array_like=True):
    """How a named column of a request becomes a number.

    A text becomes its place in `texts`; one that is not there, and a value that is missing, is
    missing. A time becomes its milliseconds UTC.
    """

    name: str
    kind: Kind = "number"
    texts: tuple[str, ...] = ()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """``intercept + sum slope * clip((x - centre) / spread)``; a missing value adds nothing."""

    centre: tuple[float, ...]
    spread: tuple[float, ...]
    slope: tuple[float, ...]
    intercept: float


class Corrector(msgspec.Struct, frozen=True, kw_only=True):
    """What is added to the logit that the members gave: a line, then trees.

    `columns` are the features by name, empty where only a matrix is ever corrected. As the last
    one, not named, comes the logit itself, so that there are `n_columns` in all.
    """

    n_columns: int
    line: Line
    trees: tuple[forest.Tree, ...]
    columns: tuple[Column, ...] = ()


def logit(chances: Floats) -> Floats:
    """Return the logits of probabilities.

    Parameters
    ----------
    chances
        Shape ``(n,)``; clipped to 0.001 to 0.999 before.

    Returns
    -------
    NDArray
        Shape ``(n,)``.
    """
    clipped = np.clip(chances, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)), dtype=np.float64)


def chance(margins: Floats) -> Floats:
    """Return the probabilities of log-odds.

    Parameters
    ----------
    margins
        Shape ``(n,)``; clipped to -30 to 30 before.

    Returns
    -------
    NDArray
        Shape ``(n,)``, inside (0, 1).
    """
    clipped = np.clip(margins, -LARGEST_LOGIT, LARGEST_LOGIT)
    return np.asarray(1 / (1 + np.exp(-clipped)), dtype=np.float64)


def with_start(features: Floats, start: Floats) -> Floats:
    """Return the columns of a corrector.

    Parameters
    ----------
    features
        Shape ``(n, d)``, NaN where missing; clipped so that squares are finite.
    start
        Shape ``(n,)``, the logits that are gone on from.

    Returns
    -------
    NDArray
        Shape ``(n, d + 1)``, `start` last.
    """
    return np.column_stack([np.clip(features, -LARGEST_VALUE, LARGEST_VALUE), start])


def scaled(columns: Floats, centre: Floats, spread: Floats) -> Floats:
    """Return standardised columns.

    Parameters
    ----------
    columns
        Shape ``(n, d)``.
    centre, spread
        Shape ``(d,)``.

    Returns
    -------
    NDArray
        Shape ``(n, d)``, clipped to -4 to 4; 0 where a value is missing.
    """
    found = np.clip((columns - centre) / spread, -LINE_CLIP, LINE_CLIP)
    return np.where(np.isnan(found), 0.0, found)


def along(line: Line, columns: Floats) -> Floats:
    """Return what a line adds to rows.

    Parameters
    ----------
    line
        Of a corrector.
    columns
        Shape ``(n, d)``.

    Returns
    -------
    NDArray
        Shape ``(n,)``.
    """
    found = scaled(columns, np.asarray(line.centre), np.asarray(line.spread))
    total = np.full(len(columns), line.intercept)
    for at, slope in enumerate(line.slope):
        total += found[:, at] * slope
    return total


def matrix(columns: Sequence[Column], values: Columns, n_rows: int) -> Floats:
    """Return named columns as numbers, NaN where missing.

    Parameters
    ----------
    columns
        Of a corrector.
    values
        By name, as a request has them after validation or the log gives them back; a column
        that is not there is missing throughout.
    n_rows
        How many values each has.

    Returns
    -------
    NDArray
        Shape ``(n_rows, d)``.

    Examples
    --------
    >>> both = (Column("income"), Column("region", "text", ("east", "west")))
    >>> matrix(both, {"income": [3, None], "region": ["west", "moon"]}, 2).tolist()
    [[3.0, 1.0], [nan, nan]]
    """
    found = np.empty((n_rows, len(columns)))
    for at, column in enumerate(columns):
        given, read = values.get(column.name), _reader(column)
        if given is None:
            found[:, at] = _MISSING
        elif read is None:
            found[:, at] = np.asarray(given, dtype=np.float64)
        else:
            found[:, at] = [_MISSING if one is None else read(one) for one in given]
    return found


class Applied:
    """A corrector ready to answer.

    Parameters
    ----------
    corrector
        With named columns, and trees of at most `forest.LEAVES` leaves.

    Notes
    -----
    A few rows are walked through the trees one by one; of many, every split of every tree is
    decided at once.
    """

    def __init__(self, corrector: Corrector) -> None:
        self._corrector = corrector
        line = corrector.line
        self._intercept = line.intercept
        self._line = list(zip(line.centre, line.spread, line.slope, strict=True))
        self._reads = [(one.name, _reader(one)) for one in corrector.columns]
        self._trees = [
            (t.column, t.threshold, t.missing_left, t.left, t.right, t.value)
            for t in corrector.trees
        ]
        self._splits = forest.splits(corrector.trees)

    def corrected(self, columns: Columns, chances: Floats) -> Floats:
        """Return the corrected probabilities of rows.

        Parameters
        ----------
        columns
            Features by name, as validation or the log gives them.
        chances
            Shape ``(n,)``, what the members say of these rows; NaN stays NaN.

        Returns
        -------
        NDArray
            Shape ``(n,)``, inside (0, 1).
        """
        n_rows = len(chances)
        if n_rows > _FEW:
            found = matrix(self._corrector.columns, columns, n_rows)
            return self._of_many(found, logit(chances))
        given = [(columns.get(name), read) for name, read in self._reads]
        found = np.empty(n_rows)
        for at, told in enumerate(chances.tolist()):
            row = []
            for values, read in given:
                one = None if values is None else values[at]
                row.append(_MISSING if one is None else one if read is None else read(one))
            start = min(max(told, CLIP), 1 - CLIP)
            row.append(float(np.log(start / (1 - start))))
            margin = min(max(self._margin(row), -LARGEST_LOGIT), LARGEST_LOGIT)
            found[at] = 1 / (1 + np.exp(-margin))
        return found

    def _margin(self, row: list[float]) -> float:
        total = self._intercept
        for value, (centre, spread, slope) in zip(row, self._line, strict=True):
            if value == value:  # noqa: PLR0124 - quicker than asking for a NaN
                away = (value - centre) / spread
                if away > LINE_CLIP:
                    away = LINE_CLIP
                elif away < -LINE_CLIP:
                    away = -LINE_CLIP
                total += away * slope
        total = row[-1] + total
        for column, threshold, missing_left, left, right, leaf in self._trees:
            node = 0
            while (at := column[node]) >= 0:
                value = row[at]
                goes_left = value <= threshold[node] if value == value else missing_left[node]  # noqa: PLR0124 - as above
                node = left[node] if goes_left else right[node]
            total += leaf[node]
        return total

    def _of_many(self, features: Floats, start: Floats) -> Floats:
        columns = with_start(features, start)
        margin = start + along(self._corrector.line, columns)
        if not self._trees:
            return chance(margin)
        splits = self._splits
        values = columns[:, splits.column]
        goes_left = values <= splits.threshold
        goes_left |= np.isnan(values) & splits.missing_left
        possible = np.where(goes_left, forest.ALL_LEAVES, splits.possible)
        shape = (len(columns), len(self._trees), -1)
        ends = np.bitwise_and.reduce(possible.reshape(shape), axis=2)
        for tree, value in enumerate(splits.value):
            margin += value[ends[:, tree]]
        return chance(margin)


def corrected(corrector: Corrector, features: Floats, chances: Floats) -> Floats:
    """Return the corrected probabilities of rows.

    Parameters
    ----------
    corrector
        From `loop.corrector.fit`.
    features
        Shape ``(n, d)`` with the columns it was fitted on.
    chances
        Shape ``(n,)``, what the members say of these rows.

    Returns
    -------
    NDArray
        Shape ``(n,)``, inside (0, 1).
    """
    start = logit(chances)
    columns = with_start(features, start)
    margin = start + along(corrector.line, columns)
    for tree in corrector.trees:
        margin += np.asarray(tree.value)[forest.leaves(tree, columns)]
    return chance(margin)


_MISSING: Final = float("nan")


def _reader(column: Column) -> Callable[[Any], float] | None:
    """Return what makes a number of a value that is there; None where it is one."""
    if column.kind == "number":
        return None
    if column.kind == "time":
        return _instant
    places = {text: float(at) for at, text in enumerate(column.texts)}
    return lambda text: places.get(text, _MISSING)


def _instant(value: dt.datetime) -> float:
    known = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    return known.timestamp() * 1000.0
