"""kill -9 in each state of the loop: whoever comes next goes on from where it was."""

from __future__ import annotations

import multiprocessing
import signal

import pytest

import dying
import living
from homeostat.doors.cli.demo import lender
from homeostat.foundation import events, house, settings
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import stages
from homeostat.lifecycle.registry import actions as registry

pytestmark = pytest.mark.slow

MACHINE = ["steady", "suspected", "quarantined", "retraining", "gated", dying.CORRECTING]
RECESSION = {"world": lender.RECESSION_WORLD}


def kill_in_each(told, states, note):
    """Let worker after worker die, each in a state that none has died in yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dying"])
    left = list(states)
    while left:
        worker = context.Process(target=dying.work, args=(told, left, note))
        worker.start()
        worker.join(600)
        if worker.exitcode == 0:
            break
        assert worker.exitcode == -signal.SIGKILL
        left.remove(note.read_text())
    return left


def test_a_worker_killed_in_any_state_leaves_a_loop_that_goes_on(tmp_path, home):
    told = settings.load(home=home, code=tmp_path / "code")
    note = tmp_path / "died-in"
    with house.open_house(told) as opened:
        life = living.Living(opened, delay_rows=200)
        life.policy += "\n[envelope]\nrows_at_most = 100\n"
        for said, instead in (
            ("minimum_labels = 200", "minimum_labels = 5000"),
            ("error = 0.05", "error = 0.1"),
            ("latency_p99_ms = 50", "latency_p99_ms = 5000"),  # of a machine that is busy
        ):
            life.policy = life.policy.replace(said, instead)
        life.train(n=2000)
        life.deploy()
        work, life.work = life.work, lambda: None
        life.live(1800)
        life.live(200, income_factor=100.0)
        life.live(400)
        life.live(1000, **RECESSION)
        assert kill_in_each(told, MACHINE, note) == []
        life.live(200, **RECESSION)
        assert kill_in_each(told, ["awaiting approval"], note) == []
        work()
        assert "awaiting approval" in stages.of(life.state())
        asked = next(one for one in life.state().members if one.standing == "approval")
        opened.write(
            lambda tx: registry.approve(tx, life.owner, living.NAME, int(asked.version))
        )
        work()
        assert "canary" in stages.of(life.state())
        life.live(800)
        assert kill_in_each(told, ["canary"], note) == []
        work()
        kinds = life.kinds()
        for kind in ("quarantine", "release", "retrain", "ask", "promote", "rollback"):
            assert kinds.count(kind) >= 1, kinds
        kept_out = sum(end - first for first, end in life.state().quarantined)
        assert kept_out
        assert life.state().n_blocks == (4200 - kept_out) // 200
        for one in life.decisions():
            again = opened.read(lambda tx, w=one.id: loop.replay_decision(tx, life.owner, w))
            assert again.identical, again.reason
        assert opened.read(events.verify).ok
