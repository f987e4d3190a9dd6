"""The table of label requests and the SQL on it; `requesting` calls it."""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database.metadata import metadata

requests = sa.Table(
    "label_requests",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("prediction", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("label_requests_state", "project", "deployment", "state", "id"),
    sa.Index("label_requests_prediction", "project", "deployment", "prediction", unique=True),
)
