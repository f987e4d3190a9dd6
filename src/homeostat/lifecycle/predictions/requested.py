"""The nouns of label requests: predictions whose outcome somebody is asked to find out."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["open", "answered", "known"]
By = Literal["mixed", "uncertainty", "disagreement", "random"]


class LabelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction that waits for its label.

    Attributes
    ----------
    id, deployment
        Of the request; where it was predicted.
    draw
        Id of the draw that chose it; those of one draw belong together.
    prediction, key, row, served_at
        What was chosen: its id, its key, its row of the log, ms UTC.
    score, answer
        As it was answered.
    value
        How much its label was expected to tell, 0 or more; on the scale of `by`.
    by, random_share, stratum
        How the draw preferred rows, and the group the row was in.
    propensity
        Chance with which the draw chose it, in (0, 1]; its inverse weighs it in estimates.
    n_rows
        Rows that the draw chose from.
    state
        ``open``; ``answered`` here; or ``known``, when the label came another way.
    requested_at, requested_by, answered_at, answered_by, label
        Who asked and who answered what, and when.
    """

    id: str
    deployment: str
    draw: str
    prediction: str
    key: str
    row: int
    served_at: int
    score: float | None
    answer: str | None
    value: float
    by: By
    random_share: float
    stratum: str
    propensity: float
    n_rows: int
    state: State = "open"
    requested_at: int
    requested_by: str
    answered_at: int | None = None
    answered_by: str = ""
    label: str | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rows to draw.

    Attributes
    ----------
    budget
        At most so many.
    by
        What a label is worth: ``uncertainty`` (near the even chance), ``disagreement`` of
        members, the mean of both (``mixed``), or the same everywhere (``random``).
    random_share
        Share of the budget that goes by chance alone; never 0, so that every row may be drawn.
    stratum
        Column of the log, such as ``x.region`` or ``c.sex``, whose groups share the random
        part equally; empty for none.
    newest
        Draw from so many of the latest rows.
    """

    budget: int
    by: By = "mixed"
    random_share: float = 0.25
    stratum: str = ""
    newest: int = 20_000


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What the labels of one draw say of all rows it chose from.

    Attributes
    ----------
    draw, n_rows, n_requested, n_answered
        Which draw; how many rows it speaks for, asked for, and got.
    error
        Share of wrong answers among `n_rows`, unbiased; None until every request of the draw
        has its label, for those that come first need not be like the rest.
    """

    draw: str
    n_rows: int
    n_requested: int
    n_answered: int
    error: float | None
