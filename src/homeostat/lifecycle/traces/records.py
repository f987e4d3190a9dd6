"""Tables of traces and the SQL on them; called by their actions and their search only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from homeostat.foundation.database import Prepared, Transaction, columns, upserts
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.traces import entities

LARGEST_WHOLE: Final = 2**63 - 1


traces = sa.Table(
    "traces",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("id", primary_key=True),
    columns.number("experiment_id"),
    columns.text("state"),
    columns.number("requested_at"),
    columns.number("duration_ms", nullable=True),
    columns.text("client_request_id", nullable=True),
    columns.text("run_id"),
    columns.text("request_preview", nullable=True),
    columns.text("response_preview", nullable=True),
    sa.Index("traces_newest", "project", "experiment_id", "requested_at", "id"),
    sa.Index("traces_run", "project", "run_id"),
)
texts = sa.Table(
    "trace_texts",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("trace_id", primary_key=True),
    columns.text("kind", primary_key=True),
    columns.text("key", primary_key=True),
    columns.text("value"),
    sqlite_with_rowid=False,
)
links = sa.Table(
    "trace_runs",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("run_id", primary_key=True),
    columns.text("trace_id", primary_key=True),
    sa.Index("trace_runs_trace", "project", "trace_id"),
    sqlite_with_rowid=False,
)
spans = sa.Table(
    "trace_spans",
    metadata,
    columns.text("project", primary_key=True),
    columns.text("trace_id", primary_key=True),
    columns.text("id", primary_key=True),
    columns.text("parent_id"),
    columns.number("started_ns"),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

_FIELDS: Final = tuple(traces.c.keys())[1:]
IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
IN_TRACE: sa.BindParameter[str] = sa.bindparam("in_trace")

TRACE = Prepared(
    sa.select(*(traces.c[name] for name in _FIELDS)).where(
        traces.c.project == IN_PROJECT, traces.c.id == IN_TRACE
    )
)
TEXTS = Prepared(
    sa.select(texts.c.kind, texts.c.key, texts.c.value)
    .where(texts.c.project == IN_PROJECT, texts.c.trace_id == IN_TRACE)
    .order_by(texts.c.kind, texts.c.key)
)
SPANS = Prepared(
    sa.select(spans.c.body)
    .where(spans.c.project == IN_PROJECT, spans.c.trace_id == IN_TRACE)
    .order_by(spans.c.started_ns, spans.c.parent_id, spans.c.id)
    .limit(sa.bindparam("in_limit"))
    .offset(sa.literal_column("0"))  # else SQLite's text has a parameter for it
)
DELETE_TEXT = Prepared(
    texts.delete().where(
        texts.c.project == IN_PROJECT,
        texts.c.trace_id == IN_TRACE,
        texts.c.kind == sa.bindparam("in_kind"),
        texts.c.key == sa.bindparam("in_key"),
    )
)
UPSERT_TRACE = upserts.replacing(traces, ["project", "id"])
UPSERT_TEXTS = upserts.replacing(texts, ["project", "trace_id", "kind", "key"])
UPSERT_SPANS = upserts.replacing(spans, ["project", "trace_id", "id"])
INSERT_LINKS = upserts.keeping(links)


def of_trace(tx: Transaction, trace_id: str) -> dict[str, Any]:
    """Name a trace in a statement's parameters."""
    return {"in_project": tx.project, "in_trace": trace_id}


def find_trace(tx: Transaction, trace_id: str) -> entities.Trace | None:
    """Return a trace with its texts, or None."""
    which = of_trace(tx, trace_id)
    row = tx.run(TRACE, which).fetchone()
    return None if row is None else trace_from(row, tx.run(TEXTS, which).fetchall())


def upsert_trace(tx: Transaction, trace: entities.Trace) -> None:
    """Write a trace and the texts it has; those it had before stay beside them."""
    row = {name: getattr(trace, name) for name in _FIELDS}
    row |= {"project": tx.project, "experiment_id": int(trace.experiment_id)}
    tx.run(UPSERT_TRACE, row)
    upsert_texts(tx, trace.id, kind="metadata", values=trace.metadata)
    upsert_texts(tx, trace.id, kind="tag", values=trace.tags)


def upsert_texts(tx: Transaction, trace_id: str, *, kind: str, values: dict[str, str]) -> None:
    """Write tags or metadata of a trace."""
    rows = [
        {"project": tx.project, "trace_id": trace_id, "kind": kind, "key": key, "value": value}
        for key, value in values.items()
    ]
    if rows:
        tx.run(UPSERT_TEXTS, rows)


def upsert_spans(tx: Transaction, found: Sequence[entities.Span]) -> None:
    """Write spans; one that was sent before is replaced."""
    rows = [
        {
            "project": tx.project,
            "trace_id": span.trace_id,
            "id": span.id,
            "parent_id": span.parent_id,
            "started_ns": min(span.started_ns, LARGEST_WHOLE),
            "body": span.body,
        }
        for span in {(span.trace_id, span.id): span for span in found}.values()
    ]
    tx.run(UPSERT_SPANS, rows)


def spans_of(tx: Transaction, trace_id: str, *, limit: int) -> list[bytes]:
    """Return the JSON of a trace's spans by their beginning, the outermost first."""
    which = {**of_trace(tx, trace_id), "in_limit": limit}
    return [bytes(row[0]) for row in tx.run(SPANS, which).fetchall()]


def delete(tx: Transaction, trace_ids: Sequence[str]) -> None:
    """Delete traces with all they have."""
    for table in (spans, texts, links):
        chosen = table.c.trace_id.in_(trace_ids)
        tx.execute(table.delete().where(table.c.project == tx.project, chosen))
    chosen = traces.c.id.in_(trace_ids)
    tx.execute(traces.delete().where(traces.c.project == tx.project, chosen))


def trace_from(row: Any, found: Sequence[Any]) -> entities.Trace:
    """Make a trace of its row and the rows of its texts."""
    fields = dict(zip(_FIELDS, row, strict=True))
    fields["experiment_id"] = str(fields["experiment_id"])
    return entities.Trace(
        **fields,
        metadata={key: value for kind, key, value in found if kind == "metadata"},
        tags={key: value for kind, key, value in found if kind == "tag"},
    )


def with_texts(tx: Transaction, rows: Sequence[Any]) -> tuple[entities.Trace, ...]:
    """Make traces of their rows, one statement for all their texts."""
    if not rows:
        return ()
    asked = (
        sa.select(texts.c.trace_id, texts.c.kind, texts.c.key, texts.c.value)
        .where(texts.c.project == tx.project, texts.c.trace_id.in_([row[0] for row in rows]))
        .order_by(texts.c.kind, texts.c.key)
    )
    by_trace: dict[str, list[Any]] = {}
    for row in tx.execute(asked):
        by_trace.setdefault(row.trace_id, []).append(tuple(row)[1:])
    return tuple(trace_from(row, by_trace.get(row[0], ())) for row in rows)
