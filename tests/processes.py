"""The three processes of one home, each started, killed and stopped alone, and their callers.

Used by the stories of durability. All is real: the commands `homeostat up` runs, SQLite, a
folder, HTTP. `Callers` remember what was acknowledged; `audit` looks for all of it afterwards.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import polars as pl

import listening
import nursery
from homeostat.doors import local
from homeostat.doors.cli import ports
from homeostat.doors.cli.demo import lender, traffic
from homeostat.foundation import access, canonical, events, house, ids, jobs, settings
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import checking, places, records, replay, triggers
from homeostat.lifecycle.monitoring import actions as monitoring
from homeostat.lifecycle.predictions import read

NAME = "credit"
HOST = "127.0.0.1"
LONG_S = 180.0
READY = b"worker is ready"
OWNER = access.local_owner("ada")


def until(what, *, told="it", timeout_s=LONG_S, look_s=0.01):
    """Return what `what` returns once that is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline, told() if callable(told) else told
        time.sleep(look_s)  # state of another process: there is no event to wait for
    return found


def _as_users_do(words, *, environment, folder, stdout, stderr):
    return subprocess.Popen(
        [sys.executable, "-m", nursery.CHILD, str(os.getpid()), *words],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


class Process:
    """A command of ours as a process of its own, its lines in a file beside the home.

    `up` is started as a user starts it, and it starts the others so.
    """

    def __init__(self, command, environment, *, port=None):
        self.command = command
        self.port = port
        self.is_up = threading.Event()
        self.environment = environment
        self.lines = Path(environment["HOMEOSTAT_HOME"]).parent / f"{command}.log"
        self.process = None
        self.sessions = set()
        self._said = 0

    def start(self):
        how = {"environment": self.environment, "folder": self.environment["HOMEOSTAT_CODE"]}
        begin = _as_users_do if self.command == "up" else nursery.start
        with self.lines.open("ab") as told:
            self._said = told.tell()
            self.process = begin([self.command], **how, stdout=told, stderr=told)
        self.sessions.add(self.process.pid)
        return self

    def wait(self):
        """Return once it answers; a worker has no port and is ready when it says so."""
        if self.port is None:
            until(lambda: READY in self.lines.read_bytes()[self._said :], told=self.tell)
        else:
            until(self.is_well, told=self.tell)
        self.is_up.set()
        return self

    def is_well(self):
        assert self.process.poll() is None, self.tell()
        return ports.is_well(HOST, self.port, timeout_s=0.5)

    def tell(self):
        return f"{self.command}: {self.lines.read_text(encoding='utf-8')[-4000:]}"

    def kill(self):
        self.is_up.clear()
        self.process.kill()
        self.process.wait()

    def family(self):
        """Its process id and those of its children: a prediction server's workers."""
        pid = self.process.pid
        told = Path(f"/proc/{pid}/task").glob("*/children")
        return [pid, *(int(one) for file in told for one in file.read_text().split())]

    def end(self):
        """Send SIGTERM and return the exit code."""
        self.is_up.clear()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LONG_S)


def _words(file):
    return file.read_bytes().split(b"\0")


