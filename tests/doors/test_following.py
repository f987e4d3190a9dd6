"""A prediction server beside a server that is away, talks nonsense, or refuses."""

from __future__ import annotations

import asyncio
import http.server
import os
import threading
from concurrent import futures
from urllib.parse import parse_qs, unquote, urlsplit

import blake3
import msgspec
import numpy as np
import polars as pl
import pytest
import structlog
from sklearn.linear_model import LogisticRegression

from homeostat.doors.cli import doctor
from homeostat.doors.predict import control, follower, handover, metrics
from homeostat.foundation import errors, settings
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.predictions import frames, spool, spooled
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.serving import engine, warming
from homeostat.lifecycle.serving.entities import Arm, Member, Plan, PlanDocument, VersionFiles


def digest(data):
    return blake3.blake3(data).hexdigest()


class Told(http.server.BaseHTTPRequestHandler):
    """Answers as the server would, from what a test put there."""

    def do_GET(self):
        here = self.server
        asked = urlsplit(self.path)
        if here.nonsense:
            self.say(200, here.nonsense.pop(0))
        elif asked.path == "/api/plans":
            after = int(parse_qs(asked.query)["after"][0])
            new = [one for one in here.plans if one.changed > after]
            self.say(200, msgspec.json.encode(new[:100]))
        else:
            number, _, path = asked.path.partition("/versions/")[2].partition("/files/")
            self.say(200, here.models[int(number)][unquote(path)])

    def do_POST(self):
        here = self.server
        self.rfile.read(int(self.headers["content-length"]))
        if here.refusal:
            body = {"detail": "of another world", "code": here.refusal.code}
            self.say(here.refusal.http_status, msgspec.json.encode(body))
        else:
            here.taken.append(self.path)
            self.say(200, b"{}")

    def say(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, models, plans, port=0):
        super().__init__(("127.0.0.1", port), Told)
        self.models, self.plans = models, plans
        self.nonsense, self.taken, self.refusal = [], [], None
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture(scope="module")
def models():
    """Files of two versions, by number."""
    made = {}
    for number in (1, 2):
        frame = pl.DataFrame({"late": np.arange(40.0)})
        model = LogisticRegression(C=number).fit(frame.to_numpy(), [0, 1] * 20)
        schema = Schema((Column(name="late", kind="number"),))
        made[number] = folder.pack(model, schema=schema, example=frame.head(3), target="y")
    return made


@pytest.fixture
def plans(models):
    """One deployment for each version; that of version 1 changed first."""

    def document(name, number):
        named = {path: digest(data) for path, data in models[number].items()}
        return PlanDocument(
            deployment=name,
            model="credit",
            key="",
            protected=(),
            plan=Plan(generation=1, arms=(Arm("stable", 1.0, (Member(number, 1.0),)),)),
            versions=(VersionFiles(version=number, digest=f"tree {number}", files=named),),
            changed=number,
        )

    return [document("early", 1), document("late", 2)]


class Replica:
    """Spool, engine and follower, as a worker and its supervisor have them."""

    def __init__(self, home, url, *, budget_bytes=2**30):
        self.log = spool.Spool(home / "spool")
        self.engine = engine.Engine(self.log)
        self.server = control.Control(url, project="default")
        self.in_force = []
        self.damaged = []
        self.warmer = warming.Warmer(
            self.engine,
            files=home / "files",
            budget_bytes=budget_bytes,
            told=self.in_force.append,
            damaged=self.damaged.append,
        )
        self.follower = follower.Follower(self.server, folder=home, deliver=self.warmer.take)
        self.handover = handover.Handover(home / "spool", self.server)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.follower.close()
        await self.warmer.close()
        await self.engine.close()
        await asyncio.to_thread(self.log.close)
        await self.server.close()

    async def until(self, what):
        async with asyncio.timeout(60):
            while not what():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)

    async def serves(self, *names):
        await self.until(lambda: set(self.engine.names) == set(names))

    async def ask(self, name):
        return await self.engine.predict(name, [{"late": 3.0}])


def test_a_kept_plan_whose_files_are_gone_is_served_when_the_server_is_back(
    tmp_path, models, plans
):
    async def story():
        with Server(models, plans) as server:
            async with Replica(tmp_path, server.url) as replica:
                await replica.follower.follow_once()
                assert sorted(replica.engine.names) == ["early", "late"]
        (tmp_path / "files" / plans[0].versions[0].files[folder.MODEL]).unlink()
        async with Replica(tmp_path, server.url) as replica:
            assert await replica.follower.recall()
            assert replica.engine.names == ("late",)
            with pytest.raises(errors.UnavailableError):
                await replica.follower.follow_once()
            with Server(models, plans, port=server.server_port):
                await replica.serves("early", "late")
        async with Replica(tmp_path, server.url) as replica:  # and is kept again
            await replica.follower.recall()
            assert sorted(replica.engine.names) == ["early", "late"]

    asyncio.run(story())


@pytest.mark.parametrize("nonsense", [b"<html>", b"[1]", b"\xff", b""])
def test_following_survives_an_answer_that_is_none(tmp_path, models, plans, nonsense):
    async def story():
        with Server(models, plans) as server:
            server.nonsense = [nonsense]
            async with Replica(tmp_path, server.url) as replica:
                task = asyncio.create_task(replica.follower.run())
                await replica.serves("early", "late")
                assert not task.done()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_a_plan_that_no_engine_takes_holds_up_no_other(tmp_path, models, plans):
    wrong = Plan(generation=1, arms=(Arm("stable", 1.0, (Member(9, 1.0),)),))  # names no files
    plans[0] = msgspec.structs.replace(plans[0], plan=wrong)

    async def story():
        with Server(models, plans) as server:
            async with Replica(tmp_path, server.url) as replica:
                await replica.follower.follow_once()
                assert (await replica.ask("late")).versions == ["2"]
                with pytest.raises(errors.UserCodeError, match="early"):
                    await replica.ask("early")

    asyncio.run(story())


