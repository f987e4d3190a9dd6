"""Where a version may come from: which addresses a client may name, and the files behind them.

Only `sourcing` calls it. An address is proved to lie inside the run or logged model it is said
to come from, percent-encoded or not, so that nobody registers files of others, or of this
machine.
"""

from __future__ import annotations

import posixpath
import re
from typing import Final, NamedTuple, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import actions, addresses, note_records, notes
from homeostat.lifecycle.registry.entities import File, Version
from homeostat.lifecycle.tracking import (
    artifacts,
    entities,
    logged,
    logged_search,
    places,
    runs,
)
from homeostat.lifecycle.tracking.logged_entities import LoggedModelRecord

PROMPT_SOURCES: Final = frozenset({"dummy-source", "prompt-template"})
_MODEL_ID: Final = re.compile(r"m-[0-9a-f]{32}")


class Origin(NamedTuple):
    """What a version is made of.

    Parameters
    ----------
    source
        Address as it is kept.
    location
        Where the files lie for MLflow's clients.
    run_id, model_id
        What made it, or empty.
    owner
        Whose key seals the files; empty where there are none here.
    files
        Paths from the folder of the model.
    copied
        Reference of the version it repeats, or empty.
    """

    source: str
    location: str
    run_id: str = ""
    model_id: str = ""
    owner: str = ""
    files: tuple[File, ...] = ()
    copied: str = ""


def find(
    tx: Transaction, actor: access.Actor, source: str, *, run_id: str = "", model_id: str = ""
) -> Origin:
    """Return what an address holds, or refuse it.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    source
        ``runs:/<run>/<path>``, ``models:/m-<id>``, ``models:/<name>/<number>``,
        ``mlflow-artifacts:/…``, or a place elsewhere such as ``s3://…``.
    run_id, model_id
        What it is said to come from.

    Returns
    -------
    Origin
        Without files where they lie elsewhere, or nothing is there.

    Raises
    ------
    InvalidInputError
        When the address is relative, leaves its folder, lies on a web server or on a disk, or
        in another run or logged model than the one that is named.
    NotFoundError
        When it names a model or version that does not exist.
    """
    parts = addresses.split(source)
    if parts.scheme in ("", "file"):
        return _on_disk(tx, source, parts, run_id=run_id, model_id=model_id)
    addresses.check_plain(source)
    if parts.scheme in ("runs", "models") and parts.netloc:
        _refuse(source, "run_id" if parts.scheme == "runs" else "model_id")
    if parts.scheme == "models":
        if _MODEL_ID.fullmatch(parts.path.removeprefix("/")):
            return _of_logged_model(tx, source, parts, run_id=run_id, model_id=model_id)
        return _of_version(tx, actor, source, parts, run_id=run_id, model_id=model_id)
    if parts.scheme == "runs":
        return _of_run(tx, actor, source, parts, run_id=run_id, model_id=model_id)
    if parts.scheme in addresses.HOSTED:
        return _on_host(tx, source, parts, run_id=run_id, model_id=model_id)
    if parts.scheme == places.SCHEME:
        return _of_artifacts(tx, source, run_id=run_id, model_id=model_id)
    made_by = logged.existing(tx, model_id).run_id if model_id else ""
    return Origin(source, source, run_id or made_by, model_id)


def of_prompt(source: str) -> Origin:
    """Return the origin of a prompt: no files, and one of two placeholders as address."""
    if source not in PROMPT_SOURCES:
        raise errors.InvalidInputError(
            f"Invalid prompt source: '{source[:200]}'. Prompt sources must use an MLflow "
            "placeholder."
        )
    return Origin(source, source)


