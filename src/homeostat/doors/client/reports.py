"""Read, save and verify gate reports from Python; one subject of the SDK."""

from __future__ import annotations

from homeostat.doors.api.reports import NewReport
from homeostat.doors.client import transport
from homeostat.lifecycle.evaluation.entities import Exam, GateReport, Judged

ListOfReports = list[GateReport]


class Reports:
    """Gate reports: dated, signed, and checked again at will.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def list(self, model: str, *, before: str = "", limit: int = 100) -> ListOfReports:
        """Return reports of a model, the newest first.

        Parameters
        ----------
        model
            Its name.
        before
            Last id of the page before.
        limit
            At most this many, 1 to 1000.
        """
        query: transport.Query = {"model": model, "before": before, "limit": limit}
        return self._transport.call("GET", "/api/reports", answer=ListOfReports, query=query)

    def save(
        self,
        model: str,
        *,
        candidate: str,
        exam: Exam,
        judged: Judged,
        policy_digest: str,
        champion: str = "",
    ) -> GateReport:
        """Have the server date, sign and keep what the gates said, marked as sent by a client.

        Parameters
        ----------
        model
            Its name.
        candidate
            Digest of the candidate's files, `registry.files.tree_digest`.
        exam, judged
            From `evaluation.exam.sit` and `evaluation.gates.judge`.
        policy_digest
            Of the policy whose gates were judged.
        champion
            Reference of the version it was compared with.

        Returns
        -------
        GateReport
            As it was signed.

        Raises
        ------
        InvalidInputError
            When what the gates say does not follow from the exam.
        """
        body = NewReport(
            model=model,
            candidate=candidate,
            exam=exam,
            judged=judged,
            policy_digest=policy_digest,
            champion=champion,
        )
        return self._transport.call("POST", "/api/reports", answer=GateReport, body=body)

    def get(self, report_id: str) -> GateReport:
        """Return one report; NotFoundError when there is none of that id."""
        path = f"/api/reports/{transport.part(report_id)}"
        return self._transport.call("GET", path, answer=GateReport)

    def verify(self, report_id: str) -> GateReport:
        """Return one report after proving that nobody changed it.

        Raises
        ------
        CorruptError
            When its digest or signature does not hold.
        """
        path = f"/api/reports/{transport.part(report_id)}/verified"
        return self._transport.call("GET", path, answer=GateReport)