def _stat(folder):
    """State, parent, group and session of a process, and what follows."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


class Household:
    """Server, prediction server and worker of a home that has a deployment already."""

    def __init__(self, home, **told):
        ports_free = {name: str(listening.port()) for name in ("PORT", "PREDICT_PORT")}
        known = {
            "HOME": str(home),
            "CODE": str(home / "project"),
            "PREDICT_WORKERS": "1",
            **ports_free,
            **{name.upper(): str(value) for name, value in told.items()},
        }
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOMEOSTAT_")}
        environment |= {f"HOMEOSTAT_{name}": value for name, value in known.items()}
        environment["OMP_NUM_THREADS"] = "1"
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # or every start compiles it all
        self.home = home
        self.url = f"http://{HOST}:{known['PORT']}"
        self.predict_url = f"http://{HOST}:{known['PREDICT_PORT']}"
        self.settings = settings.load(
            home=home,
            code=home / "project",
            url=self.url,
            predict_url=self.predict_url,
            **told,
        )
        self.environment = environment
        self.server = Process("server", environment, port=int(known["PORT"]))
        self.serve = Process(
            "serve",
            {**environment, "HOMEOSTAT_URL": self.url},
            port=int(known["PREDICT_PORT"]),
        )
        self.worker = Process("worker", environment)
        self.all = (self.serve, self.worker, self.server)

    def start(self):
        self.server.start().wait()
        self.serve.start()
        self.worker.start().wait()
        self.serve.wait()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for one in self.all:
            if one.process is not None:
                one.process.wait()

    def spooled(self):
        """Files of the log that wait on the prediction server's disk."""
        folder = self.home / "predict" / "spool"
        return [one for one in folder.glob("*/*") if one.is_file()]

    def pids(self, command=""):
        """Every process that was told of this home; or only those of one command."""
        mine = f"HOMEOSTAT_HOME={self.home}".encode()
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if self._has_started(folder) or mine in _words(folder / "environ"):
                    words = [part.decode() for part in _words(folder / "cmdline") if part]
                    if not command or words[-1:] == [command]:
                        found[int(folder.name)] = words
        return found

    def _has_started(self, folder):
        """Whether a process is of a session begun here: a fork's environment is not told."""
        state, _, _, session = _stat(folder)[:4]
        return state != "Z" and int(session) in set().union(*(one.sessions for one in self.all))

    def catch_up(self):
        """Wait until no backlog is left of the time the server was away."""
        if self.serve.process.poll() is None:
            until(lambda: len(self.spooled()) <= 1, told=self.serve.tell)

    def is_idle(self, opened):
        """Whether nothing waits for the worker."""

        def look(tx):
            kinds = tuple(triggers.TRIGGERS)
            return not jobs.pending(tx) and not events.follow(tx, triggers.READER, kinds=kinds)

        return opened.read(look)

    def settle(self):
        """End all in the order of `homeostat up`, once everything is handed over and done."""
        self.catch_up()
        assert self.serve.end() == 0, self.serve.tell()
        with house.open_house(self.settings) as opened:
            until(lambda: self.is_idle(opened), told=self.worker.tell, look_s=0.05)
        assert self.worker.end() == 0, self.worker.tell()
        assert self.server.end() == 0, self.server.tell()
        assert self.pids() == {}
        assert self.spooled() == []


class Applicants:
    """The lender's stream as rows with a known outcome, shared among threads."""

    def __init__(self, *chapters, seed=11):
        bank = lender.Lender(seed)
        drawn = pl.concat([bank.applications(n, **how) for n, how in chapters])
        self._rows = itertools.cycle(drawn.to_dicts())
        self._lock = threading.Lock()
        self._n = 0

    def take(self, n):
        """The next rows; every one has a key of its own."""
        with self._lock:
            rows = []
            for row in itertools.islice(self._rows, n):
                rows.append({**row, "application_id": f"K{self._n:07d}"})
                self._n += 1
            return rows


