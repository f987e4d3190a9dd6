"""The nouns of tracking: experiments, runs and what runs keep."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

RunStatus = Literal["scheduled", "running", "finished", "failed", "killed"]
Stage = Literal["active", "deleted"]
Kind = Literal["finite", "nan", "inf", "-inf"]

DEFAULT_EXPERIMENT = "Default"
DEFAULT_EXPERIMENT_ID = "0"
CONTEXT = "mlflow.data.context"
"""Tag that tells what a run read a dataset for."""
NAME_TAG = "mlflow.runName"
"""Tag that is always the name of its run, in both directions."""


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A name under which runs are compared.

    Parameters
    ----------
    id
        Decimal digits; "0" is the one that always exists.
    name
        Unique in its project.
    lifecycle_stage
        active or deleted.
    artifact_root
        Address below which its runs keep their artifacts, where a client chose one; empty
        when they are kept here.
    created_at, updated_at
        ms UTC.
    """

    id: str
    name: str
    lifecycle_stage: Stage = "active"
    artifact_root: str = ""
    created_at: int
    updated_at: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution, by a pipeline or reported by a client.

    Parameters
    ----------
    id
        32 hexadecimal digits.
    experiment_id
        Decimal digits.
    name
        For people.
    status
        scheduled, running, finished, failed or killed.
    lifecycle_stage
        active or deleted.
    user
        Who started it.
    started_at, ended_at
        ms UTC; None while it works.
    artifact_root
        `run:<id>` where its artifacts are kept here, else the address a client keeps them at.
    pipeline
        Name of the pipeline function, or empty.
    executor
        inline, processes, or empty.
    error
        One sentence when it did not finish.
    commit, dirty
        Git commit of the code and digest of what was not committed; empty when unknown.
    environment
        Digest of the installed distributions; empty when unknown.
    wall_s, cpu_s
        Seconds; CPU seconds of its steps.
    max_rss_bytes
        Peak memory of one of its processes.
    deleted_at
        ms UTC; None while it is active.
    """

    id: str
    experiment_id: str
    name: str
    status: RunStatus = "running"
    lifecycle_stage: Stage = "active"
    user: str = ""
    started_at: int
    ended_at: int | None = None
    artifact_root: str = ""
    pipeline: str = ""
    executor: str = ""
    error: str = ""
    commit: str = ""
    dirty: str = ""
    environment: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    deleted_at: int | None = None


class Metric(msgspec.Struct, frozen=True):
    """One point of a metric; JSON and some databases know no NaN, so its kind stands apart.

    Parameters
    ----------
    key
        Name.
    value
        0.0 when `kind` is not finite.
    at
        ms UTC.
    step
        Of training, any integer.
    kind
        finite, nan, inf or -inf.

    Examples
    --------
    >>> Metric.of("loss", float("nan")).kind, Metric.of("loss", 0.5).number
    ('nan', 0.5)
    """

    key: str
    value: float
    at: int = 0
    step: int = 0
    kind: Kind = "finite"

    @classmethod
    def of(cls, key: str, number: float, *, at: int = 0, step: int = 0) -> Metric:
        """Make a point of any float."""
        if math.isfinite(number):
            return cls(key, float(number), at, step)
        kind: Kind = "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"
        return cls(key, 0.0, at, step, kind)

    @property
    def number(self) -> float:
        """The value, NaN and infinities included."""
        return self.value if self.kind == "finite" else float(self.kind)


class Param(msgspec.Struct, frozen=True):
    """A setting of a run; once written it stays.

    Parameters
    ----------
    key, value
        Text.
    """

    key: str
    value: str


class Tag(msgspec.Struct, frozen=True):
    """A note on a run; the last one written counts.

    Parameters
    ----------
    key, value
        Text.
    """

    key: str
    value: str


class Input(msgspec.Struct, frozen=True):
    """Data a run read.

    Parameters
    ----------
    name
        What the run called it.
    reference
        `snapshot:<id>` or empty.
    digest
        Of its content.
    """

    name: str
    reference: str
    digest: str


class Output(msgspec.Struct, frozen=True):
    """Something a run made.

    Parameters
    ----------
    name
        What the run called it.
    reference
        `model:<name>@<version>`, … or empty.
    digest
        Of its content.
    """

    name: str
    reference: str
    digest: str


class Artifact(msgspec.Struct, frozen=True):
    """A file a run keeps.

    Parameters
    ----------
    path
        Relative, with forward slashes.
    digest
        Of its bytes.
    size_bytes
        Their number.
    created_at
        ms UTC.
    """

    path: str
    digest: str
    size_bytes: int
    created_at: int


class LoggedDataset(msgspec.Struct, frozen=True, kw_only=True):
    """Data that a client described; the bytes are where its source says.

    Parameters
    ----------
    name, digest
        Together they name it within an experiment; at most 500 and 36 characters.
    source_type, source
        Where it came from, as the client spells it.
    schema, profile
        JSON of the client; None when it gave none.
    """

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


class DatasetInput(msgspec.Struct, frozen=True, kw_only=True):
    """A described dataset that a run read.

    Parameters
    ----------
    dataset
        What was read.
    tags
        What for; `mlflow.data.context` says training, evaluation or the like.
    """

    dataset: LoggedDataset
    tags: tuple[Tag, ...] = ()


class ModelLink(msgspec.Struct, frozen=True):
    """A logged model that a run read or made.

    Parameters
    ----------
    role
        input or output.
    model_id
        Of the logged model.
    step
        Of the training, when it was made.
    """

    role: Literal["input", "output"]
    model_id: str
    step: int = 0


class ExperimentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment with its tags.

    Parameters
    ----------
    experiment
        The experiment.
    tags
        By key.
    """

    experiment: Experiment
    tags: tuple[Tag, ...] = ()


class Entry(msgspec.Struct, frozen=True):
    """A name that stands directly in a folder of artifacts.

    Parameters
    ----------
    name
        Without the folder's path.
    is_dir
        A folder stands there.
    size_bytes
        Of the file; 0 for a folder.
    """

    name: str
    is_dir: bool
    size_bytes: int


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run with what it keeps; metrics at their latest point.

    Parameters
    ----------
    run
        The run.
    metrics, params, tags, inputs, outputs, artifacts
        By key, name or path.
    datasets
        Described data it read, by name and digest.
    models
        Logged models it read or made, oldest first.
    """

    run: Run
    metrics: tuple[Metric, ...] = ()
    params: tuple[Param, ...] = ()
    tags: tuple[Tag, ...] = ()
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    datasets: tuple[DatasetInput, ...] = ()
    models: tuple[ModelLink, ...] = ()


class Filter(msgspec.Struct, frozen=True):
    """One condition of a search; several must all hold.

    Parameters
    ----------
    subject
        metric (latest point), param, tag or run.
    key
        Name of it; for run: status, name, user or pipeline.
    comparator
        =, !=, <, <=, > or >=; metrics are compared as numbers, the rest as text.
    value
        To compare with.
    """

    subject: Literal["metric", "param", "tag", "run"]
    key: str
    comparator: Literal["=", "!=", "<", "<=", ">", ">="]
    value: float | str


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs, newest first.

    Parameters
    ----------
    runs
        With what they keep, without artifacts, inputs and outputs.
    next
        Give it as `after` to get the page behind; empty on the last one.
    """

    runs: tuple[RunRecord, ...]
    next: str = ""
