"""The prediction server explains what it answers, in a process of its own, within bounds."""

from __future__ import annotations

import asyncio
import json
import socket
import threading

import blake3
import httpx
import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from homeostat.doors import cli, local
from homeostat.doors.predict import app, explaining
from homeostat.doors.wire import listening
from homeostat.foundation import errors
from homeostat.lifecycle.corrections.entities import (
    Correction,
    GroupThreshold,
    Recalibration,
    Threshold,
)
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.explanations import entities, orders, room
from homeostat.lifecycle.policy import Explain
from homeostat.lifecycle.predictions import spool
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.serving import engine, loading
from homeostat.lifecycle.serving.entities import (
    Arm,
    Member,
    Plan,
    PlanDocument,
    VersionFiles,
)

SCHEMA = Schema(
    (
        Column(name="income", kind="number"),
        Column(name="late", kind="integer"),
        Column(name="sex", kind="category", categories=("f", "m")),
    )
)
ROW = {"income": 4.0, "late": 5, "sex": "m"}
EXPLAIN = Explain(texts={"late": "Payments were late"}, actionable={"late": "down"})


def _packed():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "income": rng.uniform(0, 8, 300),
            "late": rng.integers(0, 8, 300),
            "sex": rng.choice(["f", "m"], 300),
        }
    )
    numbers = frame.with_columns(pl.col("sex").eq("m").cast(pl.Float64)).to_numpy()
    target = numbers[:, 1] - numbers[:, 0] + 2 * numbers[:, 2] + rng.normal(0, 1, 300) > 0
    models = (LogisticRegression(), HistGradientBoostingClassifier(max_iter=20))
    return [
        folder.pack(one.fit(numbers, target.astype(int)), schema=SCHEMA, example=frame)
        for one in models
    ]


class Door:
    """A prediction server's door over a real socket, its loop in a thread."""

    def __init__(self, home):
        self.home = home
        self.files = home / "files"
        self.files.mkdir(parents=True)
        self.packed = _packed()
        self.begun, self.ended = threading.Event(), None
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.thread.start()
        assert self.begun.wait(60)
        self.http = httpx.Client(base_url=self.url, timeout=180, trust_env=False)

    def version(self, number):
        named = {}
        for path, data in self.packed[number - 1].items():
            named[path] = blake3.blake3(data).hexdigest()
            (self.files / named[path]).write_bytes(data)
        return VersionFiles(version=number, digest=f"tree {number}", files=named)

    def document(self, name, *weights):
        members = tuple(Member(at, weight) for at, weight in enumerate(weights, 1))
        return PlanDocument(
            deployment=name,
            model="credit",
            key="customer",
            protected=("sex",),
            plan=Plan(generation=1, arms=(Arm("stable", 1.0, members),)),
            versions=tuple(self.version(one.version) for one in members),
            changed=1,
            explain=EXPLAIN,
            favourable=False,
        )

    def install(self, document):
        done = threading.Event()
        loaded = {at: loading.load(one) for at, one in enumerate(self.packed, 1)}

        def put():
            self.answering.install(document, loaded)
            done.set()

        self.loop.call_soon_threadsafe(put)
        assert done.wait(60)

    async def _serve(self):
        logged = spool.Spool(self.home / "spool")
        answering = self.answering = engine.Engine(logged)
        loaded = {at: loading.load(one) for at, one in enumerate(self.packed, 1)}
        answering.install(self.document("alone", 1.0), loaded)
        answering.install(self.document("both", 0.25, 0.75), loaded)
        explains = explaining.Explaining(self.files)
        listener = listening.Listener(
            app.Predictions(answering, app.Standing(), explains=explains)
        )
        with socket.create_server(("127.0.0.1", 0)) as bound:
            bound.setblocking(False)
            self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            await listener.listen(bound)
            self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
            self.begun.set()
            await self.ended.wait()
            await listener.close(drain_s=1)
        explains.close()
        await answering.close()
        logged.close()

    def stop(self):
        self.http.close()
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join()


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    made = Door(tmp_path_factory.mktemp("explaining"))
    yield made
    made.stop()


def _tensors(row, **parameters):
    kinds = {"sex": "BYTES", "late": "INT64"}
    return {
        "inputs": [
            {"name": name, "shape": [1], "datatype": kinds.get(name, "FP64"), "data": [value]}
            for name, value in row.items()
        ],
        "parameters": parameters,
    }


def test_the_composite_that_answers_is_explained_and_adds_up(door):
    answer = door.http.post("/v2/models/both/explain", json=_tensors(ROW, key="k"))
    assert answer.status_code == 200, answer.text
    said = answer.json()
    (found,) = said["explanations"]
    assert found["space"] == "probability"
    total = found["base"] + sum(found["contributions"].values())
    assert total == pytest.approx(found["margin"], abs=1e-9)
    assert found["gap"] < 1e-6
    assert [one["method"] for one in found["members"]] == ["linear", "tree paths"]
    served = door.http.post("/v2/models/both/infer", json=_tensors(ROW)).json()
    assert served["outputs"][0]["data"] == pytest.approx([total], abs=1e-5)
    assert said["keys"] == ["k"]
    assert [one["features"] for one in found["reasons"]] == [["late"], ["income"]]
    assert found["reasons"][0]["text"] == "Payments were late"
    assert found["protected"] == ["sex"]


