"""Read from Python what the loop decided, and replay it; one subject of the SDK."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.doors.client import transport
from homeostat.lifecycle.loop import entities, replay

PAGE = 500


class Decisions:
    """Decisions of the loop, with their evidence.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def list(
        self,
        *,
        deployment: str = "",
        kinds: tuple[str, ...] = (),
        before: str = "",
        limit: int = 100,
    ) -> list[entities.Decision]:
        """Return decisions, newest first.

        Parameters
        ----------
        deployment
            Only of this one; of all when empty.
        kinds
            Only of these kinds; all when empty.
        before
            The id of the last decision of the page before.
        limit
            1 to 1000.

        Raises
        ------
        InvalidInputError
            When `limit` is out of its range.
        """
        query: transport.Query = {
            "deployment": deployment,
            "kind": ",".join(kinds),
            "before": before,
            "limit": limit,
        }
        return self._transport.call(
            "GET", "/api/decisions", answer=list[entities.Decision], query=query
        )

    def every(
        self, *, deployment: str = "", since: int | None = None, until: int | None = None
    ) -> Iterator[entities.Decision]:
        """Yield all decisions, newest first, page by page.

        Parameters
        ----------
        deployment
            Only of this one; of all when empty.
        since, until
            Only those made from the one instant on and before the other; ms UTC.
        """
        before = ""
        while page := self.list(deployment=deployment, before=before, limit=PAGE):
            for one in page:
                if since is not None and one.at < since:
                    return
                if until is None or one.at < until:
                    yield one
            before = page[-1].id

    def get(self, decision: str) -> entities.Decision:
        """Return one decision.

        Raises
        ------
        NotFoundError
            When there is none of this id.
        """
        path = f"/api/decisions/{_bare(decision)}"
        return self._transport.call("GET", path, answer=entities.Decision)

    def replay(self, decision: str) -> replay.Replayed:
        """Recompute a decision from what was recorded and compare it to the bit.

        Parameters
        ----------
        decision
            Its id.

        Returns
        -------
        Replayed
            Whether it came out the same, and what differs when it did not.

        Raises
        ------
        NotFoundError
            When there is none of this id.
        """
        path = f"/api/decisions/{_bare(decision)}/replay"
        return self._transport.call("GET", path, answer=replay.Replayed)

    def state(self, deployment: str) -> entities.LoopState:
        """Return what the loop remembers about a deployment.

        Raises
        ------
        NotFoundError
            When the deployment has no loop.
        """
        path = f"/api/deployments/{deployment}/loop"
        return self._transport.call("GET", path, answer=entities.LoopState)


def _bare(decision: str) -> str:
    return decision.removeprefix("decision:")
