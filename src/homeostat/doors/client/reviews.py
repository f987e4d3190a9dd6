"""The review queue from Python: predictions that wait for a person; one subject of the SDK."""

from __future__ import annotations

from homeostat.doors.client import transport
from homeostat.lifecycle.corrections.entities import Case, CaseState

Cases = list[Case]


class Reviews:
    """Predictions that a correction left to a person.

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
        states: tuple[CaseState, ...] = ("open", "claimed"),
        after: str = "",
        limit: int = 100,
    ) -> Cases:
        """Return cases, the one that is due first at the top, without key and features.

        Parameters
        ----------
        deployment
            Only of this one; of all when empty.
        states
            Only in these: ``open``, ``claimed``, ``decided``.
        after
            Id of the last case of the page before.
        limit
            At most this many, 1 to 1000.

        Raises
        ------
        InvalidInputError
            When a value is out of its range.
        """
        return self._transport.call(
            "GET",
            "/api/reviews",
            answer=Cases,
            query={"deployment": deployment, "state": states, "after": after, "limit": limit},
        )

    def get(self, case: str) -> Case:
        """Return one case with its key and the features as served.

        Raises
        ------
        NotFoundError
            When there is no such case.
        """
        return self._transport.call("GET", _one(case), answer=Case)

    def claim(self, case: str) -> Case:
        """Say that you are looking at it, so that nobody else does.

        Raises
        ------
        NotFoundError
            When there is no such case.
        ConflictError
            When somebody else has it, or it is decided.
        """
        return self._transport.call("POST", f"{_one(case)}/claim", answer=Case)

    def release(self, case: str) -> Case:
        """Give it back to the queue.

        Returns
        -------
        Case
            Open again.

        Raises
        ------
        ConflictError
            When you do not have it.
        """
        return self._transport.call("POST", f"{_one(case)}/release", answer=Case)

    def decide(self, case: str, answer: str, *, note: str = "", is_label: bool = False) -> Case:
        """Answer in the model's place.

        Parameters
        ----------
        case
            Id of the prediction.
        answer
            One of the model's labels.
        note
            Why, for people.
        is_label
            Whether the answer is also what came true; it is then kept as the label.

        Returns
        -------
        Case
            Decided, for good.

        Raises
        ------
        NotFoundError
            When there is no such case.
        InvalidInputError
            When the answer is none of the labels.
        ConflictError
            When somebody else has it, or it is decided.
        """
        return self._transport.call(
            "POST",
            f"{_one(case)}/decide",
            answer=Case,
            body={"answer": answer, "note": note, "is_label": is_label},
        )


def _one(case: str) -> str:
    return f"/api/reviews/{transport.part(case)}"