def test_what_would_have_to_change_is_asked_for_by_name(door):
    body = {
        "dataframe_records": [ROW, {**ROW, "late": 0}],
        "params": {"kind": "counterfactual"},
    }
    answer = door.http.post("/explain", json=body, headers={"x-homeostat-deployment": "alone"})
    first, second = answer.json()["explanations"]
    (one,) = first["counterfactuals"]
    (change,) = one["changes"]
    assert change["column"] == "late"
    assert change["before"] == 5 > change["after"]
    assert one["score"] < 0.5 <= first["score"]
    assert first["reasons"] == []
    assert second["counterfactuals"] == [] or second["score"] >= 0.5


def test_python_and_the_command_line_ask_the_same(door, capsys, monkeypatch):
    monkeypatch.setenv("HOMEOSTAT_PREDICT_URL", door.url)
    with local.connect("http://127.0.0.1:9") as client:
        found = client.deployments.explain("both", [ROW, ROW], kinds=["reasons"], top=1)
    assert [len(one.reasons) for one in found.explanations] == [1, 1]
    assert {one.threshold for one in found.explanations} == {0.5}
    row = json.dumps(ROW)
    assert cli.invoke(["--url", "http://127.0.0.1:9", "explain", "alone", "--row", row]) == 0
    shown = capsys.readouterr().out
    assert "reason: Payments were late" in shown
    assert "late 5 →" in shown
    assert cli.invoke(["explain", "alone", "--row", "[]", "--json"]) == 2


def test_what_must_change_is_measured_by_the_corrections_in_force(door):
    bodies = (
        Threshold(at=0.6),
        GroupThreshold(column="sex", at={"m": 0.25}),
        Recalibration(method="isotonic", knots=((0.0, 0.0), (1.0, 0.5))),
    )
    document = door.document("strict", 1.0)
    made = [
        Correction(
            id=str(at),
            version=1,
            deployment="strict",
            body=body,
            status="approved",
            reason="a test",
            made_by="ada",
            made_at=0,
            starts_at=0,
            expires_at=2**60,
        )
        for at, body in enumerate(bodies)
    ]
    document = msgspec.structs.replace(document, corrections=tuple(made))
    door.install(document)
    rows = [ROW, {**ROW, "sex": "f"}]
    body = {"dataframe_records": rows, "params": {"kind": "counterfactual"}}
    said = door.http.post("/v2/models/strict/explain", json=body).json()
    first, second = said["explanations"]
    assert said["corrections"] == ["0@1", "1@1", "2@1"]
    assert first["threshold"] == pytest.approx(0.5)
    assert second["threshold"] > 1
    assert first["counterfactuals"][0]["score"] < 0.5
    assert second["note"] == "the answer is the favourable one already"
    predicted = door.http.post("/v2/models/strict/infer", json=_tensors(ROW)).json()
    assert predicted["outputs"][0]["data"] == pytest.approx([first["score"] / 2], abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"dataframe_records": [{**ROW, "late": "many"}]}, 422, "rows[0].late"),
        ({"dataframe_records": [ROW], "params": {"kind": "why"}}, 422, "'why'"),
        ({"dataframe_records": [ROW], "params": {"top": 0}}, 422, "top"),
        ({"dataframe_records": [ROW] * 65}, 413, "up to 64 rows; seen 65"),
        ({"dataframe_records": []}, 422, "at least one row"),
        ([], 422, "the body"),
    ],
)
def test_a_request_that_cannot_be_right_is_refused(door, body, status, words):
    answer = door.http.post("/v2/models/alone/explain", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


def test_only_a_post_explains(door):
    assert door.http.get("/v2/models/alone/explain").status_code == 405
    assert door.http.post("/v2/models/nobody/explain", json={}).status_code == 404


def _order(door, n_rows, **more):
    source = door.version(1)
    return orders.Order(
        folder=str(door.files),
        members=(orders.Source(version=1, weight=1.0, digest="1", files=source.files),),
        columns={name: [value] * n_rows for name, value in ROW.items()},
        explain=Explain(),
        protected=(),
        favourable=True,
        options=entities.Options(kinds=("contributions",)),
        thresholds=[0.5] * n_rows,
        **more,
    )


def test_what_waits_is_bounded(door):
    async def story():
        made = room.Room()
        try:
            waiting = asyncio.ensure_future(made.explain(_order(door, 60)))
            await asyncio.sleep(0)
            with pytest.raises(errors.UnavailableError, match="60 rows wait") as full:
                await made.explain(_order(door, 5))
            assert full.value.facts["retry_after_s"] > 0
            assert len(await waiting) == 60
            assert made.waiting == 0
            broken = door.files / door.version(1).files["model.skops"]
            order = _order(door, 1)
            kept = broken.read_bytes()
            broken.write_bytes(b"other")
            source = msgspec.structs.replace(order.members[0], digest="2")
            order = msgspec.structs.replace(order, members=(source,))
            with pytest.raises(errors.CorruptError, match="holds other bytes"):
                await made.explain(order)
            broken.write_bytes(kept)
        finally:
            made.close()

    asyncio.run(story())


def test_what_takes_too_long_is_stopped(door):
    async def story():
        made = room.Room(timeout_s=0.001, start_s=0.0)  # no process starts as fast
        try:
            with pytest.raises(errors.UserCodeError, match=r"longer than 0\.001 s"):
                await made.explain(_order(door, 5))
            assert made.waiting == 0
        finally:
            made.close()

    asyncio.run(story())
