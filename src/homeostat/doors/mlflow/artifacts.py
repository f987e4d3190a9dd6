"""Files of runs, models and folders, as MLflow's clients put, get, list and delete them.

The proxy takes any path below its root; `lifecycle/tracking/artifacts.py` knows whose it is.
Bodies pass through in pieces. Transfers in several parts and signed addresses are not served:
the door answers them 404 without a body, which is how clients learn it.
"""

from __future__ import annotations

import mimetypes
import posixpath
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from homeostat.doors.mlflow import decoding, ranges, registered, routing, shapes
from homeostat.foundation import errors
from homeostat.foundation.blobs import flow
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.tracking import actions, artifacts, entities, paths

_PROXY: Final = "/2.0/mlflow-artifacts/artifacts"
_TEXTS: Final = re.compile(
    r"(?:.*\.)?(?:txt|log|err|cfg|conf|cnf|cf|ini|properties|prop|hocon|toml|yaml|yml|xml|json"
    r"|js|py|py3|csv|tsv|md|rst|ipynb|MLmodel|MLproject)",
    re.DOTALL,
)
"""Names of files that MLflow sends as plain text."""


class Listing(msgspec.Struct, frozen=True):
    """Fields of GET mlflow-artifacts/artifacts."""

    path: str = ""


class RunListing(msgspec.Struct, frozen=True):
    """Fields of GET artifacts/list and /get-artifact; a run has two names for its id."""

    run_id: str = ""
    run_uuid: str = ""
    path: str = ""
    page_token: str = ""


class VersionFile(msgspec.Struct, frozen=True):
    """Fields of GET /model-versions/get-artifact."""

    name: decoding.Text
    version: decoding.Text
    path: str = ""


class Held(NamedTuple):
    """A file and whose it is."""

    holder: str
    artifact: entities.Artifact


async def put(call: routing.Call) -> routing.Answer:
    """Keep a file; the bytes are stored, sealed, before the row that names them."""
    asked = paths.check(call.path_params["path"])

    def settle(tx: Transaction) -> tuple[str, str]:
        holder, path = artifacts.resolve(tx, asked)
        artifacts.may_keep(tx, call.actor, holder, path=path)
        return holder, path

    holder, path = await call.peek(settle)
    intake = call.house.receive_blob(holder, project=call.project)
    blob = await flow.take(intake, call.stream(), on_thread=call.work)
    await call.write(
        lambda tx: artifacts.keep(
            tx,
            call.actor,
            holder,
            path=path,
            digest=blob.digest,
            size_bytes=blob.size_bytes,
        )
    )
    return routing.Answer(200, ())


async def get(call: routing.Call) -> routing.Answer:
    """Send a file, or a range of it."""
    asked = paths.check(call.path_params["path"])

    def look(tx: Transaction) -> Held:
        holder, path = artifacts.resolve(tx, asked)
        return Held(holder, artifacts.find(tx, call.actor, holder, path=path))

    return await send(call, look)


async def delete(call: routing.Call) -> None:
    """Forget a file, or a folder with all below it; one that is not there is forgotten too."""
    asked = paths.folder(call.path_params["path"])
    if not asked:
        raise errors.InvalidInputError("Invalid path: the root of all artifacts stays")

    def forget(tx: Transaction) -> None:
        holder, path = artifacts.resolve(tx, asked)
        artifacts.remove(tx, call.actor, holder, path=path)

    await call.write(forget)


async def list_folder(call: routing.Call) -> dict[str, Any]:
    """List a folder; paths are relative to it."""
    asked: Listing = call.body
    folder = paths.folder(asked.path)

    def look(tx: Transaction) -> list[entities.Entry]:
        holder, path = artifacts.resolve(tx, folder)
        return artifacts.entries(tx, call.actor, holder, folder=path)

    return _files(await call.peek(look), below="")


async def list_run(call: routing.Call) -> dict[str, Any]:
    """List a folder of a run; paths are relative to the run's root."""
    asked: RunListing = call.body
    run_id = _run_id(asked)
    folder = paths.folder(asked.path)

    def look(tx: Transaction) -> tuple[entities.Run, list[entities.Entry]]:
        run = actions.existing(tx, run_id)
        holder = artifacts.of_run(run_id)
        return run, artifacts.entries(tx, call.actor, holder, folder=folder)

    run, found = await call.peek(look)
    return {**_files(found, below=folder), "root_uri": shapes.address(run)}


