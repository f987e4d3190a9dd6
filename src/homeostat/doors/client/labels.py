"""Ask for the labels that tell most, and answer, from Python; one subject of the SDK."""

from __future__ import annotations

from homeostat.doors.api.labels import Truth
from homeostat.doors.client import transport
from homeostat.lifecycle.predictions.requested import Ask, By, Estimate, LabelRequest, State

ListOfRequests = list[LabelRequest]
ListOfEstimates = list[Estimate]


class Labels:
    """Predictions whose outcome somebody is asked to find out.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def request(
        self,
        deployment: str,
        *,
        budget: int,
        by: By = "mixed",
        random_share: float = 0.25,
        stratum: str = "",
        newest: int = 20_000,
    ) -> ListOfRequests:
        """Draw predictions without a label, those that tell most with the greatest chance.

        Parameters
        ----------
        deployment
            Its name.
        budget
            At most this many, 1 to 10,000.
        by
            ``uncertainty``, ``disagreement`` of members, the mean of both (``mixed``), or
            ``random``.
        random_share
            Share of the budget that goes by chance alone, above 0 and at most 1.
        stratum
            Column such as ``c.sex`` whose groups share that part equally.
        newest
            Draw from this many of the latest rows.

        Returns
        -------
        list of LabelRequest
            Each with the chance it was drawn with; empty where every row has its label or was
            asked for.

        Raises
        ------
        InvalidInputError
            When a value is out of its range, or the log has no such column.
        """
        body = Ask(
            budget=budget, by=by, random_share=random_share, stratum=stratum, newest=newest
        )
        return self._transport.call("POST", _path(deployment), answer=ListOfRequests, body=body)

    def list(
        self,
        deployment: str,
        *,
        states: tuple[State, ...] = ("open",),
        after: str = "",
        limit: int = 100,
    ) -> ListOfRequests:
        """Return requests, the oldest first.

        Parameters
        ----------
        deployment
            Its name.
        states
            ``open``, ``answered`` here, ``known`` in another way.
        after
            Last id of the page before.
        limit
            At most this many, 1 to 1000.
        """
        query: transport.Query = {"state": list(states), "after": after, "limit": limit}
        return self._transport.call(
            "GET", _path(deployment), answer=ListOfRequests, query=query
        )

    def answer(
        self,
        deployment: str,
        request_id: str,
        label: str | float | bool,  # noqa: FBT001 - a label, not a switch
    ) -> LabelRequest:
        """Say what came true; the label joins its prediction like any other.

        Parameters
        ----------
        deployment
            Its name.
        request_id
            Of the request.
        label
            One of the model's classes.

        Returns
        -------
        LabelRequest
            Answered.

        Raises
        ------
        ConflictError
            When it has its label already.
        InvalidInputError
            When the label is none of the model's.
        """
        path = f"{_path(deployment)}/{transport.part(request_id)}/answer"
        return self._transport.call("POST", path, answer=LabelRequest, body=Truth(label=label))

    def estimates(self, deployment: str) -> ListOfEstimates:
        """Return what the labels of each draw say of all rows it chose from.

        Parameters
        ----------
        deployment
            Its name.

        Returns
        -------
        list of Estimate
            The latest draw first; without an error until all its labels are there.
        """
        path = f"{_path(deployment)}/estimates"
        return self._transport.call("GET", path, answer=ListOfEstimates)


def _path(deployment: str) -> str:
    return f"/api/deployments/{transport.part(deployment)}/label-requests"
