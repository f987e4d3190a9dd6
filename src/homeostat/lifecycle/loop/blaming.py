"""Asks blame where harm comes from, with all that is known of its rows; called by `live`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.loop import aims, alarmed, entities, observing
from homeostat.lifecycle.monitoring import actions as monitoring
from homeostat.lifecycle.monitoring import (
    baseline,
    blame,
    measurements,
    region,
    service_counts,
    skew,
)
from homeostat.lifecycle.monitoring import entities as monitored
from homeostat.lifecycle.monitoring.checks import HOUR_MS
from homeostat.lifecycle.predictions.entities import ABSTAINED

MOST_WINDOWS = 50
_EVEN = 0.5


def blamed(
    house: House,
    actor: access.Actor,
    deployment: str,
    *,
    event: entities.BlockLabelled,
    rows: pl.DataFrame,
    accepted: float,
    frozen: baseline.Baseline,
    aim: aims.Aim,
) -> entities.BlockLabelled:
    """Return a block with the cause of its harm.

    Parameters
    ----------
    house, actor
        Needs ``monitoring.read``.
    deployment
        Its name.
    event, rows
        The block, and its labelled rows.
    accepted
        Loss that was accepted.
    frozen
        Baseline of the version that answers.
    aim
        What is foretold.
    """
    harm = monitored.Harm(
        first_row=event.first_row,
        end_row=event.end_row,
        accepted=accepted,
        realised=max(event.error, alarmed.of_members(event)),
        n_rows=event.n_rows,
        is_share=aim.task != "regression",
    )
    windows, hints = house.read(
        lambda tx: told(tx, actor, deployment, rows=rows, end_row=event.end_row)
    )
    touching = [window for window in windows if window.end_row > event.first_row]
    causes = ranked(touching, harm, hints, rows=rows, frozen=frozen, aim=aim)
    shifts = [window.shift.change for window in touching if window.shift is not None]
    return msgspec.structs.replace(
        event,
        cause=observing.seen_causes(_shown(causes[:1]))[0],
        shift_loss=shifts[-1] if shifts else None,
    )


def told(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    *,
    rows: pl.DataFrame,
    end_row: int | None = None,
    limit: int = MOST_WINDOWS,
) -> tuple[list[monitored.Window], blame.Hints]:
    """Return the newest windows in order, and what else is known of these rows.

    Parameters
    ----------
    tx, actor
        Needs ``monitoring.read``.
    deployment
        Its name.
    rows
        Labelled rows that were answered wrongly too often, or the newest.
    end_row
        Only windows that begin before it.
    limit
        At most so many windows.
    """
    windows = monitoring.list_windows(tx, actor, deployment, before_row=end_row, limit=limit)
    kept = measurements.checks(tx, actor, deployment)
    hints = blame.Hints(
        deployment=deployment,
        service=_service(tx, deployment, rows),
        skew=next((one for one in kept if one.name == skew.NAME), None),
    )
    return windows[::-1], hints


def ranked(
    windows: Sequence[monitored.Window],
    harm: monitored.Harm,
    hints: blame.Hints,
    *,
    rows: pl.DataFrame,
    frozen: baseline.Baseline,
    aim: aims.Aim,
) -> tuple[monitored.Cause, ...]:
    """Rank the causes of a harm; of two classes its rows tell of corrections and regions too.

    Parameters
    ----------
    windows, hints
        From `told`.
    harm, rows
        What rose, and the labelled rows on which it did.
    frozen
        Baseline of the version that answers.
    aim
        What is foretold.
    """
    if aim.task == "binary":
        hints = _told_by_rows(hints, rows, frozen, aim)
    else:
        hints = msgspec.structs.replace(hints, region=_region(harm, rows, frozen, aim))
    return blame.rank(windows, harm=harm, version_row=new_version(rows), hints=hints)


def _region(
    harm: monitored.Harm, rows: pl.DataFrame, frozen: baseline.Baseline, aim: aims.Aim
) -> region.Region | None:
    """Find where answers of several classes, or numbers, are further off than they were."""
    outcomes = aims.truth(rows[observing.LABEL], aim)
    if aim.task == "regression":
        losses = aims.losses(aims.said(rows, aim), outcomes, aim)
        return region.find(observing.features(rows), losses, frozen, accepted=harm.accepted)
    wrong = aims.said(rows, aim).argmax(axis=1) != outcomes
    known = len(frozen.reference_wrong) > 0
    accepted = None if known else harm.accepted
    return region.find(observing.features(rows), wrong, frozen, accepted=accepted)


def _shown(causes: Sequence[monitored.Cause]) -> list[monitored.Cause]:
    """Return causes whose sentence ends with the command that shows them."""
    return [
        msgspec.structs.replace(one, sentence=f"{one.sentence} (shown by: {one.query})")
        if one.query
        else one
        for one in causes
    ]


def new_version(rows: pl.DataFrame) -> int | None:
    """Return the first row that others answered than the rows before; None without one."""
    changed = rows.filter(pl.col("version") != rows["version"][0])
    return None if changed.is_empty() else int(changed["row"][0])


def _service(tx: Transaction, deployment: str, rows: pl.DataFrame) -> blame.Service | None:
    """Return how requests fared in the time of the rows; without any, since the last hour."""
    first, last = rows["served_at"].min(), rows["served_at"].max()
    if not isinstance(first, int) or not isinstance(last, int):
        first, last = tx.at // HOUR_MS * HOUR_MS - HOUR_MS, tx.at
    found = service_counts.slots(tx, deployment, since=max(1, first - service_counts.SLOT_MS))
    inside = [counts for at, counts in found if at <= last]
    if not inside:
        return None
    return blame.Service(
        n_requests=sum(one.total for one in inside), n_failed=sum(one.failed for one in inside)
    )


def _told_by_rows(
    hints: blame.Hints, rows: pl.DataFrame, frozen: baseline.Baseline, aim: aims.Aim
) -> blame.Hints:
    """Add what corrections did to the answers, and where the loss has risen."""
    truth = aims.truth(rows[observing.LABEL], aim).astype(bool)
    said = observing.as_text(rows["answer"])
    given = said.ne_missing(ABSTAINED).to_numpy()
    answered = said.eq(aim.positive).fill_null(value=False).to_numpy()
    alone = rows["score"].to_numpy() >= _EVEN
    wrong = np.where(given, answered, alone) != truth
    return msgspec.structs.replace(
        hints,
        corrections=_corrected(rows, given & (wrong != (alone != truth)), wrong),
        region=region.find(observing.features(rows), wrong, frozen),
    )


def _corrected(
    rows: pl.DataFrame, changed: NDArray[np.bool_], wrong: NDArray[np.bool_]
) -> blame.Corrected | None:
    if "corrections" not in rows.columns:
        return None
    fired = rows["corrections"].fill_null("")
    by_them = changed & fired.ne("").to_numpy()
    if not by_them.any():
        return None
    marks = fired.filter(pl.Series(by_them)).str.split(",").explode().unique().sort()
    n_worse = int(np.count_nonzero(by_them & wrong)) - int(np.count_nonzero(by_them & ~wrong))
    return blame.Corrected(
        n_rows=rows.height,
        n_changed=int(by_them.sum()),
        n_worse=n_worse,
        marks=tuple(marks.to_list()),
    )
