"""What leaves the prediction server: JSON, and errors as RFC 9457 problems; used by `app`."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from homeostat.foundation import errors

JSON = b"application/json"
PROBLEM = b"application/problem+json"
OCTETS = b"application/octet-stream"
TEXT = b"text/plain; version=0.0.4; charset=utf-8"

_encoder = msgspec.json.Encoder()


class Reply(NamedTuple):
    """An HTTP answer before it is sent; `more` are header lines, each ending in CRLF."""

    status: int
    body: bytes
    media_type: bytes = JSON
    retry_after_s: int | None = None
    more: bytes = b""


def encode(value: Any) -> bytes:
    """Return a value as the bytes of its JSON."""
    return _encoder.encode(value)


def refusal(status: int, why: str) -> Reply:
    """Return a problem for a request that was not even read.

    Parameters
    ----------
    status
        Of HTTP.
    why
        A sentence.
    """
    too_large = status == errors.TooLargeError.http_status
    kind = errors.TooLargeError if too_large else errors.InvalidInputError
    return _problem(kind(why), status=status, instance="")


def json(value: Any, *, status: int = 200) -> Reply:
    """Return a value as JSON.

    Parameters
    ----------
    value
        Structs or plain data.
    status
        Of the answer.
    """
    return Reply(status, _encoder.encode(value))


def problem(error: errors.HomeostatError, *, instance: str) -> Reply:
    """Return an error as a problem.

    Parameters
    ----------
    error
        Any error of the tree.
    instance
        The path that was asked for.

    References
    ----------
    .. [1] RFC 9457, *Problem Details for HTTP APIs*, 2023.
    """
    return _problem(error, status=type(error).http_status, instance=instance)


def _problem(error: errors.HomeostatError, *, status: int, instance: str) -> Reply:
    kind = type(error)
    title = (kind.__doc__ or "").strip().split("\n", maxsplit=1)[0].rstrip(".")
    body = {
        "type": f"urn:homeostat:problem:{kind.code}",
        "title": title,
        "status": status,
        "detail": error.message,
        "code": kind.code,
        "hint": error.hint,
        "instance": instance,
        "facts": error.facts,
    }
    if instance.startswith("/v2") or not instance:
        body["error"] = error.message  # where clients of the Open Inference Protocol look
    retry = error.facts.get("retry_after_s")
    allowed = error.facts.get("allowed")
    return Reply(
        status,
        _encoder.encode(body),
        PROBLEM,
        None if retry is None else max(1, round(float(retry))),
        b"" if allowed is None else b"allow: %b\r\n" % str(allowed).encode(),
    )
