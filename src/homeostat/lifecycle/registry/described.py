"""What the files of a version say of themselves; light, so that a prediction worker reads it.

Called by `load` and by whoever has the files of a version; `format` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.registry.entities import Description, Twin

DESCRIPTION = "homeostat.json"


def read(files: Mapping[str, bytes]) -> Description:
    """Return what the files of a version say of themselves.

    Parameters
    ----------
    files
        Path to bytes; only the description is read.

    Returns
    -------
    Description
        Of the model.

    Raises
    ------
    InvalidInputError
        When a file is missing or is not what it should be.
    NotAllowedError
        When the model is pickled.
    """
    if DESCRIPTION not in files:
        raise _lacks(DESCRIPTION, files)
    try:
        found = msgspec.json.decode(files[DESCRIPTION], type=Description)
    except msgspec.DecodeError as error:
        raise errors.InvalidInputError(f"{DESCRIPTION} cannot be read: {error}") from None
    if found.file and found.file not in files:
        raise _lacks(found.file, files)
    return found


class _Answering(msgspec.Struct):
    twin: Twin = Twin()


def twin(data: bytes) -> Twin:
    """Return what a description says of the version's twin, for those who show it.

    Parameters
    ----------
    data
        Of the file `DESCRIPTION`.

    Returns
    -------
    Twin
        An empty one where nothing can be read.

    Examples
    --------
    >>> twin(b'{"twin": {"refused": "it was too large"}}').sentence
    'the original: it was too large'
    """
    try:
        return msgspec.json.decode(data, type=_Answering).twin
    except msgspec.DecodeError:
        return Twin()


class Kept(Mapping[str, bytes]):
    """Files that are read when they are asked for: a twin answers without its original.

    Parameters
    ----------
    digests
        Of each file, by its path in the version.
    read
        Returns the bytes of a digest.

    Attributes
    ----------
    bytes_read
        How many were asked for so far.
    """

    def __init__(self, digests: Mapping[str, str], read: Callable[[str], bytes]) -> None:
        self._digests = dict(digests)
        self._read = read
        self.bytes_read = 0

    def __getitem__(self, path: str) -> bytes:
        """Return the bytes of a file."""
        data = self._read(self._digests[path])
        self.bytes_read += len(data)
        return data

    def __contains__(self, path: object) -> bool:
        """Say whether the version has a file, without reading it."""
        return path in self._digests

    def __iter__(self) -> Iterator[str]:
        """Walk over the paths."""
        return iter(self._digests)

    def __len__(self) -> int:
        """Return how many files there are."""
        return len(self._digests)


def _lacks(path: str, files: Mapping[str, bytes]) -> errors.HomeostatError:
    pickled = [path for path in files if path.endswith((".pkl", ".pickle", ".joblib"))]
    if pickled:
        return errors.NotAllowedError(
            f"{pickled[0]} is pickled and is not loaded: a pickle can run any code",
            hint="save the model with serialization_format='skops'; a version that mlflow "
            "logged is loaded once it is trusted and judged: see homeostat model trust",
        )
    return errors.InvalidInputError(
        f"the version has no file {path}",
        hint="write it with registry.format.pack; a version that mlflow logged gets it from "
        "homeostat model judge",
    )
