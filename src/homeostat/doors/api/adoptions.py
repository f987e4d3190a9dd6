"""Versions that came unjudged, over HTTP: trust their code, have them judged, read both."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from homeostat.doors.api import routing
from homeostat.foundation import errors, jobs
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import judging
from homeostat.lifecycle.registry import actions, adoptions, mlmodel
from homeostat.lifecycle.registry.adopted import Trust
from homeostat.lifecycle.registry.entities import Version


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a version may run its own code where models are loaded, and why."""

    is_trusted: bool
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


async def standing(call: routing.Call) -> adoptions.Standing:
    """Return what was learned of a version after it was registered."""
    name, number = call.path_params["name"], call.path_params["number"]
    return await call.read(lambda tx: adoptions.standing(tx, call.actor, name, number))


async def set_trust(call: routing.Call) -> Trust:
    """Say that a version may run its own code, or take that back."""
    name, number = call.path_params["name"], call.path_params["number"]
    word: Word = call.body

    def write(tx: Transaction) -> Trust:
        return adoptions.set_trust(
            tx, call.actor, name, number, is_trusted=word.is_trusted, reason=word.reason
        )

    return await call.write(write)


async def judge(call: routing.Call) -> jobs.Job:
    """Ask a worker to judge a version on labelled rows."""
    name, number = call.path_params["name"], call.path_params["number"]
    asked: judging.Judge = call.body
    version: Version = await call.read(
        lambda tx: actions.get_version(tx, call.actor, name, number)
    )
    about = next((one for one in version.files if one.path == mlmodel.MLMODEL), None)
    told: bytes | None = None
    if about is not None and about.size_bytes <= mlmodel.MOST_BYTES:
        digest = about.digest
        told = await call.work(
            lambda: call.house.get_blob(version.owner, digest, project=call.project)
        )
    return await call.write(
        lambda tx: judging.ask(tx, call.actor, name, number, asked=asked, told=told)
    )


async def get_description(call: routing.Call) -> Response:
    """Return what serving must know of a version, as its judgement found it."""
    found = (await standing(call)).adoption
    name, number = call.path_params["name"], call.path_params["number"]
    if found is None:
        raise errors.NotFoundError(
            f"model:{name}@{number} was not judged after it was registered"
        )
    data: bytes = await call.work(
        lambda: call.house.get_blob(found.owner, found.description, project=call.project)
    )
    headers = {"etag": f'"{found.description}"', "cache-control": "private"}
    return Response(data, media_type="application/json", headers=headers)


_ONE = "/api/models/{name}/versions/{number:int}"


def _get(path: str, endpoint: routing.Endpoint, answer: Any, summary: str) -> routing.Route:
    return routing.Route("GET", path, "model.read", endpoint, answer=answer, summary=summary)


ROUTES = (
    _get(
        _ONE + "/adoption",
        standing,
        adoptions.Standing,
        "What was learned of a version after it was registered",
    ),
    _get(
        _ONE + "/description",
        get_description,
        bytes,
        "What serving must know of it, as its judgement found it",
    ),
    routing.Route(
        "PUT",
        _ONE + "/trust",
        "model.trust",
        set_trust,
        body=Word,
        answer=Trust,
        summary="Say that a version may run its own code where models are loaded",
    ),
    routing.Route(
        "POST",
        _ONE + "/judgements",
        "model.register",
        judge,
        body=judging.Judge,
        answer=jobs.Job,
        summary="Judge a version on labelled rows; nothing is fitted; the answer is a job",
        status=202,
    ),
)
