"""From rows to a candidate: run the user's pipeline, pack what it returns; called by `duties`.

A candidate is not a version: it has files and a baseline, sealed and digested, and waits for
its gates. The same code makes the first model of a deployment and every later one.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
import numpy as np
import polars as pl

from homeostat.foundation import access, errors
from homeostat.foundation.house import House
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.data.entities import Schema, Snapshot
from homeostat.lifecycle.monitoring import baseline
from homeostat.lifecycle.pipeline import cache as caches
from homeostat.lifecycle.pipeline import drive, load, recorders, sources
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.registry import files
from homeostat.lifecycle.registry import format as formats
from homeostat.lifecycle.registry import load as loading
from homeostat.lifecycle.registry.entities import File
from homeostat.lifecycle.registry.predictor import Predictor

FIT_TIMEOUT_S = 900.0
LATENCY_CALLS = 200


class Fitted(msgspec.Struct, frozen=True):
    """What a pipeline returned, with the run that made it."""

    estimator: Any
    run_id: str


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate at rest: everything a version needs but the word of its gates.

    Attributes
    ----------
    files, digest
        As `files.describe` and `files.tree_digest` give them.
    schema
        Of the features it takes.
    baseline
        Digest of its monitoring baseline, a blob of the model.
    run_id, snapshot
        What made it, and from what.
    latency_p99_ms
        99th percentile of one answer alone, measured here.
    """

    files: tuple[File, ...]
    digest: str
    schema: Schema
    baseline: str
    run_id: str
    snapshot: str
    latency_p99_ms: float

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)


class Workshop:
    """Where pipelines run: the code's folder, the cache, the recorder.

    Parameters
    ----------
    house
        Open; its settings name the folder of the user's code.
    actor
        Who runs pipelines.
    """

    def __init__(self, house: House, actor: access.Actor) -> None:
        self.house = house
        self.actor = actor
        self.cache = caches.Cache(house.settings.home / "cache")

    def fit(
        self, policy: Policy, snapshot: Snapshot, frame: pl.DataFrame, *, part: str = ""
    ) -> Fitted:
        """Run the policy's pipeline on some rows, in a process of its own.

        Parameters
        ----------
        policy
            Names the pipeline.
        snapshot, part
            Where the rows come from: the whole snapshot, or a named part of it.
        frame
            The rows.

        Returns
        -------
        Fitted
            A fitted estimator.

        Raises
        ------
        UserCodeError
            When the pipeline raises, hangs, or returns nothing that can predict.
        InvalidInputError
            When the pipeline cannot be found or takes no table.
        """
        pipeline = load.pipeline(policy.model.pipeline, self.house.settings.code)
        name = _only_table(pipeline)
        source = sources.Source(
            reference=snapshot.reference,
            digest=f"{snapshot.digest}{part}",
            read=lambda: frame,
        )
        outcome = drive.run(
            pipeline,
            inputs={name: source},
            parameters={},
            cache=self.cache,
            recorder=recorders.DirectRecorder(
                self.house, self.actor, experiment=policy.model.name
            ),
            executor="processes",
            timeout_s=FIT_TIMEOUT_S,
        )
        estimator = outcome.result
        if not hasattr(estimator, "predict_proba"):
            raise errors.UserCodeError(
                f"pipeline {policy.model.pipeline!r} returned {type(estimator).__name__}, "
                "which has no predict_proba",
                hint="return a fitted classifier",
            )
        return Fitted(estimator, outcome.run_id)


def _only_table(pipeline: Any) -> str:
    """Return the name of the parameter that takes the rows: the one without a default."""
    needed = [
        name
        for name, parameter in pipeline.signature.parameters.items()
        if parameter.default is parameter.empty
    ]
    if len(needed) != 1:
        raise errors.InvalidInputError(
            f"pipeline {pipeline.name!r} needs exactly one parameter without a default, the "
            f"table of rows; it has {len(needed)}: {', '.join(needed) or 'none'}",
        )
    return str(needed[0])


