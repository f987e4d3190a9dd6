"""What the prediction server says in every protocol, and to whoever sends nonsense."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading

import httpx
import msgspec
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from homeostat.doors.predict import app, openapi, routes
from homeostat.doors.wire import listening
from homeostat.lifecycle.data import rows
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.predictions import segments, spool
from homeostat.lifecycle.serving import engine, entities, router, served
from homeostat.lifecycle.serving import rules as serving_rules

SCHEMA = Schema(
    (
        Column(name="income", kind="number", nullable=True),
        Column(name="region", kind="category", categories=("north", "south")),
        Column(name="late", kind="integer"),
        Column(name="owns", kind="boolean"),
    )
)
ROW = {"income": 1.5, "region": "north", "late": 2, "owns": True}
TYPES = {"income": "FP64", "region": "BYTES", "late": "INT64", "owns": "BOOL"}
SECRET = "a token of 128 random bits"


class Model:
    """The income times a factor, a hundredth more for each late payment; a gap is 0."""

    is_fast = True

    def __init__(self, factor):
        self.factor = factor

    def scores(self, columns):
        income = np.array([0.0 if one is None else one for one in columns["income"]])
        return np.clip(income * self.factor + np.array(columns["late"]) / 100, 0, 1)


def loaded(factor):
    return served.Loaded(
        predictor=Model(factor),
        classes=("0", "1"),
        labels=("0", "1"),
        columns=tuple((column.name, column.kind) for column in SCHEMA.columns),
        validate=rows.compile_row(SCHEMA),
        read=rows.compile_columns(SCHEMA),
        unseen=rows.compile_unseen(SCHEMA),
    )


def document(name, *versions, changed, said=(), override=None):
    arms = [
        entities.Arm(
            f"v{version}" if at else "stable",
            0.0 if at else 1.0,
            (entities.Member(version, 1.0),),
        )
        for at, version in enumerate(versions)
    ]
    files = [entities.VersionFiles(version=one, digest=str(one), files={}) for one in versions]
    told = tuple(serving_rules.parse(one) for one in said)
    return entities.PlanDocument(
        deployment=name,
        model="credit",
        key="customer",
        protected=("sex",),
        plan=entities.Plan(generation=changed, arms=tuple(arms), rules=told, override=override),
        versions=tuple(files),
        changed=changed,
    )


class Door:
    """A prediction server's door over a real socket, its loop in a thread."""

    def __init__(self, home):
        self.home = home
        self.begun, self.ended = threading.Event(), None
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.thread.start()
        assert self.begun.wait(60)
        self.http = httpx.Client(base_url=self.url, timeout=180, trust_env=False)

    async def _serve(self):
        self.log = spool.Spool(self.home, limits=spool.Limits(max_age_s=3600))
        answering = engine.Engine(self.log)
        keeper = entities.Override((router.token_digest(SECRET),))
        ruled = document("ruled", 1, 2, changed=2, said=["sex = m -> v2"], override=keeper)
        answering.install(document("credit", 1, changed=1), {1: loaded(0.1)})
        answering.install(ruled, {1: loaded(0.1), 2: loaded(0.2)})
        standing = app.Standing()
        standing.is_ready = True
        listener = listening.Listener(app.Predictions(answering, standing))
        with socket.create_server(("127.0.0.1", 0)) as bound:
            bound.setblocking(False)
            self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            await listener.listen(bound)
            self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
            self.begun.set()
            await self.ended.wait()
            await listener.close(drain_s=1)
        await answering.close()
        self.log.close()

    def stop(self):
        self.http.close()
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join()


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    made = Door(tmp_path_factory.mktemp("protocols"))
    yield made
    made.stop()


def tensors(*given, **more):
    given = given or (ROW,)
    names = list(given[0])
    inputs = [
        {
            "name": name,
            "shape": [len(given)],
            "datatype": TYPES.get(name, "BYTES"),
            "data": [row[name] for row in given],
        }
        for name in names
    ]
    return {"inputs": inputs, **more}


def infer(door, body, name="credit", **headers):
    return door.http.post(f"/v2/models/{name}/infer", json=body, headers=headers)


def outputs(answer):
    assert answer.status_code == 200, answer.text
    return {one["name"]: one for one in answer.json()["outputs"]}


