"""Models, versions, files, aliases, approvals over HTTP; asked by SDK, pages and predictor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import blake3
import msgspec
from starlette.responses import StreamingResponse

from homeostat.doors.api import routing
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.data.entities import Schema
from homeostat.lifecycle.registry import actions, adopted
from homeostat.lifecycle.registry.entities import (
    AliasChange,
    Approval,
    Digest,
    File,
    FilePath,
    Model,
    ModelName,
    Tier,
    Version,
)

FILE_LIMIT_BYTES = 512 * 1024 * 1024
MOST_FILES = 1000

Short = Annotated[str, msgspec.Meta(max_length=1000)]
Instant = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class NewModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model to be made."""

    name: ModelName
    owner: Short = ""
    tier: Tier = "medium"


class NewVersion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate to be registered; its files were stored before, by digest.

    Parameters
    ----------
    files
        Path to digest.
    baseline
        Digest of the monitoring baseline, stored like a file; empty when there is none.
    """

    files: Annotated[dict[FilePath, Digest], msgspec.Meta(min_length=1, max_length=MOST_FILES)]
    schema: Schema
    baseline: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
    run_id: Short = ""
    report_id: Short = ""
    trained_by: Short = ""
    trained_rows: tuple[int, int] | None = None
    purpose: Short = ""
    snapshots: Annotated[tuple[Short, ...], msgspec.Meta(max_length=MOST_FILES)] = ()
    flavour: Short = "sklearn"
    tier: Tier = "medium"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that are stored."""

    digest: str
    size_bytes: int


class Move(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an alias shall point; nowhere when `number` is null."""

    number: Annotated[int, msgspec.Meta(ge=1)] | None
    reason: Short = ""


class Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a version is approved."""

    note: Short = ""


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of versions is asked for."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="rows a page")] = 100
    before: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1, description="number to go on")] = 0


class At(msgspec.Struct, frozen=True, kw_only=True):
    """The instant that is asked about."""

    at: Annotated[
        Instant | None, msgspec.Meta(description="milliseconds UTC; now when not given")
    ] = None


async def list_models(call: routing.Call) -> list[Model]:
    """Return models by name."""
    page: routing.Paging = call.query
    return await call.read(
        lambda tx: actions.list_models(tx, call.actor, after=page.after, limit=page.limit)
    )


async def create_model(call: routing.Call) -> Model:
    """Make a model, or return the one of that name."""
    new: NewModel = call.body

    def write(tx: Transaction) -> Model:
        return actions.create_model(tx, call.actor, new.name, owner=new.owner, tier=new.tier)

    return await call.write(write)


async def get_model(call: routing.Call) -> Model:
    """Return one model."""
    name = call.path_params["name"]
    return await call.read(lambda tx: actions.get_model(tx, call.actor, name))


async def list_versions(call: routing.Call) -> list[Version]:
    """Return the versions of a model, the newest first."""
    name = call.path_params["name"]
    page: Before = call.query

    def fetch(tx: Transaction) -> list[Version]:
        return actions.list_versions(tx, call.actor, name, before=page.before, limit=page.limit)

    return await call.read(fetch)


async def get_version(call: routing.Call) -> Version:
    """Return one version."""
    return await _version(call)


async def store_file(call: routing.Call) -> Stored:
    """Store bytes of a model under their digest, which proves that they arrived whole."""
    name, digest = call.path_params["name"], call.path_params["digest"]
    await call.read(lambda tx: actions.get_model(tx, call.actor, name))

    def work() -> Stored:
        seen = blake3.blake3(call.body).hexdigest()
        if seen != digest:
            raise errors.InvalidInputError(
                f"the body has digest {seen}, the address says {digest[:80]}",
                hint="send the bytes again; the digest is BLAKE3, in hexadecimal",
            )
        blob = call.house.put_blob(f"model:{name}", call.body, project=call.project)
        return Stored(digest=blob.digest, size_bytes=blob.size_bytes)

    return await call.work(work)


async def register(call: routing.Call) -> Version:
    """Give stored files the next number of a model."""
    name = call.path_params["name"]
    new: NewVersion = call.body

    def stored() -> tuple[File, ...]:
        if new.baseline:
            _size(call, name, new.baseline, what="the baseline")
        return tuple(
            File(path=path, digest=digest, size_bytes=_size(call, name, digest, what=path))
            for path, digest in new.files.items()
        )

    files = await call.work(stored)

    def write(tx: Transaction) -> Version:
        return actions.register_version(
            tx,
            call.actor,
            name,
            files=files,
            schema=new.schema,
            baseline=new.baseline,
            run_id=new.run_id,
            report_id=new.report_id,
            trained_by=new.trained_by,
            trained_rows=new.trained_rows,
            purpose=new.purpose,
            snapshots=new.snapshots,
            flavour=new.flavour,
            tier=new.tier,
        )

    return await call.write(write)


async def get_file(call: routing.Call) -> StreamingResponse:
    """Stream one file of a version."""
    version = await _version(call)
    path = call.path_params["path"]
    file = next((one for one in version.files if one.path == path), None)
    if file is None:
        raise errors.NotFoundError(f"{version.reference} has no file {path[:200]!r}")
    return await _streamed(call, version.owner, file.digest, size_bytes=file.size_bytes)


async def get_baseline(call: routing.Call) -> StreamingResponse:
    """Stream the monitoring baseline of a version."""
    version = await _version(call)
    if not version.baseline:
        raise errors.NotFoundError(f"{version.reference} has no monitoring baseline")
    owner = await call.read(lambda tx: adopted.baseline_owner(tx, version))
    return await _streamed(call, owner, version.baseline)


