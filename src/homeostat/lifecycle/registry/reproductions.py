"""What an actor may record of versions that were made again; part of the registry's actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from homeostat.foundation import access, errors, events, ids, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import actions, reproduction_records
from homeostat.lifecycle.registry.reproduction import Item, Reproduction, judged
from homeostat.lifecycle.tracking import actions as tracking


def record(
    tx: Transaction,
    actor: access.Actor,
    model: str,
    number: int,
    *,
    run_id: str,
    environment: Literal["present", "fresh"],
    tolerance: float,
    items: Sequence[Item],
) -> Reproduction:
    """Record what came out when a version was made again, with its event and its lineage.

    Parameters
    ----------
    tx, actor
        Needs ``run.write``.
    model, number
        Which version.
    run_id
        The run that made it again; empty where nothing could be run.
    environment, tolerance, items
        As `Reproduction` keeps them.

    Returns
    -------
    Reproduction
        Judged here, from the items.

    Raises
    ------
    NotFoundError
        When there is no such version or run.
    InvalidInputError
        When the run is the one that made the version.
    """
    access.require(actor, "run.write")
    version = actions.get_version(tx, actor, model, number)
    if run_id:
        tracking.existing(tx, run_id)
        if run_id == version.run_id:
            raise errors.InvalidInputError(
                f"run:{run_id} made {version.reference}; it is no reproduction of it"
            )
    made = Reproduction(
        id=ids.new_id(),
        model=version.model,
        number=version.number,
        of_run=version.run_id,
        run_id=run_id,
        environment=environment,
        tolerance=tolerance,
        items=tuple(items),
        verdict=judged(items),
        at=tx.at,
        actor=actor.name,
    )
    reproduction_records.insert(tx, made)
    lineage.connect(tx, source=version.reference, target=made.reference, kind="reproduced-as")
    if run_id:
        lineage.connect(tx, source=f"run:{run_id}", target=made.reference, kind="made")
    facts = {
        "reproduction": made.id,
        "run": run_id,
        "verdict": made.verdict,
        "environment": environment,
        "differs": [f"{one.kind} {one.name}" for one in made.items if one.verdict == "differs"][
            :20
        ],
    }
    events.record(tx, actor, "version.reproduced", subject=version.reference, facts=facts)
    return made


def of_version(
    tx: Transaction, actor: access.Actor, model: str, number: int, *, limit: int = 100
) -> list[Reproduction]:
    """Return how often a version was made again and what came out, newest first.

    Parameters
    ----------
    tx, actor
        Needs ``model.read``.
    model, number
        Which version.
    limit
        At most this many.
    """
    access.require(actor, "model.read")
    actions.get_version(tx, actor, model, number)
    return reproduction_records.of_version(tx, model, number, limit=limit)