def _on_disk(
    tx: Transaction, source: str, parts: SplitResult, *, run_id: str, model_id: str
) -> Origin:
    """Let a folder on clients' disks pass where the run or model keeps its files there."""
    root = ""
    if model_id:
        root = _model_root(tx, model_id, source)
    elif run_id:
        root = _run_root(tx, run_id, source)
    try:
        home = urlsplit(root)
    except ValueError:
        home = parts._replace(scheme="none")
    addresses.check_local(source)
    path = posixpath.normpath(unquote(parts.path)) if parts.path.startswith("/") else ""
    above = posixpath.normpath(unquote(home.path)) if home.path.startswith("/") else ""
    is_local = home.scheme in ("", "file") and above and parts.netloc in ("", "localhost")
    if not is_local or not path or not (path == above or path.startswith(f"{above}/")):
        name = "model_id" if model_id else "run_id"
        raise errors.InvalidInputError(
            f"Invalid model version source: '{source[:200]}'. To use a local path as a model "
            f"version source, the {name} request parameter has to be specified and the local "
            "path has to be contained within the artifact directory of the run specified by "
            f"the {name}."
        )
    return Origin(source, source, run_id, model_id)


def _on_host(
    tx: Transaction, source: str, parts: SplitResult, *, run_id: str, model_id: str
) -> Origin:
    """Let an address that names a host pass where the run or model keeps its files there."""
    root = ""
    if model_id:
        root = _model_root(tx, model_id, source)
        run_id = run_id or logged.existing(tx, model_id).run_id
    elif run_id:
        root = _run_root(tx, run_id, source)
    inside, outside = addresses.steps_of(source), addresses.steps_of(root)
    if not outside[1:] or inside[: len(outside)] != outside:
        addresses.refuse_scheme(source, parts.scheme)
    return Origin(source, source, run_id, model_id)


def _of_run(
    tx: Transaction,
    actor: access.Actor,
    source: str,
    parts: SplitResult,
    *,
    run_id: str,
    model_id: str,
) -> Origin:
    named, _, below = parts.path.removeprefix("/").partition("/")
    if model_id:
        _refuse(source, "model_id")
    if not run_id or named != run_id:
        _refuse(source, "run_id")
    try:
        run = runs.existing(tx, run_id)
    except errors.NotFoundError:
        # As MLflow: its id is believed, and there is nothing to load.
        return Origin(source, source, run_id)
    root, below = _address(run), below.rstrip("/")
    location = f"{root.rstrip('/')}/{below}".rstrip("/")
    if not root.startswith(places.SCHEME):
        return Origin(source, location, run_id)
    owner = artifacts.of_run(run_id)
    files = _files(tx, owner, below)
    if files:
        return Origin(source, location, run_id, owner=owner, files=files)
    return _of_named_model(tx, actor, source, run, name=below)


def _of_named_model(
    tx: Transaction, actor: access.Actor, source: str, run: entities.Run, *, name: str
) -> Origin:
    """Return the origin of the model a run logged under a name, beside its artifacts."""
    asked = f"source_run_id = '{run.id}' AND name = '{name}'"
    found: tuple[LoggedModelRecord, ...] = ()
    if name and not set(name) & set("'\"/\\"):
        ids = [run.experiment_id]
        page = logged_search.search_models(
            tx, actor, experiment_ids=ids, condition=asked, limit=1
        )
        found = page.models
    if not found:
        return Origin(source, source, run.id)
    model_id = found[0].model.id
    root, owner = _model_root(tx, model_id, source), artifacts.of_logged_model(model_id)
    if not root.startswith(places.SCHEME):
        return Origin(source, root, run.id, model_id)
    return Origin(source, root, run.id, model_id, owner, _files(tx, owner, ""))


def _of_logged_model(
    tx: Transaction, source: str, parts: SplitResult, *, run_id: str, model_id: str
) -> Origin:
    named = parts.path.removeprefix("/")
    if model_id != named:
        _refuse(source, "model_id")
    try:
        model = logged.existing(tx, model_id)
    except errors.NotFoundError:
        _refuse(source, "model_id")
    root = _model_root(tx, model_id, source)
    run_id = run_id or model.run_id
    if not root.startswith(places.SCHEME):
        return Origin(source, root, run_id, model_id)
    owner = artifacts.of_logged_model(model_id)
    return Origin(source, root, run_id, model_id, owner, _files(tx, owner, ""))


