"""Bring in what began elsewhere, from Python; one subject of the SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from homeostat.doors.client import transport
from homeostat.lifecycle.importing import entities

_FILES = "/api/2.0/mlflow-artifacts/artifacts/"
_PAGE = 10_000


class Imports:
    """Writes batches of things that began elsewhere; `homeostat import` makes them.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def begin(self, source: str) -> None:
        """Record that an import begins from an address without credentials."""
        self._transport.call("POST", "/api/imports/begin", body=entities.Begun(source=source))

    def take(self, batch: entities.Batch) -> entities.Outcome:
        """Write a batch in one transaction; writing it again changes nothing.

        Parameters
        ----------
        batch
            Some MiB at most.

        Returns
        -------
        Outcome
            What is here now, and what was refused.

        Raises
        ------
        NotAllowedError
            When you may not write experiments, runs and models.
        """
        return self._transport.call(
            "POST", "/api/imports/batches", answer=entities.Outcome, body=batch
        )

    def finish(self, source: str, facts: Mapping[str, int]) -> None:
        """Record that an import ended.

        Parameters
        ----------
        source
            As it began.
        facts
            Counts by kind.
        """
        body = entities.Begun(source=source, facts=dict(facts))
        self._transport.call("POST", "/api/imports/finish", body=body)

    def marks(self, source: str, kind: entities.Kind) -> list[entities.Mark]:
        """Return what is known of a source's things of one kind.

        Parameters
        ----------
        source
            As it began.
        kind
            experiment, run, logged-model, model or version.
        """
        found: list[entities.Mark] = []
        while True:
            after = found[-1].source_id if found else ""
            page = self._transport.call(
                "GET",
                "/api/imports/marks",
                answer=list[entities.Mark],
                query={"source": source, "kind": kind, "after": after},
            )
            found += page
            if len(page) < _PAGE:
                return found

    def put_file(self, folder: str, path: str, pieces: Iterator[bytes]) -> None:
        """Keep a file that comes piece by piece; it is never whole in memory.

        Parameters
        ----------
        folder
            Of a run, ``<experiment>/<run>/artifacts``, or of a logged model,
            ``<experiment>/models/<model>/artifacts``.
        path
            Below the folder.
        pieces
            Its bytes.

        Raises
        ------
        InvalidInputError
            When the path is none of an artifact.
        """
        where = _FILES + quote(f"{folder}/{path}")
        self._transport.call("PUT", where, body=pieces)
