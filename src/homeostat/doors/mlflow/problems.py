"""Errors in MLflow's shape; used by the door for every answer that fails.

Clients tell by `error_code` what happened and repeat a request that got a 5xx up to seven
times, so a caller's mistake must never become one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import msgspec

from homeostat.doors.mlflow import routing
from homeostat.foundation import errors

_STATUS: Final = {
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "BAD_REQUEST": 400,
    "ENDPOINT_NOT_FOUND": 404,
    "INTERNAL_ERROR": 500,
    "INVALID_PARAMETER_VALUE": 400,
    "INVALID_STATE": 500,
    "NOT_FOUND": 404,
    "NOT_IMPLEMENTED": 501,
    "PERMISSION_DENIED": 403,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "RESOURCE_ALREADY_EXISTS": 400,
    "RESOURCE_CONFLICT": 409,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "TEMPORARILY_UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}
_CODES: Final[tuple[tuple[type[errors.HomeostatError], str], ...]] = (
    (errors.NotFoundError, "RESOURCE_DOES_NOT_EXIST"),
    (errors.ConflictError, "RESOURCE_ALREADY_EXISTS"),
    (errors.InvalidInputError, "INVALID_PARAMETER_VALUE"),
    (errors.NotAllowedError, "PERMISSION_DENIED"),
    (errors.UnauthenticatedError, "UNAUTHENTICATED"),
    (errors.UnavailableError, "TEMPORARILY_UNAVAILABLE"),
)
TOO_LARGE: Final = 413
JSON: Final = ("content-type", "application/json")


class ToldAsError(Exception):
    """An error of ours with the code MLflow's clients know it by.

    Parameters
    ----------
    error
        What happened.
    code
        Such as ``INVALID_PARAMETER_VALUE``.
    """

    def __init__(self, error: errors.HomeostatError, code: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.code = code


@contextlib.contextmanager
def told_as(code: str, *kinds: type[errors.HomeostatError]) -> Iterator[None]:
    """Tell errors of some kinds by another code than their usual one.

    Parameters
    ----------
    code
        Of MLflow.
    *kinds
        Classes of our tree.

    Raises
    ------
    ToldAsError
        In place of an error of these kinds.
    """
    try:
        yield
    except kinds as error:
        raise ToldAsError(error, code) from error


def code_of(error: errors.HomeostatError) -> str:
    """Return the code MLflow's clients know an error by.

    Examples
    --------
    >>> code_of(errors.NotFoundError("no run"))
    'RESOURCE_DOES_NOT_EXIST'
    """
    return next((code for kind, code in _CODES if isinstance(error, kind)), "INTERNAL_ERROR")


def answer(failure: errors.HomeostatError | ToldAsError) -> routing.Answer:
    """Return the HTTP answer that tells of a failure."""
    told = failure if isinstance(failure, ToldAsError) else None
    error = told.error if told else failure
    assert isinstance(error, errors.HomeostatError)
    code = told.code if told else code_of(error)
    status = TOO_LARGE if isinstance(error, errors.TooLargeError) else _STATUS[code]
    headers = [JSON]
    if status == _STATUS["UNAUTHENTICATED"]:
        headers.append(("www-authenticate", 'Basic realm="mlflow"'))
    retry_after_s = error.facts.get("retry_after_s")
    if retry_after_s is not None:
        headers.append(("retry-after", str(max(1, round(float(retry_after_s))))))
    return told_answer(status, code, str(error), headers=tuple(headers))


def told_answer(
    status: int,
    code: str,
    message: str,
    *,
    headers: tuple[tuple[str, str], ...] = (JSON,),
) -> routing.Answer:
    """Return an answer of MLflow's shape."""
    body = msgspec.json.encode({"error_code": code, "message": message})
    return routing.Answer(status, headers, body)


def unhandled(log_id: str) -> routing.Answer:
    """Return the answer to a fault of ours: an id to look up in the log, nothing else."""
    message = f"the server failed on this request; its log has the reason under {log_id}"
    return told_answer(500, "INTERNAL_ERROR", message)
