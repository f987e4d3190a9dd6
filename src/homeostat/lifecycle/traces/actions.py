"""What an actor may do with traces; called by the doors.

A trace comes in two parts, in either order and from two threads of a client: what it was about
(`keep_trace`), and its steps (`keep_spans`). Neither may lose what the other wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.traces import entities, look, records, search
from homeostat.lifecycle.tracking import experiments, limits, places, runs

MOST_TRACES: Final = 500
MOST_LINKS: Final = 100
LONGEST_PREVIEW: Final = 10_000
FINAL_KEY: Final = "mlflow.trace.infoFinalized"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OPEN: Final = ("STATE_UNSPECIFIED", "IN_PROGRESS")
_NS_PER_MS: Final = 1_000_000


def keep_trace(
    tx: Transaction, actor: access.Actor, trace: entities.Trace, *, is_final: bool = True
) -> entities.Trace:
    """Write what a trace was about; its tags and metadata come beside those it has.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    trace
        As the client tells it; texts that are too long are cut.
    is_final
        The client tells of a call that has ended; its steps change its times no more.

    Returns
    -------
    Trace
        With the address of its files among its tags.

    Raises
    ------
    NotFoundError
        When its experiment does not exist.
    InvalidInputError
        When its id cannot be right, or its experiment is deleted.
    """
    access.require(actor, "run.write")
    if _ID.fullmatch(trace.id) is None:
        raise errors.InvalidInputError(
            f"a trace id has 1 to 64 letters, digits, - and _; got {trace.id[:80]!r}"
        )
    place = _place(tx, trace.experiment_id, trace.id)
    metadata = _cut(trace.metadata)
    if is_final:
        metadata[FINAL_KEY] = "true"
    kept = msgspec.structs.replace(
        trace,
        run_id=metadata.get(entities.RUN_KEY, ""),
        client_request_id=_shortened(trace.client_request_id, limits.LONGEST_NAME),
        request_preview=_shortened(trace.request_preview, LONGEST_PREVIEW),
        response_preview=_shortened(trace.response_preview, LONGEST_PREVIEW),
        metadata=metadata,
        tags={**_cut(trace.tags), entities.LOCATION_TAG: place},
    )
    records.upsert_trace(tx, kept)
    return look.existing(tx, trace.id)


def finish_trace(
    tx: Transaction,
    actor: access.Actor,
    trace_id: str,
    *,
    ended_at: int,
    state: entities.State,
    metadata: Mapping[str, str],
    tags: Mapping[str, str],
) -> entities.Trace:
    """End a trace that was begun before; for clients that tell of both.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    trace_id
        An existing trace.
    ended_at
        ms UTC.
    state
        How it ended.
    metadata, tags
        Text by key, beside those it has.

    Returns
    -------
    Trace
        As it is now.

    Raises
    ------
    NotFoundError
        When there is no such trace.
    InvalidInputError
        When its experiment is deleted.
    """
    access.require(actor, "run.write")
    begun = look.existing(tx, trace_id)
    ended = msgspec.structs.replace(
        begun,
        state=state,
        duration_ms=max(0, ended_at - begun.requested_at),
        metadata={**begun.metadata, **metadata},
        tags={**begun.tags, **tags},
    )
    return keep_trace(tx, actor, ended)


def keep_spans(
    tx: Transaction,
    actor: access.Actor,
    experiment_id: str,
    *,
    spans: Sequence[entities.Span],
) -> None:
    """Write steps of traces; a trace nobody told of yet is made of its steps.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    experiment_id
        Decimal digits; where a trace goes that is not known yet.
    spans
        Of any traces; one that was sent before is replaced.

    Raises
    ------
    NotFoundError
        When the experiment does not exist.
    InvalidInputError
        When it is deleted.
    """
    access.require(actor, "run.write")
    by_trace: dict[str, list[entities.Span]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, []).append(span)
    for trace_id, steps in by_trace.items():
        known = records.find_trace(tx, trace_id)
        if known is None:
            place = _place(tx, experiment_id, trace_id)
            known = entities.Trace(
                id=trace_id,
                experiment_id=experiment_id,
                state="IN_PROGRESS",
                requested_at=min(span.started_ns for span in steps) // _NS_PER_MS,
                tags={entities.LOCATION_TAG: place},
            )
        records.upsert_trace(tx, _with_steps(known, steps))
    records.upsert_spans(tx, spans)


def set_tags(
    tx: Transaction, actor: access.Actor, trace_id: str, *, values: Mapping[str, str]
) -> None:
    """Write tags of a trace; the last value counts, cut to 8,000 characters.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    trace_id
        An existing trace.
    values
        Text by key.

    Raises
    ------
    NotFoundError
        When there is no such trace.
    InvalidInputError
        When a key cannot be right, or the tag is the server's own.
    """
    access.require(actor, "run.write")
    look.existing(tx, trace_id)
    for key in values:
        _check_tag(key, "set")
    records.upsert_texts(tx, trace_id, kind="tag", values=_cut(values))


def delete_tag(tx: Transaction, actor: access.Actor, trace_id: str, *, key: str) -> None:
    """Take a tag off a trace.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    trace_id
        An existing trace.
    key
        Of a tag it has.

    Raises
    ------
    NotFoundError
        When there is no such trace, or it has no such tag.
    InvalidInputError
        When the tag is the server's own.
    """
    access.require(actor, "run.write")
    look.existing(tx, trace_id)
    _check_tag(key, "deleted")
    which = {**records.of_trace(tx, trace_id), "in_kind": "tag", "in_key": key}
    if not tx.run(records.DELETE_TEXT, which).rowcount:
        raise errors.NotFoundError(
            f"No trace tag with key '{key[:80]}' for trace with ID '{trace_id}'"
        )


def link_to_run(
    tx: Transaction, actor: access.Actor, run_id: str, *, trace_ids: Sequence[str]
) -> None:
    """Say that traces belong to a run besides the one they were made in.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    run_id
        An existing run.
    trace_ids
        At most 100; those that do not exist are passed over.

    Raises
    ------
    NotFoundError
        When there is no such run.
    InvalidInputError
        When there are more than 100.
    """
    if len(trace_ids) > MOST_LINKS:
        raise errors.InvalidInputError(
            f"Cannot link more than {MOST_LINKS} traces to a run in a single request. "
            f"Provided {len(trace_ids)} traces."
        )
    runs.writable(tx, actor, run_id)
    rows = [
        {"project": tx.project, "run_id": run_id, "trace_id": trace.id}
        for trace in search.by_ids(tx, trace_ids)
    ]
    if rows:
        tx.run(records.INSERT_LINKS, rows)


def delete_traces(
    tx: Transaction,
    actor: access.Actor,
    experiment_id: str,
    *,
    trace_ids: Sequence[str] = (),
    until: int | None = None,
    most: int | None = None,
) -> int:
    """Delete traces of an experiment for good, with their steps.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    experiment_id
        Decimal digits.
    trace_ids
        Which; or empty, where `until` says which.
    until
        Those requested up to then, ms UTC, the oldest first.
    most
        At most so many of them, 1 or more.

    Returns
    -------
    int
        How many there were.

    Raises
    ------
    InvalidInputError
        When not exactly one of `trace_ids` and `until` is given, or `most` does not fit.
    """
    access.require(actor, "run.write")
    if (until is None) == (not trace_ids):
        what = "Either" if until is None else "Only one of"
        joined = "or" if until is None else "and"
        raise errors.InvalidInputError(
            f"{what} `max_timestamp_millis` {joined} `trace_ids` "
            f"{'must' if until is None else 'can'} be specified."
        )
    if trace_ids and most is not None:
        raise errors.InvalidInputError(
            "`max_traces` can't be specified if `trace_ids` is specified."
        )
    if most is not None and most <= 0:
        raise errors.InvalidInputError(
            f"`max_traces` must be a positive integer, received {most}."
        )
    chosen = search.oldest(tx, experiment_id, trace_ids=trace_ids, until=until, most=most)
    for start in range(0, len(chosen), MOST_TRACES):
        records.delete(tx, chosen[start : start + MOST_TRACES])
    if chosen:
        facts = {"n_traces": len(chosen), "first": chosen[0], "last": chosen[-1]}
        subject = f"experiment:{experiment_id}"
        events.record(tx, actor, "traces.deleted", subject=subject, facts=facts)
    return len(chosen)


def _place(tx: Transaction, experiment_id: str, trace_id: str) -> str:
    """Return the address of a trace's files; refuses an experiment that takes none."""
    experiment = experiments.active(experiments.existing(tx, experiment_id))
    root = places.of_experiment(experiment.artifact_root, experiment.id)
    return f"{root}/traces/{trace_id}/artifacts"


