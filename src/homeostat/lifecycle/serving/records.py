"""Tables of serving and the SQL on them; only `actions` calls it."""

from __future__ import annotations

import sqlalchemy as sa

from homeostat.foundation.database.metadata import metadata

deployments = sa.Table(
    "deployments",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("policy_digest", sa.Text, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False, server_default="served"),
    sa.Index("deployments_changed", "project", "changed"),
)
plans = sa.Table(
    "plans",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    sa.Column("generation", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("set_at", sa.BigInteger, nullable=False),
    sa.Column("set_by", sa.Text, nullable=False),
)

PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
NAME: sa.BindParameter[str] = sa.bindparam("in_name")
_ALL = [column for column in deployments.c if column.name not in {"project", "generation"}]
_HISTORY = [column for column in plans.c if column.name not in {"project", "generation"}]

INSERT = deployments.insert()
FIND = sa.select(*_ALL).where(deployments.c.project == PROJECT, deployments.c.name == NAME)
LIST = (
    sa.select(*_ALL)
    .where(deployments.c.project == PROJECT, deployments.c.name > sa.bindparam("after"))
    .order_by(deployments.c.name)
    .limit(sa.bindparam("n"))
)
CHANGED = (
    sa.select(*_ALL)
    .where(
        deployments.c.project == PROJECT,
        deployments.c.changed > sa.bindparam("after"),
        deployments.c.kind == "served",
    )
    .order_by(deployments.c.changed)
    .limit(sa.bindparam("n"))
)
# The generation in the condition refuses the later of two changes made at once.
SET_PLAN = (
    deployments.update()
    .where(
        deployments.c.project == PROJECT,
        deployments.c.name == NAME,
        deployments.c.generation == sa.bindparam("from_generation"),
    )
    .values(
        generation=sa.bindparam("to_generation"),
        plan=sa.bindparam("to_plan"),
        changed=sa.bindparam("to_changed"),
        changed_at=sa.bindparam("to_at"),
    )
)
SET_POLICY = (
    deployments.update()
    .where(deployments.c.project == PROJECT, deployments.c.name == NAME)
    .values(
        policy=sa.bindparam("to_policy"),
        policy_digest=sa.bindparam("to_digest"),
        key=sa.bindparam("to_key"),
        changed=sa.bindparam("to_changed"),
        changed_at=sa.bindparam("to_at"),
    )
)
# What a deployment answers changed, but not its plan or policy.
TOUCH = (
    deployments.update()
    .where(deployments.c.project == PROJECT, deployments.c.name == NAME)
    .values(changed=sa.bindparam("to_changed"))
)
INSERT_PLAN = plans.insert()
PLAN = sa.select(*_HISTORY).where(
    plans.c.project == PROJECT,
    plans.c.deployment == NAME,
    plans.c.generation == sa.bindparam("in_generation"),
)
PLANS = (
    sa.select(*_HISTORY)
    .where(
        plans.c.project == PROJECT,
        plans.c.deployment == NAME,
        plans.c.generation < sa.bindparam("before"),
    )
    .order_by(plans.c.generation.desc())
    .limit(sa.bindparam("n"))
)