def test_plans_come_in_pages_and_one_whose_files_are_missing_holds_up_none(
    tmp_path, models, plans
):
    early, late = plans
    many = [
        msgspec.structs.replace(early, deployment=f"d{n:03d}", changed=n) for n in range(1, 121)
    ]
    lost = msgspec.structs.replace(late.versions[0], files={"MLmodel": "0" * 64}, digest="lost")
    many[0] = msgspec.structs.replace(many[0], versions=(lost,))

    async def story():
        with Server(models, many) as server:
            async with Replica(tmp_path, server.url) as replica:
                assert await replica.follower.follow_once() == len(many)
                assert set(replica.follower.waiting) == {"d001"}
                assert set(replica.engine.names) == {one.deployment for one in many[1:]}
                assert (await replica.ask("d120")).versions == ["1"]
                newer = msgspec.structs.replace(
                    many[0], versions=early.versions, plan=early.plan, changed=500
                )
                server.plans = [newer]
                assert await replica.follower.follow_once() == 1
                assert replica.follower.waiting == {}
                assert (await replica.ask("d001")).generation == 1

    asyncio.run(story())


def test_two_plans_may_bring_the_same_file_at_once(tmp_path):
    place, data = tmp_path / "file", b"x" * 10_000
    with futures.ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda _: follower._write(place, data), range(400)))
    assert len(done) == 400
    assert place.read_bytes() == data
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_reason_for_missing_files_is_told_once_and_a_new_one_too(
    tmp_path, models, plans, monkeypatch
):
    monkeypatch.setattr(follower, "_AGAIN_S", (0.01,))
    lost = msgspec.structs.replace(plans[0].versions[0], files={"MLmodel": "0" * 64})
    many = [msgspec.structs.replace(plans[0], versions=(lost,))]
    tries = []

    async def story():
        with Server(models, many) as server:
            async with Replica(tmp_path, server.url) as replica:
                have = replica.follower._have

                async def broken(document):
                    tries.append(document)
                    if len(tries) > 3:
                        raise ZeroDivisionError("a mistake")
                    await have(document)

                replica.follower._have = broken
                with structlog.testing.capture_logs() as told:
                    await replica.follower.follow_once()
                    await replica.until(lambda: len(tries) > 6)
                return [one["why"].partition(":")[0] for one in told if "why" in one]

    first, second = asyncio.run(story())
    assert (first.endswith("Error"), second) == (True, "ZeroDivisionError")


def test_a_damaged_file_is_fetched_again_before_anything_is_answered_by_it(
    tmp_path, models, plans
):
    async def story():
        with Server(models, plans) as server:
            async with Replica(tmp_path, server.url, budget_bytes=0) as replica:
                await replica.follower.follow_once()
                place = tmp_path / "files" / plans[0].versions[0].files[folder.DESCRIPTION]
                place.write_bytes(b"something else")
                with pytest.raises(errors.UnavailableError, match="fetched again"):
                    await replica.ask("early")
                assert replica.damaged == ["early"]
                replica.follower.mend("early")
                await replica.until(lambda: not replica.follower.waiting)
                assert (await replica.ask("early")).versions == ["1"]

    asyncio.run(story())


def test_files_that_no_plan_names_stay_a_day(tmp_path, models, plans):
    async def story():
        with Server(models, plans) as server:
            async with Replica(tmp_path, server.url) as replica:
                await replica.follower.follow_once()
                files = tmp_path / "files"
                n_files = len(list(files.iterdir()))
                of_early = {*plans[0].versions[0].files.values()}
                only_early = of_early - {*plans[1].versions[0].files.values()}
                for one in files.iterdir():
                    os.utime(one, (0, 0))
                moved = msgspec.structs.replace(
                    plans[0], plan=plans[1].plan, versions=plans[1].versions, changed=3
                )
                server.plans = [moved]
                await replica.follower.follow_once()
                left = list(replica.follower.documents.values())
                assert replica.follower.prune_once(left) == 0  # their day has begun
                for one in only_early:
                    os.utime(files / one, (0, 0))
                assert replica.follower.prune_once(left) == len(only_early)
                assert len(list(files.iterdir())) == n_files - len(only_early)

    asyncio.run(story())


@pytest.mark.parametrize("refusal", [errors.InvalidInputError, errors.TooLargeError])
def test_a_refused_segment_is_shown_and_sent_again_at_the_next_start(tmp_path, refusal):
    told = settings.load(home=tmp_path)
    home = tmp_path / "predict"

    async def story():
        with Server({}, []) as server:
            async with Replica(home, server.url) as replica:
                for name in ("credit", "other"):
                    replica.log.write(name, frames.Labels(0, ["a"], ["1"], [None]))
                replica.log.close_segments()
                server.refusal = refusal
                assert await replica.handover.flush() == 0
                shown = metrics.expose(replica.handover.numbers())
                assert b"homeostat_spool_refused_segments 2\n" in shown
                found = {one.name: one for one in doctor.examine(told)}["prediction log"]
                assert (found.ok, "2 segments of credit, other" in found.seen) == (False, True)
                server.refusal = None
                spooled.offer_again(home / "spool")
                assert await replica.handover.flush() == 2
                assert len(server.taken) == 2
                found = {one.name: one for one in doctor.examine(told)}["prediction log"]
                assert found.ok

    asyncio.run(story())
