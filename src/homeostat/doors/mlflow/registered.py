"""How models and versions look in MLflow's JSON, and how it words what is not there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from homeostat.doors.mlflow import decoding, routing
from homeostat.foundation import errors
from homeostat.lifecycle.registry import told

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}")


class Pair(msgspec.Struct, frozen=True):
    """A tag as clients send it."""

    key: decoding.Text
    value: str = ""


def route(
    method: str,
    name: str,
    endpoint: routing.Endpoint,
    *,
    action: str,
    body: type[msgspec.Struct],
) -> routing.Route:
    """Return a route of the registry; `name` is such as ``model-versions/get``."""
    return routing.Route(method, f"/2.0/mlflow/{name}", action, endpoint, body=body)


def tags(pairs: list[Pair]) -> dict[str, str]:
    """Return tags by key; the last value of a key counts."""
    return {pair.key: pair.value for pair in pairs}


def number(version: str) -> int:
    """Return the number of a version, which clients send as text.

    Examples
    --------
    >>> number("12"), number("-1")
    (12, -1)
    """
    if _WHOLE.fullmatch(version) is None:
        raise errors.InvalidInputError(
            f"Parameter 'version' must be an integer, got '{version[:80]}'."
        )
    return int(version)


@contextlib.contextmanager
def asked(name: str, version: int | None = None) -> Iterator[None]:
    """Word the lack of a model or version as MLflow does.

    Parameters
    ----------
    name, version
        What the request is about.

    Raises
    ------
    NotFoundError
        In place of one about this model or version.
    """
    try:
        yield
    except errors.NotFoundError as error:
        if "number" in error.facts and version is not None:
            raise errors.NotFoundError(
                f"Model Version (name={name}, version={version}) not found"
            ) from error
        if error.facts.get("model") == name and "number" not in error.facts:
            raise errors.NotFoundError(
                f"Registered Model with name={name} not found"
            ) from error
        raise


def model(found: told.ToldModel) -> dict[str, Any]:
    """Return a model as MLflow shows it; what it does not have is absent."""
    one = found.model
    shown: dict[str, Any] = {
        "name": one.name,
        "creation_timestamp": one.created_at,
        "last_updated_timestamp": one.updated_at or one.created_at,
    }
    if one.description:
        shown["description"] = one.description
    if found.latest:
        shown["latest_versions"] = [version(newest) for newest in found.latest]
    if found.tags:
        shown["tags"] = _tags(found.tags)
    if found.aliases:
        shown["aliases"] = [{"alias": alias, "version": str(at)} for alias, at in found.aliases]
    return shown


def version(found: told.ToldVersion) -> dict[str, Any]:
    """Return a version as MLflow shows it; it is ready at once."""
    one = found.version
    shown: dict[str, Any] = {
        "name": one.model,
        "version": str(one.number),
        "creation_timestamp": one.created_at,
        "last_updated_timestamp": one.updated_at or one.created_at,
        "current_stage": one.stage,
        "description": one.description,
        "source": one.source or f"homeostat:/models/{one.model}/{one.number}",
        "run_id": one.run_id,
        "status": "READY",
        "run_link": one.run_link,
    }
    if one.model_id:
        shown["model_id"] = one.model_id
    if found.tags:
        shown["tags"] = _tags(found.tags)
    if found.aliases:
        shown["aliases"] = list(found.aliases)
    return shown


def _tags(rows: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in rows]
