"""Trust and judge versions that came unjudged, from Python; one subject of the SDK."""

from __future__ import annotations

from homeostat.doors.api.adoptions import Word
from homeostat.doors.client import transport
from homeostat.foundation import jobs
from homeostat.lifecycle.loop import judging
from homeostat.lifecycle.registry.adopted import Trust
from homeostat.lifecycle.registry.adoptions import Standing


class Adoptions:
    """Versions that were registered without a report, such as those that MLflow logged.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def get(self, name: str, number: int) -> Standing:
        """Return what was learned of a version after it was registered.

        Parameters
        ----------
        name
            Of the model.
        number
            Of the version.

        Raises
        ------
        NotFoundError
            When there is no such version.
        """
        return self._transport.call(
            "GET", f"{_version(name, number)}/adoption", answer=Standing
        )

    def trust(self, name: str, number: int, *, reason: str) -> Trust:
        """Say that a version may run its own code where models are loaded.

        Parameters
        ----------
        name
            Of the model.
        number
            Of the version.
        reason
            Why; kept for good.

        Raises
        ------
        NotAllowedError
            When whoever calls may not.
        """
        return self._say(name, number, Word(is_trusted=True, reason=reason))

    def distrust(self, name: str, number: int, *, reason: str) -> Trust:
        """Say that a version may not run its own code any more.

        Parameters
        ----------
        name
            Of the model.
        number
            Of the version.
        reason
            Why; kept for good.

        Raises
        ------
        NotAllowedError
            When whoever calls may not.
        """
        return self._say(name, number, Word(is_trusted=False, reason=reason))

    def judge(self, name: str, number: int, *, policy: str, snapshot: str) -> jobs.Job:
        """Ask a worker to judge a version on labelled rows; nothing is fitted.

        Parameters
        ----------
        name
            Of the model.
        number
            Of the version.
        policy
            Text of a homeostat.toml.
        snapshot
            Reference of the rows, such as ``snapshot:<id>``.

        Returns
        -------
        Job
            To be waited for with ``client.training.wait``.

        Raises
        ------
        NotAllowedError
            When the version is pickled and nobody has marked it as trusted.
        InvalidInputError
            When the policy cannot be understood, or is of another model.
        ConflictError
            When the version came with a report of its own, or was approved on one.
        """
        asked = judging.Judge(policy=policy, snapshot=snapshot)
        path = f"{_version(name, number)}/judgements"
        return self._transport.call("POST", path, answer=jobs.Job, body=asked)

    def _say(self, name: str, number: int, word: Word) -> Trust:
        path = f"{_version(name, number)}/trust"
        return self._transport.call("PUT", path, answer=Trust, body=word)


def _version(name: str, number: int) -> str:
    return f"/api/models/{transport.part(name)}/versions/{number}"
