"""The nouns of importing: what a source gives, as it is sent to the house in batches."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from homeostat.lifecycle.tracking import entities, logged_entities

Kind = Literal["experiment", "run", "logged-model", "model", "version"]
Text = dict[str, str]
Instant = Annotated[int, msgspec.Meta(ge=0)]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one thing of a source.

    Parameters
    ----------
    kind
        experiment, run, logged-model, model or version.
    source_id
        What the source calls it.
    our_id
        What it is called here.
    fingerprint
        Of its state in the source when it was last copied whole; empty while it is not.
    """

    kind: Kind
    source_id: str
    our_id: str = ""
    fingerprint: str = ""


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment of a source; matched by name.

    Parameters
    ----------
    id
        Of the source; only `name` and runs refer to it.
    name
        Unique.
    lifecycle_stage
        active or deleted.
    location
        Address its runs keep their artifacts at where they stay there; empty where they are
        copied.
    created_at, updated_at
        ms UTC; 0 when unknown.
    tags
        By key.
    """

    id: str
    name: str
    lifecycle_stage: entities.Stage = "active"
    location: str = ""
    created_at: Instant = 0
    updated_at: Instant = 0
    tags: Text = {}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a source; its id and its times are kept.

    Parameters
    ----------
    id
        32 hexadecimal digits.
    experiment_id
        Of the source.
    name, user, status, lifecycle_stage, started_at, ended_at, deleted_at
        As of `tracking.entities.Run`.
    location
        Address of its artifacts where they stay there; empty where they are copied.
    params, tags
        By key.
    datasets, models
        What it read and made.
    """

    id: str
    experiment_id: str
    name: str = ""
    user: str = ""
    status: entities.RunStatus = "running"
    lifecycle_stage: entities.Stage = "active"
    started_at: int = 0
    ended_at: int | None = None
    deleted_at: int | None = None
    location: str = ""
    params: Text = {}
    tags: Text = {}
    datasets: tuple[entities.DatasetInput, ...] = ()
    models: tuple[entities.ModelLink, ...] = ()


class Point(msgspec.Struct, frozen=True, array_like=True):
    """A point of a metric, short: there are millions; fields as of `tracking.Metric`."""

    key: str
    value: float
    at: int
    step: int = 0
    kind: entities.Kind = "finite"


class Points(msgspec.Struct, frozen=True):
    """Points of one run.

    Parameters
    ----------
    run_id
        A run of this batch or an earlier one.
    points
        In any order; one that is there already is not added again.
    """

    run_id: str
    points: tuple[Point, ...]


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model of a source; its id and its times are kept.

    Parameters
    ----------
    model
        `experiment_id` is that of the source, `artifact_root` empty where files are copied.
    params, tags
        By key.
    metrics
        Its points.
    """

    model: logged_entities.LoggedModel
    params: Text = {}
    tags: Text = {}
    metrics: tuple[logged_entities.LoggedMetric, ...] = ()


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model of a source.

    Parameters
    ----------
    name
        Unique.
    description
        None where nobody gave one.
    created_at, updated_at
        ms UTC.
    tags
        By key.
    aliases
        Number of a version by alias.
    """

    name: str
    description: str | None = None
    created_at: Instant = 0
    updated_at: Instant = 0
    tags: Text = {}
    aliases: dict[str, int] = {}


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A registered version of a source; its number is kept.

    Parameters
    ----------
    model, number
        Which.
    source
        Address of its files in this house, or as the source has it.
    stage, description, user
        As the source has them.
    run_id, model_id, run_link
        What made it, or empty.
    created_at, updated_at
        ms UTC.
    tags
        By key.
    """

    model: str
    number: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    source: str
    stage: str = "None"
    description: str = ""
    user: str = ""
    run_id: str = ""
    model_id: str = ""
    run_link: str = ""
    created_at: Instant = 0
    updated_at: Instant = 0
    tags: Text = {}


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What is written in one transaction, in the order of these fields.

    Parameters
    ----------
    source
        Address of where it came from; marks are kept by it.
    experiments, runs, points, logged_models, models, versions
        What was read.
    done
        Runs and logged models that are now here whole.
    """

    source: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    experiments: tuple[Experiment, ...] = ()
    runs: tuple[Run, ...] = ()
    points: tuple[Points, ...] = ()
    logged_models: tuple[LoggedModel, ...] = ()
    models: tuple[Model, ...] = ()
    versions: tuple[Version, ...] = ()
    done: tuple[Mark, ...] = ()


class Refusal(msgspec.Struct, frozen=True):
    """Something of a source that could not be taken.

    Parameters
    ----------
    kind
        Of what; run, metric, artifact and so on.
    name
        Which one.
    reason
        One sentence.
    """

    kind: str
    name: str
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch came to.

    Parameters
    ----------
    marks
        Of experiments, runs and models of the batch that are here now.
    refused
        What was left out, and why.
    """

    marks: tuple[Mark, ...] = ()
    refused: tuple[Refusal, ...] = ()


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """An import as it begins or ends.

    Parameters
    ----------
    source
        Address.
    facts
        Counts by kind; empty at the beginning.
    """

    source: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    facts: dict[str, int] = {}