def packed(*parts):
    """A request whose tensors follow their JSON as bytes."""
    inputs, data = [], b""
    for name, datatype, values, raw in parts:
        told = {"binary_data_size": len(raw)}
        shape = list(values) if isinstance(values, tuple) else [values]
        inputs.append({"name": name, "shape": shape, "datatype": datatype, "parameters": told})
        data += raw
    return {"inputs": inputs}, data


def texts(*values):
    return b"".join(struct.pack("<I", len(one)) + one for one in values)


def post_packed(door, told, data, name="credit"):
    said = json.dumps(told).encode()
    headers = {
        "inference-header-content-length": str(len(said)),
        "content-type": "application/octet-stream",
    }
    return door.http.post(f"/v2/models/{name}/infer", content=said + data, headers=headers)


PARTS = (
    ("income", "FP32", 2, struct.pack("<2f", 1.5, 2.5)),
    ("region", "BYTES", 2, texts(b"north", "süd".encode())),
    ("late", "INT16", 2, struct.pack("<2h", 2, 3)),
    ("owns", "BOOL", 2, b"\x01\x00"),
)


def test_the_server_tells_what_it_is_and_speaks(door):
    told = door.http.get("/v2").json()
    assert (told["name"], told["extensions"]) == ("homeostat", ["binary_tensor_data"])
    for path in ("/v2/health/live", "/v2/health/ready", "/ping", "/health", "/version"):
        assert door.http.get(path).status_code == 200
    listed = door.http.post("/v2/repository/index", json={"ready": True}).json()
    assert [(one["name"], one["version"]) for one in listed] == [
        ("credit", "1"),
        ("ruled", "1"),
        ("ruled", "2"),
    ]


def test_a_model_and_each_version_tell_what_they_take(door):
    told = door.http.get("/v2/models/ruled").json()
    assert told["versions"] == ["1", "2"]
    assert {one["name"]: one["datatype"] for one in told["inputs"]} == TYPES
    one = door.http.get("/v2/models/ruled/versions/2").json()
    assert one["versions"] == ["2"]
    assert door.http.get("/v2/models/ruled/versions/2/ready").json()["ready"]
    assert door.http.get("/v2/models/ruled/versions/3").status_code == 404
    assert door.http.get("/v2/models/ruled/versions/3/ready").status_code == 404


def test_bytes_and_json_are_answered_alike(door):
    as_bytes = outputs(post_packed(door, *packed(*PARTS)))
    given = [
        {"income": 1.5, "region": "north", "late": 2, "owns": True},
        {"income": 2.5, "region": "süd", "late": 3, "owns": False},
    ]
    assert as_bytes["score"] == outputs(infer(door, tensors(*given)))["score"]
    assert as_bytes["score"]["data"] == pytest.approx([0.17, 0.28])


@pytest.mark.parametrize(
    "name", ["INT8", "INT32", "INT64", "UINT8", "UINT16", "UINT64", "FP16"]
)
def test_every_type_of_number_is_read(door, name):
    code = {"INT8": "b", "INT32": "i", "INT64": "q", "FP16": "e"}.get(name)
    code = code or {"UINT8": "B", "UINT16": "H", "UINT64": "Q"}[name]
    parts = list(PARTS)
    parts[2] = ("late", name, 2, struct.pack(f"<2{code}", 2, 3))
    assert outputs(post_packed(door, *packed(*parts)))["score"]["data"] == pytest.approx(
        [0.17, 0.28]
    )


def test_outputs_come_as_asked_for(door):
    told, data = packed(*PARTS)
    told["outputs"] = [
        {"name": "answer", "parameters": {"binary_data": True}},
        {"name": "version"},
        {"name": "score", "parameters": {"binary_data": True}},
    ]
    answer = post_packed(door, told, data)
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    said, rest = json.loads(answer.content[:length]), answer.content[length:]
    assert [one["name"] for one in said["outputs"]] == ["answer", "version", "score"]
    assert said["outputs"][1]["data"] == ["1", "1"]
    assert said["outputs"][0]["parameters"] == {"binary_data_size": 10}
    assert rest[:10] == texts(b"0", b"0")
    assert struct.unpack("<2d", rest[10:]) == pytest.approx([0.17, 0.28])


def test_one_output_alone_or_all_as_bytes(door):
    alone = infer(door, tensors(outputs=[{"name": "score"}]))
    assert list(outputs(alone)) == ["score"]
    whole = infer(door, tensors(parameters={"binary_data_output": True}))
    assert whole.headers["content-type"] == "application/octet-stream"


