"""Train models from Python, and see how far the loop has come; one subject of the SDK."""

from __future__ import annotations

import time

import msgspec

from homeostat.doors.client import transport
from homeostat.foundation import errors, jobs
from homeostat.lifecycle.loop import asking

LOOK_S = 0.1
TRAIN_S = 1200.0  # longer than a fit may take, so that the reason of its end is heard


class Training:
    """Training, judged by gates, and the loop's progress.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def ask(self, policy: str, *, snapshot: str) -> jobs.Job:
        """Ask a worker to train a model, judge it and register it.

        Parameters
        ----------
        policy
            Text of a homeostat.toml.
        snapshot
            Reference of the rows, such as ``snapshot:<id>``.

        Returns
        -------
        Job
            To be waited for with `wait`.

        Raises
        ------
        InvalidInputError
            When the policy cannot be understood.
        NotFoundError
            When there is no such snapshot.
        """
        asked = asking.Train(policy=policy, snapshot=snapshot)
        return self._transport.call("POST", "/api/train", answer=jobs.Job, body=asked)

    def wait(
        self, job: jobs.Job, *, timeout_s: float = TRAIN_S, what: str = "training"
    ) -> asking.Trained:
        """Wait until a model is trained and judged, or only judged.

        Parameters
        ----------
        job
            From `ask`, or from ``client.adoptions.judge``.
        timeout_s
            Longest wait in seconds.
        what
            What the job does, for the message when it failed.

        Returns
        -------
        Trained
            Its `version` is None when the gates kept it out.

        Raises
        ------
        UserCodeError
            When the training failed; the message says why.
        UnavailableError
            When no worker has done it in time.
        """
        deadline = time.monotonic() + timeout_s
        path = f"/api/jobs/{transport.part(job.id)}"
        while time.monotonic() < deadline:
            seen = self._transport.call("GET", path, answer=jobs.Job)
            if seen.state is jobs.State.DONE:
                return msgspec.convert(seen.result, asking.Trained)
            if seen.state is jobs.State.FAILED:
                raise errors.UserCodeError(f"{what} failed: {seen.error}", job=job.id)
            time.sleep(LOOK_S)
        raise errors.UnavailableError(
            f"no worker has done the {what} within {timeout_s:g} s",
            hint="is a worker running? `homeostat up` starts one",
            job=job.id,
        )

    def progress(self, deployment: str) -> asking.Progress:
        """Return how far the loop has come with a deployment.

        Raises
        ------
        NotFoundError
            When there is none of that name.
        """
        path = f"/api/deployments/{transport.part(deployment)}/progress"
        return self._transport.call("GET", path, answer=asking.Progress)
