"""What an evaluation finds: estimates, slices, groups, comparisons, gates and their report."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from homeostat.foundation import sealed

Metric = Literal[
    "accuracy",
    "roc_auc",
    "recall",
    "precision",
    "brier",
    "log_loss",
    "f1",
    "balanced_accuracy",
    "average_precision",
]
Verdict = Literal["pass", "fail", "unknown"]
MeasuredBy = Literal["", "system", "client"]

METRICS: tuple[Metric, ...] = (
    "accuracy",
    "roc_auc",
    "recall",
    "precision",
    "brier",
    "log_loss",
    "f1",
    "balanced_accuracy",
    "average_precision",
)
LOSSES: frozenset[str] = frozenset({"brier", "log_loss", "mae", "rmse"})
CLASS_METRICS: tuple[str, ...] = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "f1",
    "precision",
    "recall",
    "roc_auc",
    "log_loss",
    "brier",
)
"""Of several classes; ``f1``, ``precision``, ``recall``, ``roc_auc`` are means over classes."""
NUMBER_METRICS: tuple[str, ...] = ("r2", "mae", "rmse")
"""Of a regression, beside ``pinball@q`` for a quantile q between 0 and 1."""
PINBALL = "pinball@"


def is_loss(metric: str) -> bool:
    """Say whether less is better.

    Examples
    --------
    >>> [is_loss(one) for one in ("accuracy", "mae", "pinball@0.9")]
    [False, True, True]
    """
    return metric in LOSSES or metric.startswith(PINBALL)


def is_known(metric: str) -> bool:
    """Say whether anything here measures it."""
    return metric in {*METRICS, *CLASS_METRICS, *NUMBER_METRICS} or metric.startswith(PINBALL)


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A value with the interval that its number of rows allows.

    Parameters
    ----------
    value
        None where it is not defined (no positive row, one class only, no row).
    low, high
        Ends of the interval at `confidence`; None with an undefined value.
    n_rows
        Rows it rests on: for recall the positive ones, for precision the selected ones.
    confidence
        Chance that such intervals hold the true value, in (0, 1).
    """

    value: float | None
    low: float | None
    high: float | None
    n_rows: int
    confidence: float = 0.95


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """How well scores tell the positive rows from the others."""

    n_rows: int
    n_positive: int
    threshold: float
    accuracy: Estimate
    roc_auc: Estimate
    recall: Estimate
    precision: Estimate
    brier: Estimate
    log_loss: Estimate


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """One group of rows, judged by one metric.

    Parameters
    ----------
    column, category
        Which rows; the category is written as text, a missing one as ``(missing)``.
    estimate
        Its interval is widened for the number of slices looked at (Holm).
    is_judged
        False where the slice is too small to say anything.
    """

    column: str
    category: str
    n_rows: int
    n_positive: int
    metric: str
    estimate: Estimate
    is_judged: bool


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one protected group; two of the same group add up.

    Parameters
    ----------
    n_true_positive, n_false_positive, n_false_negative, n_true_negative
        Rows by (decided, true); the four partition the group.
    """

    column: str
    category: str
    n_true_positive: int
    n_false_positive: int
    n_false_negative: int
    n_true_negative: int

    @property
    def n_rows(self) -> int:
        """All rows of the group."""
        return self.n_selected + self.n_false_negative + self.n_true_negative

    @property
    def n_selected(self) -> int:
        """Rows decided positive."""
        return self.n_true_positive + self.n_false_positive

    @property
    def n_positive(self) -> int:
        """Rows that are positive."""
        return self.n_true_positive + self.n_false_negative


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of one group, each with its Wilson interval."""

    column: str
    category: str
    n_rows: int
    selection_rate: Estimate
    true_positive_rate: Estimate
    false_positive_rate: Estimate
    positive_predictive_value: Estimate