def test_a_matrix_stands_for_all_features(door):
    one = {"name": "x", "shape": [2, 4], "datatype": "BYTES"}
    one["data"] = [[1.5, "north", 2, True], [2.5, "süd", 3, False]]
    flat = {**one, "data": [value for row in one["data"] for value in row]}
    for tensor in (one, flat):
        found = outputs(infer(door, {"inputs": [tensor]}))
        assert found["score"]["data"] == pytest.approx([0.17, 0.28])


def test_a_gap_as_nan_is_missing_where_gaps_may_be(door):
    parts = list(PARTS)
    parts[0] = ("income", "FP64", 2, struct.pack("<2d", float("nan"), 2.5))
    found = outputs(post_packed(door, *packed(*parts)))
    assert found["score"]["data"] == pytest.approx([0.02, 0.28])


def test_categories_never_seen_are_told_with_the_answer(door):
    answer = infer(door, tensors({**ROW, "region": "moon"}))
    assert answer.json()["parameters"]["unseen"] == {"region": ["moon"]}
    assert "unseen" not in infer(door, tensors()).json()["parameters"]
    by_mlflow = door.http.post(
        "/models/credit/invocations", json={"dataframe_records": [{**ROW, "region": "moon"}]}
    )
    assert by_mlflow.json()["unseen"] == {"region": ["moon"]}
    assert 'unseen_total{deployment="credit",column="region"}' in door.http.get("/metrics").text


def test_a_rule_sends_a_segment_to_its_version(door):
    given = [{**ROW, "sex": "m"}, {**ROW, "sex": "f"}]
    found = outputs(infer(door, tensors(*given), name="ruled"))
    assert found["version"]["data"] == ["2", "1"]
    assert found["score"]["data"] == pytest.approx([0.32, 0.17])


def test_who_may_names_the_version_by_path_or_header(door):
    token = {"authorization": f"Bearer {SECRET}"}
    by_path = door.http.post("/v2/models/ruled/versions/2/infer", json=tensors(), headers=token)
    assert by_path.json()["model_version"] == "2"
    by_header = infer(door, tensors(), name="ruled", **{"x-homeostat-version": "2", **token})
    assert by_header.json()["model_version"] == "2"
    by_mlflow = door.http.post(
        "/models/ruled/invocations",
        json={"dataframe_records": [ROW]},
        headers={"x-homeostat-version": "2", **token},
    )
    assert by_mlflow.json()["versions"] == ["2"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v2/models/ruled/versions/2/infer", {}, 403),
        ("/v2/models/ruled/versions/2/infer", {"authorization": "Bearer guess"}, 403),
        ("/v2/models/ruled/infer", {"x-homeostat-version": "2"}, 403),
        ("/v2/models/ruled/versions/9/infer", {"authorization": f"Bearer {SECRET}"}, 404),
        ("/v2/models/credit/versions/1/infer", {}, 200),
        ("/v2/models/credit/versions/2/infer", {}, 404),
    ],
)
def test_nobody_else_names_a_version(door, path, headers, status):
    answer = door.http.post(path, json=tensors(), headers=headers)
    assert answer.status_code == status


CSV = "income,region,late,owns,customer\n1.5,north,2,true,ada\n,south,3,0,\n"


def test_inputs_of_one_value_each_are_one_row(door):
    answer = door.http.post("/models/credit/invocations", json={"inputs": ROW})
    assert answer.json()["scores"] == outputs(infer(door, tensors()))["score"]["data"]
    mixed = {"inputs": {**ROW, "income": [1.5]}}
    answer = door.http.post("/models/credit/invocations", json=mixed)
    assert answer.status_code == 422
    assert "inputs.region: expected a list as 'income' has" in answer.json()["detail"]


