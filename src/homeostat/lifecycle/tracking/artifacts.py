"""Actions on files that runs, logged models and folders of a client's keep.

A holder is whose files they are and whose key seals them: ``run:<id>``, ``logged-model:<id>``,
``experiment:<id>`` or ``project:<name>``. Part of tracking's actions; the bytes are stored by
the doors beforehand, owned by the holder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from homeostat.foundation import access, errors, events
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import (
    artifact_records,
    entities,
    logged_records,
    paths,
    places,
    records,
    runs,
)

_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
_EXPERIMENT_ID: Final = re.compile(r"[0-9]{1,19}")
_BATCH: Final = 500
_SCHEME: Final = f"{places.SCHEME}:"


def of_run(run_id: str) -> str:
    """Return the holder of a run's files."""
    return f"run:{run_id}"


def of_logged_model(model_id: str) -> str:
    """Return the holder of a logged model's files."""
    return f"logged-model:{model_id}"


def resolve(tx: Transaction, address: str) -> tuple[str, str]:
    """Return whose file or folder an address of MLflow's clients means.

    Parameters
    ----------
    tx
        Transaction to read in.
    address
        ``mlflow-artifacts:/<path>``, or the path alone; a slash at its end changes nothing.

    Returns
    -------
    tuple of str, str
        The holder, and the path below it; ``""`` is all of it. A run or logged model holds
        what lies below its own root only; the rest belongs to the experiment whose id stands
        first, or else to the project. Whether anything is there is not asked.

    Raises
    ------
    InvalidInputError
        When the address names another server, or its path is none of an artifact.
    """
    path = paths.folder(_below_root(address))
    parts = path.split("/") if path else []
    for n in range(1, len(parts)):
        if parts[n] == "artifacts":
            root = f"{_SCHEME}/{'/'.join(parts[: n + 1])}"
            holder = _holder_at(tx, parts[n - 1], root)
            if holder:
                return holder, paths.folder("/".join(parts[n + 1 :]))
    if parts and _EXPERIMENT_ID.fullmatch(parts[0]):
        return f"experiment:{parts[0]}", paths.folder("/".join(parts[1:]))
    return f"project:{tx.project}", path


def under(tx: Transaction, holder: str, prefix: str = "") -> list[entities.Artifact]:
    """Return the file at a path, or all files below it, by path.

    Parameters
    ----------
    tx
        Transaction to read in; permission is the caller's to ask.
    holder
        As `resolve` gave it.
    prefix
        A file or folder; everything when empty.

    Returns
    -------
    list of Artifact
        With paths from the holder's root; empty when nothing is there.
    """
    if not prefix:
        found = tx.run(artifact_records.ALL, artifact_records.of_holder(tx, holder)).fetchall()
        return [artifact_records.artifact_from(row) for row in found]
    which = {**artifact_records.of_folder(tx, holder, prefix), "in_path": prefix}
    rows = tx.run(artifact_records.AT_OR_BELOW, which).fetchall()
    found = [artifact_records.artifact_from(row) for row in rows]
    return found[:1] if found and found[0].path == prefix else found


def entries(
    tx: Transaction, actor: access.Actor, holder: str, *, folder: str = ""
) -> list[entities.Entry]:
    """Return what stands directly in a folder, by name.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    holder
        As `resolve` gave it.
    folder
        Its path; the topmost when empty.

    Returns
    -------
    list of Entry
        Empty when there is no such folder, or it is a file.
    """
    access.require(actor, "run.read")
    return sorted(_entries(tx, holder, folder), key=lambda entry: entry.name)


def find(tx: Transaction, actor: access.Actor, holder: str, *, path: str) -> entities.Artifact:
    """Return one file.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    holder
        As `resolve` gave it.
    path
        Of the file.

    Returns
    -------
    Artifact
        Its bytes are the blob with its digest, owned by the holder.

    Raises
    ------
    NotFoundError
        When nothing is there.
    InvalidInputError
        When a folder is there.
    """
    access.require(actor, "run.read")
    found = _find(tx, holder, path) if path else None
    if found is not None:
        return found
    if next(_entries(tx, holder, path), None) is not None:
        raise errors.InvalidInputError(
            f"Artifact path refers to a directory, not a file: {path!r} of {holder}"
        )
    raise errors.NotFoundError(f"{holder} has no artifact {path!r}", path=path)


