"""What must hold, as `homeostat.toml` says it; every later subject reads its own part."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from homeostat.lifecycle.policy import spans
from homeostat.lifecycle.policy.limits import Envelope, Selection
from homeostat.lifecycle.policy.promised import Kpi, Metric, Objective

CLASSIFICATION_METRICS = (
    "roc_auc",
    "average_precision",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "macro_f1",
    "precision",
    "recall",
    "log_loss",
    "brier",
)
REGRESSION_METRICS = ("r2", "mae", "rmse")

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z",
        description="a name of letters, digits, '.', '_' and '-'",
    ),
]
ColumnName = Annotated[str, Meta(min_length=1, description="the name of a column")]
Text = Annotated[str, Meta(min_length=1, description="some text")]
Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
StepShare = Annotated[float, Meta(gt=0, le=1, description="a number above 0, up to 1")]
Chance = Annotated[float, Meta(gt=0, lt=1, description="a number between 0 and 1")]
Amount = Annotated[float, Meta(ge=0, description="a number, 0 or more")]
Positive = Annotated[float, Meta(gt=0, description="a number above 0")]
Number = Annotated[float, Meta(description="a number")]
Count = Annotated[int, Meta(ge=1, description="a whole number, 1 or more")]

Task = Annotated[
    Literal["classification", "regression"], Meta(description="classification or regression")
]
Tier = Annotated[Literal["low", "medium", "high"], Meta(description="low, medium or high")]
Strategy = Annotated[
    Literal["canary", "blue-green", "shadow"], Meta(description="canary, blue-green or shadow")
]
Budget = Annotated[
    Literal["normal", "low", "minimal"], Meta(description="normal, low or minimal")
]
Guards = Annotated[Literal["off", "expel", "prove"], Meta(description="off, expel or prove")]
Direction = Literal["up", "down", "any"]
Unseen = Annotated[Literal["accept", "refuse"], Meta(description="accept or refuse")]
Reason = Literal["harm", "refresh", "new-data", "code", "schedule", "upstream", "performance"]


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[model]``: which model, and who answers for it.

    Attributes
    ----------
    name
        Of the model and, unless said otherwise, its deployment.
    target
        Column to predict.
    pipeline
        ``module:function`` beside the file; ``pipeline:<name>`` when not given.
    task
        ``classification`` or ``regression``.
    key
        Column that joins predictions with late labels; None when rows have none.
    owner
        Person or team; empty when not said.
    favourable
        Whether the positive class is good for the person it is said of (a loan granted), or
        bad (a default): which share of people is compared for fairness.
    tier
        How much review it needs: ``low``, ``medium`` or ``high``.
    """

    name: Name
    target: ColumnName
    pipeline: Annotated[
        str,
        Meta(pattern=r"^([\w.]+:\w+)?\Z", description="module:function, as pipeline:credit"),
    ] = ""
    task: Task = "classification"
    key: ColumnName | None = None
    owner: str = ""
    favourable: bool = True
    tier: Tier = "medium"

    def __post_init__(self) -> None:
        if not self.pipeline:
            function = self.name.replace("-", "_").replace(".", "_")
            msgspec.structs.force_setattr(self, "pipeline", f"pipeline:{function}")


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[data]``: where rows come from and what their columns mean.

    Attributes
    ----------
    source
        Files beside the file, as a glob; or ``predictions``, the log with its late labels.
    time
        Column that orders the rows; None when their order in the file counts.
    label_delay
        How late labels are: ``30d``, ``6h`` or ``1000 rows``.
    protected
        Columns that are never features unless said; used for fairness and slices.
    """

    source: Text = "data/*.parquet"
    time: ColumnName | None = None
    label_delay: str = "0s"
    protected: tuple[ColumnName, ...] = ()

    @property
    def label_delay_span(self) -> spans.Span:
        """`label_delay` in rows or seconds."""
        return spans.parse(self.label_delay)


class Gates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[gates]``: a candidate becomes a version only if all hold; None is not asked.

    Attributes
    ----------
    metric
        What is measured; ``roc_auc`` or ``r2`` by task when not given. Of several classes
        ``f1``, ``precision``, ``recall`` and ``roc_auc`` are means over classes; of a
        regression ``mae``, ``rmse`` and ``pinball@0.9`` are losses.
    at_least
        Smallest value of `metric` (largest, for a metric of loss).
    margin
        How much worse than the champion is acceptable, on the same rows.
    worst_slice_at_least, disparate_impact_at_least
        Smallest value in any slice, protected or named under ``[slices]``; smallest ratio of
        selection rates.
    slices
        Smallest value (largest, of a loss) in a slice that is named under ``[slices]``.
    latency_p99_ms, size_mb
        Largest latency of one row; largest size on disk.
    """

    metric: str = ""
    at_least: Number | None = None
    margin: Amount | None = 0.005
    worst_slice_at_least: Number | None = None
    disparate_impact_at_least: Share | None = None
    latency_p99_ms: Positive | None = None
    size_mb: Positive | None = None
    # Unset leaves no trace in the bytes of decisions that were made before this was.
    slices: dict[Name, Number] | msgspec.UnsetType = msgspec.UNSET


