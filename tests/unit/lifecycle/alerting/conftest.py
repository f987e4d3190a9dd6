"""A house with deployments and their policies, a clock to move on, and a worker by hand."""

from __future__ import annotations

import msgspec
import pytest

from homeostat.foundation import access, clock, events, jobs, settings
from homeostat.foundation import house as house_module
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.alerting import actions, sending, telling, watching
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.serving import records as served
from homeostat.lifecycle.serving.entities import Arm, Deployment, Member, Plan

LOOP = access.system("loop")
PLAN = Plan(generation=1, arms=(Arm("stable", 1.0, (Member(1, 1.0),)),), salt="s")


class Watchman:
    """Says what the loop says, and does what the worker does."""

    def __init__(self, house, actor):
        self.house = house
        self.actor = actor
        self.post = sending.Post(house)
        self.ahead_ms = 0

    def deploy(self, name="credit", policy=""):
        text = f'[model]\nname = "{name}"\ntarget = "t"\n[alerts]\n{policy}'

        def write(tx: Transaction):
            made = Deployment(
                name=name,
                model=name,
                key="",
                policy=text,
                policy_digest="",
                plan=PLAN,
                created_at=tx.at,
                created_by="ada",
                changed_at=tx.at,
                changed=0,
            )
            row = {**msgspec.structs.asdict(made), "generation": 1, "project": tx.project}
            row["plan"] = msgspec.json.encode(PLAN).decode()
            tx.execute(served.INSERT, row)
            predictions.open_log(tx, self.actor, name)

        self.house.write(write)

    def say(self, kind="harm", *, deployment="credit", cause="concept-change", column=None):
        sentence = f"{kind} <of {deployment}>"
        alert = self.house.write(
            lambda tx: watching.open_alert(
                tx,
                LOOP,
                deployment=deployment,
                kind=kind,
                cause=cause,
                column=column,
                sentence=sentence,
            )
        )
        self.work()
        return alert

    def clear(self, kind="harm", *, deployment="credit", column=None):
        self.house.write(
            lambda tx: watching.clear(tx, LOOP, deployment=deployment, kind=kind, column=column)
        )
        self.work()

    def work(self, *, later_s=0.0):
        """Answer events and do the jobs that are due, `later_s` from now."""
        self.ahead_ms += round(1000 * later_s)
        handlers = {**self.post.watches(), **self.post.sends()}
        while True:
            self.house.write(self._follow)
            job = self.house.write(
                lambda tx: jobs.lease(tx, "test", kinds=tuple(handlers), lease_s=30)
            )
            if job is None:
                return
            finish = handlers[job.kind](job)
            self.house.write(lambda tx, j=job, f=finish: jobs.complete(tx, j, f(tx)))

    def _follow(self, tx):
        for event in events.follow(tx, "test", kinds=tuple(telling.TRIGGERS)):
            telling.TRIGGERS[event.kind](tx, access.system("worker"), event)
            events.advance(tx, "test", event.seq)

    def told(self):
        """Return what was told to whom, the oldest first."""
        found = self.house.read(lambda tx: actions.list_deliveries(tx, self.actor))
        return [(one.told, one.receiver, len(one.alerts)) for one in reversed(found)]

    def deliveries(self):
        return self.house.read(lambda tx: actions.list_deliveries(tx, self.actor))

    def kinds(self, alert):
        def read(tx):
            return [one.kind for one in events.read(tx, subject=f"alert:{alert.id}")]

        return self.house.read(read)

    def silence(self, *, hours=1.0, **more):
        def write(tx):
            until_at = tx.at + round(hours * 3_600_000)
            return actions.silence(tx, self.actor, until_at=until_at, reason="planned", **more)

        made = self.house.write(write)
        self.work()
        return made


@pytest.fixture
def watch(monkeypatch, home, actor):
    """Open a house with settings of one's own; its clock moves as told."""
    opened = []

    def opening(**told):
        house = house_module.open_house(settings.load(home=home, **told))
        one = Watchman(house, actor)
        began = clock.now_ms()  # stands still: what a busy machine takes is not waited for
        monkeypatch.setattr(clock, "now_ms", lambda: began + one.ahead_ms)
        opened.append(house)
        return one

    yield opening
    for house in opened:
        house.close()
