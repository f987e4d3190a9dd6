"""The files of a version: their one digest, and their way into and out of the blobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import blake3
import msgspec

from homeostat.foundation import errors
from homeostat.foundation.house import House
from homeostat.lifecycle.registry.entities import File, FilePath, Version


def tree_digest(files: Iterable[File]) -> str:
    """Return the one digest of a set of files.

    Parameters
    ----------
    files
        In any order.

    Returns
    -------
    str
        BLAKE3 over the lines ``path, digest, size`` in order of path.
    """
    hasher = blake3.blake3()
    for file in sorted(files, key=lambda file: file.path):
        hasher.update(f"{file.path}\n{file.digest}\n{file.size_bytes}\n".encode())
    return hasher.hexdigest()


def checked(files: tuple[File, ...]) -> tuple[File, ...]:
    """Return `files`; InvalidInputError when there is none, or a path or digest is not one."""
    if not files:
        raise errors.InvalidInputError("a version needs at least one file")
    if len({file.path for file in files}) != len(files):
        raise errors.InvalidInputError("two files of the version have one path")
    try:
        msgspec.convert([file.path for file in files], list[FilePath])
        return msgspec.convert(msgspec.to_builtins(files), tuple[File, ...])
    except msgspec.ValidationError as error:
        raise errors.InvalidInputError(f"a file of the version is not right: {error}") from None


def describe(contents: Mapping[str, bytes]) -> tuple[File, ...]:
    """Return path, digest and size of some files, in order of path.

    Parameters
    ----------
    contents
        Path to bytes, as `format.pack` makes them.

    Returns
    -------
    tuple of File
        What `actions.register_version` takes and `tree_digest` sums up.
    """
    return tuple(
        File(path=path, digest=blake3.blake3(data).hexdigest(), size_bytes=len(data))
        for path, data in sorted(contents.items())
    )


def put(
    house: House, model: str, contents: Mapping[str, bytes], *, project: str | None = None
) -> tuple[File, ...]:
    """Store the bytes of a candidate; do so before its version is registered.

    Parameters
    ----------
    house
        Where.
    model
        Name of the model, whose key seals them.
    contents
        Path to bytes.

    Returns
    -------
    tuple of File
        What `actions.register_version` takes.

    Raises
    ------
    UnavailableError
        When the bytes cannot be written.
    """
    for data in contents.values():
        house.put_blob(f"model:{model}", data, project=project)
    return describe(contents)


def fetch(house: House, version: Version, *, project: str | None = None) -> dict[str, bytes]:
    """Return the bytes of a version, proved by their digests.

    Raises
    ------
    NotFoundError
        When a file is gone, or the key of the model was destroyed.
    CorruptError
        When stored bytes were changed.
    """
    return {
        file.path: house.get_blob(version.owner, file.digest, project=project)
        for file in version.files
    }
