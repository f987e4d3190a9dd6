"""What was scored in bulk: by which versions, from what, into what; with its lineage.

Recorded by the SDK after a table was scored; asked by `why`. The rows themselves are the
caller's file; those that were also logged are in the deployment's log.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.foundation import access, errors, events, ids, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.serving import plan as plans
from homeostat.lifecycle.serving import scoring_records as records
from homeostat.lifecycle.serving import telling
from homeostat.lifecycle.serving.entities import PlanDocument

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Place = Annotated[str, msgspec.Meta(max_length=2000)]


class NewScoring(msgspec.Struct, frozen=True, kw_only=True):
    """A table that was scored, as whoever scored it tells.

    Attributes
    ----------
    model, versions
        All versions that a row may have been scored by, ascending.
    deployment, generation
        Whose plan it was; empty and 0 where versions were named without a deployment.
    input, output
        Where the tables are, for people.
    input_digest, output_digest
        BLAKE3 of their bytes; of several files, that of their digests.
    snapshot
        Reference of the input where it is a snapshot, or empty.
    n_rows, n_scored, n_bad
        Read, scored, and refused.
    seconds
        It took.
    n_logged
        Rows that also went into the deployment's log.
    """

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    versions: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)], ...],
        msgspec.Meta(min_length=1, max_length=100),
    ]
    deployment: Annotated[str, msgspec.Meta(max_length=128)] = ""
    generation: Count = 0
    input: Place
    input_digest: Digest
    output: Place
    output_digest: Digest
    snapshot: Annotated[str, msgspec.Meta(max_length=100)] = ""
    n_rows: Count
    n_scored: Count
    n_bad: Count
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e9)]
    n_logged: Count = 0


class Scoring(msgspec.Struct, frozen=True, kw_only=True):
    """A scored table with its id, instant and actor; its reference is ``scoring:<id>``."""

    id: str
    at: int
    actor: str
    told: NewScoring

    @property
    def reference(self) -> str:
        """How events and lineage name it."""
        return f"scoring:{self.id}"


def record(tx: Transaction, actor: access.Actor, told: NewScoring) -> Scoring:
    """Record that a table was scored.

    Parameters
    ----------
    tx, actor
        Opened for writing; who may write runs.
    told
        What was scored by what.

    Returns
    -------
    Scoring
        With edges of lineage from its versions, its input and the deployment, and to its
        output.

    Raises
    ------
    NotFoundError
        When there is no such version.
    """
    access.require(actor, "run.write")
    named = [registry.get_version(tx, actor, told.model, number) for number in told.versions]
    made = Scoring(id=ids.new_id(), at=tx.at, actor=actor.name, told=told)
    tx.execute(
        records.INSERT,
        {
            "project": tx.project,
            "id": made.id,
            "model": told.model,
            "deployment": told.deployment,
            "body": msgspec.json.encode(made).decode(),
        },
    )
    read = told.snapshot or f"file:{told.input_digest}"
    lineage.connect(tx, source=read, target=made.reference, kind="read-by")
    for version in named:
        lineage.connect(tx, source=version.reference, target=made.reference, kind="scored")
    written = f"file:{told.output_digest}"
    lineage.connect(tx, source=made.reference, target=written, kind="made")
    facts = {
        "model": told.model,
        "versions": "+".join(str(one) for one in told.versions),
        "deployment": told.deployment,
        "generation": told.generation,
        "input_digest": told.input_digest,
        "output_digest": told.output_digest,
        "n_rows": told.n_rows,
        "n_scored": told.n_scored,
        "n_bad": told.n_bad,
        "n_logged": told.n_logged,
        "seconds": told.seconds,
    }
    events.record(tx, actor, "table.scored", subject=made.reference, facts=facts)
    return made


def get(tx: Transaction, actor: access.Actor, scoring: str) -> Scoring:
    """Return one scored table.

    Parameters
    ----------
    tx, actor
        Who may read runs.
    scoring
        Its id.

    Returns
    -------
    Scoring
        As it was told.

    Raises
    ------
    NotFoundError
        When there is none of that id.
    """
    access.require(actor, "run.read")
    row = tx.execute(records.GET, {"in_project": tx.project, "in_id": scoring}).first()
    if row is None:
        raise errors.NotFoundError(f"no table was scored under the id {scoring[:80]!r}")
    return msgspec.json.decode(row[0], type=Scoring)


def of_model(
    tx: Transaction, actor: access.Actor, model: str, *, before: str = "", limit: int = 100
) -> list[Scoring]:
    """List the tables that versions of a model scored, the latest first.

    Parameters
    ----------
    tx, actor
        Who may read runs.
    model
        Its name.
    before
        Id that ended the page before.
    limit
        At most this many.

    Returns
    -------
    list of Scoring
        Empty for an unknown model.
    """
    access.require(actor, "run.read")
    which = {"in_project": tx.project, "in_model": model, "before": before or records.LAST}
    found = tx.execute(records.BY_MODEL, {**which, "n": limit})
    return [msgspec.json.decode(row[0], type=Scoring) for row in found]


def plan_of(
    tx: Transaction,
    actor: access.Actor,
    model: str,
    *,
    number: int | None = None,
    alias: str | None = None,
) -> PlanDocument:
    """Return the plan under which one version alone scores a table.

    Parameters
    ----------
    tx, actor
        Who may read models.
    model
        Its name.
    number, alias
        Which version; the newest when neither is given.

    Returns
    -------
    PlanDocument
        Of no deployment: without key, protected columns and corrections.

    Raises
    ------
    NotFoundError
        When there is no such version, or the alias points nowhere.
    """
    if alias is not None:
        found = registry.version_at(tx, actor, model, alias)
    elif number is not None:
        found = registry.get_version(tx, actor, model, number)
    else:
        newest = registry.list_versions(tx, actor, model, limit=1)
        if not newest:
            raise errors.NotFoundError(f"model {model!r} has no version yet")
        found = newest[0]
    return PlanDocument(
        deployment="",
        model=found.model,
        key="",
        protected=(),
        plan=plans.single(found.number),
        versions=(telling.files(tx, found),),
        changed=0,
    )