def pack(
    house: House,
    policy: Policy,
    fitted: Fitted,
    *,
    frame: pl.DataFrame,
    held_out: pl.DataFrame | None,
    snapshot: Snapshot,
) -> Packed:
    """Store a fitted estimator as a candidate, with the baseline of its training rows.

    Parameters
    ----------
    house
        Where.
    policy
        Names model, target, key and protected columns.
    fitted
        What the pipeline returned.
    frame
        Rows it learned from.
    held_out
        Labelled rows it has not seen; the baseline's reference for blame. None when there
        are none yet.
    snapshot
        That the rows are from.

    Returns
    -------
    Packed
        Stored, not registered.

    Raises
    ------
    InvalidInputError
        When the estimator was fitted on columns that the rows do not have.
    """
    names = feature_names(fitted.estimator, frame, policy)
    schema = schemas.infer(frame.select(names))
    contents = formats.pack(
        fitted.estimator,
        schema=schema,
        example=frame.select(names),
        target=policy.model.target,
        run_id=fitted.run_id,
    )
    predictor = loading.load(contents)
    frozen = freeze(predictor, frame, held_out, names=names, target=policy.model.target)
    model = policy.model.name
    stored = files.put(house, model, contents)
    packed_baseline = house.put_blob(f"model:{model}", baseline.encode(frozen))
    return Packed(
        files=stored,
        digest=files.tree_digest(stored),
        schema=schema,
        baseline=packed_baseline.digest,
        run_id=fitted.run_id,
        snapshot=snapshot.reference,
        latency_p99_ms=latency(predictor, frame.select(names)),
    )


def freeze(
    predictor: Predictor,
    frame: pl.DataFrame,
    held_out: pl.DataFrame | None,
    *,
    names: list[str],
    target: str,
) -> baseline.Baseline:
    """Freeze the baseline: from held-out rows and scores, else from the training rows."""
    if held_out is None:
        return baseline.freeze(frame, features=names)
    scored = held_out.with_columns(pl.Series(baseline.SCORE, predictor.scores(held_out)))
    return baseline.freeze(scored, features=names, score=baseline.SCORE, label=target)


def feature_names(estimator: Any, frame: pl.DataFrame, policy: Policy) -> list[str]:
    """Return the columns an estimator takes, in the order it was fitted.

    Parameters
    ----------
    estimator
        Its ``feature_names_in_`` counts where it has one.
    frame
        Rows as served; without names, every column but target, key, time and protected ones.
    policy
        Names those.

    Raises
    ------
    InvalidInputError
        When it was fitted on a column that is not served.
    """
    told = getattr(estimator, "feature_names_in_", None)
    if told is None:
        apart = {
            policy.model.target,
            policy.model.key,
            policy.data.time,
            *policy.data.protected,
        }
        return [name for name in frame.columns if name not in apart]
    names = [str(name) for name in told]
    strange = [name for name in names if name not in frame.columns]
    if strange:
        raise errors.InvalidInputError(
            f"the estimator was fitted on {strange[0]!r}, which is no column of the data",
            hint="put what makes new columns into the estimator, as a scikit-learn Pipeline",
            column=strange[0],
        )
    return names


def latency(predictor: Predictor, rows: pl.DataFrame) -> float:
    """Measure one answer alone: the 99th percentile over some calls, in milliseconds."""
    took = np.empty(LATENCY_CALLS)
    singles = [rows[i % rows.height] for i in range(min(rows.height, LATENCY_CALLS))]
    for i in range(LATENCY_CALLS):
        row = singles[i % len(singles)]
        began = time.perf_counter()
        predictor.scores(row)
        took[i] = time.perf_counter() - began
    return float(np.quantile(took, 0.99) * 1000.0)


def split(
    frame: pl.DataFrame, policy: Policy, *, share: float = 0.25
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide rows in time: the past to learn from, the latest `share` to be examined on."""
    if policy.data.time:
        frame = frame.sort(policy.data.time, maintain_order=True)
    n_past = frame.height - max(1, round(frame.height * share))
    return frame[:n_past], frame[n_past:]
