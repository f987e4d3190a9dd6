"""A corrector at work: what a line and a few small trees add to the logit of an answer.

A corrector is a document of plain numbers: no pickle, and no library is needed to answer with
it. `loop.corrector` learns one; prediction servers, tables and explanations apply it through
`Applied`. A row gets the same bits however many rows come with it: all sums run over columns
and trees in their order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

LINE_CLIP: Final = 4.0
LARGEST_LOGIT: Final = 30.0
LARGEST_VALUE: Final = 1e100
"""Squares and their sums must stay finite."""
CLIP: Final = 0.001
_FEW: Final = 24
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


class Tree(msgspec.Struct, frozen=True, array_like=True):
    """Nodes in the order they were made; node 0 is the root.

    A row goes left where ``column[node]`` is at most ``threshold[node]``; a missing value
    goes left where ``missing_left[node]``. ``column`` is -1 in a leaf, which adds ``value``.
    """

    column: tuple[int, ...]
    threshold: tuple[float, ...]
    missing_left: tuple[bool, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]


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
    trees: tuple[Tree, ...]
    columns: tuple[Column, ...] = ()


def logit(chances: Floats) -> Floats:
    """Return the logits of probabilities, which are clipped to 0.001 to 0.999 before."""
    clipped = np.clip(chances, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)), dtype=np.float64)


def chance(margins: Floats) -> Floats:
    """Return the probabilities of log-odds, which are clipped to -30 to 30 before."""
    clipped = np.clip(margins, -LARGEST_LOGIT, LARGEST_LOGIT)
    return np.asarray(1 / (1 + np.exp(-clipped)), dtype=np.float64)


def with_start(features: Floats, start: Floats) -> Floats:
    """Return features of finite squares, and as last column the logits that are gone on from."""
    return np.column_stack([np.clip(features, -LARGEST_VALUE, LARGEST_VALUE), start])


def scaled(columns: Floats, centre: Floats, spread: Floats) -> Floats:
    """Return standardised columns, clipped; 0 where a value is missing."""
    found = np.clip((columns - centre) / spread, -LINE_CLIP, LINE_CLIP)
    return np.where(np.isnan(found), 0.0, found)


def along(line: Line, columns: Floats) -> Floats:
    """Return what a line adds to rows, shape ``(n,)``."""
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
        Of each.

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
    found = np.full((n_rows, len(columns)), np.nan)
    for at, column in enumerate(columns):
        given = values.get(column.name)
        if given is None:
            continue
        if column.kind == "number":
            found[:, at] = np.asarray(given, dtype=np.float64)
        else:
            places = _places(column)
            found[:, at] = [_number(one, column, places) for one in given]
    return found


class Applied:
    """A corrector ready to answer.

    Parameters
    ----------
    corrector
        With named columns.
    """

    def __init__(self, corrector: Corrector) -> None:
        self._corrector = corrector
        self._places = [(one, _places(one)) for one in corrector.columns]
        line = corrector.line
        self._line = list(zip(line.centre, line.spread, line.slope, strict=True))
        self._trees = [
            (t.column, t.threshold, t.missing_left, t.left, t.right, t.value)
            for t in corrector.trees
        ]

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
            return corrected(self._corrector, found, chances)
        start = logit(chances)
        given = [(columns.get(one.name), one, places) for one, places in self._places]
        margins = [
            self._margin(
                [
                    _number(values[at], one, places) if values is not None else _MISSING
                    for values, one, places in given
                ],
                told,
            )
            for at, told in enumerate(start.tolist())
        ]
        return chance(np.asarray(margins, dtype=np.float64))

    def _margin(self, row: list[float], start: float) -> float:
        row.append(start)
        total = self._corrector.line.intercept
        for value, (centre, spread, slope) in zip(row, self._line, strict=True):
            if value == value:  # noqa: PLR0124 - quicker than asking for a NaN
                away = (value - centre) / spread
                total += min(max(away, -LINE_CLIP), LINE_CLIP) * slope
        total = start + total
        for column, threshold, missing_left, left, right, leaf in self._trees:
            node = 0
            while (at := column[node]) >= 0:
                value = row[at]
                goes_left = value <= threshold[node] if value == value else missing_left[node]  # noqa: PLR0124 - as above
                node = left[node] if goes_left else right[node]
            total += leaf[node]
        return total


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
        margin += np.asarray(tree.value)[leaves(tree, columns)]
    return chance(margin)


def leaves(tree: Tree, columns: Floats) -> NDArray[np.intp]:
    """Return the leaf of each row; a node's children come after it."""
    place = np.zeros(len(columns), dtype=np.intp)
    for node, column in enumerate(tree.column):
        if column < 0:
            continue
        inside = np.flatnonzero(place == node)
        values = columns[inside, column]
        goes_left = np.where(
            np.isnan(values), tree.missing_left[node], values <= tree.threshold[node]
        )
        place[inside] = np.where(goes_left, tree.left[node], tree.right[node])
    return place


_MISSING: Final = float("nan")


def _places(column: Column) -> dict[str, float]:
    return {text: float(at) for at, text in enumerate(column.texts)}


def _number(value: Any, column: Column, places: Mapping[str, float]) -> float:
    """Return a value as a number of finite squares; NaN where it is missing."""
    if value is None:
        return _MISSING
    if column.kind == "text":
        return places.get(value, _MISSING)
    if column.kind == "time":
        known = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
        return float(known.timestamp() * 1000.0)
    return min(max(float(value), -LARGEST_VALUE), LARGEST_VALUE)
