"""The table of label requests and the SQL on it; `requesting` calls it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from homeostat.foundation.database import Transaction
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.predictions.requested import LabelRequest

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

_HERE = (
    requests.c.project == sa.bindparam("in_project"),
    requests.c.deployment == sa.bindparam("in_deployment"),
)
_ONE = sa.select(requests.c.body).where(*_HERE, requests.c.id == sa.bindparam("in_id"))
_ALL = (
    sa.select(requests.c.body)
    .where(
        *_HERE,
        requests.c.state.in_(sa.bindparam("in_states", expanding=True)),
        requests.c.id > sa.bindparam("in_after"),
    )
    .order_by(requests.c.id)
    .limit(sa.bindparam("in_limit"))
)
_ASKED = sa.select(requests.c.prediction).where(*_HERE)
_UPDATE = (
    requests.update()
    .where(
        requests.c.project == sa.bindparam("in_project"),
        requests.c.id == sa.bindparam("in_id"),
        requests.c.state == "open",
    )
    .values(state=sa.bindparam("new_state"), body=sa.bindparam("new_body"))
)


def insert(tx: Transaction, made: Sequence[LabelRequest]) -> None:
    """Write requests."""
    rows = [
        {
            "project": tx.project,
            "id": one.id,
            "deployment": one.deployment,
            "prediction": one.prediction,
            "state": one.state,
            "body": msgspec.json.encode(one).decode(),
        }
        for one in made
    ]
    tx.execute(requests.insert(), rows)


def one(tx: Transaction, deployment: str, request: str) -> LabelRequest | None:
    """Return a request; None when there is none."""
    which = {"in_project": tx.project, "in_deployment": deployment, "in_id": request}
    found = tx.execute(_ONE, which).first()
    return None if found is None else _decode(found.body)


def listed(
    tx: Transaction, deployment: str, *, states: Sequence[str], after: str, limit: int
) -> list[LabelRequest]:
    """Return requests in some states, oldest first."""
    which = {
        "in_project": tx.project,
        "in_deployment": deployment,
        "in_states": list(states),
        "in_after": after,
        "in_limit": limit,
    }
    return [_decode(row.body) for row in tx.execute(_ALL, which)]


def asked(tx: Transaction, deployment: str) -> list[str]:
    """Return the ids of the predictions that were asked for."""
    which = {"in_project": tx.project, "in_deployment": deployment}
    return [row.prediction for row in tx.execute(_ASKED, which)]


def close(tx: Transaction, changed: LabelRequest) -> bool:
    """Write a request that is not open any more; false when it was not open."""
    values = {
        "in_project": tx.project,
        "in_id": changed.id,
        "new_state": changed.state,
        "new_body": msgspec.json.encode(changed).decode(),
    }
    return tx.execute(_UPDATE, values).rowcount == 1


def _decode(body: str) -> LabelRequest:
    return msgspec.json.decode(body, type=LabelRequest)
