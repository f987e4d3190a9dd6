"""kill -9, SIGTERM and full disks under load: what was acknowledged is there afterwards."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import shutil
import signal
import socket
import subprocess

import httpx
import msgspec
import numpy as np
import pytest

import living
import processes
from homeostat.doors import local
from homeostat.doors.cli.demo import lender
from homeostat.foundation import house, ids, jobs, settings
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import asking, carrying, triggers
from homeostat.lifecycle.predictions import read

pytestmark = pytest.mark.slow

KILLS = 20
RECESSION = {"world": lender.RECESSION_WORLD}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory, migrated_file):
    """A home with the lender's model trained and deployed; every test gets a copy."""
    home = tmp_path_factory.mktemp("deployed") / "home"
    home.mkdir(mode=0o700)
    shutil.copyfile(migrated_file, home / "homeostat.db")
    told = settings.load(home=home, code=home / "project")
    with house.open_house(told) as opened:
        life = living.Living(opened)
        life.train()
        life.deploy()
    return home


@pytest.fixture
def home(deployed, tmp_path):
    """A home of its own, deployed already."""
    return shutil.copytree(deployed, tmp_path / "home")


@pytest.fixture
def stage(home):
    with processes.Household(home) as found:
        yield found


# --- kill -9 -------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["server", "serve"])
def test_a_server_killed_20_times_under_load_loses_nothing(stage, victim):
    stage.start()
    killed = getattr(stage, victim)
    chance = np.random.default_rng(len(victim))
    with processes.Callers(stage, processes.Applicants((2000, {})), pace_s=0.1) as callers:
        for _ in range(KILLS):
            enough = callers.n(killed) + int(chance.integers(1, 12))
            processes.until(lambda n=enough: callers.n(killed) >= n, told=killed.tell)
            killed.kill()
            killed.start().wait()
        seen = callers.n(killed)
        processes.until(lambda: callers.n(killed) > seen, told=killed.tell)
    assert callers.n_unanswered >= KILLS // 2
    stage.settle()
    processes.audit(stage, callers)


def test_a_worker_killed_20_times_goes_on_where_it_was(stage):
    stage.start()
    applicants = processes.Applicants((1600, {}), (4000, RECESSION))
    chance = np.random.default_rng(5)
    hit = []
    with (
        house.open_house(stage.settings) as opened,
        processes.Callers(stage, applicants, rows=10, pace_s=0.1) as callers,
    ):

        def working():
            mine = f":{stage.worker.process.pid}:"
            return [
                one.kind
                for one in opened.read(lambda tx: jobs.newest(tx, limit=50))
                if one.state is jobs.State.RUNNING and mine in (one.worker or "")
            ]

        def fitting():
            return carrying.FIT in working()

        for _ in range(KILLS):
            hit += processes.until(working, told=stage.worker.tell)
            signal.sigtimedwait((), chance.uniform(0, 0.3))  # any moment of its work
            stage.worker.kill()
            stage.worker.start()
        if carrying.FIT not in hit:
            processes.until(fitting, told=stage.worker.tell)
            stage.worker.kill()
            stage.worker.start()
    stage.worker.wait()
    stage.settle()
    processes.audit(stage, callers)
    with house.open_house(stage.settings) as opened:
        state = opened.read(lambda tx: loop.get_state(tx, processes.OWNER, processes.NAME))
    assert triggers.ADVANCE in hit
    assert state.n_fits >= 1
    assert state.pending == ()


def test_a_fit_that_keeps_killing_its_worker_is_given_up_and_asked_for_again(home):
    shutil.rmtree(home / "project")  # a life writes its own
    told = settings.load(home=home, code=home / "project")
    with house.open_house(told) as opened:
        life = living.Living(opened)
        fit = life.handlers.pop(carrying.FIT)
        life.live(2400)
        for _ in range(8):
            if not life.state().pending:
                life.live(200, **RECESSION)
        (lost,) = life.state().pending
        who = {"kinds": (carrying.FIT,), "lease_s": -1}
        while opened.write(lambda tx: jobs.lease(tx, "a worker that dies", **who)):
            pass
        life.work()
        assert life.state().pending == ()
        said = [one.sentence for one in life.decisions() if one.event == "fit-failed"]
        assert len(said) == 1
        assert said[0].startswith(f"{lost.id} came to nothing: its worker went silent 5 times")
        life.handlers[carrying.FIT] = fit
        life.live(800, **RECESSION)
        assert any(one.event == "fit-finished" for one in life.decisions())
        table = opened.read(lambda tx: read.predictions(opened, tx, processes.NAME))
        processes.the_loop_went_on(opened, table)


