"""What an actor may bring into the house from elsewhere; called by the door of imports.

Ids and times are those of the source. What is imported says so: each thing has an event
``….imported`` with the address of the source, and lineage from ``import:<address>``.
"""

from __future__ import annotations

from collections.abc import Mapping

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.importing import models, records, runs, taking
from homeostat.lifecycle.importing.entities import Batch, Mark, Outcome

LARGEST_PAGE = 10_000


def begin(tx: Transaction, actor: access.Actor, source: str) -> None:
    """Record that an import begins.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    source
        Address of where it comes from, without credentials.

    Raises
    ------
    NotAllowedError
        When the actor may not write experiments, runs and models.
    """
    taking.allow(actor)
    events.record(tx, actor, "import.started", subject=taking.reference(source), facts={})


def finish(
    tx: Transaction, actor: access.Actor, source: str, *, facts: Mapping[str, int]
) -> None:
    """Record that an import ended, and what it came to; parameters of `begin`, and counts."""
    taking.allow(actor)
    given = dict(facts)
    events.record(tx, actor, "import.finished", subject=taking.reference(source), facts=given)


def marks(
    tx: Transaction,
    actor: access.Actor,
    source: str,
    *,
    kind: str,
    after: str = "",
    limit: int = LARGEST_PAGE,
) -> list[Mark]:
    """Return what is known of a source's things of one kind.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    source
        As it was given to `begin`.
    kind
        As of `Mark`.
    after
        Last `source_id` of the page before.
    limit
        Marks a page, at most 10,000.
    """
    access.require(actor, "run.read")
    return records.page(tx, source, kind, after=after, limit=min(limit, LARGEST_PAGE))


def take(tx: Transaction, actor: access.Actor, batch: Batch) -> Outcome:
    """Write a batch; taking it again changes nothing.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    batch
        Of one source.

    Returns
    -------
    Outcome
        What is here now, and what was refused: one thing that cannot be right, or whose id
        is in use here for something else, does not stop the others.

    Raises
    ------
    NotAllowedError
        When the actor may not write experiments, runs and models.
    """
    taking.allow(actor)
    intake = taking.Intake(tx, actor, batch.source)
    for experiment in batch.experiments:
        intake.attempt("experiment", experiment.name, runs.take_experiment, experiment)
    for run in batch.runs:
        intake.attempt("run", run.id, runs.take_run, run)
    for points in batch.points:
        intake.attempt("metric", points.run_id, runs.take_points, points)
    for logged in batch.logged_models:
        intake.attempt("logged-model", logged.model.id, runs.take_logged_model, logged)
    for model in batch.models:
        intake.attempt("model", model.name, models.take_model, model)
    for version in batch.versions:
        name = f"{version.model}@{version.number}"
        intake.attempt("version", name, models.take_version, version)
    for model in batch.models:
        models.take_aliases(intake, model)
    for mark in batch.done:
        _settle(intake, mark)
    return Outcome(marks=tuple(intake.marks), refused=tuple(intake.refused))


def _settle(intake: taking.Intake, mark: Mark) -> None:
    """Note that a run or logged model is here whole, once for each state it had."""
    known = intake.known(mark.kind, mark.source_id)
    if known is None:
        raise errors.InvalidInputError(
            f"{mark.kind} {mark.source_id[:80]!r} is done, but was never taken",
            hint="send it before, in this batch or an earlier one",
        )
    if known.fingerprint != mark.fingerprint:
        intake.put(mark.kind, mark.source_id, known.our_id, fingerprint=mark.fingerprint)
        intake.tell(f"{mark.kind}.imported", f"{mark.kind}:{known.our_id}")
