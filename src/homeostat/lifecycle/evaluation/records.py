"""The table of gate reports and the SQL on it; only this subject's `actions` call it."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from homeostat.foundation.database import Transaction
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.evaluation.entities import GateReport

reports = sa.Table(
    "reports",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("candidate", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("reports_model", "project", "model", "id"),
)

IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
INSERT = sa.insert(reports)
BY_ID = sa.select(reports.c.body).where(
    reports.c.project == IN_PROJECT, reports.c.id == sa.bindparam("in_id")
)
OF_MODEL = (
    sa.select(reports.c.body)
    .where(
        reports.c.project == IN_PROJECT,
        reports.c.model == sa.bindparam("in_model"),
        reports.c.id < sa.bindparam("in_before"),
    )
    .order_by(reports.c.id.desc())
    .limit(sa.bindparam("in_limit"))
)


def insert(tx: Transaction, report: GateReport) -> None:
    """Store a report as it was signed."""
    row = {
        "project": tx.project,
        "id": report.id,
        "model": report.model,
        "candidate": report.candidate,
        "verdict": report.verdict,
        "at": report.at,
        "digest": report.digest,
        "body": msgspec.json.encode(report).decode(),
    }
    tx.execute(INSERT, row)


def find(tx: Transaction, report_id: str) -> GateReport | None:
    """Return the report, or None."""
    row = tx.execute(BY_ID, {"in_project": tx.project, "in_id": report_id}).first()
    return None if row is None else msgspec.json.decode(row.body, type=GateReport)


def of_model(tx: Transaction, model: str, *, before: str, limit: int) -> list[GateReport]:
    """Return reports of a model, newest first, from just before an id."""
    which = {
        "in_project": tx.project,
        "in_model": model,
        "in_before": before,
        "in_limit": limit,
    }
    rows = tx.execute(OF_MODEL, which)
    return [msgspec.json.decode(row.body, type=GateReport) for row in rows]
