"""Where strategies are tried on a history: fits, and answers without a look ahead.

Called by `clocked` and `looped`. Answers do not depend on labels, so a model answers many
batches at once and they are kept; what is *used* at a row is only ever from models whose
training rows had their labels by then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.loop import estimators, foretold, history

AHEAD_BATCHES = 16


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """A member's first answer was to this row."""

    row: int
    version: str


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alert was opened when this many rows had been seen."""

    row: int
    kind: str


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of newcomers and of fits that had to wait.

    Attributes
    ----------
    refused, rolled_back
        Candidates that failed their gates; canaries that were rolled back.
    asked
        Versions that a person would have had to let in; let in at once.
    held
        Times a fit that was due or asked for had to wait for cooldown or budget.
    """

    refused: int = 0
    rolled_back: int = 0
    asked: int = 0
    held: int = 0


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy answered to the rows after the warm-up, and what that took.

    `fit_rows` are the rows that were answered next when a fit was made; `entered` is None
    where gates and canary were taken as passed.
    """

    chances: NDArray[np.float64]
    fits: int = 0
    corrector_fits: int = 0
    labels_used: int = 0
    promotions: tuple[Promotion, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    fit_rows: tuple[int, ...] = ()
    entered: Entered | None = None


class Testbed:
    """Fits models on rows of a history and keeps what they answer.

    Parameters
    ----------
    rows
        From `history.prepare`.
    batch
        Rows answered at once.
    label_delay
        Rows after which a label is known, where the history has no delays of its own.
    seed
        Of the estimators.
    """

    __test__ = False  # it is no test, whatever pytest thinks of its name

    def __init__(
        self, rows: history.History, *, batch: int, label_delay: int, seed: int
    ) -> None:
        self.rows = rows
        self.batch = batch
        self.label_delay = label_delay
        self.seed = seed
        self.fit_s = 0.0
        self._first: Member | None = None
        self._matrix: NDArray[np.float64] | None = None

    @property
    def n_rows(self) -> int:
        """Rows of the history."""
        return len(self.rows.labels)

    @property
    def first(self) -> Member:
        """The model of the warm-up; fitted once for all strategies."""
        if self._first is None:
            fitted = self.fit(np.arange(self.rows.warmup))
            assert fitted is not None, "the history has two classes in its warm-up"
            self._first = fitted
        return self._first

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The features as numbers, categories by their place in the warm-up; made once."""
        if self._matrix is None:
            self._matrix = history.numbers(self.rows)
        return self._matrix

    def batches(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the end row of each batch after the warm-up."""
        for first in range(self.rows.warmup, self.n_rows, self.batch):
            yield first, min(first + self.batch, self.n_rows)

    @property
    def known_at(self) -> NDArray[np.int64]:
        """For each row the first row that may be answered with its label known.

        A row of the warm-up is known from the start, one without a label after the end.
        """
        delays = self.rows.delays
        own = self.label_delay if delays is None else delays
        found = np.arange(self.n_rows) + own + 1
        if delays is not None:
            found = np.where(delays < 0, self.n_rows + 1, found)
        found[: self.rows.warmup] = 0
        return found

    def fit(self, chosen: NDArray[np.int64]) -> Member | None:
        """Fit a model on these rows; None when they hold one class only."""
        labels = self.rows.labels[chosen]
        regression = self.rows.task == "regression"
        if not regression and len(np.unique(labels)) < 2:  # noqa: PLR2004 - two classes
            return None
        features = self.rows.features[chosen]
        model = estimators.trees(
            features,
            seed=self.seed,
            regression=regression,
            quantile=self.rows.quantile,
        )
        began = time.perf_counter()
        model.fit(features, labels)
        self.fit_s += time.perf_counter() - began
        return Member(self, model)


class Member:
    """A fitted model with the answers it gave so far."""

    def __init__(self, bed: Testbed, model: Any) -> None:
        self._bed = bed
        self._model = model
        self._chances = foretold.blank(bed.rows)

    def chances(self, first: int, end: int) -> NDArray[np.float64]:
        """Return what it says of a stretch of rows: see `foretold.predict`."""
        if np.isnan(self._chances[first:end]).any():
            ahead = max(end, first + AHEAD_BATCHES * self._bed.batch)
            part = self._bed.rows.features[first:ahead]
            found = foretold.predict(self._model, part, self._bed.rows)
            self._chances[first : first + len(part)] = found
        return self._chances[first:end]

    def ask(self, features: pl.DataFrame) -> NDArray[np.float64]:
        """Return what it says of rows that are not of the history."""
        return foretold.predict(self._model, features, self._bed.rows)

    def at(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what it says of some rows, in their order."""
        self.chances(int(chosen[0]), int(chosen[-1]) + 1)
        return self._chances[chosen]


def rows_between(
    first: int, end: int, without: Sequence[tuple[int, int]] = ()
) -> NDArray[np.int64]:
    """Return the rows from `first` to `end`, leaving some stretches out."""
    chosen = np.arange(first, end)
    for first_out, end_out in without:
        chosen = chosen[(chosen < first_out) | (chosen >= end_out)]
    return chosen
