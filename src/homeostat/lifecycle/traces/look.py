"""Actions that only read traces; called by the doors and the actions that write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.traces import entities, records, search

MOST_SPANS: Final = 10_000
MOST_TRACES: Final = 500


def get_trace(tx: Transaction, actor: access.Actor, trace_id: str) -> entities.Trace:
    """Return a trace without its steps; `NotFoundError` when there is none."""
    access.require(actor, "run.read")
    return existing(tx, trace_id)


def list_spans(tx: Transaction, actor: access.Actor, trace_id: str) -> list[bytes]:
    """Return the steps of a trace as JSON, the outermost first; at most 10,000."""
    access.require(actor, "run.read")
    return records.spans_of(tx, trace_id, limit=MOST_SPANS)


def find_traces(
    tx: Transaction, actor: access.Actor, trace_ids: Sequence[str]
) -> tuple[entities.Trace, ...]:
    """Return those of some traces that exist, in the order asked for.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    trace_ids
        At most 500.

    Returns
    -------
    tuple of Trace
        Each once.

    Raises
    ------
    InvalidInputError
        When more are asked for.
    """
    access.require(actor, "run.read")
    if len(trace_ids) > MOST_TRACES:
        raise errors.InvalidInputError(
            f"{len(trace_ids)} traces asked for; at most {MOST_TRACES} at once"
        )
    found = {trace.id: trace for trace in search.by_ids(tx, trace_ids)}
    return tuple(found[name] for name in dict.fromkeys(trace_ids) if name in found)


def existing(tx: Transaction, trace_id: str) -> entities.Trace:
    """Return a trace, or say that there is none; for callers that asked permission already."""
    found = records.find_trace(tx, trace_id)
    if found is None:
        raise errors.NotFoundError(
            f"Trace with ID '{trace_id[:80]}' not found.", trace_id=trace_id[:80]
        )
    return found
