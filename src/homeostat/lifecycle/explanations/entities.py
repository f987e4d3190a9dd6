"""The nouns of explanations: contributions, reasons and counterfactuals of one row."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Kind = Literal["contributions", "reasons", "counterfactual"]
Space = Literal["log-odds", "probability", "value"]
Value = str | int | float | bool | None
ROWS_AT_MOST = 64


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for.

    Attributes
    ----------
    kinds
        ``contributions``, ``reasons``, ``counterfactual``; contributions are always told.
    top
        Reasons at most; as the policy says when None.
    threshold
        The positive class is answered from this score on; as corrections say when None.
    """

    kinds: tuple[Kind, ...] = ("contributions", "reasons")
    top: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """A factor against the person an answer is about.

    Attributes
    ----------
    code
        Name of a group of the policy, or of a column in none.
    text
        What the policy says of it; the code when it says nothing.
    features
        Columns it sums.
    contribution
        Their sum, with the sign it has in the explanation.
    """

    code: str
    text: str
    features: tuple[str, ...]
    contribution: float


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One column that would have to be another."""

    column: str
    before: Value
    after: Value


class Counterfactual(msgspec.Struct, frozen=True, kw_only=True):
    """Changes with which the model answers the other way; it was asked.

    Attributes
    ----------
    changes
        Of actionable columns, in their directions and bounds.
    score
        What the model says then.
    distance
        Sum over changes: share of the training rows between both values, 1 for a category.
    """

    changes: tuple[Change, ...]
    score: float
    distance: float


class MemberPart(msgspec.Struct, frozen=True, kw_only=True):
    """A member of what answered: its weight (0 to 1), and how it was explained."""

    version: int
    weight: float
    method: str


class ClassPart(msgspec.Struct, frozen=True, kw_only=True):
    """Why one class has its probability: base and contributions add up to it."""

    base: float
    contributions: dict[str, float]
    score: float
    gap: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why one row has its score.

    Attributes
    ----------
    space
        What is added: ``log-odds`` of the positive class, ``probability`` where several
        members answer, or trees that vote, or there are several classes, or the ``value`` of a
        regression.
    base
        What the model says on average, before anything is known of the row.
    contributions
        How much each column moved it, and ``corrector`` how much further the deployment's
        corrector did, where it answers. ``base`` and their sum make ``margin``.
    margin
        What the model says of the row, in `space`.
    score
        The same as a probability, before corrections.
    threshold
        The positive class is answered from this score on, where no rule and no person decides;
        above 1 where a recalibration never reaches it. Of several classes and of a regression
        there is none, and this is 0.
    gap
        How far base and contributions are from what the model itself says.
    members
        Who answered.
    is_exact
        Whether every contribution is exact; otherwise they are estimates with an exact sum.
    reasons
        Most harmful first; never of a protected column.
    protected
        Protected columns that the model uses and that moved this answer.
    counterfactuals
        Fewest changes first, then smallest distance.
    note
        Why there is no counterfactual, or no reason, where one was asked for and there is none.
    answer, classes
        Of several classes: the one that is answered, which all else is said of, and the parts
        of each.
    """

    space: Space
    base: float
    contributions: dict[str, float]
    margin: float
    score: float
    threshold: float
    gap: float
    members: tuple[MemberPart, ...]
    is_exact: bool
    reasons: tuple[Reason, ...] = ()
    protected: tuple[str, ...] = ()
    counterfactuals: tuple[Counterfactual, ...] = ()
    note: str = ""
    answer: str | msgspec.UnsetType = msgspec.UNSET
    classes: dict[str, ClassPart] | msgspec.UnsetType = msgspec.UNSET


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """Why the members of a deployment answer rows as they do.

    Attributes
    ----------
    model_name, generation
        Of the deployment and of its plan.
    keys, explanations
        One per row.
    corrections
        Marks of those in force. Thresholds and recalibrations say from which score on the
        answer is another; rules, fallbacks and what a person decides are not explained.
    """

    model_name: str
    generation: int
    keys: list[str]
    corrections: list[str]
    explanations: list[Explanation]
