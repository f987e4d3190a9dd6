"""The nouns of corrections: rows, JSON and documentation at once; spoken by every door.

A correction changes what a deployment answers while its models stay as they are. For each row
they work in a fixed order:

1. *Who scores.* The members of the plan; where they fail, or where a condition of the fallback
   holds, the **fallback** in their place.
2. **Recalibration** maps the members' score to a better probability. It was fitted to that
   score, so it leaves the score of a fallback alone.
3. A **threshold**, or for rows of a named group a **group threshold**, turns score to answer.
4. **Rules** in the order they were made, blocking ones first; the first that holds decides.
5. **Abstain** leaves what no rule decided to a person.
6. **Explore** gives a share of what is left, drawn by key, the answer that reveals its label.

A rule or a person is thus never overruled by a fallback.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

YEAR_MS = 366 * 86_400_000
"""No correction lasts longer without being looked at again."""
CONDITIONS_AT_MOST = 20
VALUES_AT_MOST = 1000
KNOTS_AT_MOST = 1000

Op = Literal["eq", "ne", "in", "lt", "le", "gt", "ge", "is_null"]
Kind = Literal[
    "threshold", "group-threshold", "recalibration", "rule", "abstain", "fallback", "explore"
]
Status = Literal["proposed", "approved", "active", "expired", "withdrawn", "replaced"]
"""``active`` and ``expired`` are ``approved`` (or ``proposed``) seen with a clock."""
CaseState = Literal["open", "claimed", "decided"]
Value = str | int | float | bool
Share = Annotated[float, Meta(ge=0, le=1)]
Column = Annotated[str, Meta(min_length=1, max_length=200)]
Label = Annotated[str, Meta(min_length=1, max_length=200)]


class Clause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must hold of one column of a row, a feature or protected context.

    Attributes
    ----------
    column
        Its name.
    op
        ``eq``, ``ne``, ``in``, ``lt``, ``le``, ``gt``, ``ge`` or ``is_null``. A value that is
        missing fulfils ``is_null`` alone, and ``ne``.
    value
        To compare with: a list for ``in``, a number for an order, nothing for ``is_null``.
        Text and numbers are compared as text, so that 1 and "1" are equal.
    """

    column: Column
    op: Op
    value: Value | tuple[Value, ...] | None = None


When = Annotated[tuple[Clause, ...], Meta(max_length=CONDITIONS_AT_MOST)]


class _Body(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"
):
    pass


class Threshold(_Body, frozen=True, tag="threshold"):
    """The positive class is answered from a score of `at`, not from 0.5."""

    at: Share


class GroupThreshold(_Body, frozen=True, tag="group-threshold"):
    """Like `Threshold`, for each group that a column names; other rows keep the global one.

    Notes
    -----
    Treating people by a protected attribute is unlawful in many places (disparate treatment:
    16 CFR 1002.4 in American lending; article 21 of the Charter in the European Union), even
    where it makes outcomes more equal. It is therefore approved by a person who says why, in
    every tier.

    Attributes
    ----------
    column
        A feature or a protected column of requests.
    at
        Threshold by group, as text.
    """

    column: Column
    at: Annotated[dict[Label, Share], Meta(min_length=1, max_length=VALUES_AT_MOST)]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """How a recalibration was fitted, and what it gains on rows it had not seen.

    Attributes
    ----------
    n_rows, n_positive
        Labelled predictions it was fitted on.
    first_row, end_row
        Their range in the log.
    folds
        Parts of the log, each scored by a map fitted on the others.
    brier_before, brier_after
        Mean squared error of the probabilities, 0 to 1, over all parts.
    gain_low, gain_high
        95 % interval of the mean gain a row, from paired rows.
    """

    n_rows: int
    n_positive: int
    first_row: int
    end_row: int
    folds: int
    brier_before: float
    brier_after: float
    gain_low: float
    gain_high: float


class Recalibration(_Body, frozen=True, tag="recalibration"):
    """Maps the score to the probability that the log's labels showed.

    Attributes
    ----------
    method
        ``isotonic``: straight lines between `knots`, constant beyond them; ``platt``:
        ``1 / (1 + exp(-(slope * logit(score) + intercept)))``.
    knots
        (score, probability), both ascending.
    versions
        The composite it was fitted to, such as ``3+4``; other composites of the plan are left
        alone. Empty: every one.
    evidence
        None where somebody brings a map of their own.
    """

    method: Literal["isotonic", "platt"]
    knots: Annotated[tuple[tuple[Share, Share], ...], Meta(max_length=KNOTS_AT_MOST)] = ()
    slope: float = 1.0
    intercept: float = 0.0
    versions: Annotated[str, Meta(max_length=200)] = ""
    evidence: Evidence | None = None