class Callers:
    """Threads that ask the two servers, and what each of them acknowledged.

    A request that got no answer is not repeated under the same mark: whether it counted is
    open, so it may be in the log or not, but never twice.
    """

    def __init__(self, stage, applicants, *, rows=2, pace_s=0.05, n_predicting=2):
        self.stage = stage
        self.applicants = applicants
        self.rows = rows
        self.pace_s = pace_s
        self.predicted = {}  # id -> key
        self.labelled = set()  # (key, mark)
        self.runs = {}  # run id -> number logged as a metric
        self.artifacts = {}  # run id -> bytes
        self.aliases = set()
        self.surprises = []
        self.n_unanswered = 0
        self.n_acknowledged = collections.Counter()  # by command
        self._outcomes = queue.SimpleQueue()
        self._marks = itertools.count(1)
        self._over = threading.Event()
        doing = [self.predict] * n_predicting + [self._label, self.write]
        self._doing = doing
        self._threads = []

    def __enter__(self):
        self._threads = [threading.Thread(target=self._run, args=(d,)) for d in self._doing]
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for one in self._threads:
            one.join()

    def n(self, process):
        """How many requests a process has acknowledged so far."""
        return self.n_acknowledged[process.command]

    def _run(self, work):
        with httpx.Client(timeout=LONG_S, trust_env=False) as http:
            while not self._over.wait(self.pace_s):
                work(http)

    def _ask(self, http, process, method, path, **body):
        """One request; None when the process went away under it."""
        url = self.stage.predict_url if process is self.stage.serve else self.stage.url
        try:
            answer = http.request(method, url + path, **body)
        except httpx.TransportError:
            self.n_unanswered += 1
            while not process.is_up.wait(0.5):
                if self._over.is_set():
                    break
            return None
        if not answer.is_success:
            self.surprises.append(answer)
            return None
        self.n_acknowledged[process.command] += 1
        return answer

    def predict(self, http):
        """Ask for the next applicants; false when they got no answer."""
        rows = self.applicants.take(self.rows)
        body = request(rows)
        answer = self._ask(
            http, self.stage.serve, "POST", f"/v2/models/{NAME}/infer", json=body
        )
        if answer is None:
            return False
        told = answer.json()["parameters"]
        self.predicted.update(zip(told["ids"], told["keys"], strict=True))
        for row in rows:
            self._outcomes.put((row["application_id"], row["defaulted"]))
        return True

    def _label(self, http):
        while not self._over.is_set():
            known = []
            with contextlib.suppress(queue.Empty):
                known = [self._outcomes.get(timeout=0.2)]
                while len(known) < 100:
                    known.append(self._outcomes.get_nowait())
            while known and not self.label(http, known):
                if self._over.is_set():
                    return

    def label(self, http, known):
        """Report outcomes by key; each attempt has marks of its own, so that twice is seen."""
        marked = [(key, label, next(self._marks)) for key, label in known]
        body = {"labels": [{"key": k, "label": v, "event_at": m} for k, v, m in marked]}
        answer = self._ask(http, self.stage.serve, "POST", "/labels", json=body)
        if answer is None:
            return False
        self.labelled.update((key, mark) for key, _, mark in marked)
        return True

    def write(self, http):
        """Make a run and what belongs to it; false when even the run was not acknowledged."""
        ask = lambda *what, **body: self._ask(http, self.stage.server, *what, **body)  # noqa: E731
        run_id = ids.new_id()
        if ask("POST", "/api/runs", json={"run_id": run_id, "name": "load"}) is None:
            return False
        number = float(next(self._marks))
        point = {"key": "n", "value": number, "at": 1, "step": 0}
        if ask("POST", f"/api/runs/{run_id}/values", json={"metrics": [point]}) is None:
            self.runs[run_id] = None
            return True
        self.runs[run_id] = number
        content = run_id.encode() * 50
        if ask("PUT", f"/api/runs/{run_id}/artifacts/proof.txt", content=content) is not None:
            self.artifacts[run_id] = content
        body = {"number": 1, "reason": run_id}
        if ask("PUT", f"/api/models/{NAME}/aliases/of-{run_id}", json=body) is not None:
            self.aliases.add(f"of-{run_id}")
        mark = next(self._marks)
        told = {"labels": [{"key": f"direct-{mark}", "label": 1, "event_at": mark}]}
        if ask("POST", f"/api/deployments/{NAME}/labels", json=told) is not None:
            self.labelled.add((f"direct-{mark}", mark))
        return True


def request(rows):
    """A V2 request for rows of the lender."""
    inputs = [
        {
            "name": name,
            "datatype": traffic.KINDS[name],
            "shape": [len(rows)],
            "data": [row[name] for row in rows],
        }
        for name in (*lender.FEATURES, "sex")
    ]
    return {"parameters": {"keys": [row["application_id"] for row in rows]}, "inputs": inputs}


