"""A deployment lived through in this process: real house, log, jobs and models, no HTTP.

Used by the stories of the loop; the same stream over real servers is `homeostat demo`.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import polars as pl

from homeostat.doors import worker
from homeostat.doors.cli import init
from homeostat.doors.cli.demo import lender
from homeostat.foundation import access, clock, events, ids, jobs
from homeostat.lifecycle.data import inspection, intake, tables
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import asking, duties, scoring, triggers
from homeostat.lifecycle.monitoring import actions as monitoring
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import residuals, router
from homeostat.measures import residual

NAME = "credit"
KINDS = ("number", "number", "number", "number", "category")
LABEL_DELAY_ROWS = 400


class Living:
    """One deployment of the lender's model and the worker's jobs, driven by hand."""

    def __init__(self, house, *, tier="low", on=("harm",), seed=7, delay_rows=LABEL_DELAY_ROWS):
        self.house = house
        self.owner = access.local_owner("ada")
        self.bench = duties.Bench(house)
        self.handlers = {**self.bench.quick(), **self.bench.slow(), **self.bench.aside()}
        self.scorer = scoring.Scorer(house)
        self.lender = lender.Lender(seed)
        self.late = deque()
        self.lease_s = 60
        self.delay_rows = delay_rows
        self.policy = _policy(house.settings.code, tier=tier, on=on)

    def train(self, *, n=4000):
        history = self.lender.applications(n)
        offer = inspection.Offer(
            data=tables.encode(history), format="parquet", key="application_id"
        )
        snapshot = intake.add(self.house, self.owner, "loans", offer)
        asked = asking.Train(policy=self.policy, snapshot=snapshot.reference)
        job = self.house.write(lambda tx: asking.train(tx, self.owner, asked))
        self.work()
        done = self.house.read(lambda tx: jobs.get(tx, job.id))
        assert done.state is jobs.State.DONE, done.error
        return done

    def deploy(self, version=1):
        self.house.write(
            lambda tx: serving.deploy(tx, self.owner, NAME, policy=self.policy, number=version)
        )
        self.work()

    def live(self, n, *, batch=200, score=None, **how):
        """Answer the next applicants; labels come `delay_rows` later; all jobs are done."""
        for first in range(0, n, batch):
            rows = self.lender.applications(min(batch, n - first), **how)
            self.log(rows, score=score)
            self.late.append(rows)
            while sum(p.height for p in self.late) - self.late[0].height >= self.delay_rows:
                self.label(self.late.popleft())
            self.work()

    def log(self, rows, *, score=None):
        segment = ids.new_id()
        parts = [
            frames.Opened(segment, NAME, clock.now_ms()),
            frames.Layout(lender.FEATURES, KINDS, ("sex",)),
            *self._answers(rows, score=score),
        ]
        self._accept(segment, parts)

    def label(self, rows):
        segment = ids.new_id()
        labels = [frames.label_text(value) for value in rows["defaulted"].to_list()]
        parts = [
            frames.Opened(segment, NAME, clock.now_ms()),
            frames.Labels(
                clock.now_ms(), rows["application_id"].to_list(), labels, [None] * rows.height
            ),
        ]
        self._accept(segment, parts)

    def _accept(self, segment, parts):
        raw = b"".join(map(frames.encode, parts))
        sealed = predictions.seal_segment(self.house, NAME, segment=segment, raw=raw)
        part = access.system("predict")
        self.house.write(lambda tx: predictions.accept_segment(tx, part, sealed))

    def _answers(self, rows, *, score):
        plan = self.deployment().plan
        keys = rows["application_id"].to_list()
        canary = plan.arms[1].share if len(plan.arms) > 1 else 0.0
        is_canary = np.array([router.slot(plan.salt, key) < canary * 10_000 for key in keys])
        for place, arm in enumerate(plan.arms):
            part = rows.filter(pl.Series(is_canary if place else ~is_canary))
            if part.is_empty():
                continue
            each = [self.scores(member.version, part) for member in arm.members]
            weights = [member.weight for member in arm.members]
            mixed = np.average(each, axis=0, weights=weights) if score is None else score(part)
            served = self._corrected(plan, part, mixed)
            yield frames.Batch(
                served_at=clock.now_ms(),
                generation=plan.generation,
                arm=arm.name,
                answered=True,
                version="+".join(str(member.version) for member in arm.members),
                ids=[ids.new_id() for _ in range(part.height)],
                keys=part["application_id"].to_list(),
                features=[part[name].to_list() for name in lender.FEATURES],
                context=[part["sex"].to_list()],
                scores=[float(value) for value in mixed],
                answers=[int(value >= 0.5) for value in served],
                members=[str(member.version) for member in arm.members],
                member_scores=[[float(value) for value in one] for one in each],
                served=[float(value) for value in served],
            )

    def _corrected(self, plan, rows, mixed):
        if plan.corrector is None or not plan.corrector.answers:
            return mixed
        found = residuals.read(self.house, NAME, plan.corrector.digest)
        columns = {name: rows[name].to_list() for name in lender.FEATURES}
        return residual.Applied(found).corrected(columns, np.asarray(mixed))

    def scores(self, version, rows):
        found = self.house.read(lambda tx: registry.get_version(tx, self.owner, NAME, version))
        how = self.house.read(lambda tx: adopted.loadable(tx, found))
        return self.scorer.scores(how, rows)

    def work(self):
        """Do what a worker does until nothing is left."""
        while self._follow() or self._job():
            pass

    def _follow(self):
        kinds = tuple(triggers.TRIGGERS)
        news = self.house.read(lambda tx: events.follow(tx, triggers.READER, kinds=kinds))
        for event in news:
            worker.answer(self.house, event)
        return bool(news)

    def _job(self):
        job = self.house.write(
            lambda tx: jobs.lease(tx, "test", kinds=tuple(self.handlers), lease_s=self.lease_s)
        )
        if job is None:
            return False
        finish = self.handlers[job.kind](job)
        self.house.write(lambda tx: jobs.complete(tx, job, finish(tx)))
        return True

    def deployment(self):
        return self.house.read(lambda tx: serving.get_deployment(tx, self.owner, NAME))

    def state(self):
        return self.house.read(lambda tx: loop.get_state(tx, self.owner, NAME))

    def decisions(self):
        found = self.house.read(
            lambda tx: loop.list_decisions(tx, self.owner, deployment=NAME, limit=1000)
        )
        return found[::-1]

    def kinds(self):
        return [one.kind for one in self.decisions() if one.kind != "none"]

    def alerts(self):
        return self.house.read(
            lambda tx: monitoring.list_alerts(tx, self.owner, deployment=NAME, limit=1000)
        )[::-1]


def _policy(code, *, tier, on):
    if not (code / "homeostat.toml").exists():
        init.write(code)
    text = (code / "homeostat.toml").read_text(encoding="utf-8")
    apart = ("time ", "tier ", "on ")
    lines = [line for line in text.splitlines() if not line.startswith(apart)]
    text = "\n".join(lines)
    # How fast a model answers while other tests compute says nothing about it.
    text = text.replace("latency_p99_ms = 50", "latency_p99_ms = 5000")
    text = text.replace("[data]", f'tier = "{tier}"\n\n[data]')
    return text.replace("[retraining]", f"[retraining]\non = {list(on)}".replace("'", '"'))