class Rollout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[rollout]``: how a new member comes to answer.

    Attributes
    ----------
    strategy
        ``canary``, ``blue-green`` or ``shadow``.
    steps
        Shares of traffic, growing, the last 1.
    error
        Chance of promoting a worse model or rolling back an equal one, however often one looks.
    minimum_labels
        Labelled rows a step needs.
    guards
        Whether a new member must not be worse for any group of the protected columns nor in a
        slice: ``expel`` it when that is proved, also ``prove`` before each step that it is not,
        or ``off``.
    group_margin, answer_margin
        How much worse still counts as not worse: in mean loss of a group or slice; in the share
        of unfavourable answers of a group, against the other rows.
    """

    strategy: Strategy = "canary"
    steps: tuple[StepShare, ...] = (0.05, 0.25, 1.0)
    error: Chance = 0.05
    minimum_labels: Count = 200
    guards: Guards = "expel"
    group_margin: StepShare = 0.05
    answer_margin: StepShare = 0.1


class Serving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[serving]``: what a prediction server does with a request.

    Attributes
    ----------
    unseen
        A category that training never saw: ``accept`` it and say so with the answer, or
        ``refuse`` the request.
    """

    unseen: Unseen = "accept"


class Monitoring(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[monitoring]``: how closely to look.

    Attributes
    ----------
    window
        ``200 rows`` or ``1h``: what is judged at once.
    false_alarms_per_year
        How many are acceptable.
    tolerance
        How much worse than at training is acceptable before it is harm, in loss.
    """

    window: str = "200 rows"
    false_alarms_per_year: Positive = 1.0
    tolerance: Amount = 0.02

    @property
    def window_span(self) -> spans.Span:
        """`window` in rows or seconds."""
        return spans.parse(self.window)


class Retraining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[retraining]``: what causes a fit, and how many may answer together.

    Attributes
    ----------
    on
        Causes: ``harm``, ``refresh``, ``new-data``, ``code``, ``schedule``, ``upstream``,
        ``performance``.
    budget
        How many fits: ``normal``, ``low`` or ``minimal``.
    members
        Models that may answer together; 1 where exactly one must.
    corrector
        Whether a small model learned every few blocks may correct what the members say, while
        that is shown to gain. Never where the tier is high: nobody approves it.
    schedule
        Cron expression, for the cause ``schedule``.
    new_rows
        Rows that make new data, for the cause ``new-data``.
    cooldown
        Shortest time from a fit to the next that new data, code, a schedule or an upstream
        dataset caused: ``6h``. Harm does not wait, and a refresh counts blocks.
    block
        Labelled rows judged at once.
    debounce
        What asks for a fit is answered once nothing of its kind came for so long.
    fits_per_day, compute_per_day
        Most fits, and most time spent on them, in 24 hours; a person may ask for more.
    upstream
        Datasets whose new snapshots cause ``upstream``, beside those that the model was made
        of by its lineage.
    """

    on: tuple[Reason, ...] = ("harm", "refresh")
    budget: Budget = "normal"
    members: Annotated[int, Meta(ge=1, le=8, description="a whole number from 1 to 8")] = 3
    corrector: Annotated[bool, Meta(description="true or false")] = True
    schedule: Text | None = None
    new_rows: Count = 10_000
    cooldown: str = "6h"
    block: Annotated[int, Meta(ge=20, description="a whole number, 20 or more")] = 200
    debounce: str = "0s"
    fits_per_day: Count | None = None
    compute_per_day: str | None = None
    upstream: tuple[Name, ...] = ()

    @property
    def debounce_s(self) -> float:
        """`debounce` in seconds."""
        return spans.parse(self.debounce).seconds or 0.0

    @property
    def compute_per_day_s(self) -> float | None:
        """`compute_per_day` in seconds."""
        return (
            None if self.compute_per_day is None else spans.parse(self.compute_per_day).seconds
        )

    @property
    def cooldown_s(self) -> float:
        """`cooldown` in seconds."""
        return spans.parse(self.cooldown).seconds or 0.0


class Explain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[explain]``: how an answer is explained to the person it is about.

    Attributes
    ----------
    top
        Reasons that are named at most.
    groups
        Columns that are one reason together, by its name.
    texts
        What is said of a reason: by the name of a group, or of a column in none.
    actionable
        Columns a person can change, and whether ``up``, ``down`` or ``any`` way.
    minimum, maximum
        How far an actionable number may go; as far as in training when not said.
    changes
        Columns that may have to change at once, at most.
    """

    top: Annotated[int, Meta(ge=1, le=20, description="a whole number from 1 to 20")] = 4
    groups: dict[ColumnName, tuple[ColumnName, ...]] = {}
    texts: dict[ColumnName, Text] = {}
    actionable: dict[ColumnName, Direction] = {}
    minimum: dict[ColumnName, Number] = {}
    maximum: dict[ColumnName, Number] = {}
    changes: Annotated[int, Meta(ge=1, le=5, description="a whole number from 1 to 5")] = 3


class Alerts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[alerts]``: who is told what, and when; secrets are in the settings of the server.

    Attributes
    ----------
    webhooks
        Addresses by the name of their receiver; the setting ``alert_secrets`` has, by the same
        name, what messages are signed with.
    slack
        Names of receivers that take Slack's JSON; their addresses, which open a channel to
        whoever knows them, are in the setting ``alert_secrets``.
    email
        Addresses by the name of their receiver.
    tell
        Receivers that are told at once.
    escalate, escalate_after
        Receivers that are told one after the other while nobody has acknowledged.
    confirm_after, resolve_after
        Windows with drift in a row until somebody is told of it; windows without it until it is
        over.
    group
        Alerts of one cause within this time of another are one message.
    no_data_after
        A deployment that is asked nothing for so long is an alert; never, when not given.
    upstream
        What this deployment depends on: ``deployment:features``. While there is an alert on it,
        nobody is told of those here. What lineage knows need not be named.
    """

    webhooks: dict[Name, Text] = {}
    slack: tuple[Name, ...] = ()
    email: dict[Name, tuple[Text, ...]] = {}
    tell: tuple[Name, ...] = ()
    escalate: tuple[Name, ...] = ()
    escalate_after: str = "1h"
    confirm_after: Annotated[int, Meta(ge=1, le=100, description="a number from 1 to 100")] = 2
    resolve_after: Annotated[int, Meta(ge=1, le=100, description="a number from 1 to 100")] = 1
    group: str = "5m"
    no_data_after: str | None = None
    upstream: tuple[Text, ...] = ()

    def span_ms(self, key: Literal["escalate_after", "group", "no_data_after"]) -> int:
        """Return the span of a key in milliseconds; 0 when it is not given."""
        text: str | None = getattr(self, key)
        return 0 if text is None else round(1000 * (spans.parse(text).seconds or 0.0))


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole `homeostat.toml`, every default filled in.

    Examples
    --------
    >>> policy = Policy(model=Model(name="credit", target="defaulted"))
    >>> policy.gates.metric, policy.model.pipeline, policy.retraining.block
    ('roc_auc', 'pipeline:credit', 200)
    """

    model: Model
    data: Data = Data()
    gates: Gates = Gates()
    rollout: Rollout = Rollout()
    serving: Serving = Serving()
    monitoring: Monitoring = Monitoring()
    retraining: Retraining = Retraining()
    explain: Explain = Explain()
    alerts: Alerts = Alerts()
    envelope: Envelope = Envelope()
    selection: Selection = Selection()
    slices: dict[Name, Text] = {}
    metrics: dict[Name, Metric] = {}
    kpis: dict[Name, Kpi] = {}
    objectives: dict[Name, Objective] = {}

    def __post_init__(self) -> None:
        if not self.gates.metric:
            metric = "roc_auc" if self.model.task == "classification" else "r2"
            gates = msgspec.structs.replace(self.gates, metric=metric)
            msgspec.structs.force_setattr(self, "gates", gates)
