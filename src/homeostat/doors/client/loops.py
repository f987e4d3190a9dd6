"""Ask from Python how a loop stands, ask it for a fit, verify its reports; part of the SDK."""

from __future__ import annotations

from homeostat.doors.client import transport
from homeostat.lifecycle.loop import entities, envelope, standing, wanting


class Loops:
    """The loop of a deployment.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def status(self, deployment: str) -> standing.Standing:
        """Return how the loop stands: what waits, what is spent, what it cannot know.

        Raises
        ------
        NotFoundError
            When the deployment has no loop.
        """
        path = f"/api/deployments/{deployment}/loop/status"
        return self._transport.call("GET", path, answer=standing.Standing)

    def ask(self, deployment: str, *, why: str = "", snapshot: str = "") -> entities.Decision:
        """Ask for a fit.

        Parameters
        ----------
        deployment
            Its name.
        why
            For whoever reads the decision later.
        snapshot
            Id of a snapshot to learn from; the log's labelled rows when empty.

        Returns
        -------
        Decision
            That the fit is started (kind ``retrain``), or what it waits for.

        Raises
        ------
        NotFoundError
            When the deployment has no loop.
        NotAllowedError
            When you may not change deployments.
        """
        path = f"/api/deployments/{deployment}/loop/fits"
        wish = wanting.Wish(why=why, snapshot=snapshot.removeprefix("snapshot:"))
        return self._transport.call("POST", path, answer=entities.Decision, body=wish)

    def reports(
        self, deployment: str, *, before: str = "", limit: int = 100
    ) -> list[envelope.Report]:
        """Return the signed reports on what the loop changed, newest first.

        Parameters
        ----------
        deployment
            Its name.
        before, limit
            Id of the last report of the page before; at most this many, 1 to 1000.
        """
        path = f"/api/deployments/{deployment}/loop/reports"
        query: transport.Query = {"before": before, "limit": limit}
        return self._transport.call("GET", path, answer=list[envelope.Report], query=query)

    def verify(self, report: str) -> envelope.Report:
        """Return a report once its digest and signature are proved.

        Raises
        ------
        NotFoundError
            When there is none of this id.
        CorruptError
            When it was changed after it was signed.
        """
        path = f"/api/envelopes/{report.removeprefix('envelope:')}/verify"
        return self._transport.call("GET", path, answer=envelope.Report)
