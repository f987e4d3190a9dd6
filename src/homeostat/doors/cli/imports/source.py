"""What an import reads from: one protocol, answered by a server and by a database file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from homeostat.lifecycle.importing import entities

REMOTE = "left at its address"
"""Said of artifacts in a store that only the clients of the source can reach."""


class File(NamedTuple):
    """A file of a run or logged model in the source.

    Parameters
    ----------
    path
        Below the root of its run or model.
    size_bytes
        -1 when the source does not say.
    """

    path: str
    size_bytes: int


class FoundRun(NamedTuple):
    """A run as it was found.

    Parameters
    ----------
    run
        To be written.
    address
        Where its artifacts are in the source.
    keys
        Its metrics.
    state
        Of its points, as far as it can be told without reading them.
    """

    run: entities.Run
    address: str
    keys: tuple[str, ...]
    state: str


class FoundModel(NamedTuple):
    """A logged model as it was found, and where its files are in the source."""

    model: entities.LoggedModel
    address: str


class Untaken(NamedTuple):
    """Things of a kind that no import takes; `n` is -1 where it was not counted."""

    kind: str
    n: int
    reason: str


class Holder(NamedTuple):
    """Whose files are asked for: a run or a logged model, its id, and the address."""

    kind: str
    id: str
    address: str


class Source(Protocol):
    """Reads everything of one MLflow installation; nothing is ever written to it."""

    @property
    def address(self) -> str:
        """What the source is known by, without credentials."""

    def count_runs(self) -> int | None:
        """Return how many runs there are, None where that cannot be asked."""

    def experiments(self) -> Iterator[entities.Experiment]:
        """Yield all experiments, deleted ones too."""

    def runs(self, experiment_id: str) -> Iterator[list[FoundRun]]:
        """Yield the runs of an experiment, oldest first, in pages."""

    def points(self, found: Sequence[FoundRun]) -> Iterator[entities.Points]:
        """Yield all points of some runs, in bounded pieces."""

    def logged_models(self, experiment_id: str) -> Iterator[FoundModel]:
        """Yield the logged models of an experiment."""

    def models(self) -> Iterator[tuple[entities.Model, list[entities.Version]]]:
        """Yield registered models with their versions by number."""

    def files(self, holder: Holder) -> Iterator[File]:
        """Yield the files of a run or logged model; raises `NotFoundError` without a folder."""

    def read(self, holder: Holder, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file."""

    def untaken(self) -> list[Untaken]:
        """Return what the source has that no import takes."""

    def close(self) -> None:
        """Let go of connections."""


def is_remote(address: str) -> bool:
    """Say whether artifacts lie in a store of their own, which stays as it is.

    Examples
    --------
    >>> is_remote("s3://bucket/1"), is_remote("mlflow-artifacts:/1"), is_remote("/srv/ml/1")
    (True, False, False)
    """
    scheme, colon, _ = address.partition(":")
    return bool(colon) and scheme.lower() not in {"", "file", "mlflow-artifacts"}


def location(address: str) -> str:
    """Return the address that is kept with a run: that of a remote store, else nothing."""
    return address if is_remote(address) else ""
