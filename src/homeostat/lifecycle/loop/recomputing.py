"""Computes features of stored rows by the pipeline's own steps; called by `looking`.

What was served is compared with that: a step that changes a value before the model is fitted,
and is not run before it is asked, is the oldest kind of training-serving skew.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from homeostat.foundation.house import House
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import metering
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving.entities import Deployment


class Recomputed(NamedTuple):
    """Rows with features as training has them.

    Attributes
    ----------
    rows
        As given, with the model's columns computed anew.
    by
        By what, before the name of where the rows are from; empty where they are as given.
    lacking
        Why a pipeline did not compute them; empty where it did, or there is none.
    """

    rows: pl.DataFrame
    by: str = ""
    lacking: str = ""


def features(
    house: House, deployment: Deployment, version: Version, rows: pl.DataFrame
) -> Recomputed:
    """Let the pipeline of a deployment compute the features of rows, in a process apart.

    Parameters
    ----------
    house
        Its settings name the folder of the pipelines.
    deployment, version
        Whose policy names the pipeline, and what names the columns.
    rows
        Of a snapshot, those that were served.
    """
    told = policies.parse(deployment.policy, where=f"policy of {deployment.name}")
    name = told.model.pipeline
    if not name or deployment.kind == "watched" or not version.run_id or rows.is_empty():
        return Recomputed(rows)
    folder = str(house.settings.code.resolve())
    with metering.opened(folder) as meter:
        said = meter.ask(name, _filled(rows, told), names=tuple(version.schema.names))
    if said.sentence:
        return Recomputed(rows, lacking=f"{name} could not compute them anew: {said.sentence}")
    computed = pl.read_ipc_stream(said.table)
    return Recomputed(rows.with_columns(computed.iter_columns()), by=f"{name} of ")


def _filled(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return rows with an outcome each: those without one are left out by many a pipeline."""
    target = policy.model.target
    if target not in rows.columns:
        return rows.with_columns(pl.lit(0).alias(target))
    known = rows[target].drop_nulls()
    return rows.with_columns(pl.col(target).fill_null(known[0] if len(known) else 0))
