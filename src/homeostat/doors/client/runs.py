"""Log and find runs from Python, and record pipelines over HTTP; one subject of the SDK."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from homeostat.doors.api import runs as contract
from homeostat.doors.client import transport
from homeostat.foundation import clock, errors
from homeostat.lifecycle.pipeline import entities as piped
from homeostat.lifecycle.tracking import entities
from homeostat.lifecycle.tracking.entities import Artifact, Experiment, Metric, Run, RunRecord

Experiments = list[Experiment]
Metrics = list[Metric]
Artifacts = list[Artifact]
Steps = list[piped.StepRecord]


class Runs:
    """Experiments, runs and what runs keep.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def create_experiment(self, name: str) -> Experiment:
        """Create an experiment.

        Parameters
        ----------
        name
            Of the experiment.

        Returns
        -------
        Experiment
            As it is stored.

        Raises
        ------
        ConflictError
            When the name is in use.
        """
        return self._transport.call(
            "POST", "/api/experiments", answer=Experiment, body=contract.NewExperiment(name)
        )

    def experiments(self, *, after: str = "", limit: int = 100) -> Experiments:
        """Return experiments by id, at most `limit` of them behind `after`.

        Parameters
        ----------
        after
            Last id of the page before.
        limit
            At most this many.
        """
        query: transport.Query = {"after": after, "limit": limit}
        return self._transport.call("GET", "/api/experiments", answer=Experiments, query=query)

    def create(
        self,
        experiment: str = entities.DEFAULT_EXPERIMENT,
        *,
        name: str = "",
        run_id: str = "",
    ) -> Run:
        """Start a run.

        Parameters
        ----------
        experiment
            Name; made when missing.
        name
            For people.
        run_id
            32 hexadecimal digits of your own, so that a repeated call cannot make two runs.

        Returns
        -------
        Run
            Running until `finish`.

        Raises
        ------
        ConflictError
            When the id is in use.
        """
        body = contract.NewRun(experiment=experiment, name=name, run_id=run_id)
        return self._transport.call("POST", "/api/runs", answer=Run, body=body)

    def log(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, float] | Iterable[Metric] = (),
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        inputs: Iterable[entities.Input] = (),
        outputs: Iterable[entities.Output] = (),
        step: int = 0,
    ) -> None:
        """Add to a run, all in one transaction.

        Parameters
        ----------
        run_id
            Of the run.
        metrics
            Numbers by name, taken now at `step`; or points. NaN and infinities are kept.
        params
            Settings; written once, as text.
        tags
            Notes; the last one counts, as text.
        inputs, outputs
            Data it read and made; references become lineage.
        step
            Of metrics given by name.

        Raises
        ------
        NotFoundError
            When there is no such run.
        ConflictError
            When a parameter has another value already.
        InvalidInputError
            When a name or text is too long.
        """
        if isinstance(metrics, Mapping):
            now = clock.now_ms()
            metrics = [Metric.of(k, v, at=now, step=step) for k, v in metrics.items()]
        body = contract.Values(
            metrics=tuple(metrics),
            params={key: str(value) for key, value in (params or {}).items()},
            tags={key: str(value) for key, value in (tags or {}).items()},
            inputs=tuple(inputs),
            outputs=tuple(outputs),
        )
        self._transport.call("POST", f"{_path(run_id)}/values", body=body)

    def finish(
        self, run_id: str, *, status: entities.RunStatus = "finished", error: str = ""
    ) -> Run:
        """End a run.

        Parameters
        ----------
        run_id
            Of the run.
        status
            How it ended.
        error
            One sentence where it failed.

        Returns
        -------
        Run
            As it ended.

        Raises
        ------
        NotFoundError
            When there is no such run.
        ConflictError
            When it ended in another way already.
        """
        body = contract.Finish(status=status, error=error)
        return self._transport.call("POST", f"{_path(run_id)}/finish", answer=Run, body=body)

    def get(self, run_id: str) -> RunRecord:
        """Return a run with what it keeps; metrics at their latest point.

        Raises
        ------
        NotFoundError
            When there is no such run.
        """
        return self._transport.call("GET", _path(run_id), answer=RunRecord)

    def search(
        self,
        *,
        experiments: Sequence[str] = (),
        where: Sequence[str] = (),
        limit: int = 100,
        after: str = "",
    ) -> entities.Page:
        """Return runs, newest first.

        Parameters
        ----------
        experiments
            Names or ids; all when empty.
        where
            Conditions that must all hold, such as ``"metric.auc >= 0.8"``.
        limit
            Runs a page, 1 to 1000.
        after
            `next` of the page before.

        Raises
        ------
        InvalidInputError
            When a condition cannot be read.
        NotFoundError
            When an experiment does not exist.
        """
        query: transport.Query = {
            "experiment": tuple(experiments),
            "where": tuple(where),
            "limit": limit,
            "after": after,
        }
        return self._transport.call("GET", "/api/runs", answer=entities.Page, query=query)

    def history(self, run_id: str, key: str, *, limit: int = 10_000) -> Metrics:
        """Return the points of one metric by step and time; at most `limit`, up to 100,000.

        Parameters
        ----------
        run_id
            Of the run.
        key
            Of the metric.
        limit
            At most this many values.

        Raises
        ------
        NotFoundError
            When there is no such run.
        """
        path = f"{_path(run_id)}/metrics/{transport.part(key)}"
        return self._transport.call("GET", path, answer=Metrics, query={"limit": limit})

    def steps(self, run_id: str) -> Steps:
        """Return the steps of a pipeline's run in order, with why each one ran.

        Raises
        ------
        NotFoundError
            When there is no such run.
        """
        return self._transport.call("GET", f"{_path(run_id)}/steps", answer=Steps)

    def recipe(self, run_id: str) -> piped.Recipe:
        """Return the code and the environment of a pipeline's run, as it recorded them.

        Raises
        ------
        NotFoundError
            When there is no such run.
        """
        return self._transport.call("GET", f"{_path(run_id)}/recipe", answer=piped.Recipe)

    def code(self, digest: str) -> piped.ReachedCode:
        """Return the functions, constants and packages a step's code digest stands for.

        Raises
        ------
        NotFoundError
            When no recorded step reached it.
        """
        path = f"/api/code/{transport.part(digest)}"
        return self._transport.call("GET", path, answer=piped.ReachedCode)

    def add_artifact(self, run_id: str, path: str, content: bytes | Path) -> Artifact:
        """Keep a file with a run.

        Parameters
        ----------
        run_id
            Of the run.
        path
            Where it stands in the run: relative, forward slashes.
        content
            Bytes, or a file to read them from.

        Returns
        -------
        Artifact
            As it is kept.

        Raises
        ------
        NotFoundError
            When there is no such run, or no such file.
        InvalidInputError
            When the path leaves the run's folder.
        TooLargeError
            When it has more than 1 GiB.
        """
        if isinstance(content, Path):
            if not content.is_file():
                raise errors.NotFoundError(f"there is no file {content}")
            content = content.read_bytes()
        return self._transport.call(
            "PUT", _artifact(run_id, path), answer=Artifact, body=content
        )

    def artifacts(self, run_id: str) -> Artifacts:
        """Return the files of a run by path."""
        return self._transport.call("GET", f"{_path(run_id)}/artifacts", answer=Artifacts)

    def read_artifact(self, run_id: str, path: str) -> bytes:
        """Return the bytes of a file of a run.

        Parameters
        ----------
        run_id
            Of the run.
        path
            Of the file in the run.

        Raises
        ------
        NotFoundError
            When the run has no such file.
        CorruptError
            When the stored bytes were changed.
        """
        return self._transport.call("GET", _artifact(run_id, path), answer=bytes)

    def recorder(self, experiment: str = entities.DEFAULT_EXPERIMENT) -> HttpRecorder:
        """Return what a driver tells about its runs, so that they are kept by this server."""
        return HttpRecorder(self._transport, experiment=experiment)


