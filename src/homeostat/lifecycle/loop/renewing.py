"""The job that learns a deployment's corrector anew; given to the worker by `duties`.

It is a recorded run: on which rows, with what came of it. The corrector is a blob of the model
by its digest, which the plan names. Learning the same rows again, as after a crash, makes the
same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import blake3
import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import access, canonical, clock, ids, jobs, lineage
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.loop import actions, correcting, live, observing, relearning
from homeostat.lifecycle.pipeline import actions as pipeline
from homeostat.lifecycle.pipeline.entities import RunEnd, RunInput, RunStart
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving.entities import PlanCorrector

PIPELINE: Final = "corrector"
_NOT_AWAITED: Final = {"result": "not awaited any more"}


class _Learned(msgspec.Struct, frozen=True):
    digest: str
    rows: tuple[int, int]
    start: RunStart
    end: RunEnd


class Renewing:
    """Does the job `carrying.CORRECTOR`.

    Parameters
    ----------
    house
        Open.
    actor
        A part of the system.
    loop
        Has members and labels in memory; used by one lane only.
    """

    def __init__(self, house: House, actor: access.Actor, loop: live.Loop) -> None:
        self._house = house
        self._actor = actor
        self._loop = loop

    def learn(self, job: jobs.Job) -> Callable[[Transaction], Any]:
        """Learn a corrector; it is put into the plan with the completion of the job."""
        name = str(job.payload["deployment"])
        first, end = (int(row) for row in job.payload["rows"])

        def look(tx: Transaction) -> tuple[live.View, pl.DataFrame]:
            seen = self._loop.view(tx, name)
            known = self._loop.known_labels(tx, name)
            return seen, observing.labelled(
                self._house,
                tx,
                name,
                rows=(first, end),
                without=seen.state.quarantined,
                known=known,
            )

        seen, rows = self._house.read(look)
        if rows.is_empty() or not relearning.may_correct(seen.deployment, seen.policy):
            return lambda _: _NOT_AWAITED
        learned = self._learned(seen, rows)
        return lambda tx: self._put(tx, name, learned)

    def _learned(self, seen: live.View, rows: pl.DataFrame) -> _Learned:
        """Learn, and store what was learned under its digest."""
        deployment, first = seen.deployment, seen.state.members[0].version
        span = int(rows["row"][0]), int(rows["row"][-1]) + 1
        start = RunStart(
            run_id=ids.new_id(),
            pipeline=PIPELINE,
            started_at=clock.now_ms(),
            inputs=(RunInput(name="rows", digest=_digest(rows)),),
            parameters={
                "deployment": deployment.name,
                "rows": f"{span[0]} to {span[1]}",
                "labelled": str(rows.height),
            },
        )
        began = time.monotonic(), time.thread_time()
        named = relearning.columns(self._loop.members.described(deployment, first).schema)
        made = relearning.learn(rows, self._truth(seen, rows), named)
        packed = canonical.encode(made)
        digest = self._house.put_blob(f"model:{deployment.model}", packed).digest
        spent = RunEnd(
            status="finished",
            ended_at=clock.now_ms(),
            wall_s=time.monotonic() - began[0],
            cpu_s=time.thread_time() - began[1],
        )
        return _Learned(digest, span, start, spent)

    def _truth(self, seen: live.View, rows: pl.DataFrame) -> NDArray[np.bool_]:
        first = seen.state.members[0].version
        return observing.positives(rows, self._loop.members.positive(seen.deployment, first))

    def _put(self, tx: Transaction, name: str, learned: _Learned) -> dict[str, str]:
        """Record the run, and let the plan name what it made."""
        found, state = (
            serving.get_deployment(tx, self._actor, name),
            actions.state(tx, name),
        )
        if state.correction is msgspec.UNSET:  # the policy wants none any more
            return _NOT_AWAITED
        run, made = f"run:{learned.start.run_id}", f"corrector:{learned.digest}"
        pipeline.finish_run(
            tx,
            self._actor,
            learned.start,
            end=learned.end,
            experiment=f"{found.model} {PIPELINE}",
        )
        lineage.connect(tx, source=run, target=made, kind="made")
        lineage.connect(tx, source=made, target=found.reference, kind="corrects")
        coming = PlanCorrector(
            digest=learned.digest, run=learned.start.run_id, rows=learned.rows
        )
        before, answers = found.plan.corrector, correcting.is_in_force(state)
        if before is not None and before.answers and answers:
            coming = msgspec.structs.replace(coming, answers=True, since=before.since)
        elif answers:
            coming = msgspec.structs.replace(coming, answers=True, since=tx.at)
        plan = msgspec.structs.replace(
            found.plan, generation=found.plan.generation + 1, corrector=coming
        )
        serving.set_plan(tx, self._actor, name, plan, reason=run)
        return {"corrector": learned.digest, "run": learned.start.run_id}


def _digest(rows: pl.DataFrame) -> str:
    """Return what identifies the rows it learned from: each with its label."""
    told = [rows["id"].to_list(), rows[observing.LABEL].cast(pl.String).to_list()]
    return blake3.blake3(msgspec.json.encode(told)).hexdigest()