def test_mlflow_takes_csv(door):
    headers = {"content-type": "text/csv; charset=utf-8"}
    answer = door.http.post("/models/credit/invocations", content=CSV, headers=headers)
    assert answer.json()["scores"] == pytest.approx([0.17, 0.03])
    assert answer.json()["keys"][0] == "ada"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "the first line"),
        ("income,income\n1,2\n", "the first line"),
        ("income,region,late,owns\n1,north\n", "rows[0]: 2 fields for 4 columns"),
        ("income,region,late,owns\nx,north,2,true\n", "rows[0].income: expected a number"),
        ("income,region,late,owns\n1_0,north,2,true\n", "rows[0].income: expected a number"),
        ("income,region,late,owns\n1,north,2.5,true\n", "rows[0].late: expected a whole"),
        ("income,region,late,owns\n1,,2,true\n", "rows[0].region: expected a text, got null"),
        ("income,region,late,owns\n", "at least one row"),
        ('income,region,late,owns\n1,"north', "is no CSV"),
        (b"\xff\xfe\x00", "is no UTF-8"),
    ],
)
def test_bad_csv_is_refused_with_its_place(door, body, why):
    headers = {"content-type": "text/csv"}
    answer = door.http.post("/models/credit/invocations", content=body, headers=headers)
    assert answer.status_code == 422
    assert why in answer.json()["detail"]


def test_labels_come_one_by_one_many_at_once_and_as_csv(door):
    def bring(content, media="application/json"):
        return door.http.post(
            "/v2/models/credit/labels", content=content, headers={"content-type": media}
        )

    assert bring(b'{"key": "a", "label": 1}').json() == {"accepted": 1}
    assert bring(b'{"key": "a", "label": "0", "event_at": 5}').json() == {"accepted": 1}
    late = "key,label,event_at\na,1,2026-01-31T12:00:00Z\nb,0,\nc,1.0,17\n"
    assert bring(late, "text/csv").json() == {"accepted": 3}
    many = msgspec.json.encode({"labels": [{"key": n, "label": n % 2} for n in range(100_000)]})
    assert bring(many).json() == {"accepted": 100_000}
    too_many = msgspec.json.encode({"labels": [{"key": 1, "label": 1}] * 100_001})
    assert bring(too_many).status_code == 413
    assert bring("key,label\na,maybe\n", "text/csv").status_code == 422
    assert bring("key,mark\na,1\n", "text/csv").status_code == 422
    assert bring("key,label,event_at\na,1,soon\n", "text/csv").status_code == 422
    held = [segments.decode(one.path.read_bytes()) for one in door.log.closed()]
    table = [row for one in held for row in one.labels.iter_rows(named=True)]
    mine = [(row["key"], row["label"], row["event_at"]) for row in table if row["key"] == "a"]
    assert mine == [("a", "1", None), ("a", "0", 5), ("a", "1", 1769860800000)]


