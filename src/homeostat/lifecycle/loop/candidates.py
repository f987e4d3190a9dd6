"""From rows to a candidate: run the user's pipeline, pack what it returns; called by `duties`.

A candidate is not a version: it has files and a baseline, sealed and digested, and waits for
its gates. The same code makes the first model of a deployment and every later one.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import access
from homeostat.foundation.house import House
from homeostat.lifecycle.data.entities import Schema, Snapshot
from homeostat.lifecycle.loop import aims, apart, fitting, latency
from homeostat.lifecycle.monitoring import baseline
from homeostat.lifecycle.pipeline import direct
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.registry import files, own, twin
from homeostat.lifecycle.registry import load as loading
from homeostat.lifecycle.registry.adopted import Loadable
from homeostat.lifecycle.registry.entities import File
from homeostat.lifecycle.registry.predictor import Predictor

FIT_TIMEOUT_S = 900.0
TRUTH = "is positive"  # beside the columns of a table, whose names are its own


class Fitted(msgspec.Struct, frozen=True):
    """What a pipeline returned, as the files of a model, with the run that made it."""

    contents: dict[str, bytes]
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
    timeout_s
        Seconds a run may take, importing its code included.
    """

    def __init__(
        self, house: House, actor: access.Actor, *, timeout_s: float = FIT_TIMEOUT_S
    ) -> None:
        self.house = house
        self.actor = actor
        self.timeout_s = timeout_s

    def fit(
        self,
        policy: Policy,
        snapshot: Snapshot,
        frame: pl.DataFrame,
        *,
        part: str = "",
        asker: access.Actor | None = None,
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
        asker
            Whose run it is; the workshop's own actor's where nobody asked.

        Returns
        -------
        Fitted
            A fitted classifier.

        Raises
        ------
        UserCodeError
            When the pipeline raises, hangs, crashes, or returns nothing that can predict.
        InvalidInputError
            When the pipeline takes no table, or its estimator was fitted on columns that the
            rows do not have.
        NotFoundError
            When the pipeline cannot be found.
        NotAllowedError
            When the estimator holds a type that is not trusted.
        """
        told = self.house.settings
        rows = io.BytesIO()
        frame.write_ipc_stream(rows)
        apart = (policy.model.target, policy.model.key, policy.data.time)
        order = fitting.Order(
            pipeline=policy.model.pipeline,
            folder=str(told.code.resolve()),
            path=tuple(sys.path),
            cache=str((told.home / "cache").resolve()),
            reference=snapshot.reference,
            digest=f"{snapshot.digest}{part}",
            rows=rows.getvalue(),
            target=policy.model.target,
            apart=tuple(name for name in (*apart, *policy.data.protected) if name),
            is_regression=policy.model.task == "regression",
        )
        recorder = direct.DirectRecorder(
            self.house, asker or self.actor, experiment=policy.model.name
        )
        made = fitting.room().run(order, recorder=recorder, timeout_s=self.timeout_s)
        return Fitted(made.files, made.run_id)


def pack(
    house: House,
    policy: Policy,
    fitted: Fitted,
    *,
    frame: pl.DataFrame,
    held_out: pl.DataFrame | None,
    snapshot: Snapshot,
) -> Packed:
    """Store a fitted model as a candidate, with the baseline of its training rows.

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
    NotAllowedError
        When it holds a type that is not trusted.
    """
    with _opened(fitted.contents) as predictor:
        return _packed(
            house, policy, fitted, predictor, frame=frame, held_out=held_out, snapshot=snapshot
        )


def _packed(
    house: House,
    policy: Policy,
    fitted: Fitted,
    predictor: Predictor | apart.Apart,
    *,
    frame: pl.DataFrame,
    held_out: pl.DataFrame | None,
    snapshot: Snapshot,
) -> Packed:
    # Judged is the original; what answers in its place is compared with it here again.
    contents = fitted.contents
    if isinstance(predictor, Predictor):
        contents = twin.checked(contents, predictor, frame if held_out is None else held_out)
    schema = predictor.description.schema
    names = [column.name for column in schema.columns]
    frozen = freeze(predictor, frame, held_out, names=names, target=policy.model.target)
    model = policy.model.name
    stored = files.put(house, model, contents)
    packed_baseline = house.put_blob(f"model:{model}", baseline.encode(frozen))
    asked = frame.select(names)
    if isinstance(predictor, Predictor):
        latency_p99_ms = latency.measured(predictor, asked)
    else:
        latency_p99_ms = predictor.latency(asked.head(latency.CALLS))
    return Packed(
        files=stored,
        digest=files.tree_digest(stored),
        schema=schema,
        baseline=packed_baseline.digest,
        run_id=fitted.run_id,
        snapshot=snapshot.reference,
        latency_p99_ms=latency_p99_ms,
    )


def loadable(model: str, packed: Packed) -> Loadable:
    """Return how a candidate is loaded.

    Parameters
    ----------
    model
        Whose key seals its files.
    packed
        The candidate.
    """
    is_own = own.is_own(file.path for file in packed.files)
    # The project's own pipeline made it here a moment ago.
    return Loadable(
        owner=f"model:{model}", files=packed.files, needs_trust=is_own, is_trusted=is_own
    )


@contextlib.contextmanager
def _opened(contents: dict[str, bytes]) -> Iterator[Predictor | apart.Apart]:
    """Open what a pipeline returned; code of the project's own in a process of its own."""
    if not own.is_own(contents):
        yield loading.load(contents)
        return
    with contextlib.closing(apart.Apart(contents, is_trusted=True)) as found:
        yield found


def freeze(
    predictor: Predictor | apart.Apart,
    frame: pl.DataFrame,
    held_out: pl.DataFrame | None,
    *,
    names: list[str],
    target: str,
) -> baseline.Baseline:
    """Freeze the baseline: from held-out rows and scores, else from the training rows."""
    if held_out is None:
        return baseline.freeze(frame, features=names)
    scores, about = predictor.scores(held_out), predictor.description
    if about.task != "binary":
        aim = aims.of([about])
        truth = aims.truth(held_out[target], aim)
        return freeze_scored(held_out, scores, truth, names=names, aim=aim)
    scored = held_out.with_columns(pl.Series(baseline.SCORE, scores))
    return baseline.freeze(scored, features=names, score=baseline.SCORE, label=target)


def freeze_scored(
    rows: pl.DataFrame,
    scores: NDArray[np.float64],
    truth: NDArray[Any],
    *,
    names: Sequence[str],
    aim: aims.Aim,
) -> baseline.Baseline:
    """Freeze the baseline of rows that are scored: of several classes what is answered.

    Parameters
    ----------
    rows
        Labelled, not those it was fitted on.
    scores, truth
        What the model says of them, and what came of them as `aims.truth` gives it.
    names
        Features.
    aim
        What is foretold.
    """
    if aim.task == "regression":
        scored = rows.with_columns(pl.Series(baseline.SCORE, scores))
        return baseline.freeze(scored, features=names, score=baseline.SCORE)
    if aim.task == "binary":
        scored = rows.with_columns(pl.Series(baseline.SCORE, scores), pl.Series(TRUTH, truth))
        return baseline.freeze(scored, features=names, score=baseline.SCORE, label=TRUTH)
    chosen = scores.argmax(axis=1)
    scored = rows.with_columns(
        pl.Series(baseline.SCORE, scores.max(axis=1)),
        pl.Series(baseline.ANSWER, [aim.classes[at] for at in chosen]),
    )
    return baseline.freeze(
        scored,
        features=names,
        score=baseline.SCORE,
        answer=None if baseline.ANSWER in names else baseline.ANSWER,
        wrong=chosen != truth,
    )


def split(
    frame: pl.DataFrame, policy: Policy, *, share: float = 0.25
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide rows in time: the past to learn from, the latest `share` to be examined on."""
    if policy.data.time:
        frame = frame.sort(policy.data.time, maintain_order=True)
    n_past = frame.height - max(1, round(frame.height * share))
    return frame[:n_past], frame[n_past:]
