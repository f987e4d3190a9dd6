"""Attaches a model that is served elsewhere: a baseline from its reference, and a deployment.

Called by the door of monitoring. The version that this registers has no model file: it is a
description and a baseline, so that windows, blame and the alarm of harm work as for any other.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import polars as pl

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.data.entities import Schema, Snapshot
from homeostat.lifecycle.monitoring import baseline
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import described, opening
from homeostat.lifecycle.registry import files as version_files
from homeostat.lifecycle.registry.entities import Description, File
from homeostat.lifecycle.serving import plan as plans
from homeostat.lifecycle.serving import watching
from homeostat.lifecycle.serving.entities import Deployment

SCORE = "score"
ANSWER = "answer"
LOADER = opening.ELSEWHERE
_BOTH = 2


class Prepared(NamedTuple):
    """What `attach` registers; its blobs are stored."""

    files: tuple[File, ...]
    schema: Schema
    baseline: str


def prepare(
    house: House, policy: str, rows: pl.DataFrame, *, project: str | None = None
) -> Prepared:
    """Freeze a baseline from the rows of a reference and store it.

    Parameters
    ----------
    house
        Where.
    policy
        Text of a homeostat.toml; names target, key, time and protected columns, which are no
        features.
    rows
        The reference: features, and where there are any ``score`` (0 to 1), ``answer`` and the
        target. Ordered by the policy's time where that is a column.
    project
        Namespace.

    Returns
    -------
    Prepared
        For `attach`.

    Raises
    ------
    InvalidInputError
        When the policy is not right, no column is left to be a feature, a score is no
        probability, or the target has not two classes.
    """
    told = policies.parse(policy)
    plans.need_watchable("watched", told)
    if told.data.time in rows.columns:
        rows = rows.sort(told.data.time, maintain_order=True)
    names = features(rows.columns, told)
    classes = _classes(rows, told)
    frozen = _frozen(rows, names, told, classes)
    schema = schemas.infer(rows.select(names))
    description = Description(
        format=1,
        schema=schema,
        target=told.model.target,
        classes=classes,
        positive=1,
        by_name=True,
        example={},
        scores=(),
        trusted=(),
        packages={},
        loader=LOADER,
        file="",
    )
    model = told.model.name
    contents = {described.DESCRIPTION: msgspec.json.encode(description)}
    files = version_files.put(house, model, contents, project=project)
    packed = house.put_blob(f"model:{model}", baseline.encode(frozen), project=project)
    return Prepared(files, schema, packed.digest)


def attach(
    tx: Transaction,
    actor: access.Actor,
    name: str,
    *,
    policy: str,
    prepared: Prepared,
    snapshot: Snapshot,
) -> Deployment:
    """Register the version that is watched, and begin to watch it.

    Parameters
    ----------
    tx, actor
        Needs ``model.register`` and ``deployment.change``.
    name
        Of the deployment.
    policy, prepared
        As given to, and returned by, `prepare`.
    snapshot
        The reference, for lineage.

    Returns
    -------
    Deployment
        Of the kind ``watched``; errors are those of `serving.watching.attach`.
    """
    told = policies.parse(policy)
    version = registry.register_version(
        tx,
        actor,
        told.model.name,
        files=prepared.files,
        schema=prepared.schema,
        baseline=prepared.baseline,
        snapshots=(snapshot.reference,),
        purpose="watched",
        flavour=watching.FLAVOUR,
        tier=told.model.tier,
    )
    return watching.attach(tx, actor, name, policy=policy, version=version.number)


def features(columns: list[str], policy: Policy) -> list[str]:
    """Return the columns that are neither target, key, time, score, answer nor protected.

    Raises
    ------
    InvalidInputError
        When none is left.
    """
    named = {policy.model.target, policy.model.key, policy.data.time, SCORE, ANSWER}
    found = [name for name in columns if name not in named | set(policy.data.protected)]
    if not found:
        raise errors.InvalidInputError(
            f"the reference has no feature: its columns are {', '.join(columns)}",
            hint="give the rows that the model was trained on, one column for each feature",
        )
    return found


def _classes(rows: pl.DataFrame, policy: Policy) -> tuple[str, str]:
    """Return negative and positive as text: of two classes the later in the alphabet."""
    column = next((c for c in (policy.model.target, ANSWER) if c in rows.columns), None)
    if column is None:
        return ("0", "1")
    seen = sorted(rows[column].drop_nulls().unique().to_list())
    if len(seen) != _BOTH:
        raise errors.InvalidInputError(
            f"column {column!r} of the reference holds {len(seen)} classes; two can be watched",
            hint="name the column of the outcome as the target",
            column=column,
        )
    negative, positive = (_plain(value) for value in seen)
    return (negative, positive)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return frames.label_text(value if isinstance(value, str | int | float) else str(value))


def _frozen(
    rows: pl.DataFrame, names: list[str], policy: Policy, classes: tuple[str, str]
) -> baseline.Baseline:
    target = policy.model.target
    if SCORE not in rows.columns:
        return baseline.freeze(rows, features=names)
    scores = rows[SCORE].cast(pl.Float64, strict=False)
    if scores.null_count() or not scores.is_between(0, 1).all():
        raise errors.InvalidInputError(
            "column 'score' of the reference must hold a probability from 0 to 1 in every row",
            column=SCORE,
        )
    if target not in rows.columns or rows[target].null_count():
        return baseline.freeze(rows, features=names, score=SCORE)
    truth = pl.Series("truth", [_plain(v) == classes[1] for v in rows[target].to_list()])
    whole = rows.with_columns(truth.alias(target))
    return baseline.freeze(whole, features=names, score=SCORE, label=target)