def audit(stage, callers):
    """Look in the home, with every process ended, for all that was acknowledged."""
    assert [(one.request.url, one.status_code, one.text) for one in callers.surprises] == []
    with house.open_house(stage.settings) as opened:
        table = opened.read(lambda tx: read.predictions(opened, tx, NAME))
        labels = opened.read(lambda tx: read.labels(opened, tx, NAME))
        _predictions_are_there(table, callers)
        marks = list(zip(labels["key"], labels["event_at"], strict=True))
        assert callers.labelled <= set(marks)
        assert len(marks) == len(set(marks))
        assert table["row"].to_list() == list(range(table.height))
        verified = opened.read(events.verify)
        assert verified.ok, verified.reason
        failed = [
            one
            for one in opened.read(lambda tx: jobs.newest(tx, limit=1000))
            if one.state is not jobs.State.DONE
            # What is due each hour may become so as the worker ends.
            and (one.kind, one.state) != (checking.CHECK, jobs.State.QUEUED)
        ]
        assert failed == []
        the_loop_went_on(opened, table)
    local_settings = settings.load(
        home=stage.home,
        database_url=stage.settings.database_url,
        blobs_url=stage.settings.blobs_url,
    )
    with local.open_client(local_settings) as client:
        _writes_are_there(client, callers)


def _predictions_are_there(table, callers):
    answered = table.filter("answered")
    logged = dict(zip(answered["id"], answered["key"], strict=True))
    assert len(logged) == answered.height
    missing = {one for one in callers.predicted if one not in logged}
    assert missing == set()
    assert all(logged[one] == key for one, key in callers.predicted.items())


def _writes_are_there(client, callers):
    for run_id, number in callers.runs.items():
        kept = client.runs.get(run_id)
        if number is not None:
            assert [one.value for one in client.runs.history(run_id, "n")] == [number]
        assert kept.run.id == run_id
    for run_id, content in callers.artifacts.items():
        assert client.runs.read_artifact(run_id, "proof.txt") == content
    assert callers.aliases <= {one.alias for one in client.models.aliases(NAME)}


def the_loop_went_on(opened, table):
    """Every row was judged once, every state follows from the one before, all replays."""

    def look(tx):
        windows = monitoring.list_windows(tx, OWNER, NAME, limit=1000)
        return windows[::-1], places.find(tx, NAME), loop.get_state(tx, OWNER, NAME)

    windows, place, state = opened.read(look)
    edges = [0, *(one.end_row for one in windows)]
    assert [one.first_row for one in windows] == edges[:-1]
    assert edges[-1] == place.judged_row
    assert table.filter("answered", pl.col("row") >= place.judged_row).height < 200
    steps = opened.read(_steps)
    assert [one.kind for one in steps].count("window-judged") == len(windows)
    assert [one.kind for one in steps].count("block-labelled") == state.n_blocks
    for before, after in itertools.pairwise(steps):
        assert after.starts_from == before.leads_to
    if steps:
        assert steps[-1].leads_to == canonical.digest(canonical.encode(state))
    for step in steps:
        for decision in step.decisions:
            found = opened.read(
                lambda tx, which=decision: loop.replay_decision(tx, OWNER, which)
            )
            assert found.identical, found.reason


class _Step:
    """One event the loop was told, with the decisions it led to."""

    def __init__(self, tx, event):
        which = {"in_project": tx.project, "of_digest": event.facts["inputs"]}
        given = tx.execute(records.FIND_INPUTS, which).scalar().encode()
        state = replay.msgspec.json.decode(given, type=replay.Inputs).state
        self.inputs = event.facts["inputs"]
        self.kind = event.facts["event"]
        self.starts_from = canonical.digest(canonical.encode(state))
        self.leads_to = event.facts["state"]
        self.decisions = []


def _steps(tx):
    found = []
    after = 0
    while page := events.read(tx, after=after, kinds=["decision.made"], limit=1000):
        after = page[-1].seq
        for event in page:
            if not found or found[-1].inputs != event.facts["inputs"]:
                found.append(_Step(tx, event))
            found[-1].decisions.append(event.facts["decision"])
    return found
