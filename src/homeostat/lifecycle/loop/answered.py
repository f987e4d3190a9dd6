"""What people were answered, from labelled rows of the log: corrections included.

Called by `aims` for the loss of what was answered, and by those who compare groups of people.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.loop import observing, selecting
from homeostat.lifecycle.predictions.entities import ABSTAINED


def share_wrong(rows: pl.DataFrame, truth: NDArray[np.bool_], positive: str) -> float:
    """Return which share of the answers was wrong: of what people got, corrections included.

    Weights are judged by the scores of members instead, which no correction touches.

    Parameters
    ----------
    rows
        From `labelled`, one or more.
    truth
        Where the label is `positive`, the class as text; shape ``(n,)``.

    Returns
    -------
    float
        0 to 1. Rows that were left to a person have no answer to be wrong, nor have those that
        were explored; where every row was, what the scores would have said counts.
    """
    given, answered = chosen(rows, positive)
    return float(np.count_nonzero(answered[given] != truth[given])) / int(given.sum())


def chosen(rows: pl.DataFrame, positive: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows have answers that scores gave, and which of these are positive.

    Parameters
    ----------
    rows
        From `observing.labelled`.
    positive
        The class, as text.

    Returns
    -------
    tuple of numpy.ndarray
        Shape ``(n,)`` each, as `told` without what was explored; where that leaves no row,
        what the scores would have said.
    """
    given, answered = told(rows, positive)
    if selecting.CHANCE in rows.columns:  # an explored answer is not what the scores say
        given = given & (rows[selecting.CHANCE] == 1.0).to_numpy()
    if not given.any():
        given, answered = ~given, rows["score"].to_numpy() >= 0.5  # noqa: PLR2004 - the even chance
    return given, answered


def told(rows: pl.DataFrame, positive: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows were answered to people, and which of the answers are positive.

    Parameters
    ----------
    rows
        Of the log, with ``answer``.
    positive
        The class, as text.

    Returns
    -------
    tuple of numpy.ndarray
        Shape ``(n,)`` each; a row that was left to a person has no answer.
    """
    said = observing.as_text(rows["answer"])
    given = said.ne_missing(ABSTAINED).to_numpy()
    return given, said.eq(positive).fill_null(value=False).to_numpy()