def _with_steps(trace: entities.Trace, steps: Sequence[entities.Span]) -> entities.Trace:
    """Let steps say what nobody else has said: when it was, how it ended, what it is called."""
    tags = {**trace.tags, entities.SPANS_TAG: entities.SPANS_ARE_HERE}
    outermost = next((span for span in steps if not span.parent_id), None)
    state = trace.state
    if outermost is not None:
        tags.setdefault(entities.NAME_TAG, limits.cut_tag(outermost.name))
        state = outermost.state if state in _OPEN else state
    changed = msgspec.structs.replace(trace, tags=tags, state=state)
    if FINAL_KEY in trace.metadata:
        return changed
    began = min(trace.requested_at, *(span.started_ns // _NS_PER_MS for span in steps))
    ended = max(span.ended_ns // _NS_PER_MS for span in steps)
    if trace.duration_ms is not None:
        ended = max(ended, trace.requested_at + trace.duration_ms)
    duration_ms = ended - began if ended else None
    return msgspec.structs.replace(changed, requested_at=began, duration_ms=duration_ms)


def _check_tag(key: str, change: str) -> None:
    limits.check_key("tag", key)
    if key in {entities.LOCATION_TAG, entities.SPANS_TAG}:
        raise errors.InvalidInputError(
            f"Tag '{key}' is immutable and cannot be {change} on a trace."
        )


def _cut(values: Mapping[str, str]) -> dict[str, str]:
    return {key[: limits.LONGEST_KEY]: limits.cut_tag(text) for key, text in values.items()}


def _shortened(text: str | None, longest: int) -> str | None:
    return None if text is None else text[:longest]