def keep(
    tx: Transaction,
    actor: access.Actor,
    holder: str,
    *,
    path: str,
    digest: str,
    size_bytes: int,
) -> entities.Artifact:
    """Note a file whose bytes are stored already, owned by its holder.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    holder
        As `resolve` gave it.
    path
        Relative, forward slashes, without `..`.
    digest, size_bytes
        Of the stored blob.

    Returns
    -------
    Artifact
        As noted; the same path again replaces it.

    Raises
    ------
    NotFoundError
        When the holder is a run that does not exist.
    InvalidInputError
        When the path is none of an artifact, or a folder stands there, or a file stands where
        one of its folders should be.
    """
    path = may_keep(tx, actor, holder, path=path)
    made = entities.Artifact(path, digest, size_bytes, tx.at)
    row = {**msgspec.structs.asdict(made), "project": tx.project, "holder": holder}
    tx.run(artifact_records.UPSERT, row)
    facts = {"path": path, "digest": digest, "size_bytes": size_bytes}
    events.record(tx, actor, "artifact.added", subject=holder, facts=facts)
    return made


def may_keep(tx: Transaction, actor: access.Actor, holder: str, *, path: str) -> str:
    """Return the path a file would be kept under; refuses what `keep` would refuse.

    Doors ask before they store the bytes; parameters and errors are those of `keep`.
    """
    access.require(actor, "run.write")
    if holder.startswith("run:"):
        runs.existing(tx, holder.removeprefix("run:"))
    plain = paths.check(path)
    _check_room(tx, holder, plain)
    return plain


def remove(tx: Transaction, actor: access.Actor, holder: str, *, path: str) -> int:
    """Forget a file, or a folder with all below it.

    The bytes stay until the holder's key is destroyed: a version of a model may have been made
    of them.

    Parameters
    ----------
    tx, actor
        Transaction to write in, and who asks.
    holder
        As `resolve` gave it.
    path
        Of the file or folder; everything the holder has when empty.

    Returns
    -------
    int
        How many files were forgotten; 0 when nothing was there.
    """
    access.require(actor, "run.write")
    which = artifact_records.of_holder(tx, holder)
    if path:
        below = artifact_records.of_folder(tx, holder, path)
        n_files = (
            tx.run(artifact_records.DELETE_ONE, {**which, "in_path": path}).rowcount
            + tx.run(artifact_records.DELETE_RANGE, below).rowcount
        )
    else:
        n_files = tx.run(artifact_records.DELETE_ALL, which).rowcount
    if n_files:
        facts = {"path": path, "n_files": n_files}
        events.record(tx, actor, "artifact.removed", subject=holder, facts=facts)
    return n_files


def add_artifact(
    tx: Transaction,
    actor: access.Actor,
    run_id: str,
    *,
    path: str,
    digest: str,
    size_bytes: int,
) -> entities.Artifact:
    """Note a file of a run; parameters, answer and errors of `keep`."""
    return keep(tx, actor, of_run(run_id), path=path, digest=digest, size_bytes=size_bytes)


def list_artifacts(
    tx: Transaction, actor: access.Actor, run_id: str
) -> list[entities.Artifact]:
    """Return the files of a run by path; `NotFoundError` when there is no such run."""
    access.require(actor, "run.read")
    runs.existing(tx, run_id)
    return under(tx, of_run(run_id))