# --- homeostat up --------------------------------------------------------------------------


@pytest.fixture
def up(stage):
    """`homeostat up` on the home of the stage, answering."""
    started = processes.Process("up", stage.environment).start()
    for one in (stage.server, stage.serve):
        one.process = started.process
        one.wait()
    return started


def go_on(stage, callers, up):
    """Both doors acknowledge more."""
    for one in (stage.server, stage.serve):
        n = callers.n(one)
        processes.until(lambda who=one, n=n: callers.n(who) > n + 3, told=up.tell)


def test_up_restarts_what_dies_and_drains_all(stage, up):
    with processes.Callers(stage, processes.Applicants((2000, {}))) as callers:
        old = {
            name: processes.until(lambda n=name: stage.pids(n), told=up.tell)
            for name in ("server", "serve", "worker")
        }
        for (pid,) in old.values():
            os.kill(pid, signal.SIGKILL)
        for name, killed in old.items():
            processes.until(lambda n=name, k=killed: set(stage.pids(n)) - set(k), told=up.tell)
        go_on(stage, callers, up)
    stage.catch_up()
    assert up.end() == 0, up.tell()
    assert stage.pids() == {}
    assert stage.spooled() == []
    stage.worker.start().wait()
    stage.settle()
    processes.audit(stage, callers)


def test_when_up_is_killed_its_children_end_and_the_next_start_goes_on(stage, up):
    with processes.Callers(stage, processes.Applicants((2000, {}))) as callers:
        go_on(stage, callers, up)
        up.process.kill()
        up.process.wait()
        processes.until(lambda: stage.pids() == {}, told=up.tell)
    stage.start().settle()
    processes.audit(stage, callers)


# --- SIGTERM -------------------------------------------------------------------------------


class Held:
    """A request whose last byte is held back, so that it stays in flight."""

    def __init__(self, process, method, path, body):
        self._socket = socket.create_connection(
            (processes.HOST, process.port), timeout=processes.LONG_S
        )
        lines = [
            f"{method} {path} HTTP/1.1",
            f"host: {processes.HOST}",
            f"content-length: {len(body)}",
            "\r\n",
        ]
        self._socket.sendall("\r\n".join(lines).encode() + body[:-1])
        self._last = body[-1:]
        for _ in range(3):  # others are answered meanwhile, so the beginning has been read
            assert process.is_well()

    def finish(self):
        """Send the last byte and return the answer."""
        self._socket.sendall(self._last)
        answer = http.client.HTTPResponse(self._socket)
        answer.begin()
        found = answer.status, answer.read()
        self._socket.close()
        return found


def test_sigterm_lets_answers_in_flight_be_given_and_hands_the_log_over(stage):
    stage.start()
    callers = processes.Callers(stage, processes.Applicants((500, {})))
    rows = callers.applicants.take(100)
    body = msgspec.json.encode(processes.request(rows))
    asked = Held(stage.serve, "POST", f"/v2/models/{processes.NAME}/infer", body)
    stage.serve.process.send_signal(signal.SIGTERM)
    processes.until(lambda: not processes.ports.is_well(processes.HOST, stage.serve.port))
    status, said = asked.finish()
    assert status == 200
    told = msgspec.json.decode(said)["parameters"]
    callers.predicted.update(zip(told["ids"], told["keys"], strict=True))
    assert stage.serve.end() == 0, stage.serve.tell()
    assert stage.spooled() == []
    run_id = ids.new_id()
    asked = Held(stage.server, "POST", "/api/runs", msgspec.json.encode({"run_id": run_id}))
    stage.server.process.send_signal(signal.SIGTERM)
    processes.until(lambda: not processes.ports.is_well(processes.HOST, stage.server.port))
    status, _ = asked.finish()
    assert status in {200, 201}
    callers.runs[run_id] = None
    assert stage.server.end() == 0, stage.server.tell()
    stage.settle()
    processes.audit(stage, callers)


def test_sigterm_lets_the_worker_finish_the_fit_at_hand(stage):
    stage.start()
    with house.open_house(stage.settings) as opened, local.connect(stage.url) as client:
        loans = client.data.get("loans")
        text = client.deployments.get(processes.NAME).policy
        asked = asking.Train(policy=text, snapshot=loans.reference)
        job = opened.write(lambda tx: asking.train(tx, processes.OWNER, asked))
        found = lambda: opened.read(lambda tx: jobs.get(tx, job.id))  # noqa: E731
        processes.until(lambda: found().state is not jobs.State.QUEUED, told=stage.worker.tell)
        assert stage.worker.end() == 0, stage.worker.tell()
        assert (found().state, found().attempts) == (jobs.State.DONE, 1)
    stage.settle()


