"""What a fit learns from: labelled rows of the log, or a snapshot; called by `duties`."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import polars as pl

from homeostat.foundation import access
from homeostat.foundation.house import House
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.data import inspection, intake, tables
from homeostat.lifecycle.data.entities import Snapshot
from homeostat.lifecycle.loop import entities, observing, selecting
from homeostat.lifecycle.policy.entities import Policy


class Lesson(NamedTuple):
    """A table as the pipeline takes it, its snapshot, and what was done to selected labels."""

    table: pl.DataFrame
    snapshot: Snapshot
    told: str = ""


def of(
    house: House,
    actor: access.Actor,
    deployment: str,
    fit: entities.Fit,
    *,
    policy: Policy,
) -> Lesson:
    """Read what a fit learns from.

    Parameters
    ----------
    house, actor
        A part of the system.
    deployment
        Whose log.
    fit
        Names rows, or a snapshot.
    policy
        Names target and key.

    Raises
    ------
    NotFoundError
        When the snapshot is gone.
    InvalidInputError
        When the snapshot has no column of the target.
    """
    if fit.snapshot is not msgspec.UNSET:
        named = fit.snapshot
        snapshot = house.read(lambda tx: data.find_snapshot(tx, actor, named))
        frame = intake.read_snapshot(house, snapshot)
        tables.need_column(frame.columns, policy.model.target, role="target")
        if policy.data.time:
            frame = frame.sort(policy.data.time, maintain_order=True)
        return Lesson(frame, snapshot)
    rows = house.read(
        lambda tx: observing.labelled(house, tx, deployment, rows=fit.rows, without=fit.without)
    )
    rows, told = selecting.weighed(rows, policy.selection)
    table = observing.training_table(rows, policy)
    source = f"predictions of {deployment}, rows {fit.rows[0]} to {fit.rows[1]}"
    offer = inspection.Offer(
        data=tables.encode(table),
        format="parquet",
        source="; ".join(filter(None, (source, told))),
        key=None,
        time=None,
    )
    kept = intake.add(house, actor, f"{deployment}.log", offer, allow_schema_change=True)
    return Lesson(table, kept, told)
