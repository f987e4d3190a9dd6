"""Gathers what an import reads into batches of bounded size, and notes what was left out."""

from __future__ import annotations

import collections
import threading
from typing import Any, Final

import msgspec

from homeostat.doors.client import Client
from homeostat.lifecycle.importing import entities

POINTS_A_BATCH: Final = 20_000
BYTES_A_BATCH: Final = 2 * 1024 * 1024
MOST_EXAMPLES: Final = 20
_FIELDS: Final[dict[type, str]] = {
    entities.Experiment: "experiments",
    entities.Run: "runs",
    entities.Points: "points",
    entities.LoggedModel: "logged_models",
    entities.Model: "models",
    entities.Version: "versions",
}


class Left(msgspec.Struct, frozen=True):
    """Something that was not taken.

    Parameters
    ----------
    kind, name, reason
        What, which one, and why, in one sentence.
    """

    kind: str
    name: str
    reason: str


class Writer:
    """Sends batches to the house; threads may tell it what was left.

    Parameters
    ----------
    client
        Where to.
    address
        Of the source.

    Attributes
    ----------
    left
        How many things of a kind no import takes; -1 where that was not counted.
    missed
        How many things of a kind should have been taken, and could not.
    examples
        The first of both.
    refused
        Kinds and names of what the house refused.
    """

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self._address = address
        self._items: dict[str, list[Any]] = collections.defaultdict(list)
        self._n_points = 0
        self._n_bytes = 0
        self._lock = threading.Lock()
        self.left: dict[str, int] = {}
        self.missed: dict[str, int] = {}
        self.examples: list[Left] = []
        self.refused: set[tuple[str, str]] = set()

    def add(self, item: msgspec.Struct) -> None:
        """Add a thing to the batch; sends it when that is large enough."""
        self._items[_FIELDS[type(item)]].append(item)
        if isinstance(item, entities.Points):
            self._n_points += len(item.points)
        else:
            self._n_bytes += len(msgspec.json.encode(item))
        if self._n_points >= POINTS_A_BATCH or self._n_bytes >= BYTES_A_BATCH:
            self.flush()

    def done(self, kind: entities.Kind, source_id: str, fingerprint: str) -> None:
        """Say that a run or logged model is whole."""
        mark = entities.Mark(kind=kind, source_id=source_id, fingerprint=fingerprint)
        self._items["done"].append(mark)

    def flush(self) -> None:
        """Send what was gathered."""
        if not self._items:
            return
        items = {name: tuple(found) for name, found in self._items.items()}
        self._items.clear()
        self._n_points = self._n_bytes = 0
        outcome = self._client.imports.take(entities.Batch(source=self._address, **items))
        for one in outcome.refused:
            self.refused.add((one.kind, one.name))
            self.miss(one.kind, one.name, one.reason)

    def leave(self, kind: str, name: str, reason: str, *, count: int = 1) -> None:
        """Note what no import takes.

        Parameters
        ----------
        kind, name, reason
            As of `Left`.
        count
            How many; -1 where that was not counted.
        """
        with self._lock:
            before = self.left.get(kind, 0)
            self.left[kind] = -1 if -1 in {before, count} else before + count
            self._show(Left(kind, name, reason))

    def miss(self, kind: str, name: str, reason: str) -> None:
        """Note what should have been taken, and could not; parameters of `leave`."""
        with self._lock:
            self.missed[kind] = self.missed.get(kind, 0) + 1
            self._show(Left(kind, name, reason))

    def _show(self, one: Left) -> None:
        if sum(shown.kind == one.kind for shown in self.examples) < MOST_EXAMPLES:
            self.examples.append(one)