NARROW = {"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, 3]}


def tensor(**change):
    one = {"name": "income", "shape": [1], "datatype": "FP64", "data": [1.5], **change}
    body = tensors()
    body["inputs"][0] = {name: value for name, value in one.items() if value is not ...}
    return body


def typed(name, datatype, value):
    body = tensors()
    at = list(ROW).index(name)
    body["inputs"][at] |= {"datatype": datatype, "data": [value]}
    return body


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"inputs": []}, 422, "at least one tensor"),
        ({}, 422, "missing required field"),
        (tensor(data=[]), 422, "0 values for shape [1]"),
        (tensor(shape=[0], data=[]), 422, "'region' has 1 rows"),
        (tensor(shape=[-1]), 422, "is no shape"),
        (tensor(shape=[2**63]), 413, "up to 10000 rows"),
        (tensor(shape=[2**62, 2**62]), 413, "up to 10000 rows"),
        (tensor(shape=[1, 2**50]), 413, "up to 10000 rows"),
        (tensor(shape=[]), 422, "is no column"),
        (tensor(shape=[1] * 9), 422, "is no shape"),
        (tensor(shape=["1"]), 422, "inputs[0].shape[0]"),
        (tensor(shape=[1, 2], data=[1, 2]), 422, "is no column"),
        (tensor(data=[[1.5], 2]), 422, "not nested evenly"),
        (tensor(data=[[[[[[[[[[1.5]]]]]]]]]]), 422, "not nested evenly"),
        (tensor(datatype="FP8"), 422, "inputs[0].datatype: 'FP8'"),
        (tensor(data=["x"]), 422, "inputs[0].data[0]: FP64 holds a number, got 'x'"),
        (tensor(data=[True]), 422, "inputs[0].data[0]: FP64 holds a number, got True"),
        (tensor(datatype="INT64"), 422, "inputs[0].data[0]: INT64 holds a whole number"),
        (tensor(datatype="INT64", data=[2**63]), 422, "to 9223372036854775807"),
        (tensor(datatype="INT8", data=[128]), 422, "from -128 to 127, got 128"),
        (tensor(datatype="UINT8", data=[-1]), 422, "from 0 to 255, got -1"),
        (tensor(datatype="BOOL"), 422, "inputs[0].data[0]: BOOL holds true or false"),
        (tensor(datatype="BOOL", data=[True]), 422, "rows[0].income: expected a number"),
        (tensor(datatype="BYTES"), 422, "inputs[0].data[0]: BYTES holds a text, got 1.5"),
        (tensor(datatype="BYTES", data=["1.5"]), 422, "rows[0].income: expected a number"),
        (tensor(datatype="INT64", data=[2]), 200, ""),
        (tensor(datatype="INT8", data=[2.0]), 200, ""),
        (tensor(datatype="INT16", data=[None]), 200, ""),
        (tensor(datatype="FP16", data=[2]), 200, ""),
        (typed("region", "FP64", "north"), 422, "inputs[1].data[0]: FP64 holds a number"),
        (typed("region", "FP64", 1), 422, "rows[0].region: expected a text"),
        (typed("late", "FP64", 2.0), 200, ""),
        (typed("late", "FP64", 2.5), 422, "rows[0].late: expected a whole number"),
        (typed("late", "UINT8", 300), 422, "inputs[2].data[0]: UINT8 holds"),
        (typed("owns", "INT64", 1), 422, "rows[0].owns: expected true or false"),
        (tensor(data=[None]), 200, ""),
        (tensor(data=[{"a": 1}]), 422, "inputs[0].data[0]: FP64 holds a number"),
        (tensor(data=...), 422, "inputs[0].data: is missing"),
        (tensor(name="region"), 422, "comes twice"),
        (tensor(name="colour"), 422, "rows[0].colour: unknown column"),
        (tensor(parameters={"binary_data_size": 8}), 422, "of the 0 bytes that are left"),
        (tensor(parameters={"binary_data_size": "8"}), 422, "of the 0 bytes that are left"),
        (tensor(parameters={"binary_data_size": -1}), 422, "of the 0 bytes that are left"),
        (tensors(outputs=[{"name": "odds"}]), 422, "outputs[0].name: 'odds'"),
        (tensors(outputs=[{"name": "score"}] * 2), 422, "outputs[1].name"),
        (tensors(parameters={"keys": ["a", "b"]}), 422, "2 keys for 1 rows"),
        (tensors(parameters={"keys": [1.5]}), 422, "keys[0]"),
        (tensors(parameters={"keys": [""]}), 422, "1 to 1000 characters"),
        (tensors(parameters={"binary_data_output": 1}), 422, "expected true or false"),
        (tensors(id=7), 422, "id: expected str"),
        ({"inputs": [NARROW]}, 422, "has 3 columns"),
    ],
)
def test_tensors_that_cannot_be_right_are_refused(door, body, status, why):
    answer = infer(door, body)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert why in answer.json()["detail"]
        assert answer.json()["error"] == answer.json()["detail"]


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (("income", "FP64", 2, b"12345678"), "8 bytes for 2 values of 8 bytes"),
        (("income", "FP64", 3, bytes(24)), "has 2 rows"),
        (("region", "BYTES", 2, texts(b"north", b"\xff")), "text 1 is no UTF-8"),
        (("region", "BYTES", 2, texts(b"north")), "1 values for shape [2]"),
        (("region", "BYTES", 2, texts(b"a", b"b", b"c")), "are no 2 texts"),
        (("region", "BYTES", 2, struct.pack("<I", 2**32 - 1)), "are no 2 texts"),
        (("region", "BYTES", 2, b"\x01\x00"), "are no 2 texts"),
        (("owns", "BOOL", 2, b"\x01\x02"), "a BOOL is a byte of 0 or 1"),
        (("late", "INT64", 2, struct.pack("<2Q", 2**64 - 1, 1)), ""),
        (("late", "UINT64", 2, struct.pack("<2Q", 2**64 - 1, 1)), "rows[0].late"),
        (("late", "FP64", 2, struct.pack("<2d", float("nan"), 1)), "rows[0].late"),
        (("income", "FP64", 2, struct.pack("<2d", float("inf"), 1)), "finite number, got inf"),
        (("income", "FP64", (2, -1), bytes(16)), "is no shape"),
    ],
)
def test_bytes_that_are_no_tensor_are_refused(door, part, why):
    parts = [part if one[0] == part[0] else one for one in PARTS]
    answer = post_packed(door, *packed(*parts))
    assert answer.status_code == (422 if why else 200), answer.text
    assert why in answer.text


