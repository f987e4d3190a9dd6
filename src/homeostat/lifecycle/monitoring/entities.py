"""Nouns of monitoring: findings, causes, judgements, windows, alerts; also its rows and JSON.

Rows are positions in the deployment's prediction log (in a backtest: in the table); ranges
``(first, end)`` are half open.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from homeostat.measures import summary

RowRange = tuple[int, int]
FindingKind = Literal[
    "schema",
    "nulls",
    "range",
    "new-category",
    "unit",
    "stuck",
    "swapped",
    "covariate-drift",
    "prediction-drift",
    "volume",
    "service",
]
CauseKind = Literal[
    "feed",
    "schema",
    "skew",
    "covariate-shift",
    "prior-shift",
    "concept-change",
    "new-version",
    "correction",
    "infrastructure",
    "unknown",
]
AlertState = Literal["open", "acknowledged", "resolved"]


class AlarmBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How many false alarms are acceptable in how many windows, over all columns together.

    The level holds for rows like the baseline's, also where they depend on each other in time
    as those do, if the baseline is in time order and twenty times longer than the dependence.
    """

    false_alarms: float = 1.0
    windows: float = 8760.0

    @property
    def level(self) -> float:
        """Chance of any false finding in one window."""
        return min(0.05, self.false_alarms / self.windows)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor saw in one window; `p_value` is adjusted for all tests of the window."""

    kind: FindingKind
    column: str | None
    statistic: str
    value: float
    needed: float
    p_value: float | None = None
    factor: float | None = None
    first_row: int
    end_row: int
    sentence: str


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What blame names; `share` is the part it explains, 0 to 1, `query` a command to look."""

    kind: CauseKind
    column: str | None = None
    factor: float | None = None
    share: float = 0.0
    sentence: str
    evidence: tuple[str, ...] = ()
    query: str = ""


class ShiftEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What a shift alone does to the loss, by reweighting labelled rows.

    `prior` holds the shares of positives before and now where only these have moved; the rows
    are then weighted by their class, else like the covariates of the window. `loss_before` is
    the share of wrong answers on the reference, `loss_after` the same with those weights;
    `effective_rows` says how many rows the weights leave to judge by.
    """

    columns: tuple[str, ...]
    loss_before: float
    loss_after: float
    standard_error: float
    effective_rows: float
    verdict: Literal["harmless", "harmful", "unknown"]
    prior: tuple[float, float] | None = None

    @property
    def change(self) -> float:
        """Loss after less loss before."""
        return self.loss_after - self.loss_before


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Everything seen in one window, worst first; `broken` are rows to keep out of training.

    `lacking` says by column why nobody can tell whether it has moved: not enough data.
    """

    first_row: int
    end_row: int
    n_rows: int
    findings: tuple[Finding, ...] = ()
    causes: tuple[Cause, ...] = ()
    broken: tuple[RowRange, ...] | None = None
    shift: ShiftEffect | None = None
    summary: summary.TableSummary
    lacking: dict[str, str] = {}


class Harm(msgspec.Struct, frozen=True, kw_only=True):
    """A loss that rose: what was accepted, what was seen, and on which rows since when.

    It is the share of wrong answers; of a regression the mean of bounded losses, which
    `is_share` denies.
    """

    first_row: int
    end_row: int
    accepted: float
    realised: float
    n_rows: int
    is_share: bool = True


class Blamed(msgspec.Struct, frozen=True, kw_only=True):
    """The causes of a deployment's harm, the likeliest first.

    Attributes
    ----------
    harm
        What has risen, and since when; None where no harm is known.
    causes
        Each with its share of the rise, its evidence and the command that shows it.
    sentence
        For people.
    """

    deployment: str
    sentence: str
    harm: Harm | None = None
    causes: tuple[Cause, ...] = ()


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A judged window as it is stored; its column summary is kept beside it.

    `lacking` says by column why nobody can tell whether it has moved: not enough data.
    """

    id: str
    deployment: str
    first_row: int
    end_row: int
    n_rows: int
    at: int
    findings: tuple[Finding, ...]
    causes: tuple[Cause, ...]
    broken: tuple[RowRange, ...] | None
    shift: ShiftEffect | None
    lacking: dict[str, str] = {}


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something a person is told, once, until it is over.

    It is soft until `confirmed_at`; `told_at` is when somebody was first told, and `held_by`
    because of what nobody was: ``silence:<id>``, or ``alert:<id>`` for one upstream.
    """

    id: str
    deployment: str
    kind: str
    cause: str
    column: str | None
    state: AlertState
    opened_at: int
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    resolved_at: int | None = None
    sentence: str
    evidence: tuple[str, ...] = ()
    confirmed_at: int | None = None
    told_at: int | None = None
    held_by: str = ""
    n_escalated: int = 0
