"""Two workers under load while plans change and processes are killed: nobody is failed."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import http
import itertools
import os
import re
import shutil
import signal
import time
from pathlib import Path

import httpx
import msgspec
import polars as pl
import pytest
from scipy import stats
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import processes
from homeostat.doors import local
from homeostat.doors.cli.demo import lender
from homeostat.foundation import clock, house, settings
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.evaluation import exam, gates
from homeostat.lifecycle.monitoring import baseline
from homeostat.lifecycle.predictions import read
from homeostat.lifecycle.registry import files as trees
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.serving import router
from homeostat.lifecycle.serving.entities import Arm, Member, Plan

pytestmark = pytest.mark.slow

N_CONNECTIONS = 24
N_CHANGES = 20
THRESHOLD = 0.3
PACE_S = 0.06
LIVE_S = 2.0
POLICY = """
[model]
name = "credit"
target = "defaulted"
key = "application_id"
tier = "low"
[data]
protected = ["sex"]
[gates]
at_least = 0.5
"""
WORKER = "homeostat.doors.predict.start"
LINE = re.compile(
    r'homeostat_[a-z_]+(\{[a-z]+="(\\.|[^"\\])*"(,[a-z]+="(\\.|[^"\\])*")*\})? \S+'
    r"|# (HELP|TYPE) homeostat_[a-z_]+ .+"
)
# What a worker that answers by ONNX has no use for.
HEAVY = re.compile(r"/(polars|sklearn|pandas|sqlalchemy|psycopg|obstore)/|_polars")


def trained(seed):
    """Files of a small model of the lender's stream; another seed is another model."""
    rows = lender.Lender(seed).applications(600)
    frame = rows.select(lender.FEATURES)
    *numbers, category = lender.FEATURES
    encode = make_column_transformer(
        (StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), [category])
    )
    model = make_pipeline(encode, LogisticRegression())
    model.fit(frame.to_pandas(), rows["defaulted"].to_numpy())
    known = tuple(sorted(frame[category].unique().to_list()))
    columns = [Column(name=name, kind="number", nullable=True) for name in numbers]
    schema = Schema((*columns, Column(name=category, kind="category", categories=known)))
    return folder.pack(model, schema=schema, example=frame.head(5), target="defaulted")


def register(client, files):
    taken = exam.sit([0, 1] * 50, [0.2, 0.8] * 50, rows="rows 0-99")
    rules = policies.parse(POLICY)
    report = client.reports.save(
        processes.NAME,
        candidate=trees.tree_digest(trees.describe(files)),
        exam=taken,
        judged=gates.judge(taken, rules.gates),
        policy_digest=policies.digest(rules),
    )
    schema = folder.read(files).schema
    made = client.models.register(
        processes.NAME, files, schema=schema, report_id=report.id, baseline=frozen()
    )
    client.models.approve(processes.NAME, made.number)


def frozen():
    """The monitoring baseline of applicants as the lender knows them."""
    rows = lender.Lender(3).applications(2000)
    return baseline.encode(baseline.freeze(rows, features=lender.FEATURES))


