"""What a batch of a table gets beside its rows: columns of results; made by `batched`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from homeostat.lifecycle.predictions import segments
from homeostat.lifecycle.serving import arms, plan

PROBLEM = "problem"
RESULTS = ("score", "answer", "version", "arm")


class Results:
    """Score, answer, version and arm of each row of a batch, as far as it has them.

    Of several classes there is a column for each behind them, ``p.<class>``.
    """

    def __init__(self, n_rows: int, *, is_number: bool, classes: Sequence[str] = ()) -> None:
        text = pl.String()
        numbers = [pl.Float64()] * len(classes)
        self._kinds = (
            pl.Float64(),
            pl.Float64() if is_number else text,
            text,
            text,
            *numbers,
        )
        self._names = (*RESULTS, *(f"{segments.CHANCE}{name}" for name in classes))
        self._is_number = is_number
        self._columns: list[list[Any]] = [[None] * n_rows for _ in self._names]
        self._n_rows = n_rows

    def put(self, places: Sequence[int], done: arms.Done, arm: arms.Arm) -> None:
        """Note what an arm said of rows."""
        n_rows = len(places)
        label, name = [plan.label(arm.arm)] * n_rows, [arm.arm.name] * n_rows
        answers = done.answers
        if not self._is_number:  # what a correction answers may be a number or a text
            answers = [one if one is None or type(one) is str else str(one) for one in answers]
        given: list[Sequence[Any]] = [done.served, answers, label, name]
        if done.chances:
            given += list(zip(*done.chances, strict=True))
        if n_rows == self._n_rows:
            self._columns = [list(values) for values in given]
            return
        for column, values in zip(self._columns, given, strict=True):
            for place, value in zip(places, values, strict=True):
                column[place] = value

    def drop(self, place: int) -> None:
        """Forget what was said of a row."""
        for column in self._columns:
            column[place] = None

    def table(self, problems: Mapping[int, str]) -> pl.DataFrame:
        """Return all rows, with what is wrong with those that have no score."""
        series = [
            pl.Series(name, values, dtype=kind)
            for name, values, kind in zip(self._names, self._columns, self._kinds, strict=True)
        ]
        said = [problems.get(at) for at in range(self._n_rows)] if problems else None
        if said is None:
            empty = pl.repeat(None, self._n_rows, dtype=pl.String(), eager=True)
            return pl.DataFrame([*series, empty.alias(PROBLEM)])
        return pl.DataFrame([*series, pl.Series(PROBLEM, said, dtype=pl.String())])