# --- a full disk ---------------------------------------------------------------------------


class SmallDisk:
    """A disk in memory of a few MiB; needs the right to mount."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)],
            check=False,
            capture_output=True,
        )
        if made.returncode:
            pytest.skip("mounting needs rights that this user has not")
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, _process):
        """Take all that is free, again and again: what others let go of is taken too."""
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def free(self, _process):
        self._filler.unlink()

    def close(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


class NoRoom:
    """Processes that may make no file longer: what a quota says, and needs no rights."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)

    def fill(self, process):
        for pid in process.family():
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))

    def free(self, process):
        for pid in process.family():
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))

    def close(self):
        pass


@pytest.fixture(params=[SmallDisk, NoRoom], ids=["small-disk", "file-limit"])
def make_disk(request):
    with contextlib.ExitStack() as leaving:

        def make(folder):
            disk = request.param(folder)
            leaving.callback(disk.close)
            return disk

        yield make


def refusal(disk, process, ask, callers):
    """Ask until it is refused for want of room, and return the problem."""

    def refused():
        disk.fill(process)
        return not ask()

    processes.until(refused, told=process.tell)
    answer = callers.surprises.pop()
    assert callers.surprises == []
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "unavailable")
    return problem


def test_a_full_disk_of_the_log_is_said_and_predictions_resume(home, make_disk):
    disk = make_disk(home / "predict")
    with (
        processes.Household(home) as stage,
        httpx.Client(timeout=180, trust_env=False) as asking_,
    ):
        stage.start()
        callers = processes.Callers(stage, processes.Applicants((2000, {})))
        plans = Plans(stage)
        for _ in range(5):
            assert callers.predict(asking_)
        problem = refusal(disk, stage.serve, lambda: callers.predict(asking_), callers)
        assert str(home / "predict" / "spool") in problem["detail"]
        assert "is full" in problem["detail"]
        assert problem["hint"]
        problem = refusal(
            disk, stage.serve, lambda: callers.label(asking_, [("K1", 1)]), callers
        )
        assert "is full" in problem["detail"]
        assert stage.serve.is_well()
        plans.change()
        plans.change()
        disk.free(stage.serve)
        plans.change()
        for _ in range(5):
            assert callers.predict(asking_), callers.surprises
        assert callers.label(asking_, [("K0000000", 1)])
        stage.settle()
        processes.audit(stage, callers)


class Plans:
    """Plans one after the other, each followed by the prediction server."""

    def __init__(self, stage):
        self._stage = stage

    def change(self):
        with local.connect(self._stage.url) as client:
            now = client.deployments.get(processes.NAME).plan
            plan = msgspec.structs.replace(now, generation=now.generation + 1)
            client.deployments.set_plan(processes.NAME, plan, reason="a test says so")
        about = f"{self._stage.predict_url}/v2/models/{processes.NAME}"
        processes.until(
            lambda: httpx.get(about).json()["parameters"]["generation"] == plan.generation,
            told=self._stage.serve.tell,
        )


def test_a_full_disk_of_the_database_is_said_and_everything_goes_on(home, make_disk):
    disk = make_disk(home.parent / "disk")
    apart = home.parent / "disk"
    shutil.move(home / "homeostat.db", apart / "homeostat.db")
    shutil.move(home / "blobs", apart / "blobs")
    told = {
        "database_url": f"sqlite:///{apart / 'homeostat.db'}",
        "blobs_url": str(apart / "blobs"),
    }
    with (
        processes.Household(home, **told) as stage,
        httpx.Client(timeout=180, trust_env=False) as asking_,
    ):
        stage.start()
        callers = processes.Callers(stage, processes.Applicants((2000, {})))
        assert callers.predict(asking_)
        assert callers.write(asking_)
        problem = refusal(disk, stage.server, lambda: callers.write(asking_), callers)
        assert "the disk of the database" in problem["detail"]
        assert problem["hint"]
        assert stage.server.is_well()
        assert httpx.get(f"{stage.url}/api/runs").status_code == 200
        for _ in range(200):
            assert callers.predict(asking_), callers.surprises
        refusal(disk, stage.server, lambda: callers.write(asking_), callers)
        disk.free(stage.server)
        for _ in range(5):
            assert callers.write(asking_), callers.surprises
        stage.settle()
        processes.audit(stage, callers)
