"""Rows that are answered together; made by `served`, scored by `answering`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Request:
    """Validated rows that are answered together; every list runs over rows.

    Attributes
    ----------
    row
        The features of the only row; None where there may be several.
    drawn
        What the plan drew for the key of the only row; see `router.Slots`. None: not yet.
    context
        Context columns in the order of the layout.
    arm
        Index of the arm that the caller asked for, if any; None lets the plan decide.
    ruled
        Which rows a rule of the plan dealt, not chance; None when none was.
    unseen
        Categories that training never saw, by column; None when there are none.
    """

    __slots__ = (
        *("_columns", "arm", "context", "drawn", "ids"),
        *("keys", "n_rows", "row", "ruled", "unseen"),
    )

    def __init__(
        self,
        columns: list[list[Any]] | None,
        ids: list[str],
        *,
        keys: list[str],
        context: list[list[Any]],
        row: list[Any] | None = None,
    ) -> None:
        self._columns = columns
        self.row = row
        self.drawn: int | None = None
        self.ids = ids
        self.keys = keys
        self.context = context
        self.n_rows = len(ids)
        self.arm: int | None = None
        self.ruled: list[bool] | None = None
        self.unseen: dict[str, list[str]] | None = None

    @property
    def columns(self) -> list[list[Any]]:
        """Features in the order of the layout, each of `n_rows` values."""
        if self._columns is None:
            self._columns = [[value] for value in self.row or ()]
        return self._columns

    def pick(self, indices: Sequence[int]) -> Request:
        """Return the request of some of its rows.

        Parameters
        ----------
        indices
            Which rows, in [0, `n_rows`).

        Returns
        -------
        Request
            Those, in that order.
        """
        picked = Request(
            [[column[at] for at in indices] for column in self.columns],
            [self.ids[at] for at in indices],
            keys=[self.keys[at] for at in indices],
            context=[[column[at] for at in indices] for column in self.context],
        )
        if self.ruled is not None:
            picked.ruled = [self.ruled[at] for at in indices]
        return picked


def gathered(batch: list[Request]) -> tuple[list[list[Any]], int]:
    """Put the rows of a batch below each other.

    Parameters
    ----------
    batch
        1 or more requests of one layout.

    Returns
    -------
    tuple
        Their features, one list per column, and how many rows there are.

    Examples
    --------
    >>> one = Request(None, ["i"], keys=["k"], context=[], row=[1.0, "a"])
    >>> gathered([one, one])
    ([[1.0, 1.0], ['a', 'a']], 2)
    """
    if len(batch) == 1:
        return batch[0].columns, batch[0].n_rows
    rows = [one.row for one in batch]
    if None not in rows:  # one row each, as most requests are: turned over at once
        return [*map(list, zip(*rows, strict=True))], len(rows)
    tables = [one.columns for one in batch]
    table = [[value for one in tables for value in one[at]] for at in range(len(tables[0]))]
    return table, sum([one.n_rows for one in batch])
