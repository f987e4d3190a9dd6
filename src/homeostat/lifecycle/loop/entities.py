"""Nouns of the loop: its state, what happens to it, what it decides; used by every file here.

All are frozen structs of plain Python values, so that their canonical JSON says everything
and replay can compare bytes. Rows are positions in the deployment's prediction log (in a
backtest: in the table); a pair ``(first, end)`` is half open.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from homeostat.lifecycle.loop import asked, correction, duel, guards, harmed, news
from homeostat.measures import betting, sureness

RowRange = tuple[int, int]

Kind = Literal[
    "none", "investigate", "quarantine", "release", "retrain", "promote", "rollback", "ask"
]
Reason = asked.Reason
FitAsked = asked.FitAsked
Correction = correction.Correction
Duels = duel.Duels
HarmState = harmed.HarmState
FitCorrector = correction.FitCorrector
SwitchCorrector = correction.SwitchCorrector
Standing = Literal["exam", "gates", "approval", "admitted"]
Course = Literal["continue", "advance", "rollback"]


# --- state ---------------------------------------------------------------------------------


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the pool: who it is, what it was trained on, how far it has come.

    `rows` are the logged rows it was trained on; the initial model's end at the first row
    it answered. `archive` is the largest weight it ever had, slowly forgotten.
    """

    version: str
    rows: RowRange
    born_block: int
    standing: Standing
    reason: Reason | None = None
    archive: float = 0.0
    initial: bool = False