class Ruling(_Body, frozen=True, tag="rule"):
    """Where every condition holds, a fixed answer (it blocks) or a fixed score.

    Attributes
    ----------
    when
        1 to 20 conditions.
    answer
        One of the model's labels; blocks whatever the score is.
    score
        Takes the place of the score, 0 to 1; the threshold makes the answer of it.
    """

    when: When
    answer: Label | None = None
    score: float | None = None


class Abstain(_Body, frozen=True, tag="abstain"):
    """Rows that a person decides; their answer is ``abstain`` (NaN) and a case is opened.

    Attributes
    ----------
    low, high
        Scores in [low, high); all when neither is given.
    when
        Conditions that must hold as well.
    due_h
        Hours until the case is due.
    """

    low: float | None = None
    high: float | None = None
    when: When = ()
    due_h: Annotated[float, Meta(gt=0, le=8784)] = 24.0


class Fallback(_Body, frozen=True, tag="fallback"):
    """What scores a row where the model fails, or where every condition holds.

    Attributes
    ----------
    version
        Another version of the model; it is loaded beside the plan's.
    score
        Or a constant.
    when
        Rows that it answers although the model did not fail; none when empty.
    """

    version: Annotated[int, Meta(ge=1)] | None = None
    score: float | None = None
    when: When = ()


class Explore(_Body, frozen=True, tag="explore"):
    """A share of rows gets the answer after which their label is seen (a loan granted).

    The draw is by key, the same everywhere and always; a row without a key is left alone. Its
    chance is in the log through the mark of this version, for fits to weigh rows by.

    Attributes
    ----------
    share
        Chance above 0, at most 0.5, with which a row of the band is answered so.
    answer
        The label that reveals: fits learn what the other answer hides.
    low, high
        Only scores in [low, high): how far from the decision chance may reach.
    """

    share: Annotated[float, Meta(gt=0, le=0.5)]
    answer: Label
    low: Share = 0.0
    high: Annotated[float, Meta(ge=0, le=2)] = 1.0 + 1e-9


Body = Threshold | GroupThreshold | Recalibration | Ruling | Abstain | Fallback | Explore


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a correction of a deployment; never changed but for what became of it.

    Attributes
    ----------
    id, version
        Its reference is ``correction:<id>@<version>``; a change makes the next version, and
        the one before stays in force until that one is approved.
    body
        What it does.
    status
        As of the instant it was read.
    reason, made_by, made_at
        Why, by whom, when.
    approved_by, approved_at, note
        Empty and None until somebody let it work.
    ended_by, ended_at, end_reason
        Who withdrew or replaced it; empty and None while nobody did.
    starts_at, expires_at
        It works in [starts_at, expires_at), milliseconds UTC, by the clock of whoever answers.
    """

    id: str
    version: int
    deployment: str
    body: Body
    status: Status
    reason: str
    made_by: str
    made_at: int
    starts_at: int
    expires_at: int
    approved_by: str = ""
    approved_at: int | None = None
    note: str = ""
    ended_by: str = ""
    ended_at: int | None = None
    end_reason: str = ""

    @property
    def kind(self) -> Kind:
        """What sort of correction it is."""
        return self.body.__struct_config__.tag  # type: ignore[return-value]

    @property
    def mark(self) -> str:
        """How the log names it: ``<id>@<version>``."""
        return f"{self.id}@{self.version}"

    @property
    def reference(self) -> str:
        """How events and lineage name it."""
        return f"correction:{self.id}@{self.version}"


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """How often a correction changed a score or an answer.

    `n_rows` are the answered predictions since the hour in which it was approved.
    """

    n_fired: int
    n_rows: int
    n_fired_day: int
    n_rows_day: int


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A correction with its other versions, newest first, and how often it fires."""

    correction: Correction
    versions: tuple[Correction, ...]
    firing: Firing


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction that waits for a person, or waited.

    Attributes
    ----------
    id
        Of the prediction; its reference is ``case:<id>``.
    correction, reason
        Which correction abstained, ``<id>@<version>``, and why it was made.
    score
        After corrections.
    due_at
        When an answer is due.
    answer, note, is_label
        What was decided, why, and whether it counts as the label.
    key, features
        As served; read from the sealed log, empty in a list.
    """

    id: str
    deployment: str
    segment: str
    place: int
    correction: str
    reason: str
    score: float
    served_at: int
    due_at: int
    opened_at: int
    state: CaseState = "open"
    claimed_by: str = ""
    claimed_at: int | None = None
    decided_by: str = ""
    decided_at: int | None = None
    answer: str = ""
    note: str = ""
    is_label: bool = False
    key: str = ""
    features: dict[str, Value | None] = {}

    @property
    def reference(self) -> str:
        """How events name it."""
        return f"case:{self.id}"
