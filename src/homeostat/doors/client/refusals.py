"""What a server refuses, raised again as the same error; `transport` calls it."""

from __future__ import annotations

import msgspec

from homeostat.doors.api import problems
from homeostat.foundation import errors


def restored(status: int, body: bytes) -> errors.HomeostatError:
    """Return the error that a server's answer tells of, of the class that it raised.

    Parameters
    ----------
    status
        Of the answer, 400 or more.
    body
        A problem, MLflow's own shape, or anything.
    """
    try:
        problem = msgspec.json.decode(body, type=problems.Problem)
    except msgspec.MsgspecError:
        refusal = _mlflow_refusal(status, body)
        if refusal is not None:
            return refusal
        said = body[:200].decode(errors="replace")
        return errors.HomeostatError(
            f"the server answered {status}: {said}",
            hint="is this a Homeostat server?",
        )
    return problems.restore(problem)


class _Refusal(msgspec.Struct):
    """What MLflow's door answers; files are put there."""

    error_code: str
    message: str


def _mlflow_refusal(status: int, body: bytes) -> errors.HomeostatError | None:
    try:
        told = msgspec.json.decode(body, type=_Refusal)
    except msgspec.MsgspecError:
        return None
    kinds = {kind.http_status: kind for kind in errors.HomeostatError.__subclasses__()}
    kinds[400] = errors.InvalidInputError
    kinds[500] = errors.HomeostatError
    return kinds.get(status, errors.HomeostatError)(told.message)
