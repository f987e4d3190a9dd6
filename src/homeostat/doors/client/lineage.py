"""Ask from Python what was made of what; one subject of the SDK."""

from __future__ import annotations

from homeostat.doors.api import why as story
from homeostat.doors.client import transport
from homeostat.foundation import lineage
from homeostat.lifecycle.serving import consequences


class Lineage:
    """Edges between references such as ``run:<id>`` and ``model:credit@3``.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def ancestors(self, reference: str, *, limit: int = 1000) -> list[lineage.Edge]:
        """Return every edge on a way that leads to `reference`, oldest first.

        Parameters
        ----------
        reference
            A typed id; need not be known.
        limit
            At most so many edges, 1 to 10,000.

        Raises
        ------
        InvalidInputError
            When a value is out of its range.
        """
        return self._walk(reference, "ancestors", limit)

    def descendants(self, reference: str, *, limit: int = 1000) -> list[lineage.Edge]:
        """Return every edge on a way that leads from `reference`; as `ancestors`.

        Parameters
        ----------
        reference
            Such as ``snapshot:<id>``.
        limit
            At most this many edges.
        """
        return self._walk(reference, "descendants", limit)

    def why(self, reference: str, *, deployment: str = "") -> story.Story:
        """Return the way from a prediction or a decision back to what caused it.

        Parameters
        ----------
        reference
            Id of a prediction (as the prediction server answered it) or of a decision; with
            `deployment` the key of its latest prediction there.
        deployment
            Where a key is looked for.

        Returns
        -------
        Story
            Steps, the nearest first: plan, versions, approvals, gate reports, runs, data.

        Raises
        ------
        NotFoundError
            When neither has this id, or its segment was not handed over yet.
        """
        return self._transport.call(
            "GET",
            f"/api/why/{transport.part(reference)}",
            answer=story.Story,
            query={"deployment": deployment or None},
        )

    def consequences(self, reference: str) -> consequences.Consequences:
        """Return what came of data, a run or a version: versions and what they decided.

        Parameters
        ----------
        reference
            Such as ``snapshot:<id>``, ``run:<id>`` or ``model:credit@3``.

        Returns
        -------
        Consequences
            Counts by version and deployment, and tables scored in bulk; the predictions
            themselves are read by `predictions.read` with ``versions``.
        """
        return self._transport.call(
            "GET",
            "/api/consequences",
            answer=consequences.Consequences,
            query={"reference": reference},
        )

    def _walk(self, reference: str, direction: str, limit: int) -> list[lineage.Edge]:
        query: transport.Query = {
            "reference": reference,
            "direction": direction,
            "limit": limit,
        }
        return self._transport.call(
            "GET", "/api/lineage", answer=list[lineage.Edge], query=query
        )