async def list_aliases(call: routing.Call) -> list[AliasChange]:
    """Return where each alias of a model points now."""
    name = call.path_params["name"]
    return await call.read(lambda tx: actions.list_aliases(tx, call.actor, name))


async def set_alias(call: routing.Call) -> AliasChange:
    """Point an alias at a version, or take it away."""
    name, alias = call.path_params["name"], call.path_params["alias"]
    move: Move = call.body

    def write(tx: Transaction) -> AliasChange:
        return actions.set_alias(
            tx, call.actor, name, alias, number=move.number, reason=move.reason
        )

    return await call.write(write)


async def alias_history(call: routing.Call) -> list[AliasChange]:
    """Return every move of an alias, the newest first."""
    name, alias = call.path_params["name"], call.path_params["alias"]
    return await call.read(lambda tx: actions.alias_history(tx, call.actor, name, alias))


async def version_at(call: routing.Call) -> Version:
    """Return the version an alias pointed to at an instant."""
    name, alias = call.path_params["name"], call.path_params["alias"]
    wanted: At = call.query
    return await call.read(
        lambda tx: actions.version_at(tx, call.actor, name, alias, at=wanted.at)
    )


async def approve(call: routing.Call) -> Approval:
    """Say that a version may answer."""
    name, number = call.path_params["name"], call.path_params["number"]
    note: Note = call.body
    return await call.write(
        lambda tx: actions.approve(tx, call.actor, name, number, note=note.note)
    )


async def list_approvals(call: routing.Call) -> list[Approval]:
    """Return who approved a version."""
    name, number = call.path_params["name"], call.path_params["number"]
    return await call.read(lambda tx: actions.list_approvals(tx, call.actor, name, number))


async def _version(call: routing.Call) -> Version:
    name, number = call.path_params["name"], call.path_params["number"]
    return await call.read(lambda tx: actions.get_version(tx, call.actor, name, number))


def _size(call: routing.Call, name: str, digest: str, *, what: str) -> int:
    try:
        parts = call.house.stream_blob(f"model:{name}", digest, project=call.project)
        return sum(len(part) for part in parts)
    except errors.NotFoundError:
        raise errors.InvalidInputError(
            f"{what}: no bytes with digest {digest} are stored for model {name!r}",
            hint=f"first PUT them to /api/models/{name}/files/{digest}",
            digest=digest,
        ) from None


async def _streamed(
    call: routing.Call, owner: str, digest: str, *, size_bytes: int | None = None
) -> StreamingResponse:
    parts = call.house.stream_blob(owner, digest, project=call.project)
    # The first piece is read here, so that what is missing is a problem and no broken answer.
    first = await call.work(lambda: next(parts, b""))

    def whole() -> Iterator[bytes]:
        yield first
        yield from parts

    headers = {"etag": f'"{digest}"', "cache-control": "private, immutable"}
    if size_bytes is not None:
        headers["content-length"] = str(size_bytes)
    return StreamingResponse(whole(), media_type="application/octet-stream", headers=headers)


_MODEL = "/api/models/{name}"
_ONE = _MODEL + "/versions/{number:int}"
_ALIAS = _MODEL + "/aliases/{alias}"


def _get(path: str, endpoint: routing.Endpoint, answer: Any, **more: Any) -> routing.Route:
    return routing.Route("GET", path, "model.read", endpoint, answer=answer, **more)


ROUTES = (
    _get(
        "/api/models",
        list_models,
        list[Model],
        summary="Models by name",
        query=routing.Paging,
    ),
    routing.Route(
        "POST",
        "/api/models",
        "model.register",
        create_model,
        body=NewModel,
        answer=Model,
        summary="Make a model; one that exists is returned as it is",
    ),
    _get(_MODEL, get_model, Model, summary="One model"),
    routing.Route(
        "PUT",
        _MODEL + "/files/{digest}",
        "model.register",
        store_file,
        body=bytes,
        answer=Stored,
        summary="Store bytes of a model under their BLAKE3 digest",
        limit_bytes=FILE_LIMIT_BYTES,
    ),
    _get(
        _MODEL + "/versions",
        list_versions,
        list[Version],
        summary="Versions of a model, the newest first",
        query=Before,
    ),
    routing.Route(
        "POST",
        _MODEL + "/versions",
        "model.register",
        register,
        body=NewVersion,
        answer=Version,
        summary="Register stored files as the next version",
        status=201,
    ),
    _get(_ONE, get_version, Version, summary="One version"),
    _get(_ONE + "/files/{path:path}", get_file, bytes, summary="One file of a version"),
    _get(_ONE + "/baseline", get_baseline, bytes, summary="Its monitoring baseline"),
    _get(_ONE + "/approvals", list_approvals, list[Approval], summary="Who approved it"),
    routing.Route(
        "POST",
        _ONE + "/approvals",
        "model.approve",
        approve,
        body=Note,
        answer=Approval,
        summary="Approve a version, once for each person",
        status=201,
    ),
    _get(
        _MODEL + "/aliases", list_aliases, list[AliasChange], summary="Where aliases point now"
    ),
    routing.Route(
        "PUT",
        _ALIAS,
        "model.write",
        set_alias,
        body=Move,
        answer=AliasChange,
        summary="Point an alias at a version; null takes it away",
    ),
    _get(
        _ALIAS,
        version_at,
        Version,
        summary="The version an alias pointed to at an instant",
        query=At,
    ),
    _get(
        _ALIAS + "/history",
        alias_history,
        list[AliasChange],
        summary="Every move of an alias, the newest first",
    ),
)
