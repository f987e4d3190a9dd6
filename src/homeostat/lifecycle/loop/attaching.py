"""Attaches a model that is served elsewhere: a baseline from its reference, and a deployment.

Called by the door of monitoring. The version that this registers has no model file: it is a
description and a baseline, so that windows, blame and the alarm of harm work as for any other.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.data.entities import Schema, Snapshot
from homeostat.lifecycle.monitoring import baseline
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.predictions import frames, segments
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
MOST_CLASSES = 100
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
        The reference: features, and where there are any ``score``, ``answer`` and the target,
        as `predictions.observed.Observation` has them. Ordered by the policy's time where that
        is a column.
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
        probability, or the target has one class or more than a hundred, or is no number where
        one is foretold.
    """
    told = policies.parse(policy)
    plans.need_watchable("watched", told)
    if told.data.time in rows.columns:
        rows = rows.sort(told.data.time, maintain_order=True)
    names = features(rows.columns, told)
    is_number = told.model.task == "regression"
    classes = () if is_number else _classes(rows, told)
    frozen = _frozen(rows, names, told, classes)
    schema = schemas.infer(rows.select(names))
    description = Description(
        format=1,
        schema=schema,
        target=told.model.target,
        classes=classes,
        positive=0 if len(classes) != _BOTH else 1,
        by_name=True,
        example={},
        scores=(),
        trusted=(),
        packages={},
        loader=LOADER,
        file="",
        task="regression" if is_number else "binary" if len(classes) == _BOTH else "multiclass",
        deviation=_deviation(rows, told) if is_number else 0.0,
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
    apart = named | set(policy.data.protected)
    found = [one for one in columns if one not in apart and not one.startswith(segments.CHANCE)]
    if not found:
        raise errors.InvalidInputError(
            f"the reference has no feature: its columns are {', '.join(columns)}",
            hint="give the rows that the model was trained on, one column for each feature",
        )
    return found


def _classes(rows: pl.DataFrame, policy: Policy) -> tuple[str, ...]:
    """Return the classes as text, in order; of two the later one is positive."""
    column = next((c for c in (policy.model.target, ANSWER) if c in rows.columns), None)
    if column is None:
        return ("0", "1")
    seen = sorted(rows[column].drop_nulls().unique().to_list())
    if not _BOTH <= len(seen) <= MOST_CLASSES:
        raise errors.InvalidInputError(
            f"column {column!r} of the reference holds {len(seen)} classes; 2 to "
            f"{MOST_CLASSES} can be watched",
            hint='name the column of the outcome as the target, or say task = "regression"',
            column=column,
        )
    return tuple(_plain(value) for value in seen)


def _deviation(rows: pl.DataFrame, policy: Policy) -> float:
    """Return the standard deviation of the target; of the scores where it is not known."""
    column = next((c for c in (policy.model.target, SCORE) if c in rows.columns), None)
    if column is None:
        return 1.0
    values = rows[column].cast(pl.Float64, strict=False).fill_nan(None).drop_nulls()
    if len(values) < _BOTH:
        raise errors.InvalidInputError(
            f"column {column!r} of the reference holds {len(values)} numbers; "
            f"{_BOTH} are needed for a regression",
            column=column,
        )
    return float(values.std() or 0.0)  # type: ignore[arg-type]


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return frames.label_text(value if isinstance(value, str | int | float) else str(value))


def _frozen(
    rows: pl.DataFrame, names: list[str], policy: Policy, classes: tuple[str, ...]
) -> baseline.Baseline:
    target = policy.model.target
    if SCORE not in rows.columns:
        return baseline.freeze(rows, features=names)
    scores = rows[SCORE].cast(pl.Float64, strict=False)
    if not classes:
        _need_finite(scores)
        return baseline.freeze(rows, features=names, score=SCORE)
    if scores.null_count() or not scores.is_between(0, 1).all():
        raise errors.InvalidInputError(
            "column 'score' of the reference must hold a probability from 0 to 1 in every row",
            column=SCORE,
        )
    if len(classes) > _BOTH:
        return _of_several(rows, names, target)
    if target not in rows.columns or rows[target].null_count():
        return baseline.freeze(rows, features=names, score=SCORE)
    truth = pl.Series("truth", [_plain(v) == classes[1] for v in rows[target].to_list()])
    whole = rows.with_columns(truth.alias(target))
    return baseline.freeze(whole, features=names, score=SCORE, label=target)


def _of_several(rows: pl.DataFrame, names: list[str], target: str) -> baseline.Baseline:
    """Freeze what was answered of several classes, and where that was wrong."""
    if ANSWER not in rows.columns:
        return baseline.freeze(rows, features=names, score=SCORE)
    wrong = None
    if target in rows.columns and not rows[target].null_count():
        said, came = (
            [_plain(value) for value in rows[name].to_list()] for name in (ANSWER, target)
        )
        wrong = np.array([one != other for one, other in zip(said, came, strict=True)])
    return baseline.freeze(rows, features=names, score=SCORE, answer=ANSWER, wrong=wrong)


def _need_finite(scores: pl.Series) -> None:
    if scores.null_count() or not scores.is_finite().all():
        raise errors.InvalidInputError(
            "column 'score' of the reference must hold a finite number in every row",
            column=SCORE,
        )