class Fairness(msgspec.Struct, frozen=True, kw_only=True):
    """How differently the groups of one protected column are treated.

    Parameters
    ----------
    demographic_parity_difference, demographic_parity_ratio
        Largest minus, and smallest over, largest selection rate of the groups.
    equalized_odds_difference
        The larger of the spreads of the true and the false positive rate.
    disparate_impact
        Share of favourable decisions in the worst-off group over that in the best-off one.
    worst_category, best_category
        The two groups of `disparate_impact`.
    n_too_small
        Groups left out because they have too few rows.
    """

    column: str
    groups: tuple[Rates, ...]
    demographic_parity_difference: float | None
    demographic_parity_ratio: float | None
    equalized_odds_difference: float | None
    disparate_impact: Estimate
    worst_category: str | None
    best_category: str | None
    n_too_small: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Candidate against champion on the same rows; positive means the candidate is better."""

    metric: str
    champion: float | None
    candidate: float | None
    gain: Estimate


class Exam(msgspec.Struct, frozen=True, kw_only=True):
    """All that gates look at; pure numbers over stated rows.

    Parameters
    ----------
    rows
        Which rows, for people: ``rows 4000-4199``.
    metric, quality
        Metric of the gates, and its value on all rows.
    rows_digest
        BLAKE3 of labels, scores and groups of exactly these rows.
    evaluation
        Of a classifier of two classes; else None.
    task, estimates
        Of several classes (``multiclass``) or a number (``regression``): what was measured, by
        metric. Unset for two classes.
    comparisons
        Empty when there is no champion yet.
    latency_p99_ms, size_bytes
        As measured by the caller; None where not measured.
    """

    rows: str
    rows_digest: str
    metric: str
    quality: Estimate
    evaluation: Evaluation | None
    comparisons: tuple[Comparison, ...] = ()
    slices: tuple[Slice, ...] = ()
    fairness: tuple[Fairness, ...] = ()
    latency_p99_ms: float | None = None
    size_bytes: int | None = None
    # Unset leaves no trace in the bytes of reports that were signed before these were.
    task: Literal["multiclass", "regression"] | msgspec.UnsetType = msgspec.UNSET
    estimates: dict[str, Estimate] | msgspec.UnsetType = msgspec.UNSET

    @property
    def measured(self) -> dict[str, Estimate]:
        """What was measured on all rows, by metric, for people."""
        if self.evaluation is None:
            return {} if self.estimates is msgspec.UNSET else self.estimates
        seen: dict[str, Estimate] = {
            name: getattr(self.evaluation, name)
            for name in ("accuracy", "roc_auc", "recall", "precision", "brier", "log_loss")
        }
        return seen

    @property
    def n_rows(self) -> int:
        """How many rows were judged."""
        return self.quality.n_rows if self.evaluation is None else self.evaluation.n_rows


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must hold, and what was seen.

    Parameters
    ----------
    seen, low, high
        Value and interval; None where there was nothing to see.
    needed
        Bound of the policy.
    evidence
        Names of the parts of the exam it rests on, such as ``slice:sex=female``.
    """

    name: str
    verdict: Verdict
    seen: float | None
    needed: float
    low: float | None
    high: float | None
    sentence: str
    evidence: tuple[str, ...] = ()


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What the gates said: ``fail`` when one fails, else ``pass``; unknown ones are listed."""

    verdict: Verdict
    gates: tuple[Gate, ...]
    unknown: tuple[str, ...]
    sentence: str


REPORT: Final = sealed.Kind(
    b"homeostat gate report 1\n", word="report", later=frozenset({"measured_by"})
)
"""What reports of the gates are, to whoever seals or verifies them."""


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """The dated and signed answer to whether a candidate may become a version.

    Parameters
    ----------
    candidate
        Digest of the candidate's files; ties the report to exactly one model.
    champion
        Reference of the version it was compared with; empty without one.
    measured_by
        Who took the exam: ``system``, on rows it holds itself; or ``client``, who sent the
        numbers, so that they are worth as much as the word of `actor`. Empty in reports of
        releases that did not tell.
    digest
        BLAKE3 of the report without digest, signature and public key.
    signature, public_key
        Ed25519 over the digest, by the installation's key; hexadecimal.
    """

    id: str
    model: str
    candidate: str
    champion: str
    verdict: Verdict
    judged: Judged
    exam: Exam
    policy_digest: str
    actor: str
    at: int
    measured_by: MeasuredBy = ""
    digest: str = ""
    signature: str = ""
    public_key: str = ""
