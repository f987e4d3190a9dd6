"""Tables of pipelines and the SQL on them: steps of runs, and what code digests stand for."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from homeostat.foundation.database import Prepared, upserts
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.pipeline import entities

steps = sa.Table(
    "run_steps",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("wall_s", sa.Float, nullable=False),
    sa.Column("cpu_s", sa.Float, nullable=False),
    sa.Column("max_rss_bytes", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index("run_steps_name", "project", "name", "started_at"),
)
codes = sa.Table(
    "reached_codes",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("parts", sa.Text, nullable=False),
)
code_files = sa.Table(
    "code_files",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
)
run_codes = sa.Table(
    "run_codes",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("files", sa.Text, nullable=False),
)

IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")

INSERT_STEPS = Prepared(steps.insert())
STEPS_OF_RUN = (
    sa.select(steps)
    .where(steps.c.project == IN_PROJECT, steps.c.run_id == sa.bindparam("in_run"))
    .order_by(steps.c.position)
)
INSERT_CODES = upserts.keeping(codes)
CODE = sa.select(codes.c.parts).where(
    codes.c.project == IN_PROJECT, codes.c.digest == sa.bindparam("in_digest")
)
INSERT_FILES = upserts.keeping(code_files)
INSERT_RUN_CODE = Prepared(run_codes.insert())
RUN_CODE = sa.select(run_codes.c.target, run_codes.c.files).where(
    run_codes.c.project == IN_PROJECT, run_codes.c.run_id == sa.bindparam("in_run")
)
FILES = sa.select(code_files.c.digest, code_files.c.content).where(
    code_files.c.project == IN_PROJECT,
    code_files.c.digest.in_(sa.bindparam("in_digests", expanding=True)),
)

_arguments = msgspec.json.Decoder(dict[str, entities.Argument])
_parts = msgspec.json.Decoder(tuple[tuple[str, str, str], ...])


def step_row(record: entities.StepRecord, *, project: str, run_id: str) -> dict[str, Any]:
    """Make a row of a step."""
    row = msgspec.structs.asdict(record)
    row["arguments"] = msgspec.json.encode(record.arguments).decode()
    row["project"] = project
    row["run_id"] = run_id
    return row


def step_from(row: Any) -> entities.StepRecord:
    """Make a step of its row."""
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    del fields["project"], fields["run_id"]
    fields["arguments"] = _arguments.decode(fields["arguments"])
    return entities.StepRecord(**fields)


def code_row(code: entities.ReachedCode, *, project: str) -> dict[str, Any]:
    """Make a row of reached code."""
    parts = msgspec.json.encode(code.parts).decode()
    return {"project": project, "digest": code.digest, "parts": parts}


def code_from(digest: str, parts: str) -> entities.ReachedCode:
    """Make reached code of its row."""
    return entities.ReachedCode(digest=digest, parts=_parts.decode(parts))