class HttpRecorder:
    """Keeps pipeline runs over the API; `lifecycle.pipeline.recorders.Recorder`.

    Parameters
    ----------
    speaking
        The transport of the client.
    experiment
        Name; made when missing.
    """

    def __init__(self, speaking: transport.Transport, *, experiment: str) -> None:
        self._transport = speaking
        self._experiment = experiment

    def begin(self, start: piped.RunStart) -> None:
        """Record that a run works.

        Raises
        ------
        NotAllowedError
            When the caller may not write runs.
        UnavailableError
            When nobody answers.
        """
        body = contract.Begun(start=start, experiment=self._experiment)
        self._transport.call("POST", f"{_path(start.run_id)}/begin", answer=Run, body=body)

    def finish(self, start: piped.RunStart, end: piped.RunEnd) -> None:
        """Record how a run ended; raises as `begin`.

        Parameters
        ----------
        start
            What was told when it began.
        end
            How it ended.
        """
        body = contract.Ended(start=start, end=end, experiment=self._experiment)
        self._transport.call("POST", f"{_path(start.run_id)}/end", answer=Run, body=body)


def _path(run_id: str) -> str:
    return f"/api/runs/{transport.part(run_id.removeprefix('run:'))}"


def _artifact(run_id: str, path: str) -> str:
    parts = "/".join(transport.part(part) for part in path.split("/"))
    return f"{_path(run_id)}/artifacts/{parts}"
