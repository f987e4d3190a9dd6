"""The Python SDK: one attribute for each subject; opened by `homeostat.connect`."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import msgspec

from homeostat.doors.client import (
    access,
    adoptions,
    alerts,
    audit,
    corrections,
    data,
    decisions,
    deployments,
    events,
    imports,
    jobs,
    labels,
    lineage,
    loops,
    models,
    monitoring,
    objectives,
    predictions,
    reports,
    reproductions,
    reviews,
    runs,
    scorings,
    training,
    transport,
)


class Health(msgspec.Struct, frozen=True):
    """What a server says of itself."""

    status: str
    version: str


class Client:
    """Everything the API offers, as Python calls.

    Parameters
    ----------
    speaking
        The transport; `homeostat.connect` makes one.
    predict_url
        Address of the prediction server.

    Examples
    --------
    >>> import homeostat as hs
    >>> with hs.connect(home=tmp_path) as client:  # doctest: +SKIP
    ...     client.audit.verify().ok
    True
    """

    def __init__(
        self, speaking: transport.Transport, *, predict_url: str = "http://127.0.0.1:5001"
    ) -> None:
        self.transport = speaking
        self.adoptions = adoptions.Adoptions(speaking)
        self.access = access.Access(speaking)
        self.alerts = alerts.Alerts(speaking)
        self.audit = audit.Audit(speaking)
        self.corrections = corrections.Corrections(speaking)
        self.data = data.Data(speaking)
        self.decisions = decisions.Decisions(speaking)
        self.deployments = deployments.Deployments(speaking, predict_url=predict_url)
        self.events = events.Events(speaking)
        self.imports = imports.Imports(speaking)
        self.jobs = jobs.Jobs(speaking)
        self.labels = labels.Labels(speaking)
        self.loops = loops.Loops(speaking)
        self.models = models.Models(speaking)
        self.monitoring = monitoring.Monitoring(speaking)
        self.objectives = objectives.Objectives(speaking)
        self.predictions = predictions.Predictions(speaking)
        self.reports = reports.Reports(speaking)
        self.reproductions = reproductions.Reproductions(self)
        self.reviews = reviews.Reviews(speaking)
        self.lineage = lineage.Lineage(speaking)
        self.runs = runs.Runs(speaking)
        self.scorings = scorings.Scorings(speaking)
        self.training = training.Training(speaking)

    def health(self) -> Health:
        """Return whether the server is well, and its version.

        Raises
        ------
        UnavailableError
            When nobody answers.
        """
        return self.transport.call("GET", "/api/health", answer=Health)

    def close(self) -> None:
        """Let go of connections, or of the house when it was opened in this process."""
        self.deployments.close()
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
