"""The action that thins out long metric histories for charts; called by the doors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import entities, point_records

MOST_RUNS: Final = 100
MOST_POINTS: Final = 2500

_FIRST_STEP: Final = -(2**63)
_LAST_STEP: Final = 2**63 - 1


def sample_metrics(
    tx: Transaction,
    actor: access.Actor,
    run_ids: Sequence[str],
    *,
    key: str,
    most: int = MOST_POINTS,
    first_step: int | None = None,
    last_step: int | None = None,
) -> list[tuple[str, entities.Metric]]:
    """Return points of one metric of several runs, evenly chosen from each history.

    The history is cut into `most` parts of the same number of points; the first point of each
    part and the very last one are returned.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    run_ids
        At most 100; one that does not exist has no points.
    key
        Of the metric.
    most
        Points of a run, 1 to 2,500; with 1 it is the last one.
    first_step, last_step
        Only points from and to these steps; both or neither.

    Returns
    -------
    list
        Run id and point, run by run, by step and time.

    Raises
    ------
    InvalidInputError
        When there are too many runs, or a number is out of its range.
    """
    access.require(actor, "run.read")
    _check(run_ids, most=most, first_step=first_step, last_step=last_step)
    which: dict[str, Any] = {
        "in_project": tx.project,
        "in_key": key,
        "in_bins": most,
        "in_first": _FIRST_STEP if first_step is None else first_step,
        "in_last": _LAST_STEP if last_step is None else last_step,
    }
    found: list[tuple[str, entities.Metric]] = []
    for run_id in run_ids:
        points = _sample(tx, {**which, "in_run": run_id}, most)
        found += [(run_id, entities.Metric(*row)) for row in points]
    return found


def _sample(tx: Transaction, which: dict[str, Any], most: int) -> list[tuple[Any, ...]]:
    last = tx.execute(point_records.LAST, which).first()
    if last is None:
        return []
    points = [tuple(row) for row in tx.execute(point_records.SAMPLE, which)]
    if points[-1] != tuple(last):
        points = [*points[: most - 1], tuple(last)]
    return points


def _check(
    run_ids: Sequence[str], *, most: int, first_step: int | None, last_step: int | None
) -> None:
    if len(run_ids) > MOST_RUNS:
        raise errors.InvalidInputError(
            f"GetMetricHistoryBulkInterval request must specify at most {MOST_RUNS} run_ids. "
            f"Received {len(run_ids)} run_ids."
        )
    if not 1 <= most <= MOST_POINTS:
        raise errors.InvalidInputError(
            f"max_results must be between 1 and {MOST_POINTS}; got {most}"
        )
    if (first_step is None) != (last_step is None):
        raise errors.InvalidInputError(
            "If either start step or end step are specified, both must be specified."
        )
    if first_step is not None and last_step is not None and first_step > last_step:
        raise errors.InvalidInputError(
            "end_step must be greater than start_step. "
            f"Found start_step={first_step} and end_step={last_step}."
        )
