"""The nouns of serving: rows, JSON and documentation at once; spoken by every door."""

from __future__ import annotations

from typing import Literal

import msgspec

from homeostat.lifecycle.corrections.entities import Correction
from homeostat.lifecycle.policy import Explain
from homeostat.measures import residual

MEMBERS_AT_MOST = 3

Operator = Literal["eq", "in", "at-least", "below"]
Value = str | int | float | bool
Kind = Literal["served", "watched"]


class Member(msgspec.Struct, frozen=True):
    """A version that answers with others; `weight` is its share of the mean (0 to 1)."""

    version: int
    weight: float


class Arm(msgspec.Struct, frozen=True):
    """A composite of members and the share of keys (0 to 1) that it answers.

    The first arm of a plan is ``stable``; another one is a canary.
    """

    name: str
    share: float
    members: tuple[Member, ...]


class Shadow(msgspec.Struct, frozen=True):
    """A version that is scored after the answer, on a share of the keys, and never answers."""

    version: int
    share: float


class Condition(msgspec.Struct, frozen=True):
    """What must hold of one column of a request; `values` are one, but for ``in``.

    A value that is missing, or of another kind than the condition's, does not hold.
    """

    column: str
    operator: Operator
    values: tuple[Value, ...]


class Rule(msgspec.Struct, frozen=True):
    """Rows of which every condition holds are answered by the arm of that name."""

    name: str
    arm: str
    conditions: tuple[Condition, ...]


class Override(msgspec.Struct, frozen=True):
    """Who may name the arm that answers: holders of a token, or callers on this machine.

    Attributes
    ----------
    tokens
        SHA-256 of each token, 64 hexadecimal digits. Without any, every caller may whom the
        server lets in without sign-in: those on its own machine.
    """

    tokens: tuple[str, ...] = ()


class PlanCorrector(msgspec.Struct, frozen=True, kw_only=True):
    """The corrector of a plan.

    Attributes
    ----------
    digest
        Of its file, a blob of the model.
    answers
        Whether what it makes of the members' mean is the answer; otherwise it is judged only.
    since
        When it last began to answer, ms UTC; 0 where it does not.
    run, rows
        The run that learned it; first row of the log it learned from, and the end of its rows.
    """

    digest: str
    answers: bool = False
    since: int = 0
    run: str = ""
    rows: tuple[int, int] = (0, 0)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers whom. A plan is never changed: the next one has the next generation.

    Attributes
    ----------
    rules
        The first that fits a row decides; the shares of the arms deal what no rule fits.
    override
        Who may name the arm that answers a request; None lets nobody.
    corrector
        What goes on from the mean of each arm's members; None for nothing.
    """

    generation: int
    arms: tuple[Arm, ...]
    shadow: tuple[Shadow, ...] = ()
    salt: str = ""
    rules: tuple[Rule, ...] = ()
    override: Override | None = None
    corrector: PlanCorrector | None = None


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A served name.

    Attributes
    ----------
    name, model
        Its reference is ``deployment:<name>``; all its members are versions of `model`.
    key
        Column that joins predictions with late labels; empty when rows have none.
    policy, policy_digest
        Text of the homeostat.toml it lives under, and what identifies its meaning.
    plan
        Who answers now.
    changed
        Sequence number of the event that last changed it; grows over all deployments.
    kind
        ``watched`` where another server answers and only tells what: its plan names the version
        that is watched, and no prediction server is told of it.
    """

    name: str
    model: str
    key: str
    policy: str
    policy_digest: str
    plan: Plan
    created_at: int
    created_by: str
    changed_at: int
    changed: int
    kind: Kind = "served"

    @property
    def reference(self) -> str:
        """How events and lineage name it."""
        return f"deployment:{self.name}"


class PlanChange(msgspec.Struct, frozen=True, kw_only=True):
    """One generation in a deployment's history."""

    deployment: str
    plan: Plan
    reason: str
    set_at: int
    set_by: str


class VersionFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What a replica fetches to answer with a version: BLAKE3 digests by path.

    Attributes
    ----------
    digest
        The same for the same bytes loaded in the same way.
    description
        Digest of the description that a judgement added; empty where it is among the files.
    is_trusted
        Whether somebody said that the version may run its own code.
    baseline
        Digest of its monitoring baseline; empty where it has none.
    """

    version: int
    digest: str
    files: dict[str, str]
    description: str = ""
    is_trusted: bool = False
    baseline: str = ""


class PlanDocument(msgspec.Struct, frozen=True, kw_only=True):
    """All that a prediction server must know of a deployment; it has no other source.

    Attributes
    ----------
    protected
        Columns of a request that are logged as context and never given to a model.
    unseen
        What becomes of a category that training never saw: ``accept`` or ``refuse``.
    versions
        Every version the plan names.
    changed
        As in `Deployment`; a follower asks for what is newer.
    corrections
        Approved ones that are not over; each begins and ends by the prediction server's clock.
    explain, favourable
        What the policy says of explanations, and whether the positive class is good for the
        person it is said of.
    classes
        Labels that the version which decides most knows, as text; empty where its description
        does not say, and for a regression.
    false_alarms_per_year
        As the policy says; a tenth of them may be of single decisions.
    corrector
        The corrector of the plan where it answers; None where it does not, or is gone.
    """

    deployment: str
    model: str
    key: str
    protected: tuple[str, ...]
    plan: Plan
    versions: tuple[VersionFiles, ...]
    changed: int
    corrections: tuple[Correction, ...] = ()
    unseen: Literal["accept", "refuse"] = "accept"
    explain: Explain = Explain()
    favourable: bool = True
    classes: tuple[str, ...] = ()
    false_alarms_per_year: float = 1.0
    corrector: residual.Corrector | None = None
