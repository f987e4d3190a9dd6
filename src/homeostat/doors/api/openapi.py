"""The OpenAPI 3.1 description, generated from the route table; served at /api/openapi.json."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from homeostat.doors.api import problems, routing

REFERENCE = "#/components/schemas/{name}"
CONVERTORS = {"int": {"type": "integer"}, "float": {"type": "number"}}
OCTETS = "application/octet-stream"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
"""Of what Prometheus reads."""


def document(routes: Sequence[routing.Route], *, version: str) -> dict[str, Any]:
    """Return the OpenAPI document of `routes`.

    Parameters
    ----------
    routes
        The table; routes outside ``/api`` are left out.
    version
        Of the product.
    """
    told = [r for r in routes if r.path.startswith("/api/")]
    schema_of, components = _schemas(told)
    paths: dict[str, dict[str, Any]] = {}
    for route in told:
        place = paths.setdefault(re.sub(r":\w+}", "}", route.path), {})
        place[route.method.lower()] = _operation(route, schema_of)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Homeostat",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    # Through JSON, so that defaults that are tuples become lists.
    return msgspec.json.decode(msgspec.json.encode(whole), type=dict[str, Any])


def _schemas(routes: Sequence[routing.Route]) -> tuple[dict[Any, Any], dict[str, Any]]:
    kinds: list[Any] = [problems.Problem]
    for route in routes:
        for kind in (route.body, route.answer, route.query):
            if kind not in {None, bytes, str, routing.Stream} and kind not in kinds:
                kinds.append(kind)
    found, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    return {_key(kind): schema for kind, schema in zip(kinds, found, strict=True)}, components


def _key(kind: Any) -> str:
    return repr(kind)


def _operation(route: routing.Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [_tag(route.path)],
        "x-action": route.action,
        "parameters": _path_parameters(route.path) + _query_parameters(route),
        "responses": _responses(route, schema_of),
    }
    if route.body in {bytes, routing.Stream}:
        said["requestBody"] = {"required": True, "content": {OCTETS: {}}}
    elif route.body is not None:
        content = {"application/json": {"schema": schema_of[_key(route.body)]}}
        said["requestBody"] = {"required": True, "content": content}
    return said


def _tag(path: str) -> str:
    parts = path.strip("/").split("/")
    return parts[1] if parts[0] == "api" and len(parts) > 1 else "server"


def _operation_id(route: routing.Route) -> str:
    words = re.sub(r"[^a-zA-Z0-9]+", "_", re.sub(r":\w+}", "}", route.path)).strip("_")
    return f"{route.method.lower()}_{words}"


def _path_parameters(path: str) -> list[dict[str, Any]]:
    found = []
    for name, convertor in re.findall(r"{(\w+)(?::(\w+))?}", path):
        schema = CONVERTORS.get(convertor, {"type": "string", "minLength": 1})
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _query_parameters(route: routing.Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    (_,), components = msgspec.json.schema_components([route.query], ref_template=REFERENCE)
    fields = components[route.query.__name__]
    required = set(fields.get("required", ()))
    found = []
    for name, schema in fields["properties"].items():
        described = dict(schema)
        about = described.pop("description", name)
        where = {"name": name, "in": "query", "required": name in required}
        found.append({**where, "description": about, "schema": described})
    return found


def _responses(route: routing.Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    problem = {
        "description": "what went wrong",
        "content": {problems.MEDIA_TYPE: {"schema": schema_of[_key(problems.Problem)]}},
    }
    if route.answer is bytes:
        good: dict[str, Any] = {"description": "the bytes", "content": {OCTETS: {}}}
    elif route.answer is str:
        good = {"description": "plain text", "content": {"text/plain": {}}}
    elif route.answer is None:
        good = {"description": "done"}
    else:
        content = {"application/json": {"schema": schema_of[_key(route.answer)]}}
        good = {"description": route.summary or "the answer", "content": content}
    return {str(status_of(route)): good, "default": problem}


def status_of(route: routing.Route) -> int:
    """Return the HTTP status of a good answer: 204 where there is nothing to say."""
    silent = 204
    return silent if route.answer is None and route.status == 200 else route.status  # noqa: PLR2004 - 200 is HTTP's