def _of_artifacts(tx: Transaction, source: str, *, run_id: str, model_id: str) -> Origin:
    name = "model_id" if model_id else "run_id"
    if model_id:
        root, owner = _model_root(tx, model_id, source), artifacts.of_logged_model(model_id)
    elif run_id:
        root, owner = _run_root(tx, run_id, source), artifacts.of_run(run_id)
    else:
        _refuse(source, name)
    inside, outside = addresses.steps_of(source), addresses.steps_of(root)
    if not outside[1:] or inside[: len(outside)] != outside:
        _refuse(source, name)
    if model_id:
        run_id = run_id or logged.existing(tx, model_id).run_id
    files = _files(tx, owner, "/".join(inside[len(outside) :]))
    return Origin(source, source, run_id, model_id, owner, files)


def _of_version(
    tx: Transaction,
    actor: access.Actor,
    source: str,
    parts: SplitResult,
    *,
    run_id: str,
    model_id: str,
) -> Origin:
    """Return the origin of a version that repeats one of another name."""
    version = _named(tx, actor, source, parts.path.removeprefix("/"))
    if notes.is_prompt(dict(note_records.version_tags_of(tx, version))):
        raise errors.InvalidInputError(
            f"Invalid model version source: '{source[:200]}'. Prompt versions cannot be used "
            "as model version sources."
        )
    differs = (run_id and run_id != version.run_id) or (
        model_id and model_id != version.model_id
    )
    if differs:
        raise errors.InvalidInputError(
            f"Invalid model version source: '{source[:200]}'. The run_id and model_id request "
            "parameters must match the referenced model version."
        )
    return Origin(
        source=f"models:/{version.model}/{version.number}",
        location=version.location or version.source,
        run_id=version.run_id,
        model_id=version.model_id,
        owner=version.owner,
        files=version.files,
        copied=version.reference,
    )


def _named(tx: Transaction, actor: access.Actor, source: str, path: str) -> Version:
    """Return the version of ``<name>/<number>``, ``<name>/<stage>`` or ``<name>@<alias>``."""
    name, slash, rest = path.partition("/")
    if not name or (slash and not rest) or "/" in rest:
        _refuse(source, "model_id")
    if not slash:
        name, _, alias = name.rpartition("@")
        if not name or not alias:
            _refuse(source, "model_id")
        return actions.version_at(tx, actor, name, alias)
    if rest.isdecimal() and rest.isascii() and len(rest) < 10:  # noqa: PLR2004 - 32 bits
        return actions.get_version(tx, actor, name, int(rest))
    actions.get_model(tx, actor, name)
    found = note_records.latest(tx, name)
    if rest.lower() != "latest":
        found = [one for one in found if one.stage == notes.canonical(rest)]
    if not found:
        raise errors.NotFoundError(f"model {name!r} has no version in stage {rest!r}")
    return found[-1]


def _run_root(tx: Transaction, run_id: str, source: str) -> str:
    try:
        return _address(runs.existing(tx, run_id))
    except errors.NotFoundError:
        _refuse(source, "run_id")


def _address(run: entities.Run) -> str:
    if run.artifact_root and not run.artifact_root.startswith("run:"):
        return run.artifact_root
    return places.of_run("", run.experiment_id, run.id)


def _model_root(tx: Transaction, model_id: str, source: str) -> str:
    try:
        model = logged.existing(tx, model_id)
    except errors.NotFoundError:
        _refuse(source, "model_id")
    if model.artifact_root.startswith("logged-model:"):
        return places.of_logged_model("", model.experiment_id, model_id)
    return model.artifact_root


def _files(tx: Transaction, owner: str, prefix: str) -> tuple[File, ...]:
    start = f"{prefix}/" if prefix else ""
    return tuple(
        File(
            path=found.path.removeprefix(start)
            if found.path != prefix
            else posixpath.basename(prefix),
            digest=found.digest,
            size_bytes=found.size_bytes,
        )
        for found in artifacts.under(tx, owner, prefix)
    )


def _refuse(source: str, name: str) -> NoReturn:
    raise errors.InvalidInputError(
        f"Invalid model version source: '{source[:200]}'. The {name} request parameter must "
        "identify the resource that contains the source."
    )
