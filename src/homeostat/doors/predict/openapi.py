"""The OpenAPI 3.1 description of a prediction server, made from its table; at /openapi.json.

References
----------
.. [1] OpenAPI Initiative, *OpenAPI Specification*, 3.1.1, 2024.
"""

from __future__ import annotations

import functools
import http
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from homeostat.doors.predict import answers, routes, tensors

_REFERENCE: Final = "#/components/schemas/{name}"
_HEADERS: Final = {
    "X-Homeostat-Key": "what the row is known by, for a request of one row",
    "X-Homeostat-Deployment": "which deployment is meant, where the path names none",
    "X-Homeostat-Version": "which version shall answer, for callers whom the plan lets choose",
}
_OPTIONAL_BODY: Final = frozenset({"/v2/repository/index"})


class Problem(msgspec.Struct):
    """What went wrong, for machines and people; `error` where V2 clients look for it.

    References
    ----------
    .. [1] RFC 9457, *Problem Details for HTTP APIs*, 2023.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    instance: str
    facts: dict[str, str | int | float | bool | None]
    error: str | msgspec.UnsetType = msgspec.UNSET


@functools.cache
def document(version: str) -> bytes:
    """Return the description.

    Parameters
    ----------
    version
        Of the product.

    Returns
    -------
    bytes
        JSON.
    """
    kinds: list[Any] = [Problem]
    for route in routes.ROUTES:
        kinds.extend(
            kind
            for kind in (route.takes, route.gives)
            if kind not in {None, str} and kind not in kinds
        )
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    schema_of = {repr(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    # What tensors can be is checked after the JSON was read, so the types do not say it.
    components["Tensor"]["properties"]["datatype"] = {"enum": list(tensors.DATATYPES)}
    components["Tensor"]["properties"]["shape"]["items"]["minimum"] = 0
    paths: dict[str, dict[str, Any]] = {}
    for route in routes.ROUTES:
        place = paths.setdefault(route.path, {})
        place[route.method.lower()] = _operation(route, schema_of)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Homeostat prediction server",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    return msgspec.json.encode(whole)


def _operation(route: routes.Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": _responses(route, schema_of),
    }
    if route.takes is not None:
        schema = schema_of[repr(route.takes)]
        said["requestBody"] = {
            "required": route.path not in _OPTIONAL_BODY,
            "content": _content(route.media, schema),
        }
    return said


def _content(media: Sequence[str], schema: dict[str, Any]) -> dict[str, Any]:
    return {one: {"schema": schema} if one.endswith("json") else {} for one in media}


def _operation_id(route: routes.Route) -> str:
    words = re.sub(r"[^a-zA-Z0-9]+", "_", route.path).strip("_")
    return f"{route.method.lower()}_{words}"


def _parameters(route: routes.Route) -> list[dict[str, Any]]:
    text = {"type": "string", "minLength": 1}
    found = [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.takes is not None:
        found += [
            {"name": name, "in": "header", "description": about, "schema": text}
            for name, about in _HEADERS.items()
        ]
    return found


def _responses(route: routes.Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    problem = {
        "description": "what went wrong",
        "content": {answers.PROBLEM.decode(): {"schema": schema_of[repr(Problem)]}},
    }
    content: dict[str, Any] = {"text/plain": {}}
    if route.gives is not str:
        content = _content(("application/json",), schema_of[repr(route.gives)])
    if "application/octet-stream" in route.media:
        content["application/octet-stream"] = {}
    status = http.HTTPStatus(route.status)
    found = {str(status.value): {"description": status.phrase, "content": content}}
    if route.path == "/v2/health/ready":
        found["503"] = {"description": "plans are not known yet", "content": content}
    return {**found, "default": problem}
