"""Objectives, metrics and indicators from Python; one subject of the SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeostat.doors.client import transport
from homeostat.foundation.jobs import Job
from homeostat.lifecycle.monitoring.measured import Measured
from homeostat.lifecycle.monitoring.model_classes import ModelClass
from homeostat.lifecycle.monitoring.objectives import Kept
from homeostat.lifecycle.policy import Objective


class Objectives:
    """What is promised of deployments and of classes of models, and how it stands.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def of(self, name: str) -> list[Kept]:
        """Return how the objectives of a deployment stand now, those of its classes too.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        """
        path = f"/api/deployments/{transport.part(name)}/objectives"
        return self._transport.call("GET", path, answer=list[Kept])

    def measured(
        self, name: str, metric: str = "", *, part: str = "", limit: int = 100
    ) -> list[Measured]:
        """Return what metrics and indicators last came to.

        Parameters
        ----------
        name
            Of the deployment.
        metric
            One metric or indicator by the hour, the latest first; the newest of all when empty.
        part
            Of it: ``slice=young`` or ``version=3``; everybody when empty.
        limit
            At most this many hours, 1 to 1000.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        """
        path = f"/api/deployments/{transport.part(name)}/measured"
        query: transport.Query = {"name": metric, "part": part, "limit": limit}
        return self._transport.call("GET", path, query=query, answer=list[Measured])

    def measure(self, name: str) -> Job:
        """Have a deployment measured now, by the worker, where code of users may run.

        Returns
        -------
        Job
            That asks the worker; one that waits already, else a new one.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        """
        path = f"/api/deployments/{transport.part(name)}/measured"
        return self._transport.call("POST", path, answer=Job)

    def classes(self) -> list[ModelClass]:
        """Return the classes of models that share objectives, by name."""
        return self._transport.call("GET", "/api/model-classes", answer=list[ModelClass])

    def set_class(
        self,
        name: str,
        *,
        match: str,
        objectives: Mapping[str, Objective | dict[str, Any]],
        slices: Mapping[str, str] | None = None,
    ) -> ModelClass:
        """Say which models share which objectives, in place of what was said before.

        Parameters
        ----------
        name
            Of the class.
        match
            Which models: a condition on ``name``, ``tier``, ``owner``, ``task`` and
            ``tag.<key>``, such as ``tier = 'high' and tag.team = 'risk'``.
        objectives, slices
            By name, as in a homeostat.toml.

        Raises
        ------
        InvalidInputError
            When the condition or an objective cannot be right.
        """
        body = {"match": match, "objectives": dict(objectives), "slices": dict(slices or {})}
        path = f"/api/model-classes/{transport.part(name)}"
        return self._transport.call("PUT", path, body=body, answer=ModelClass)

    def remove_class(self, name: str) -> None:
        """Forget a class of models.

        Raises
        ------
        NotFoundError
            When there is none.
        """
        path = f"/api/model-classes/{transport.part(name)}"
        self._transport.call("DELETE", path, answer=None)