def get_artifact(
    tx: Transaction, actor: access.Actor, run_id: str, *, path: str
) -> entities.Artifact:
    """Return one file of a run.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    run_id
        32 hexadecimal digits.
    path
        Of the artifact.

    Returns
    -------
    Artifact
        Its bytes are the blob with its digest, owned by `run:<id>`.

    Raises
    ------
    NotFoundError
        When there is no such run, or it has no such file.
    InvalidInputError
        When the path is none of an artifact.
    """
    access.require(actor, "run.read")
    runs.existing(tx, run_id)
    found = _find(tx, of_run(run_id), paths.check(path))
    if found is None:
        raise errors.NotFoundError(f"run:{run_id} has no artifact {path!r}", path=path)
    return found


def _below_root(address: str) -> str:
    if not address.startswith(_SCHEME):
        return address
    rest = address.removeprefix(_SCHEME)
    if rest.startswith("//"):
        server, _, rest = rest[2:].partition("/")
        if server:
            raise errors.InvalidInputError(
                f"{address[:200]!r} names the server {server[:80]!r}",
                hint=f"give an address of this server, such as {_SCHEME}/<path>",
            )
    return rest.removeprefix("/")


def _holder_at(tx: Transaction, name: str, root: str) -> str:
    """Return the run or logged model whose files lie at an address, or nothing."""
    if _RUN_ID.fullmatch(name):
        row = tx.run(records.RUN, records.of_run(tx, name)).fetchone()
        if row is not None:
            run = records.run_from(row)
            plain = places.of_run("", run.experiment_id, run.id)
            is_own = run.artifact_root.startswith(places.SCHEME)
            if root == (run.artifact_root.rstrip("/") if is_own else plain):
                return of_run(name)
    elif name.startswith("m-") and _RUN_ID.fullmatch(name[2:]):
        row = tx.run(logged_records.MODEL, logged_records.of_model(tx, name)).fetchone()
        if row is not None:
            model = logged_records.model_from(row)
            plain = places.of_logged_model("", model.experiment_id, model.id)
            is_own = model.artifact_root.startswith(places.SCHEME)
            if root == (model.artifact_root.rstrip("/") if is_own else plain):
                return of_logged_model(name)
    return ""


def _find(tx: Transaction, holder: str, path: str) -> entities.Artifact | None:
    which = {**artifact_records.of_holder(tx, holder), "in_path": path}
    row = tx.run(artifact_records.ONE, which).fetchone()
    return None if row is None else artifact_records.artifact_from(row)


def _check_room(tx: Transaction, holder: str, path: str) -> None:
    """Refuse a file where a folder is, and below a file: no client could hold both on disk."""
    if _first_from(tx, holder, f"{path}/", limit=1, folder=path):
        raise errors.InvalidInputError(
            f"{path!r} of {holder} is a folder already; a file may not take its place"
        )
    parts = path.split("/")
    for n in range(1, len(parts)):
        above = "/".join(parts[:n])
        if _find(tx, holder, above) is not None:
            raise errors.InvalidInputError(
                f"{above!r} of {holder} is a file already; {path!r} cannot be below it"
            )


def _entries(tx: Transaction, holder: str, folder: str) -> Iterator[entities.Entry]:
    """Read the range of a folder, and behind each folder in it go on where that one ends."""
    start = f"{folder}/" if folder else ""
    first = start
    while rows := _first_from(tx, holder, first, limit=_BATCH, folder=folder):
        shown = ""
        for path, size_bytes in rows:
            name, _, rest = path[len(start) :].partition("/")
            if not rest:
                yield entities.Entry(name, is_dir=False, size_bytes=size_bytes)
            elif name != shown:
                yield entities.Entry(name, is_dir=True, size_bytes=0)
                shown = name
        last = rows[-1][0]
        name, _, rest = last[len(start) :].partition("/")
        first = f"{start}{name}0" if rest else f"{last}\x01"
        if len(rows) < _BATCH:
            return


def _first_from(
    tx: Transaction, holder: str, first: str, *, limit: int, folder: str
) -> list[Any]:
    which = {**artifact_records.of_holder(tx, holder), "in_first": first, "in_limit": limit}
    rows = tx.run(artifact_records.SOME, which).fetchall()
    if not folder:
        return rows
    return [row for row in rows if row[0].startswith(f"{folder}/")]
