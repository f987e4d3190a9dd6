"""Files of runs, to and from their store in pieces; spoken to by SDK and command line."""

from __future__ import annotations

import mimetypes

from starlette.responses import Response, StreamingResponse

from homeostat.doors.api import routing
from homeostat.foundation.blobs import flow
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import actions, artifacts, entities

LIMIT_BYTES = 1024 * 1024 * 1024


async def list_artifacts(call: routing.Call) -> list[entities.Artifact]:
    """Return the files of a run."""
    return await call.read(lambda tx: actions.list_artifacts(tx, call.actor, _id(call)))


async def put_artifact(call: routing.Call) -> entities.Artifact:
    """Keep a file with a run; the bytes are stored, sealed, before the row that names them."""
    holder, path = artifacts.of_run(_id(call)), call.path_params["path"]
    await call.read(lambda tx: artifacts.may_keep(tx, call.actor, holder, path=path))
    intake = call.house.receive_blob(holder, project=call.project)
    blob = await flow.take(intake, call.body, on_thread=call.work)

    def write(tx: Transaction) -> entities.Artifact:
        return artifacts.keep(
            tx,
            call.actor,
            holder,
            path=path,
            digest=blob.digest,
            size_bytes=blob.size_bytes,
        )

    return await call.write(write)


async def get_artifact(call: routing.Call) -> Response:
    """Return the bytes of a file of a run, never as something a browser would run."""
    run_id, path = _id(call), call.path_params["path"]
    found = await call.read(lambda tx: actions.get_artifact(tx, call.actor, run_id, path=path))
    kind = mimetypes.guess_type(path)[0] or ""
    is_harmless = kind in {"image/png", "image/jpeg", "text/csv", "application/json"}
    kind = kind if is_harmless else "application/octet-stream"
    headers = {"etag": f'"{found.digest}"', "content-length": str(found.size_bytes)}
    if call.request.method == "HEAD":
        return Response(media_type=kind, headers=headers)
    pieces = call.house.stream_blob(
        artifacts.of_run(run_id), found.digest, project=call.project
    )
    data = await flow.give(pieces, on_thread=call.work)
    if isinstance(data, bytes):
        return Response(data, media_type=kind, headers=headers)
    return StreamingResponse(data, media_type=kind, headers=headers)


def _id(call: routing.Call) -> str:
    return str(call.path_params["id"])


Route = routing.Route

ROUTES = (
    Route(
        "GET",
        "/api/runs/{id}/artifacts",
        "run.read",
        list_artifacts,
        answer=list[entities.Artifact],
        summary="The files of a run",
    ),
    Route(
        "PUT",
        "/api/runs/{id}/artifacts/{path:path}",
        "run.write",
        put_artifact,
        body=routing.Stream,
        answer=entities.Artifact,
        summary="Keep a file with a run",
        status=201,
        limit_bytes=LIMIT_BYTES,
    ),
    Route(
        "GET",
        "/api/runs/{id}/artifacts/{path:path}",
        "run.read",
        get_artifact,
        answer=bytes,
        summary="The bytes of a file of a run",
    ),
)
