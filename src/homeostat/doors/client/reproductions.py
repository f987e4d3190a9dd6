"""Make a version again on this machine and compare; one subject of the SDK.

The code of the version's run is run here, by whoever calls, in a process of its own and a
scratch folder; a server is only asked for what was recorded, and told what came out.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from homeostat.doors.api.reproductions import Found
from homeostat.doors.client import data, models, runs, transport
from homeostat.foundation import errors
from homeostat.lifecycle.data import parts, tables
from homeostat.lifecycle.pipeline import digests
from homeostat.lifecycle.pipeline import entities as piped
from homeostat.lifecycle.registry import described, environments, remaking, reproduction
from homeostat.lifecycle.registry import format as formats
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.registry.reproduction import Item, Reproduction
from homeostat.lifecycle.tracking import origin
from homeostat.lifecycle.tracking.entities import Input, RunRecord

TIMEOUT_S = 3600.0
Place = Literal["present", "fresh"]
ListOfReproductions = list[Reproduction]


class _Client(Protocol):
    transport: transport.Transport
    models: models.Models
    runs: runs.Runs
    data: data.Data


class Reproductions:
    """Versions made again, and what came out.

    Parameters
    ----------
    client
        Its other subjects are asked for what was recorded.
    """

    def __init__(self, client: _Client) -> None:
        self._client = client

    def list(self, name: str, number: int, *, limit: int = 100) -> ListOfReproductions:
        """Return what came out whenever a version was made again, the newest first.

        Parameters
        ----------
        name, number
            Which version.
        limit
            At most this many, 1 to 1000.

        Raises
        ------
        NotFoundError
            When there is no such version.
        """
        return self._client.transport.call(
            "GET", _path(name, number), answer=ListOfReproductions, query={"limit": limit}
        )

    def make(
        self,
        name: str,
        number: int,
        *,
        tolerance: float = 1e-9,
        environment: Place = "present",
        inputs: Mapping[str, Path] | None = None,
        project: Path | None = None,
        timeout_s: float = TIMEOUT_S,
        tell: Callable[[str], object] = lambda _: None,
    ) -> Reproduction:
        """Make a version again from what its run recorded, compare, and record what came out.

        Parameters
        ----------
        name, number
            Which version.
        tolerance
            Largest difference of two scores that counts as the same, 0 or more.
        environment
            ``present`` for the packages of this process, ``fresh`` for a new environment of
            the recorded ones.
        inputs
            Files of inputs that the run read from a file and nobody kept, by name.
        project
            Folder of the code, for a run that did not keep its own.
        timeout_s
            Seconds the run may take, above 0.
        tell
            Called with a sentence before each thing that takes long.

        Returns
        -------
        Reproduction
            Every item with its verdict; also when nothing could be run.

        Raises
        ------
        NotFoundError
            When there is no such version.
        InvalidInputError
            When the tolerance is below 0, or an input is not one of the run's.
        UnavailableError
            When the fresh environment cannot be made.
        """
        if not tolerance >= 0:
            raise errors.InvalidInputError(f"a tolerance is 0 or more; got {tolerance:g}")
        version = self._client.models.version(name, number)
        attempt = _Attempt(self._client, version, tolerance=tolerance, tell=tell)
        with tempfile.TemporaryDirectory(prefix="homeostat-reproduce-") as scratch:
            run_id = attempt.make(
                Path(scratch),
                environment=environment,
                inputs=inputs or {},
                project=project,
                timeout_s=timeout_s,
            )
        body = Found(
            run_id=run_id,
            environment=environment,
            tolerance=tolerance,
            items=tuple(attempt.items),
        )
        return self._client.transport.call(
            "POST", _path(name, number), answer=Reproduction, body=body
        )


class _Attempt:
    """One version being made again; gathers items on the way."""

    def __init__(
        self,
        client: _Client,
        version: Version,
        *,
        tolerance: float,
        tell: Callable[[str], object],
    ) -> None:
        self._client = client
        self._version = version
        self._tolerance = tolerance
        self._tell = tell
        self.items: list[Item] = []

    def make(
        self,
        scratch: Path,
        *,
        environment: Place,
        inputs: Mapping[str, Path],
        project: Path | None,
        timeout_s: float,
    ) -> str:
        """Run again what made the version; return the new run's id, empty when it cannot."""
        run = self._run()
        if run is None:
            return ""
        strange = sorted(inputs.keys() - {item.name for item in run.inputs})
        if strange:
            raise errors.InvalidInputError(f"run:{run.run.id} has no input {strange[0]!r}")
        recipe = self._client.runs.recipe(run.run.id)
        is_coded = self._write_code(recipe, run, scratch / remaking.CODE, project)
        read = [self._read(item, scratch, inputs.get(item.name)) for item in run.inputs]
        found = [one for one in read if one is not None]
        if not is_coded or len(found) < len(read) or not found:
            return ""
        recorded = self._client.models.files(self._version)
        formats.write_folder(recorded, scratch / remaking.RECORDED)
        order = remaking.Order(
            target=recipe.target or f"pipeline:{run.run.pipeline}",
            tables=tuple(table for table, _ in found),
            parameters={item.key: item.value for item in run.params},
            features=tuple(self._version.schema.names),
            label=described.read(recorded).target,
            n_learned=found[0][1],
        )
        python = self._python(recipe, scratch, environment)
        self._tell(f"running {order.target} again ...")
        answer = remaking.run(
            scratch,
            order,
            python=python,
            timeout_s=timeout_s,
            environment=remaking.variables(python),
        )
        return self._judge(
            run,
            recipe,
            answer,
            recorded=recorded,
            scratch=scratch,
            is_fresh=environment == "fresh",
        )

    def _run(self) -> RunRecord | None:
        about = self._version.reference
        if not self._version.run_id:
            self._unchecked("code", "run", f"{about} names no run that made it")
            return None
        try:
            run = self._client.runs.get(self._version.run_id)
        except errors.NotFoundError:
            self._unchecked("code", "run", f"run:{self._version.run_id} is not here any more")
            return None
        if not run.run.pipeline:
            said = f"run:{run.run.id} was no pipeline of this platform; its code is not known"
            self._unchecked("code", "run", said)
            return None
        return run

    def _write_code(
        self, recipe: piped.Recipe, run: RunRecord, folder: Path, project: Path | None
    ) -> bool:
        if project is not None:
            folder.symlink_to(project.resolve(), target_is_directory=True)
            return True
        if recipe.files:
            remaking.write_code(recipe.files, folder)
            return True
        at = f", commit {run.run.commit[:12]}" if run.run.commit else ""
        changed = " with changes that were not committed" if run.run.dirty else ""
        self._unchecked(
            "code",
            run.run.pipeline,
            f"run:{run.run.id} kept no files of its code{at}{changed}; "
            "name the project's folder with --project",
        )
        return False

    def _read(
        self, item: Input, scratch: Path, given: Path | None
    ) -> tuple[remaking.Table, int] | None:
        """Fetch one input, proved by its digest."""
        digest, _, part = item.digest.partition("/")
        try:
            if given is not None:
                now, frame, time = digests.of(given), tables.read(given), None
            elif item.reference:
                snapshot = self._client.data.find(item.reference)
                now, time = snapshot.digest, snapshot.time
                frame = self._client.data.read(snapshot.dataset, number=snapshot.number)
            else:
                said = "it was a file that nobody kept; name it with --input NAME=FILE"
                self._unchecked("data", item.name, f"{said} (content {digest[:12]})")
                return None
        except errors.NotFoundError as error:
            self._unchecked("data", item.name, f"{item.reference} is gone: {error.message}")
            return None
        rows, n_learned = parts.take(frame, part, time=time)
        file = f"{len(self.items)}.parquet"
        rows.write_parquet(scratch / file)
        self._add(
            "data",
            item.name,
            "same" if now == digest else "differs",
            f"{n_learned:,} rows of {item.reference or given}, content {now[:12]}"
            + ("" if now == digest else f", recorded {digest[:12]}"),
        )
        table = remaking.Table(
            name=item.name, reference=item.reference, digest=item.digest, file=file
        )
        return table, n_learned

    def _python(self, recipe: piped.Recipe, scratch: Path, environment: Place) -> str:
        if environment == "present":
            present = origin.environment().packages
            different = reproduction.packages(recipe.packages, present)
            said = reproduction.told(different, kind="environment")
            self._tell(f"in the present environment{': ' + said if said else ''}")
            return sys.executable
        self._tell(f"installing {len(recipe.packages)} recorded packages ...")
        return environments.make(recipe.packages, scratch / "environment")

    def _judge(
        self,
        run: RunRecord,
        recipe: piped.Recipe,
        answer: remaking.Answer,
        *,
        recorded: dict[str, bytes],
        scratch: Path,
        is_fresh: bool,
    ) -> str:
        run_id = ""
        if answer.start is not None and answer.end is not None:
            run_id = answer.start.run_id
            experiment = f"reproductions of {self._version.model}"
            self._client.runs.recorder(experiment).finish(answer.start, answer.end)
            self.items += reproduction.packages(
                environments.compared(recipe.packages, is_fresh=is_fresh),
                environments.compared(answer.end.packages, is_fresh=is_fresh),
            )
            self._compare_settings(run, answer.start)
            self._compare_steps(run, answer.end)
        if answer.message:
            hint = f" ({answer.hint})" if answer.hint else ""
            self._add("scores", "model", "differs", f"{answer.message}{hint}")
            return run_id
        made = formats.read_folder(scratch / remaking.MODEL)
        self.items += reproduction.files(recorded, made)
        verdict, gap = reproduction.numbers(
            answer.recorded, answer.scores, tolerance=self._tolerance
        )
        where = f"{len(answer.scores):,} rows of its data"
        if answer.of_example:
            where = f"the {len(answer.scores)} rows of its example, as {answer.unasked}"
        said = f"largest difference {gap:.3g} on {where}"
        self.items.append(
            Item(
                kind="scores",
                name="model",
                verdict=verdict,
                sentence=said,
                gap=gap if len(answer.scores) == len(answer.recorded) else None,
            )
        )
        return run_id

    def _compare_settings(self, run: RunRecord, start: piped.RunStart) -> None:
        for item in run.params:
            now = start.parameters.get(item.key, "nothing")
            is_same = now == item.value
            said = f"{now}" if is_same else f"recorded {item.value}, now {now}"
            self._add("parameters", item.key, "same" if is_same else "differs", said)

    def _compare_steps(self, run: RunRecord, end: piped.RunEnd) -> None:
        steps = self._client.runs.steps(run.run.id)
        for then, now in zip(steps, end.steps, strict=False):
            self._compare("code", then.name, then.code, now.code)
            self._compare("step", then.name, then.digest, now.digest)
        if len(steps) != len(end.steps):
            said = f"{len(steps)} calls recorded, {len(end.steps)} now"
            self._add("step", "calls of steps", "differs", said)

    def _compare(self, kind: Any, name: str, then: str, now: str) -> None:
        if not then or not now:
            self._unchecked(kind, name, "it has no digest")
            return
        said = then[:12] if then == now else f"recorded {then[:12]}, now {now[:12]}"
        self._add(kind, name, "same" if then == now else "differs", said)

    def _unchecked(self, kind: Any, name: str, sentence: str) -> None:
        self._add(kind, name, "could not be checked", sentence)

    def _add(self, kind: Any, name: str, verdict: Any, sentence: str) -> None:
        self.items.append(Item(kind=kind, name=name, verdict=verdict, sentence=sentence))


def _path(name: str, number: int) -> str:
    return f"/api/models/{transport.part(name)}/versions/{number}/reproductions"
