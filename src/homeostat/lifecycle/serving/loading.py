"""From the files of a version to something that answers, kept in memory while it is needed.

Called by `warming` in every prediction worker.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import blake3

from homeostat.foundation import errors
from homeostat.lifecycle.data import rows
from homeostat.lifecycle.registry import described
from homeostat.lifecycle.registry import load as registry_load
from homeostat.lifecycle.serving import entities, meters, served

_THREADS: Final = 2
_TIMES_FILES: Final = 4
_GUESS_BYTES: Final = 2**20
_PAGE_BYTES: Final = resource.getpagesize()


def load(files: Mapping[str, bytes], *, is_trusted: bool = False) -> served.Loaded:
    """Load a version and prove it on its own example, which warms it too.

    Parameters
    ----------
    files
        Path to bytes, each equal to its digest.
    is_trusted
        Whether somebody who may has said that this version may run its code.

    Returns
    -------
    Loaded
        Ready for `engine.Engine.install`.

    Raises
    ------
    InvalidInputError
        When a file is missing or is not what it should be.
    NotAllowedError
        When the model is pickled and not trusted, or holds a type that is not trusted.
    UserCodeError
        When it scores its example differently on this machine.
    """
    predictor = registry_load.load_for_serving(files, is_trusted=is_trusted)
    about = predictor.description
    classes = about.classes
    return served.Loaded(
        predictor=predictor,
        classes=classes,
        labels=_labels(classes, about.positive) if about.task == "binary" else None,
        columns=tuple((column.name, column.kind) for column in about.schema.columns),
        validate=rows.compile_row(about.schema),
        read=rows.compile_columns(about.schema),
        unseen=rows.compile_unseen(about.schema),
        task=about.task,
        is_seen=rows.compile_seen(about.schema),
    )


def _labels(classes: tuple[str, ...], positive: int) -> tuple[str | None, str]:
    """Return what is answered below 0.5 and above; of several other classes none is meant."""
    others = [one for at, one in enumerate(classes) if at != positive]
    return (others[0] if len(others) == 1 else None), classes[positive]


class UnusableError(Exception):
    """A version that will not load however often it is tried."""

    def __init__(self, told: str, *, version: int) -> None:
        super().__init__(told)
        self.version = version


class DamagedError(Exception):
    """A file of a version is missing or is not what its digest says."""


class Held(NamedTuple):
    """A version in memory and what it takes there."""

    loaded: served.Loaded
    size_bytes: int


class Shelf:
    """The versions that a process has in memory; each is loaded once, however many ask.

    Parameters
    ----------
    files
        Folder of files by digest.
    counted
        Gets loads, failures and the time they took.
    resident
        Says how many bytes of memory this process takes.

    Notes
    -----
    A version's size is what the process grew by while it was loaded, and at least its files.
    Where loading it first imported libraries, which stay, it is a multiple of its files.
    """

    def __init__(
        self, files: Path, *, counted: meters.Meters, resident: Callable[[], int]
    ) -> None:
        self._files = files
        self._resident = resident
        self._counted = counted
        self._held: dict[str, Held] = {}
        self._loading: dict[str, asyncio.Task[Held]] = {}
        self._pool = ThreadPoolExecutor(_THREADS, "homeostat-load")
        self.size_bytes = 0

    @property
    def mean_bytes(self) -> float:
        """What a version takes on average; a guess before any is known."""
        return self.size_bytes / len(self._held) if self._held else _GUESS_BYTES

    def find(self, document: entities.PlanDocument) -> dict[int, served.Loaded] | None:
        """Return the versions of a plan by number; None when one is not in memory."""
        found = {one.version: self._held.get(one.digest) for one in document.versions}
        ready = {number: one.loaded for number, one in found.items() if one is not None}
        return ready if len(ready) == len(found) else None

    async def load(self, document: entities.PlanDocument) -> dict[int, served.Loaded]:
        """Load what a plan names; what is in memory is not loaded again.

        Parameters
        ----------
        document
            A plan.

        Returns
        -------
        dict
            Versions by number, each proven on its example.

        Raises
        ------
        UnusableError
            When a version will not load.
        DamagedError
            When a file is not whole.
        """
        found: dict[int, served.Loaded] = {}
        for version in document.versions:
            held = self._held.get(version.digest)
            if held is None:
                held = await asyncio.shield(self._start(version))
            found[version.version] = held.loaded
        return found

    def keep(self, digests: frozenset[str]) -> None:
        """Let every version go but these.

        Parameters
        ----------
        digests
            Of versions.
        """
        for digest in self._held.keys() - digests:
            self.size_bytes -= self._held.pop(digest).size_bytes

    def close(self) -> None:
        """Load nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, version: entities.VersionFiles) -> asyncio.Task[Held]:
        task = self._loading.get(version.digest)
        if task is None:
            task = asyncio.create_task(self._load(version))
            self._loading[version.digest] = task
        return task

    async def _load(self, version: entities.VersionFiles) -> Held:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            held = await loop.run_in_executor(self._pool, self._read, version)
        except UnusableError:
            self._counted.load_failures += 1
            raise
        finally:
            self._loading.pop(version.digest, None)
            self._counted.load_seconds += loop.time() - began
        self._counted.loads += 1
        self._held[version.digest] = held
        self.size_bytes += held.size_bytes
        return held

    def _read(self, version: entities.VersionFiles) -> Held:
        digests = dict(version.files)
        if version.description:
            digests[described.DESCRIPTION] = version.description
        files = described.Kept(digests, self._file)
        n_modules, before_bytes = len(sys.modules), self._resident()
        try:
            loaded = load(files, is_trusted=version.is_trusted)
        except DamagedError:
            raise
        except errors.HomeostatError as error:
            told = f"version {version.version} cannot be loaded: {error.message}"
            raise UnusableError(told, version=version.version) from error
        except Exception as error:
            kind = type(error).__name__
            told = f"version {version.version} cannot be loaded: {kind}: {error}"
            raise UnusableError(told, version=version.version) from error
        grown_bytes = self._resident() - before_bytes
        if len(sys.modules) > n_modules:
            grown_bytes = files.bytes_read * _TIMES_FILES
        return Held(loaded, max(grown_bytes, files.bytes_read))

    def _file(self, digest: str) -> bytes:
        try:
            data = (self._files / digest).read_bytes()
        except OSError as error:
            raise DamagedError(f"{self._files / digest}: {error.strerror}") from error
        if blake3.blake3(data).hexdigest() != digest:
            raise DamagedError(f"{self._files / digest} has other bytes")
        return data


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
