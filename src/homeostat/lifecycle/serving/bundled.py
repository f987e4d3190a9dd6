"""A plan together with the files of its versions, as it travels to where tables are scored."""

from __future__ import annotations

from pathlib import Path

import blake3
import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.registry import format as formats
from homeostat.lifecycle.serving import entities, loading, served


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A plan and the files of its versions, by digest: all that scoring needs."""

    document: entities.PlanDocument
    files: dict[str, bytes]

    def store(self, folder: Path) -> None:
        """Write it for other processes of this machine, by `from_folder`.

        Parameters
        ----------
        folder
            An existing one.
        """
        (folder / "files").mkdir(exist_ok=True)
        for digest, data in self.files.items():
            (folder / "files" / digest).write_bytes(data)
        (folder / "plan.json").write_bytes(msgspec.json.encode(self.document))

    @classmethod
    def from_folder(cls, folder: Path) -> Bundle:
        """Read what `store` wrote.

        Parameters
        ----------
        folder
            Where.

        Returns
        -------
        Bundle
            The same.
        """
        document = msgspec.json.decode(
            (folder / "plan.json").read_bytes(), type=entities.PlanDocument
        )
        files = {path.name: path.read_bytes() for path in (folder / "files").iterdir()}
        return cls(document=document, files=files)


def load(bundle: Bundle, version: entities.VersionFiles) -> served.Loaded:
    """Load a version of a bundle.

    Parameters
    ----------
    bundle
        With its files.
    version
        One that its plan names.

    Returns
    -------
    Loaded
        As the prediction server loads it.

    Raises
    ------
    CorruptError
        When a file is not what its digest says.
    """
    files = {path: _file(bundle, digest) for path, digest in version.files.items()}
    if version.description:
        files[formats.DESCRIPTION] = _file(bundle, version.description)
    return loading.load(files, is_trusted=version.is_trusted)


def _file(bundle: Bundle, digest: str) -> bytes:
    data = bundle.files[digest]
    if blake3.blake3(data).hexdigest() != digest:
        raise errors.CorruptError(f"the file {digest} of a version came with other bytes")
    return data
