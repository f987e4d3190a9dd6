"""The loop's tables and the SQL on them; `actions` calls it, and `places` for the live loop."""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database.metadata import metadata

states = sa.Table(
    "loop_states",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("n_events", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
inputs = sa.Table(
    "decision_inputs",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)
decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("inputs_digest", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Index("decisions_deployment", "project", "deployment", "id"),
)
envelope_reports = sa.Table(
    "envelope_reports",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("envelope_reports_deployment", "project", "deployment", "id"),
)
places = sa.Table(
    "loop_places",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    sa.Column("judged_row", sa.BigInteger, nullable=False),
    sa.Column("block_row", sa.BigInteger, nullable=False),
    sa.Column("canary_row", sa.BigInteger, nullable=False),
    sa.Column("canary_generation", sa.BigInteger, nullable=False),
    sa.Column("canary_failed", sa.BigInteger, nullable=False),
    sa.Column("canary_not_finite", sa.BigInteger, nullable=False),
    sa.Column("canary_not_loaded", sa.BigInteger, nullable=False),
)
candidates = sa.Table(
    "loop_candidates",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=True),
    sa.Column("candidate", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
)

IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
OF_DEPLOYMENT: sa.BindParameter[str] = sa.bindparam("of_deployment")

FIND_STATE = sa.select(states.c.state, states.c.n_events).where(
    states.c.project == IN_PROJECT, states.c.deployment == OF_DEPLOYMENT
)
INSERT_STATE = states.insert()
MOVE_STATE = (
    states.update()
    .where(states.c.project == IN_PROJECT, states.c.deployment == OF_DEPLOYMENT)
    .values(
        state=sa.bindparam("to_state"),
        digest=sa.bindparam("to_digest"),
        n_events=states.c.n_events + 1,
        at=sa.bindparam("to_at"),
    )
)
FIND_INPUTS = sa.select(inputs.c.document).where(
    inputs.c.project == IN_PROJECT, inputs.c.digest == sa.bindparam("of_digest")
)
INSERT_INPUTS = inputs.insert()
INSERT_DECISION = decisions.insert()
FIND_DECISION = sa.select(decisions.c.document).where(
    decisions.c.project == IN_PROJECT, decisions.c.id == sa.bindparam("of_id")
)

IN_DEPLOYMENT: sa.BindParameter[str] = sa.bindparam("in_deployment")
IN_LABEL: sa.BindParameter[str] = sa.bindparam("in_label")
FIND_PLACE = sa.select(
    places.c.judged_row,
    places.c.block_row,
    places.c.canary_row,
    places.c.canary_generation,
    places.c.canary_failed,
    places.c.canary_not_finite,
    places.c.canary_not_loaded,
).where(places.c.project == IN_PROJECT, places.c.deployment == IN_DEPLOYMENT)
INSERT_PLACE = places.insert()
MOVE_PLACE = (
    places.update()
    .where(
        places.c.project == IN_PROJECT,
        places.c.deployment == IN_DEPLOYMENT,
        places.c.judged_row == sa.bindparam("at_judged_row"),
        places.c.block_row == sa.bindparam("at_block_row"),
        places.c.canary_row == sa.bindparam("at_canary_row"),
    )
    .values(
        judged_row=sa.bindparam("to_judged_row"),
        block_row=sa.bindparam("to_block_row"),
        canary_row=sa.bindparam("to_canary_row"),
        canary_generation=sa.bindparam("to_canary_generation"),
        canary_failed=sa.bindparam("to_canary_failed"),
        canary_not_finite=sa.bindparam("to_canary_not_finite"),
        canary_not_loaded=sa.bindparam("to_canary_not_loaded"),
    )
)
INSERT_CANDIDATE = candidates.insert()
NUMBER_CANDIDATE = (
    candidates.update()
    .where(
        candidates.c.project == IN_PROJECT,
        candidates.c.deployment == IN_DEPLOYMENT,
        candidates.c.label == IN_LABEL,
    )
    .values(number=sa.bindparam("to_number"))
)
FIND_CANDIDATE = sa.select(candidates.c.candidate, candidates.c.number).where(
    candidates.c.project == IN_PROJECT,
    candidates.c.deployment == IN_DEPLOYMENT,
    candidates.c.label == IN_LABEL,
)


def newest_first(
    *, deployment: str | None, kinds: tuple[str, ...], before: str, limit: int
) -> sa.Select[tuple[str]]:
    """Return the query for a page of decisions; `before` is the last id of the page before."""
    query = sa.select(decisions.c.document).where(decisions.c.project == IN_PROJECT)
    if deployment:
        query = query.where(decisions.c.deployment == deployment)
    if kinds:
        query = query.where(decisions.c.kind.in_(kinds))
    if before:
        query = query.where(decisions.c.id < before)
    return query.order_by(decisions.c.id.desc()).limit(limit)


INSERT_ENVELOPE = sa.insert(envelope_reports)
FIND_ENVELOPE = sa.select(envelope_reports.c.body).where(
    envelope_reports.c.project == sa.bindparam("in_project"),
    envelope_reports.c.id == sa.bindparam("in_id"),
)
LIST_ENVELOPES = (
    sa.select(envelope_reports.c.body)
    .where(
        envelope_reports.c.project == sa.bindparam("in_project"),
        envelope_reports.c.deployment == sa.bindparam("in_deployment"),
        envelope_reports.c.id < sa.bindparam("in_before"),
    )
    .order_by(envelope_reports.c.id.desc())
    .limit(sa.bindparam("in_limit"))
)
