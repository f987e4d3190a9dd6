"""A recorder that writes into this process's own house; called by the loop's `candidates`.

Apart from `recorders`: processes that run pipelines for others name one and have no house.
"""

from __future__ import annotations

from homeostat.foundation import access
from homeostat.foundation.house import House
from homeostat.lifecycle.pipeline import actions, entities


class DirectRecorder:
    """Writes runs into a house, one transaction each.

    Parameters
    ----------
    house
        Open.
    actor
        Who runs the pipeline.
    experiment
        Name of the experiment; made when missing.
    project
        The house's own when None.
    """

    def __init__(
        self,
        house: House,
        actor: access.Actor,
        *,
        experiment: str = "Default",
        project: str | None = None,
    ) -> None:
        self._house = house
        self._actor = actor
        self._experiment = experiment
        self._project = project

    def begin(self, start: entities.RunStart) -> None:
        """Record that a run works; see `recorders.Recorder.begin`."""
        self._house.write(
            lambda tx: actions.begin_run(tx, self._actor, start, experiment=self._experiment),
            project=self._project,
        )

    def finish(self, start: entities.RunStart, end: entities.RunEnd) -> None:
        """Record how a run ended; see `recorders.Recorder.finish`."""
        self._house.write(
            lambda tx: actions.finish_run(
                tx, self._actor, start, end=end, experiment=self._experiment
            ),
            project=self._project,
        )
