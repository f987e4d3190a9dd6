"""Errors as RFC 9457 problem details; used by the application for every answer that fails."""

from __future__ import annotations

import re

import msgspec
from starlette.responses import Response

from homeostat.foundation import errors

MEDIA_TYPE = "application/problem+json"
CHALLENGE = 'Basic realm="homeostat"'
"""Makes a browser ask for a key; programs send theirs as Bearer."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, for machines and people.

    References
    ----------
    .. [1] RFC 9457, *Problem Details for HTTP APIs*, 2023.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""
    instance: str = ""
    facts: dict[str, str | int | float | bool | None] = {}


def describe(
    error: errors.HomeostatError,
    *,
    instance: str = "",
) -> Problem:
    """Return the problem that tells of `error`.

    Parameters
    ----------
    error
        Any error of the tree.
    instance
        The path that was asked for.
    """
    kind = type(error)
    title = (kind.__doc__ or "").strip().split("\n", maxsplit=1)[0].rstrip(".")
    return Problem(
        type=f"urn:homeostat:problem:{kind.code}",
        title=title,
        status=kind.http_status,
        detail=error.message,
        code=kind.code,
        hint=error.hint,
        instance=instance,
        facts=dict(error.facts),
    )


def headers(problem: Problem) -> dict[str, str]:
    """Return what HTTP wants said beside `problem`."""
    said = {}
    retry_after_s = problem.facts.get("retry_after_s")
    if retry_after_s is not None:
        said["retry-after"] = str(max(1, round(float(retry_after_s))))
    allowed = problem.facts.get("allowed")
    if isinstance(allowed, str):
        said["allow"] = allowed
    if problem.status == errors.UnauthenticatedError.http_status:
        said["www-authenticate"] = CHALLENGE
    return said


def answer(problem: Problem) -> Response:
    """Return the HTTP answer that carries `problem`."""
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=headers(problem),
    )


def unhandled(log_id: str, *, instance: str = "") -> Problem:
    """Return the problem for a fault of ours: an id to look up in the log, nothing else.

    Parameters
    ----------
    log_id
        Names the line of the log that has the details.
    instance
        Path of the request.
    """
    return Problem(
        type="urn:homeostat:problem:error",
        title="The server failed",
        status=500,
        detail=f"the server failed on this request; its log has the reason under {log_id}",
        code="error",
        hint="nothing was changed; report the id if it happens again",
        instance=instance,
        facts={"log_id": log_id},
    )


def invalid(error: msgspec.MsgspecError, *, where: str) -> errors.InvalidInputError:
    """Return the error that names the place in a body or query that could not be read.

    Parameters
    ----------
    error
        What msgspec said, such as ``Expected `int`, got `str` - at `$.rows[3].income```.
    where
        ``"the body"`` or ``"the query"``.
    """
    said, _, at = str(error).partition(" - at ")
    path = re.sub(r"^\$\.?", "", at.strip("`"))
    said = said.replace("`", "")
    said = said if said[:2].isupper() else said[:1].lower() + said[1:]
    sentence = f"{path or where}: {said}"
    return errors.InvalidInputError(
        sentence,
        hint="see /api/openapi.json for what is expected",
        path=path,
        where=where,
    )


def restore(problem: Problem) -> errors.HomeostatError:
    """Return the error a problem tells of, of the same class that was raised.

    Examples
    --------
    >>> told = describe(errors.NotFoundError("no model 'x'", name="x"))
    >>> restore(told)
    NotFoundError("no model 'x'")
    """
    kind = errors.by_code().get(problem.code, errors.HomeostatError)
    return kind(problem.detail, hint=problem.hint, **problem.facts)
