"""Runs a pipeline and tells the recorder what happened; called by the doors and the loop."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import cache as caches
from homeostat.lifecycle.pipeline import (
    driver,
    entities,
    executors,
    lazy,
    load,
    recorders,
    steps,
    stopping,
)


class Outcome(msgspec.Struct, frozen=True):
    """A finished run.

    Parameters
    ----------
    run_id
        As it is recorded.
    output
        What the pipeline returned; parts that were cached are not read yet.
    steps
        In order of their calls.
    """

    run_id: str
    output: Any
    steps: tuple[entities.StepRecord, ...]

    @property
    def result(self) -> Any:
        """What the pipeline returned, as plain values; reads what was cached."""
        return lazy.value_of(self.output)


def run(
    pipeline: steps.Pipeline[..., Any],
    *,
    inputs: Mapping[str, Any],
    parameters: Mapping[str, Any],
    cache: caches.Cache,
    recorder: recorders.Recorder | None = None,
    executor: str = "inline",
    timeout_s: float | None = None,
    cancel: threading.Event | None = None,
) -> Outcome:
    """Run a pipeline; steps that finished before on the same code and content are not repeated.

    Parameters
    ----------
    pipeline
        As decorated, or as `load.pipeline` gave it.
    inputs
        Data by parameter name: values, or `Source`s that are read only when needed.
    parameters
        Settings by parameter name.
    cache
        Where results are looked up and kept.
    recorder
        Told about the run; None to leave no record.
    executor
        `inline` or `processes`.
    timeout_s
        Seconds the whole run may take, None for no limit.
    cancel
        Set it, from any thread, to stop the run and all processes it started.

    Returns
    -------
    Outcome
        Run id, result and what each step did.

    Raises
    ------
    InvalidInputError
        When arguments do not fit the pipeline, or one has no content digest.
    UserCodeError
        When the user's code raises, hangs or crashes; the run is recorded as failed, and a
        later run uses what finished. `facts["run_id"]` names it.
    ConflictError
        When it was cancelled.
    """
    if timeout_s is not None and not timeout_s > 0:
        raise errors.InvalidInputError(f"the limit of a run is above 0 s; got {timeout_s:g}")
    if pipeline.folder:
        load.activate(pipeline.folder)
    arguments = pipeline.arguments(inputs, parameters)
    watching = driver.Driver(
        pipeline,
        cache=cache,
        recorder=recorder,
        executor=executors.named(executor),
        limits=stopping.Limits(timeout_s, cancel),
    )
    output = watching.drive(arguments, given=frozenset(inputs))
    return Outcome(watching.run_id, output, tuple(watching.records))