@pytest.fixture(scope="module")
def home(tmp_path_factory, migrated_file):
    """A home with a deployment and two versions that may answer."""
    home = tmp_path_factory.mktemp("serving") / "home"
    (home / "project").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    shutil.copyfile(migrated_file, home / "homeostat.db")
    with local.open_client(settings.load(home=home)) as client:
        for seed in (1, 2):
            register(client, trained(seed))
        client.deployments.deploy(processes.NAME, policy=POLICY, version=1)
    return home


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Where an upgrade of the package is put; before the one that is installed."""
    return tmp_path_factory.mktemp("releases")


@pytest.fixture(scope="module")
def stage(home, releases):
    with (
        pytest.MonkeyPatch.context() as patched,
        processes.Household(home, predict_workers=2) as found,
    ):
        patched.setitem(found.serve.environment, "PYTHONPATH", str(releases))
        found.server.start().wait()
        found.serve.start().wait()
        yield found


def workers(stage):
    """Process ids of the workers."""
    return [pid for pid, words in stage.pids().items() if WORKER in words]


def callers_of(pid):
    """Ports from which connections of this process come."""
    sockets = set()
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets.add(one.readlink().name.removeprefix("socket:[").removesuffix("]"))
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    parts = [line.split() for line in lines]
    return {int(one[2].rpartition(":")[2], 16) for one in parts if one[9] in sockets}


class Answer(msgspec.Struct):
    """As much of an answer as is looked at."""

    outputs: list[dict]
    parameters: dict


class Connection:
    """One keep-alive connection that asks, one prediction after the other."""

    def __init__(self, load):
        self.load = load
        self.port = None
        self.generation = 0

    async def run(self):
        while not self.load.is_over:
            try:
                await self._talk()
            except (OSError, asyncio.IncompleteReadError):
                self.load.broken.append(self.port)
                await asyncio.sleep(PACE_S)

    async def _talk(self):
        reader, writer = await asyncio.open_connection(
            processes.HOST, self.load.stage.serve.port
        )
        self.port = writer.get_extra_info("sockname")[1]
        self.generation = 0
        try:
            while not self.load.is_over:
                key, body = self.load.next()
                head = f"POST {self.load.path} HTTP/1.1\r\nhost: {processes.HOST}\r\n"
                writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
                status, keeps_alive, said = await _read(reader)
                self._note(key, status, said)
                if not keeps_alive:
                    return
                await asyncio.sleep(PACE_S)
        finally:
            writer.close()

    def _note(self, key, status, said):
        if status != http.HTTPStatus.OK:
            self.load.surprises.append((status, said))
            return
        told = msgspec.json.decode(said, type=Answer).parameters
        (id_,), (arm,) = told["ids"], told["arms"]
        assert told["keys"] == [key]
        assert told["generation"] >= self.generation, "a worker went back"
        self.generation = told["generation"]
        self.load.answered[id_] = (key, self.generation, arm)
        self.load.first_seen.setdefault((self.port, self.generation), time.monotonic())


async def _read(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(fields["content-length"]))
    return int(head[0].split()[1]), fields.get("connection") != "close", body


class Load:
    """All connections, what was acknowledged, and what went wrong."""

    def __init__(self, stage):
        self.stage = stage
        self.path = f"/v2/models/{processes.NAME}/infer"
        self.is_over = False
        self.answered = {}  # id -> key, generation, arm
        self.first_seen = {}  # port, generation -> when
        self.broken = []  # ports of connections that were cut
        self.surprises = []
        self._rows = processes.Applicants((500, {}))
        self._connections = [Connection(self) for _ in range(N_CONNECTIONS)]
        self._tasks = []

    def next(self):
        (row,) = self._rows.take(1)
        return row["application_id"], msgspec.json.encode(processes.request([row]))

    async def __aenter__(self):
        self._tasks = [asyncio.create_task(one.run()) for one in self._connections]
        return self

    async def __aexit__(self, *_):
        self.is_over = True
        await asyncio.gather(*self._tasks)

    async def until_all(self, generation):
        """Wait until every connection was answered under a generation; return when that was."""
        await self.until(lambda: all(one.generation >= generation for one in self._connections))
        return max(self.first_seen[one.port, one.generation] for one in self._connections)

    async def until(self, what):
        async with asyncio.timeout(processes.LONG_S):
            while not what():  # noqa: ASYNC110 - state of another process
                await asyncio.sleep(0.005)

    async def go_on(self):
        enough = len(self.answered) + 3 * N_CONNECTIONS
        await self.until(lambda: len(self.answered) >= enough)


def plans():
    """Plans one after the other: weights, versions, canaries that grow."""
    old, new = (Member(1, 1.0),), (Member(2, 1.0),)
    both = tuple(
        (Member(1, round(weight, 2)), Member(2, round(1 - weight, 2)))
        for weight in (0.9, 0.7, 0.5, 0.3, 0.1)
    )
    yield from ((Arm("stable", 1.0, one),) for one in (*both, new, old))
    for share in (0.05, 0.1, 0.3, 0.3, 0.5, 0.9):
        yield (Arm("stable", 1 - share, old), Arm("canary", share, new))
    while True:
        yield (Arm("stable", 1.0, new),)
        yield (Arm("stable", 0.7, both[2]), Arm("canary", 0.3, old))


class Changes:
    """Plans put in force, and how long each took to answer on every connection."""

    def __init__(self, load, client):
        self.load = load
        self.client = client
        self.plans = {1: client.deployments.get(processes.NAME).plan}
        self.live_s = []
        self._coming = plans()

    async def make(self, n):
        for arms in itertools.islice(self._coming, n):
            plan = Plan(generation=max(self.plans) + 1, arms=arms, salt="a story")
            self.plans[plan.generation] = plan
            began = time.monotonic()
            await asyncio.to_thread(
                self.client.deployments.set_plan, processes.NAME, plan, reason="a story"
            )
            self.live_s.append(await self.load.until_all(plan.generation) - began)
            await self.load.go_on()

    async def correct(self):
        """Let a threshold work for a while: proposed, approved, withdrawn."""
        asked = self.client.corrections
        made = await asyncio.to_thread(
            asked.propose,
            processes.NAME,
            {"kind": "threshold", "at": THRESHOLD},
            reason="a story",
            expires_at=clock.now_ms() + 600_000,
        )
        await asyncio.to_thread(asked.approve, made.id)
        await self.load.go_on()
        await asyncio.to_thread(asked.withdraw, made.id, reason="a story")
        await self.load.go_on()


def numbers(stage):
    """What /metrics says: sums over samples by name; every line is well formed."""
    text = httpx.get(f"{stage.predict_url}/metrics", trust_env=False).text
    lines = text.splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    found = collections.Counter()
    for line in lines:
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name.partition("{")[0].removeprefix("homeostat_")] += float(value)
    return found


def test_what_all_workers_count_adds_up_to_what_was_answered(stage):
    async def story():
        async with Load(stage) as load:
            await load.go_on()
        return load

    before = numbers(stage)
    load = asyncio.run(story())
    after = numbers(stage)
    n = len(load.answered)
    for name in ("requests_total", "rows_total", "request_seconds_count"):
        assert after[name] - before[name] == n
    assert after["batches_total"] - before["batches_total"] <= n
    victim = workers(stage)[0]
    os.kill(victim, signal.SIGKILL)
    processes.until(lambda: restarted(numbers(stage), after))
    assert numbers(stage)["requests_total"] == after["requests_total"]  # counts never fall


def restarted(now, before, n=1):
    """Whether so many workers were started again, and all answer."""
    ended = now["worker_restarts_total"] - before["worker_restarts_total"]
    return ended == n and (now["workers"], now["workers_missing"]) == (2, 0)


async def kill_a_worker(load, stage):
    victim = workers(stage)[0]
    cut = callers_of(victim)
    known = set(workers(stage))
    load.broken.clear()
    os.kill(victim, signal.SIGKILL)
    await load.go_on()
    await load.until(lambda: len(set(workers(stage)) - {victim}) == len(known))
    assert set(load.broken) <= cut, "a connection of another worker was cut"
    load.broken.clear()


def test_one_decision_that_training_did_not_expect_is_an_alert_at_once(stage):
    rows = processes.Applicants((500, {})).take(60)
    strange = {**rows[0], "application_id": "strange", "income": rows[0]["income"] * 1e7}
    url = f"{stage.predict_url}/v2/models/{processes.NAME}/infer"
    for row in (*rows, strange):
        httpx.post(url, json=processes.request([row]), trust_env=False).raise_for_status()
    with local.open_client(settings.load(home=stage.home)) as client:
        (alert,) = processes.until(lambda: client.alerts.list(deployment=processes.NAME))
    assert (alert.kind, alert.column) == ("unexpected-decision", "income")
    assert "strange" in alert.sentence
    assert any(f"monitor unusual {processes.NAME}" in line for line in alert.evidence)


def install(releases, release):
    """Put a release of ours where it is found first, as an upgrade does."""
    folder = releases / f"homeostat-{release}.dist-info"
    folder.mkdir()
    told = f"Metadata-Version: 2.1\nName: homeostat\nVersion: {release}\n"
    (folder / "METADATA").write_text(told, encoding="utf-8")


async def renew(load, stage):
    """Ask for new workers, and go on until no other one is there."""
    old = set(workers(stage))
    stage.serve.process.send_signal(signal.SIGHUP)
    await load.until(lambda: not old & set(workers(stage)))
    await load.go_on()


def test_nobody_is_failed_by_changes_of_plans_and_killed_processes(stage, releases):
    async def story(client):
        async with Load(stage) as load:
            changes = Changes(load, client)
            await load.go_on()
            await changes.make(8)
            await changes.correct()
            assert load.broken == []
            await kill_a_worker(load, stage)
            await changes.make(4)
            stage.server.kill()  # and with it the supervisor's connection
            await load.go_on()
            await kill_a_worker(load, stage)
            assert numbers(stage)["control_plane_up"] == 0
            stage.server.start().wait()
            await load.until(lambda: numbers(stage)["control_plane_up"])
            await changes.make(4)
            await changes.correct()
            await renew(load, stage)  # as after an upgrade of what a model needs
            install(releases, "9.9.9")
            await renew(load, stage)
            assert load.broken == []
            await changes.make(N_CHANGES - 16)
        return load, changes

    before = numbers(stage)
    with local.connect(stage.url) as client:
        load, changes = asyncio.run(story(client))
    assert load.surprises == []
    assert len(changes.live_s) == N_CHANGES
    assert min(changes.live_s) <= LIVE_S  # told, not asked for; others compute here too
    split_is_exact(load.answered.values(), changes.plans)
    assert restarted(numbers(stage), before, n=2)
    told = httpx.get(f"{stage.predict_url}/version", trust_env=False).json()
    assert told["version"] == "9.9.9"
    for pid in workers(stage):
        loaded = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
        assert HEAVY.findall(loaded) == []
    stage.catch_up()
    assert stage.serve.end() == 0, stage.serve.tell()
    assert stage.spooled() == []
    all_is_logged_once(stage, load)


def all_is_logged_once(stage, load):
    """What was acknowledged is in the log, and what a correction touched says so."""
    with house.open_house(stage.settings) as opened:
        table = opened.read(lambda tx: read.predictions(opened, tx, processes.NAME))
    logged = collections.Counter(table["id"].to_list())
    assert set(logged.values()) == {1}
    assert load.answered.keys() <= logged.keys()
    corrected = table.filter(pl.col("corrections") != "")
    assert corrected.height
    assert corrected["score"].is_between(THRESHOLD, 0.5, closed="left").all()


def split_is_exact(answered, known):
    """The arm is the one that anybody can compute; the shares are as if by chance."""
    found = collections.defaultdict(collections.Counter)
    for key, generation, arm in answered:
        arms = known[generation].arms
        share = arms[1].share if len(arms) > 1 else 0.0
        is_canary = router.slot("a story", key) < round(share * router.SLOTS)
        assert generation == 1 or arm == ("canary" if is_canary else "stable")
        found[share][arm] += 1
    for share, counts in found.items():
        n = counts.total()
        if 0 < share < 1:
            seen = [counts["canary"], counts["stable"]]
            assert stats.chisquare(seen, [n * share, n * (1 - share)]).pvalue > 1e-6
