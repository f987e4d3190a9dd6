"""Finding models and versions: filter, order, page by page; called by the doors.

Pages begin behind the last row shown. What MLflow's clients keep as prompts is hidden unless
the filter asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import notes, records, tables
from homeostat.lifecycle.registry.entities import Model, Version
from homeostat.lifecycle.tracking import comparing, language

MODELS_PAGE: Final = 100
MOST_MODELS: Final = 1000
VERSIONS_PAGE: Final = 10_000
MOST_VERSIONS: Final = 200_000

_MODELS: Final = tables.models.c
_VERSIONS: Final = tables.versions.c
_TIMES: Final = frozenset({"name", "creation_timestamp", "last_updated_timestamp"})

MODEL_FIELDS: Final = language.Fields(
    attributes={"name": language.LISTED},
    tags=language.TEXT,
    orders=_TIMES,
    aliases={"timestamp": "last_updated_timestamp"},
)
VERSION_FIELDS: Final = language.Fields(
    attributes={
        "name": language.LISTED,
        "version_number": language.WHOLE,
        "run_id": language.LISTED,
        "source_path": language.TEXT,
    },
    tags=language.TEXT,
    orders=_TIMES | {"version_number"},
)
_DEFAULT_ORDER: Final = (
    language.Order("attribute", "last_updated_timestamp", ascending=False),
    language.Order("attribute", "name", ascending=True),
    language.Order("attribute", "version_number", ascending=False),
)


class _Sort(NamedTuple):
    column: sa.ColumnElement[Any]
    kind: type


_MODEL_SORTS: Final = {
    "name": _Sort(_MODELS.name, str),
    "creation_timestamp": _Sort(_MODELS.created_at, int),
    "last_updated_timestamp": _Sort(_MODELS.updated_at, int),
}
_VERSION_SORTS: Final = {
    "name": _Sort(_VERSIONS.model, str),
    "version_number": _Sort(_VERSIONS.number, int),
    "creation_timestamp": _Sort(_VERSIONS.created_at, int),
    "last_updated_timestamp": _Sort(_VERSIONS.updated_at, int),
}
_VERSION_COLUMNS: Final[dict[str, sa.ColumnElement[Any]]] = {
    "name": _VERSIONS.model,
    "version_number": _VERSIONS.number,
    "run_id": _VERSIONS.run_id,
    "source_path": _VERSIONS.source,
}


class Models(NamedTuple):
    """Some models; `after` of the next page is `next`, empty on the last."""

    models: list[Model]
    next: str


class Versions(NamedTuple):
    """Some versions; `after` of the next page is `next`, empty on the last."""

    versions: list[Version]
    next: str


def search_models(
    tx: Transaction,
    actor: access.Actor,
    *,
    condition: str = "",
    order: Sequence[str] = (),
    limit: int = MODELS_PAGE,
    after: str = "",
) -> Models:
    """Return models that fulfil every condition, by name where no order is given.

    Parameters
    ----------
    tx, actor
        Needs ``model.read``.
    condition
        On ``name`` and ``tags.<key>``.
    order
        By ``name``, ``creation_timestamp`` or ``last_updated_timestamp``, such as
        ``name DESC``.
    limit
        1 to 1,000.
    after
        `next` of the page before, or empty.

    Raises
    ------
    InvalidInputError
        When the condition, the order, the limit or `after` cannot be right.
    """
    access.require(actor, "model.read")
    _check_limit(limit, MOST_MODELS)
    asked = language.parse(condition, MODEL_FIELDS)
    orders = language.order(order, MODEL_FIELDS)
    if not any(one.key == "name" for one in orders):
        orders = (*orders, language.Order("attribute", "name", ascending=True))
    terms = _terms(tx, orders, _MODEL_SORTS)
    shown, is_for_prompts = _without_prompt_flags(asked)
    chosen = [_MODELS.project == tx.project, _MODELS.deleted_at == 0]
    chosen += [
        comparing.holds(tx, _MODELS.name, one.comparator, one.value)
        if one.subject == "attribute"
        else _tagged(tx, one, tables.model_tags, [("model", _MODELS.name)])
        for one in shown
    ]
    if not is_for_prompts:
        chosen.append(~_prompt(tx, tables.model_tags, _MODELS.name))
    columns = [_MODELS[name] for name in Model.__struct_fields__]
    question = ["models", condition, list(order)]
    rows, following = comparing.page(
        tx, columns, chosen, terms=terms, question=question, limit=limit, after=after
    )
    return Models([records.model_from(row) for row in rows], following)


def search_versions(
    tx: Transaction,
    actor: access.Actor,
    *,
    condition: str = "",
    order: Sequence[str] = (),
    limit: int = VERSIONS_PAGE,
    after: str = "",
) -> Versions:
    """Return versions that fulfil every condition, the latest changed first.

    Parameters
    ----------
    tx, actor
        Needs ``model.read``.
    condition
        On ``name``, ``version_number``, ``run_id``, ``source_path`` and ``tags.<key>``.
    order
        By ``name``, ``version_number``, ``creation_timestamp`` or
        ``last_updated_timestamp``.
    limit
        1 to 200,000.
    after
        `next` of the page before, or empty.

    Raises
    ------
    InvalidInputError
        When the condition, the order, the limit or `after` cannot be right.
    """
    access.require(actor, "model.read")
    _check_limit(limit, MOST_VERSIONS)
    asked = language.parse(condition, VERSION_FIELDS)
    orders = language.order(order, VERSION_FIELDS) or _DEFAULT_ORDER
    named = {one.key for one in orders}
    orders = (*orders, *(one for one in _DEFAULT_ORDER[1:] if one.key not in named))
    terms = _terms(tx, orders, _VERSION_SORTS)
    shown, is_for_prompts = _without_prompt_flags(asked)
    joins = [("model", _VERSIONS.model), ("number", _VERSIONS.number)]
    chosen = [_VERSIONS.project == tx.project, _VERSIONS.deleted_at == 0]
    chosen += [
        comparing.holds(tx, _VERSION_COLUMNS[one.key], one.comparator, one.value)
        if one.subject == "attribute"
        else _tagged(tx, one, tables.version_tags, joins)
        for one in shown
    ]
    if not is_for_prompts:
        chosen += [
            ~_prompt(tx, table, _VERSIONS.model)
            for table in (tables.model_tags, tables.version_tags)
        ]
    question = ["versions", condition, list(order)]
    columns = list(records.VERSION_COLUMNS)
    rows, following = comparing.page(
        tx, columns, chosen, terms=terms, question=question, limit=limit, after=after
    )
    return Versions([records.version_from(row) for row in rows], following)


def _check_limit(limit: int, most: int) -> None:
    if limit < 1:
        raise errors.InvalidInputError(
            f"Invalid value for max_results. It must be a positive integer, but got {limit}"
        )
    if limit > most:
        raise errors.InvalidInputError(
            "Invalid value for request parameter max_results. It must be at most "
            f"{most}, but got value {limit}"
        )


def _terms(
    tx: Transaction, orders: Sequence[language.Order], sorts: dict[str, _Sort]
) -> list[comparing.Term]:
    return [
        comparing.Term(
            comparing.sortable(tx, sorts[one.key].column, sorts[one.key].kind),
            one.ascending,
            sorts[one.key].kind,
        )
        for one in orders
    ]


def _without_prompt_flags(
    asked: Sequence[language.Condition],
) -> tuple[list[language.Condition], bool]:
    """Return the conditions that stay, and whether prompts are what is asked for.

    A model without the flag is no prompt, so ``= 'false'`` and ``!= 'true'`` are no conditions
    on a tag: they say what is so anyway.
    """
    flags = [one for one in asked if one.subject == "tag" and one.key == notes.PROMPT_TAG]
    if not flags:
        return list(asked), False
    wanted = (flags[0].comparator, str(flags[0].value).lower())
    if wanted in (("=", "true"), ("!=", "false")):
        return list(asked), True
    return [one for one in asked if one not in flags], False


def _tagged(
    tx: Transaction,
    wanted: language.Condition,
    table: sa.Table,
    joins: Sequence[tuple[str, sa.ColumnElement[Any]]],
) -> sa.ColumnElement[bool]:
    return sa.exists().where(
        table.c.project == tx.project,
        *(table.c[name] == column for name, column in joins),
        table.c.key == wanted.key,
        comparing.holds(tx, table.c.value, wanted.comparator, wanted.value),
    )


def _prompt(
    tx: Transaction, table: sa.Table, name: sa.ColumnElement[Any]
) -> sa.ColumnElement[bool]:
    return sa.exists().where(
        table.c.project == tx.project,
        table.c.model == name,
        table.c.key == notes.PROMPT_TAG,
        sa.func.lower(table.c.value) == "true",
    )
