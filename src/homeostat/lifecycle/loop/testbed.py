"""Where strategies are tried on a history: fits, and answers without a look ahead.

Called by `clocked` and `looped`. Answers do not depend on labels, so a model answers many
batches at once and they are kept; what is *used* at a row is only ever from models whose
training rows had their labels by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.loop import estimators, history

AHEAD_BATCHES = 16


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """A member's first answer was to this row."""

    row: int
    version: str


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alert was opened when this many rows had been seen."""

    row: int
    kind: str


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy answered to the rows after the warm-up, and what that took."""

    chances: NDArray[np.float64]
    fits: int = 0
    labels_used: int = 0
    promotions: tuple[Promotion, ...] = ()
    alarms: tuple[Alarm, ...] = ()


class Testbed:
    """Fits models on rows of a history and keeps what they answer.

    Parameters
    ----------
    rows
        From `history.prepare`.
    batch
        Rows answered at once.
    label_delay
        Rows after which a label is known.
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
        self._first: Member | None = None

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

    def batches(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the end row of each batch after the warm-up."""
        for first in range(self.rows.warmup, self.n_rows, self.batch):
            yield first, min(first + self.batch, self.n_rows)

    def n_labelled(self, row: int) -> int:
        """Return the end of the rows whose label is known before `row` is answered."""
        return max(row - self.label_delay, self.rows.warmup)

    def fit(self, chosen: NDArray[np.int64]) -> Member | None:
        """Fit a model on these rows; None when they hold one class only."""
        labels = self.rows.labels[chosen]
        if len(np.unique(labels)) < 2:  # noqa: PLR2004 - two classes
            return None
        features = self.rows.features[chosen]
        model = estimators.trees(features, seed=self.seed)
        model.fit(features, labels)
        return Member(self, model)


class Member:
    """A fitted model with the answers it gave so far."""

    def __init__(self, bed: Testbed, model: Any) -> None:
        self._bed = bed
        self._model = model
        self._chances = np.full(bed.n_rows, np.nan)

    def chances(self, first: int, end: int) -> NDArray[np.float64]:
        """Return the probability of class 1 for a stretch of rows, shape ``(end - first,)``."""
        if np.isnan(self._chances[first:end]).any():
            ahead = max(end, first + AHEAD_BATCHES * self._bed.batch)
            part = self._bed.rows.features[first:ahead]
            self._chances[first : first + len(part)] = self._model.predict_proba(part)[:, 1]
        return self._chances[first:end]

    def at(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of class 1 for some rows, in their order."""
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
