"""Classes of models and the objectives that all of them share; kept apart from any deployment.

A class is a condition on what a model is, ``tier = 'high' and tag.team = 'risk'``: a model
that is deployed tomorrow is in it without anybody doing anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import polars as pl
import sqlalchemy as sa

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.monitoring import slicing
from homeostat.lifecycle.policy import Objective, promised, slices

FACTS = ("name", "tier", "owner", "task")
"""What a condition may ask of a model, beside ``tag.<key>``."""
TAG = "tag."
MOST = 100


class ModelClass(msgspec.Struct, frozen=True, kw_only=True):
    """Models that share objectives.

    Attributes
    ----------
    name
        Of the class.
    match
        Which models: a condition on ``name``, ``tier``, ``owner``, ``task`` and ``tag.<key>``.
    objectives, slices
        As in a policy.
    set_at, set_by
        Milliseconds UTC, and by whom.
    """

    name: str
    match: str
    objectives: dict[promised.Name, Objective]
    slices: dict[promised.Name, promised.Text] = {}
    set_at: int = 0
    set_by: str = ""


class NewClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person says of a class."""

    match: Annotated[str, msgspec.Meta(min_length=1, max_length=slices.LONGEST)]
    objectives: Annotated[
        dict[promised.Name, Objective], msgspec.Meta(min_length=1, max_length=20)
    ]
    slices: dict[promised.Name, promised.Text] = {}


def matches(condition: str, facts: Mapping[str, str]) -> bool:
    """Say whether a model is in a class.

    Parameters
    ----------
    condition
        Its `match`.
    facts
        Of the model: `FACTS`, and its tags as ``tag.<key>``; a tag that it does not have is
        missing, so that no comparison with it holds.

    Raises
    ------
    InvalidInputError
        When it asks for something else.

    Examples
    --------
    >>> matches("tier = 'high' and tag.team = 'risk'", {"tier": "high", "tag.team": "risk"})
    True
    """
    asked = slices.parse(condition)
    known = dict.fromkeys(FACTS, "") | dict(facts)
    known |= {
        name: known.get(name)  # type: ignore[misc]
        for name in slices.columns(asked)
        if name.startswith(TAG)
    }
    row = pl.DataFrame(
        {name: pl.Series([value], dtype=pl.String) for name, value in known.items()}
    )
    return bool(slicing.inside(row, asked)[0])


classes = sa.Table(
    "model_classes",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)
_ALL = (
    sa.select(classes.c.body)
    .where(classes.c.project == sa.bindparam("in_project"))
    .order_by(classes.c.name)
)
_ONE = (
    classes.c.project == sa.bindparam("in_project"),
    classes.c.name == sa.bindparam("in_name"),
)


def list_classes(tx: Transaction, actor: access.Actor) -> list[ModelClass]:
    """Return all classes, by name; needs ``monitoring.read``."""
    access.require(actor, "monitoring.read")
    rows = tx.execute(_ALL, {"in_project": tx.project})
    return [msgspec.json.decode(row.body, type=ModelClass) for row in rows]


def set_class(tx: Transaction, actor: access.Actor, name: str, new: NewClass) -> ModelClass:
    """Say which models share which objectives, in place of what was said before.

    Parameters
    ----------
    tx, actor
        Needs ``monitoring.write``.
    name, new
        Of the class, and what it is.

    Raises
    ------
    InvalidInputError
        When the condition or an objective cannot be right, or there are 100 classes already.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "monitoring.write")
    _check(name, new)
    others = [one for one in list_classes(tx, actor) if one.name != name]
    if len(others) >= MOST:
        raise errors.InvalidInputError(f"there are {MOST} classes already")
    made = ModelClass(
        name=name,
        match=new.match,
        objectives=new.objectives,
        slices=new.slices,
        set_at=tx.at,
        set_by=actor.name,
    )
    tx.execute(classes.delete().where(*_ONE), _which(tx, name))
    body = msgspec.json.encode(made).decode()
    tx.execute(classes.insert(), {"project": tx.project, "name": name, "body": body})
    facts = {"match": made.match, "objectives": list(made.objectives)}
    events.record(tx, actor, "class.set", subject=f"class:{name}", facts=facts)
    return made


def remove_class(tx: Transaction, actor: access.Actor, name: str) -> None:
    """Forget a class; its models promise only what is their own again.

    Raises
    ------
    NotFoundError
        When there is none.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "monitoring.write")
    if not tx.execute(classes.delete().where(*_ONE), _which(tx, name)).rowcount:
        raise errors.NotFoundError(f"there is no class {name!r}", name=name)
    events.record(tx, actor, "class.removed", subject=f"class:{name}", facts={})


def _check(name: str, new: NewClass) -> None:
    try:
        msgspec.convert(name, promised.Name)
        asked = slices.parse(new.match)
    except (ValueError, msgspec.ValidationError) as error:
        raise errors.InvalidInputError(
            f"class {name!r}: {error}", hint=slices.WRITTEN
        ) from None
    for column in slices.columns(asked):
        if column not in FACTS and not column.startswith(TAG):
            raise errors.InvalidInputError(
                f"a class cannot ask for {column!r}", hint=f"{', '.join(FACTS)} or tag.<key>"
            )
    matches(new.match, {})
    for flaw in (
        *promised.flaws_of_slices(new.slices),
        *promised.flaws_of_objectives(new.objectives, new.slices),
    ):
        raise errors.InvalidInputError(flaw.sentence, hint=flaw.hint)


def _which(tx: Transaction, name: str) -> dict[str, Any]:
    return {"in_project": tx.project, "in_name": name}