class BlockScore(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on one labelled block, kept for as long as weights look back."""

    first_row: int
    end_row: int
    n_rows: int
    mixture: float
    members: dict[str, float]


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """A training that was asked for: which rows, or which snapshot, without which, and why."""

    id: str
    rows: RowRange
    without: tuple[RowRange, ...]
    reason: Reason
    asked_block: int
    snapshot: str | msgspec.UnsetType = msgspec.UNSET


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A canary under way: who enters, how far, and the evidence so far.

    The three evidences are made by `rollout.begin` and grow by `rollout.observe`. `share` of
    the keys is the canary's, whatever steps a policy that was edited meanwhile names.
    """

    entrants: tuple[str, ...]
    worse: betting.Betting
    sound: betting.Betting
    failing: betting.Betting
    step: int = 0
    n_answered_step: int = 0
    guards: dict[str, guards.Guard] | msgspec.UnsetType = msgspec.UNSET
    share: float | msgspec.UnsetType = msgspec.UNSET


class Investigation(msgspec.Struct, frozen=True, kw_only=True):
    """A shift of the covariates that is watched for the harm it may do."""

    columns: tuple[str, ...]
    first_row: int
    n_blocks: int = 0
    n_rows: int = 0
    n_wrong: float = 0.0
    judged: bool = False


class LoopState(msgspec.Struct, frozen=True, kw_only=True):
    """All the loop remembers about one deployment.

    `weights` is the composite the evidence asks for; `stable` is what answers outside a
    canary. `regime` is the block of the last change point, `change_row` its first row, both
    None before the first alarm; `lost_fits` counts since. `own_fits` nobody asked for. Unset
    are `correction` where no corrector may answer, `duels` unless exactly one model may.
    """

    origin_row: int = 0
    n_blocks: int = 0
    n_fits: int = 0
    members: tuple[Member, ...] = ()
    weights: dict[str, float] = {}
    stable: dict[str, float] = {}
    answered: tuple[str, ...] = ()
    history: tuple[BlockScore, ...] = ()
    harm: HarmState = HarmState()
    regime: int | None = None
    change_row: int | None = None
    schedule: tuple[int, ...] = ()
    last_fit_block: int = -1
    pending: tuple[Fit, ...] = ()
    quarantined: tuple[RowRange, ...] = ()
    broken_columns: tuple[str, ...] = ()
    investigations: tuple[Investigation, ...] = ()
    harm_alert: bool = False
    regime_fits: int = 0
    rollout: Rollout | None = None
    # Fields that came later are unset, not None: unset ones leave no trace in recorded bytes.
    correction: Correction | msgspec.UnsetType = msgspec.UNSET
    duels: Duels | msgspec.UnsetType = msgspec.UNSET
    pace: asked.Pace | msgspec.UnsetType = msgspec.UNSET
    lost_fits: int | msgspec.UnsetType = msgspec.UNSET
    own_fits: int | msgspec.UnsetType = msgspec.UNSET
    left: news.Left | msgspec.UnsetType = msgspec.UNSET


# --- events --------------------------------------------------------------------------------


class SeenCause(msgspec.Struct, frozen=True, kw_only=True):
    """A cause that blame named for a window or for harm, as far as decisions need it."""

    kind: str
    column: str | None = None
    factor: float | None = None
    share: float = 0.0
    sentence: str = ""


class WindowJudged(msgspec.Struct, frozen=True, kw_only=True, tag="window-judged"):
    """Monitoring has judged a window of predictions; no label was needed.

    `findings` are the kinds of finding with their column, worst first; `broken` are the
    rows a broken feed has touched.
    """

    first_row: int
    end_row: int
    findings: tuple[tuple[str, str | None], ...] = ()
    causes: tuple[SeenCause, ...] = ()
    broken: tuple[RowRange, ...] = ()


class BlockLabelled(msgspec.Struct, frozen=True, kw_only=True, tag="block-labelled"):
    """A whole block has its labels; quarantined rows are not in it.

    `error` is the share of answers that were wrong, `mixture` the Brier score of what the
    composite said, `members` that of each member not trained on any of these rows. `cause` is
    what blame says harm comes from, when `decide.raises_harm` says so. `shift_loss` is the
    change in loss that the shift of the covariates alone explains, None when not estimated.
    `growth` is the log wealth of bets that the corrector gains (`corrector.growth`);
    `uncorrected` counts, as `sureness` does, what answers would have been without it, where it
    moved any. `losses` are the rows' losses in 0 to 1 where an answer is more or less off
    (regression); `error` is their mean then. `sureness` counts answers, and wrong ones, by how
    sure they were. `promised` is the largest `error` that the version's own exam allows, of
    the first blocks. `at` is when, ms UTC.
    """

    first_row: int
    end_row: int
    n_rows: int
    error: float
    mixture: float
    members: dict[str, float]
    cause: SeenCause | None = None
    shift_loss: float | None = None
    growth: tuple[float, ...] | msgspec.UnsetType = msgspec.UNSET
    uncorrected: sureness.Tally | msgspec.UnsetType = msgspec.UNSET
    losses: tuple[float, ...] | msgspec.UnsetType = msgspec.UNSET
    sureness: sureness.Tally | msgspec.UnsetType = msgspec.UNSET
    at: int | msgspec.UnsetType = msgspec.UNSET
    promised: float | msgspec.UnsetType = msgspec.UNSET


class FitFinished(msgspec.Struct, frozen=True, kw_only=True, tag="fit-finished"):
    """A fit became a candidate. `scores` are its Brier scores on blocks labelled meanwhile.

    `scores` holds one pair ``(first row of the block, Brier)`` for each block labelled since
    the end of its training rows.
    """

    fit: str
    version: str
    scores: tuple[tuple[int, float], ...] = ()
    selection: str | msgspec.UnsetType = msgspec.UNSET
    seconds: float | msgspec.UnsetType = msgspec.UNSET


class FitFailed(msgspec.Struct, frozen=True, kw_only=True, tag="fit-failed"):
    """A fit came to nothing; `sentence` says why (one class only, user code raised, …)."""

    fit: str
    sentence: str


class GateJudged(msgspec.Struct, frozen=True, kw_only=True, tag="gate-judged"):
    """Evaluation has judged a candidate on its exam block.

    `registered` is the version's number where the candidate was known by another label so
    far. `needs_approval` says that the policy's tier or its envelope asks a person before it
    answers; `envelope` is the report on it, `outside` what lies outside, in words.
    """

    version: str
    passed: bool
    report: str
    sentence: str = ""
    needs_approval: bool = False
    registered: str | None = None
    envelope: str | msgspec.UnsetType = msgspec.UNSET
    outside: str | msgspec.UnsetType = msgspec.UNSET


class Approved(msgspec.Struct, frozen=True, kw_only=True, tag="approved"):
    """A person has let a version in."""

    version: str
    by: str


class RolloutObserved(msgspec.Struct, frozen=True, kw_only=True, tag="rollout-observed"):
    """News of a canary since the last look.

    `paired` are per-row losses, canary composite minus stable composite, on rows both were
    scored on and whose label is known (squared error of the probability, so in [-1, 1]).
    `guarded` are values of `guards`, by name.
    `n_not_loaded` counts how often a version of the canary could not be loaded.
    """

    paired: tuple[float, ...] = ()
    n_answered: int = 0
    n_failed: int = 0
    n_not_finite: int = 0
    n_not_loaded: int = 0
    latency_p99_ms: float | None = None
    guarded: dict[str, tuple[float, ...]] | msgspec.UnsetType = msgspec.UNSET


class PlanSet(msgspec.Struct, frozen=True, kw_only=True, tag="plan-set"):
    """A person has set who answers: the weights of the plan now in force.

    `corrected` says whether that plan gives the corrector's answers.
    """

    weights: dict[str, float]
    by: str
    corrected: bool | msgspec.UnsetType = msgspec.UNSET


Event = (
    WindowJudged
    | BlockLabelled
    | FitFinished
    | FitFailed
    | GateJudged
    | Approved
    | RolloutObserved
    | PlanSet
    | asked.FitAsked
    | asked.FitsDue
    | news.LeftSettled
    | news.MembersBarred
)


# --- what is decided -----------------------------------------------------------------------


class StartFit(msgspec.Struct, frozen=True, kw_only=True, tag="start-fit"):
    """Train on these rows; answer with FitFinished or FitFailed."""

    fit: Fit


class JudgeGates(msgspec.Struct, frozen=True, kw_only=True, tag="judge-gates"):
    """Judge a candidate's gates on its first unseen labelled block; answer GateJudged."""

    version: str
    rows: RowRange


class Serve(msgspec.Struct, frozen=True, kw_only=True, tag="serve"):
    """Answer with these weights; `canary` gets `share` of the keys when it is not empty."""

    stable: dict[str, float]
    canary: dict[str, float] = {}
    share: float = 0.0


class OpenAlert(msgspec.Struct, frozen=True, kw_only=True, tag="open-alert"):
    """Tell a person, once it `is_proved`; an open alert of the kind and column is continued."""

    alert: str
    is_proved: bool = True
    cause: str | None = None
    column: str | None = None


class ResolveAlert(msgspec.Struct, frozen=True, kw_only=True, tag="resolve-alert"):
    """What the alert of this kind and column spoke of is over."""

    alert: str
    column: str | None = None


class KeepOut(msgspec.Struct, frozen=True, kw_only=True, tag="keep-out"):
    """Rows that enter no block, no baseline and no training set."""

    rows: tuple[RowRange, ...]


class AskApproval(msgspec.Struct, frozen=True, kw_only=True, tag="ask-approval"):
    """A person must approve this version before it answers; until then it is a shadow."""

    version: str


class Retire(msgspec.Struct, frozen=True, kw_only=True, tag="retire"):
    """Members that left the pool; nobody scores them any more."""

    versions: tuple[str, ...]


Act = (
    StartFit
    | correction.FitCorrector
    | correction.SwitchCorrector
    | JudgeGates
    | Serve
    | OpenAlert
    | ResolveAlert
    | KeepOut
    | AskApproval
    | Retire
)

Evidence = dict[str, float | int | str | None]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What `decide` returns: a decision before it has a name, a date and a place."""

    kind: Kind
    sentence: str
    evidence: Evidence = {}
    acts: tuple[Act, ...] = ()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict as it was recorded, with the digests of the inputs that led to it.

    `number` counts the verdicts of one event, from 0. `inputs_digest` is the BLAKE3 of the
    canonical JSON of state, event and policy; `state_digest` of the state that followed.
    """

    id: str
    deployment: str
    number: int
    kind: Kind
    event: str
    sentence: str
    evidence: Evidence
    acts: tuple[Act, ...]
    at: int
    policy_digest: str
    inputs_digest: str
    state_digest: str