@pytest.mark.parametrize("length", ["0", "-1", "x", "9" * 30, "100000", "1"])
def test_a_wrong_length_of_the_json_is_refused(door, length):
    headers = {"inference-header-content-length": length}
    answer = door.http.post("/v2/models/credit/infer", json=tensors(), headers=headers)
    assert answer.status_code == 422


DEEP = b'{"inputs": [{"name": "income", "shape": [1], "datatype": "FP64", "data": %b}]}'


@pytest.mark.parametrize("path", ["/v2/models/credit/infer", "/models/credit/invocations"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{",
        b'"text"',
        b"\xff",
        b'{"inputs": "\xff"}',
        b"[" * 100_000,
        DEEP % (b"[" * 100_000 + b"]" * 100_000),
        b'{"instances": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
        b'{"inputs": [], "inputs": [1]}',
        DEEP % b"[1e999]",
        DEEP % (b"[" + b"9" * 5000 + b"]"),
        b'{"dataframe_records": [[1]]}',
        b'{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}',
        b'{"instances": [[1], {"a": 1}]}',
        b'{"instances": [], "inputs": []}',
        b'{"inputs": {"a": [1], "b": []}}',
    ],
)
def test_what_is_no_request_is_told_so(door, path, body):
    answer = door.http.post(path, content=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "media", "status"),
    [
        ("/v2/models/credit/infer", "text/plain", 415),
        ("/v2/models/credit/infer", "application/x-www-form-urlencoded", 415),
        ("/v2/models/credit/infer", "application/vnd.kserve+json", 200),
        ("/v2/models/credit/labels", "application/xml", 415),
        ("/models/credit/invocations", "application/octet-stream", 415),
    ],
)
def test_a_body_of_another_type_is_415(door, path, media, status):
    answer = door.http.post(path, json=tensors(), headers={"content-type": media})
    assert answer.status_code == status


def test_as_many_rows_as_allowed_are_scored(door):
    answer = door.http.post(
        "/models/credit/invocations", json={"dataframe_records": [ROW] * 10_000}
    )
    assert answer.json()["scores"] == pytest.approx([0.17] * 10_000)


def test_a_million_rows_are_too_many(door):
    whole = DEEP % (b"[" + b",".join([b"1.5"] * 1_000_000) + b"]")
    whole = whole.replace(b'"shape": [1]', b'"shape": [1000000]')
    answer = door.http.post("/v2/models/credit/infer", content=whole)
    assert answer.status_code == 413
    many = b'{"dataframe_records": [%b]}' % b",".join([b'{"income": 1.5}'] * 1_000_000)
    answer = door.http.post("/models/credit/invocations", content=many)
    assert answer.status_code == 413
    assert "the body holds 1000001 objects" in answer.json()["detail"]
    lines = "income,region,late,owns\n" + "1,north,2,true\n" * 1_000_000
    headers = {"content-type": "text/csv"}
    answer = door.http.post("/models/credit/invocations", content=lines, headers=headers)
    assert answer.status_code == 413
    assert "up to 10000 rows" in answer.json()["detail"]


def test_another_method_is_told_the_right_one(door):
    for route in routes.ROUTES:
        path = route.path.replace("{name}", "credit").replace("{version}", "1")
        answer = door.http.delete(path)
        assert answer.status_code == 405, path
        allowed = "GET, HEAD" if route.method == "GET" else "POST"
        assert answer.headers["allow"] == allowed
    assert door.http.get("/v2/models/credit/nothing").status_code == 404
    assert door.http.head("/v2/models/credit").status_code == 200


described = schemathesis.openapi.from_dict(json.loads(openapi.document("1")))


# What explains is a process of its own, which this door has none of.
@described.exclude(path_regex="/explain$").parametrize()
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_described(case, door):
    if "name" in (case.path_parameters or {}) and len(case.path_parameters["name"]) % 2:
        case.path_parameters["name"] = "credit"
    case.call_and_validate(
        base_url=door.url,
        checks=[
            schemathesis.checks.not_a_server_error,
            schemathesis.checks.response_schema_conformance,
            schemathesis.checks.content_type_conformance,
        ],
    )


def test_the_description_is_served(door):
    told = door.http.get("/openapi.json").json()
    assert set(told["paths"]) == {route.path for route in routes.ROUTES}