async def get_of_run(call: routing.Call) -> routing.Answer:
    """Send a file of a run; the address people paste."""
    asked = decoding.query(RunListing, call.scope["query_string"].decode("latin-1"))
    run_id, path = _run_id(asked), paths.check(asked.path)

    def look(tx: Transaction) -> Held:
        actions.existing(tx, run_id)
        holder = artifacts.of_run(run_id)
        return Held(holder, artifacts.find(tx, call.actor, holder, path=path))

    return await send(call, look)


async def get_of_version(call: routing.Call) -> routing.Answer:
    """Send a file of a version of a registered model."""
    asked = decoding.query(VersionFile, call.scope["query_string"].decode("latin-1"))
    number, path = registered.number(asked.version), paths.check(asked.path)

    def look(tx: Transaction) -> Held:
        with registered.asked(asked.name, number):
            version = registry.get_version(tx, call.actor, asked.name, number)
        file = next((one for one in version.files if one.path == path), None)
        if file is None:
            raise errors.NotFoundError(f"{version.reference} has no file {path!r}", path=path)
        kept = entities.Artifact(path, file.digest, file.size_bytes, version.created_at)
        return Held(version.owner, kept)

    return await send(call, look)


async def send(call: routing.Call, look: Callable[[Transaction], Held]) -> routing.Answer:
    """Return the answer that sends a file: whole, a range, or word that it is known already.

    Parameters
    ----------
    call
        The request.
    look
        Finds the file in a read transaction.

    Returns
    -------
    Answer
        In pieces where the file is large. Never shown by a browser as a page of this server.
    """
    holder, found = await call.peek(look)
    etag, modified = f'"{found.digest}"', ranges.date(found.created_at)
    name = posixpath.basename(found.path)
    headers = [
        ("accept-ranges", "bytes"),
        ("etag", etag),
        ("last-modified", modified),
        ("cache-control", "private, no-cache"),
    ]
    asked = call.headers
    if ranges.is_known(asked, etag):
        return routing.Answer(304, tuple(headers))
    wanted = ranges.asked(asked, found.size_bytes, etag=etag, modified=modified)
    start, end = wanted or (0, found.size_bytes)
    if wanted is not None:
        if start >= end:
            headers.append(("content-range", f"bytes */{found.size_bytes}"))
            return routing.Answer(416, tuple(headers))
        headers.append(("content-range", f"bytes {start}-{end - 1}/{found.size_bytes}"))
    headers += [
        ("content-type", _kind(name)),
        ("content-disposition", _attachment(name)),
        ("content-length", str(end - start)),
    ]
    status = 200 if wanted is None else 206
    if call.method == "HEAD":
        return routing.Answer(status, tuple(headers))
    pieces = call.house.stream_blob(
        holder, found.digest, start=start, end=end, project=call.project
    )
    return routing.Answer(status, tuple(headers), await flow.give(pieces, on_thread=call.work))


def _run_id(asked: RunListing) -> str:
    run_id = asked.run_id or asked.run_uuid
    if not run_id:
        raise errors.InvalidInputError(
            f"Missing value for required parameter 'run_id'.{decoding.SEE}"
        )
    return run_id


def _files(found: list[entities.Entry], *, below: str) -> dict[str, Any]:
    files: list[dict[str, Any]] = []
    for entry in found:
        path = f"{below}/{entry.name}" if below else entry.name
        shown: dict[str, Any] = {"path": path, "is_dir": entry.is_dir}
        if entry.size_bytes:
            shown["file_size"] = entry.size_bytes
        files.append(shown)
    return {"files": files} if files else {}


def _kind(name: str) -> str:
    if _TEXTS.fullmatch(name):
        return "text/plain"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _attachment(name: str) -> str:
    plain = "".join(sign if " " <= sign <= "~" and sign not in '"\\' else "_" for sign in name)
    if plain == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


ROUTES: Final = (
    routing.Route("PUT", f"{_PROXY}/{{path:path}}", "run.write", put),
    routing.Route("GET", f"{_PROXY}/{{path:path}}", "run.read", get),
    routing.Route("DELETE", f"{_PROXY}/{{path:path}}", "run.write", delete),
    routing.Route("GET", _PROXY, "run.read", list_folder, body=Listing),
    routing.Route("GET", "/2.0/mlflow/artifacts/list", "run.read", list_run, body=RunListing),
    routing.Route("GET", "=/get-artifact", "run.read", get_of_run),
    routing.Route("GET", "=/model-versions/get-artifact", "model.read", get_of_version),
)
