"""Finds the files of runs and logged models on this machine's disk, by their addresses."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from homeostat.doors.cli.imports import source
from homeostat.foundation import errors

PIECE_BYTES: Final = 1 << 20
BESIDE: Final = ("mlartifacts", "mlruns", "artifacts")
"""Folders that MLflow's servers make beside their database."""


class Folders:
    """The artifacts of one installation.

    Parameters
    ----------
    beside
        Folder of the database; relative addresses are from there.
    given
        Folder that the server was told to keep artifacts in, or None to look beside.

    Raises
    ------
    NotFoundError
        When the given folder is not there.
    """

    def __init__(self, beside: Path, given: Path | None) -> None:
        if given is not None and not given.is_dir():
            raise errors.NotFoundError(
                f"there is no folder {given}",
                hint="give the one behind --artifacts-destination",
            )
        self._beside = beside
        around = [beside / name for name in BESIDE]
        self._roots = [given] if given is not None else [one for one in around if one.is_dir()]

    def files(self, address: str) -> Iterator[source.File]:
        """Yield the files at an address; nothing outside its folder is followed.

        Raises
        ------
        NotFoundError
            When there is no such folder on this machine.
        """
        root = self._find(address)
        if root is None:
            return
        for folder, inner, names in os.walk(root):
            inner.sort()
            for name in sorted(names):
                path = Path(folder, name)
                found = path.lstat()
                if stat.S_ISREG(found.st_mode):
                    relative = path.relative_to(root).as_posix()
                    yield source.File(relative, found.st_size)

    def read(self, address: str, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file in pieces of 1 MiB."""
        root = self._find(address)
        assert root is not None  # its files were listed
        with (root / path).open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def _find(self, address: str) -> Path | None:
        """Return the folder at an address, None where its run kept no file at all."""
        candidates = list(self._candidates(address))
        for path in candidates:
            if path.is_dir():
                return path
        # A folder is made for the first file only: a run without one has none.
        is_model = "/models/m-" in address
        if not is_model and any(path.parents[2].is_dir() for path in candidates):
            return None
        raise errors.NotFoundError(
            f"no folder for {address} on this machine",
            hint="name the folder of the artifacts with --artifacts",
        )

    def _candidates(self, address: str) -> Iterator[Path]:
        parts = urlsplit(address)
        path = unquote(parts.path) if parts.scheme else address
        steps = [step for step in PurePosixPath(path).parts if step not in {"/", ".", ".."}]
        if parts.scheme != "mlflow-artifacts":
            yield Path(path) if path.startswith("/") else self._beside / path
            # The folder may have moved: what stands last in an address stays the same.
            steps = steps[-4:] if "models" in steps[-3:-2] else steps[-3:]
        if len(steps) > 1:
            for root in self._roots:
                yield root.joinpath(*steps)
