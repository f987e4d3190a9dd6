"""The nouns of logged models: what a run saved of a model before anyone registers it."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from homeostat.lifecycle.tracking import entities

Status = Literal["unspecified", "pending", "ready", "failed"]
PREFIX: Final = "m-"


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model with files of its own, made by a run or by hand.

    Parameters
    ----------
    id
        ``m-`` and 32 hexadecimal digits.
    experiment_id
        Decimal digits.
    name
        For people; need not be unique.
    status
        pending until its files are there, then ready or failed.
    status_message
        Why, where it failed.
    model_type
        Free text of the client.
    run_id
        The run that made it, or empty.
    artifact_root
        ``logged-model:<id>``, or a full address where the experiment keeps files elsewhere.
    lifecycle_stage
        active or deleted.
    created_at, updated_at
        ms UTC.
    """

    id: str
    experiment_id: str
    name: str
    status: Status = "pending"
    status_message: str = ""
    model_type: str = ""
    run_id: str = ""
    artifact_root: str
    lifecycle_stage: entities.Stage = "active"
    created_at: int
    updated_at: int


class LoggedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A point of a metric that tells of a logged model.

    Parameters
    ----------
    point
        The metric.
    run_id
        Which run measured it.
    dataset_name, dataset_digest
        On which data, or empty.
    """

    point: entities.Metric
    run_id: str
    dataset_name: str = ""
    dataset_digest: str = ""


class LoggedModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model with what is known of it.

    Parameters
    ----------
    model
        The model.
    params, tags
        By key.
    metrics
        Points by time, the newest 1,000 where there are more.
    """

    model: LoggedModel
    params: tuple[entities.Param, ...] = ()
    tags: tuple[entities.Tag, ...] = ()
    metrics: tuple[LoggedMetric, ...] = ()


class Dataset(msgspec.Struct, frozen=True):
    """Which data a metric must have been measured on.

    Parameters
    ----------
    name
        Of the dataset.
    digest
        Any when empty.
    """

    name: str
    digest: str = ""


class Order(msgspec.Struct, frozen=True):
    """One criterion by which found models are ordered.

    Parameters
    ----------
    field
        An attribute, or ``metrics.<key>``.
    ascending
        Smallest first.
    dataset
        Only points measured on it count; any where its name is empty.
    """

    field: str
    ascending: bool = True
    dataset: Dataset = Dataset("")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some logged models.

    Parameters
    ----------
    models
        In the order asked for.
    next
        Give it as `after`, with the same question, to get the page behind; empty on the last.
    """

    models: tuple[LoggedModelRecord, ...]
    next: str = ""
