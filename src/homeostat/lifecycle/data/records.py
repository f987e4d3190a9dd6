"""Tables of datasets and snapshots and the SQL on them; only `actions` calls it."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.data.entities import (
    CheckResult,
    Dataset,
    Difference,
    Schema,
    Snapshot,
)

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("n_snapshots", sa.Integer, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("format", sa.Text, nullable=False),
    sa.Column("n_rows", sa.BigInteger, nullable=False),
    sa.Column("schema", sa.Text, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("checks", sa.Text, nullable=False),
    sa.Column("differences", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=True),
    sa.Column("time", sa.Text, nullable=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.UniqueConstraint("project", "dataset", "number", name="snapshots_number"),
    sa.UniqueConstraint("project", "dataset", "digest", name="snapshots_digest"),
)
sa.Index("snapshots_content", snapshots.c.project, snapshots.c.digest)

_IN_PROJECT = snapshots.c.project == sa.bindparam("in_project")
_IN_DATASET = _IN_PROJECT & (snapshots.c.dataset == sa.bindparam("in_dataset"))

INSERT_DATASET = datasets.insert()
INSERT_SNAPSHOT = snapshots.insert()
FIND_DATASET = (
    sa.select(datasets)
    .where(datasets.c.project == sa.bindparam("in_project"))
    .where(datasets.c.name == sa.bindparam("in_name"))
)
COUNT_UP = (
    datasets.update()
    .where(datasets.c.project == sa.bindparam("in_project"))
    .where(datasets.c.name == sa.bindparam("in_name"))
    .values(n_snapshots=sa.bindparam("to_number"))
)
LIST_DATASETS = (
    sa.select(datasets)
    .where(datasets.c.project == sa.bindparam("in_project"))
    .where(datasets.c.name > sa.bindparam("after"))
    .order_by(datasets.c.name)
    .limit(sa.bindparam("up_to"))
)
FIND_BY_ID = sa.select(snapshots).where(_IN_PROJECT, snapshots.c.id == sa.bindparam("in_id"))
FIND_BY_NUMBER = sa.select(snapshots).where(
    _IN_DATASET, snapshots.c.number == sa.bindparam("in_number")
)
FIND_BY_DIGEST = sa.select(snapshots).where(
    _IN_DATASET, snapshots.c.digest == sa.bindparam("in_digest")
)
FIND_NEWEST = (
    sa.select(snapshots).where(_IN_DATASET).order_by(snapshots.c.number.desc()).limit(1)
)
LIST_SNAPSHOTS = (
    sa.select(snapshots)
    .where(_IN_DATASET, snapshots.c.number < sa.bindparam("before"))
    .order_by(snapshots.c.number.desc())
    .limit(sa.bindparam("up_to"))
)

_decode_schema = msgspec.json.Decoder(Schema).decode
_decode_checks = msgspec.json.Decoder(tuple[CheckResult, ...]).decode
_decode_differences = msgspec.json.Decoder(tuple[Difference, ...]).decode


def dataset_of(row: sa.Row[Any]) -> Dataset:
    """Return the entity of a row of `datasets`."""
    return Dataset(
        name=row.name,
        n_snapshots=row.n_snapshots,
        created_at=row.created_at,
        created_by=row.created_by,
    )


def snapshot_of(row: sa.Row[Any]) -> Snapshot:
    """Return the entity of a row of `snapshots`."""
    fields = {name: getattr(row, name) for name in Snapshot.__struct_fields__}
    fields["schema"] = _decode_schema(row.schema)
    fields["checks"] = _decode_checks(row.checks)
    fields["differences"] = _decode_differences(row.differences)
    return Snapshot(**fields)


def row_of(snapshot: Snapshot, *, project: str) -> dict[str, Any]:
    """Return the row of a snapshot."""
    row: dict[str, Any] = msgspec.structs.asdict(snapshot)
    for name in ("schema", "checks", "differences"):
        row[name] = msgspec.json.encode(row[name]).decode()
    return {**row, "project": project}
