"""Traces as MLflow's clients see them, on both databases."""

from __future__ import annotations

import base64
import gzip
import struct
import zlib

import pytest

TRACE = "tr-" + "ab" * 16
ROOT = "/api/3.0/mlflow/traces"


def varint(value):
    found = b""
    while value >= 0x80:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def field(number, value):
    """A field of a message in protobuf's encoding: text, bytes, message or whole number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def fixed(number, value):
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def attribute(key, value):
    return field(9, field(1, key) + field(2, value))


def span(name, *, span_id, parent_id=b"", trace_id=b"\xab" * 16, start=1, end=2, status=1):
    """A span as OpenTelemetry's exporters write it; times in ms."""
    return (
        field(1, trace_id)
        + field(2, span_id)
        + (field(4, parent_id) if parent_id else b"")
        + field(5, name)
        + field(6, 1)
        + fixed(7, start * 1_000_000)
        + fixed(8, end * 1_000_000)
        + attribute("text", field(1, "é"))
        + attribute("yes", field(2, 1))
        + attribute("whole", field(3, -7))
        + attribute("double", varint(4 << 3 | 1) + struct.pack("<d", 0.5))
        + attribute("list", field(5, field(1, field(3, 1)) + field(1, field(1, "x"))))
        + attribute("map", field(6, field(1, field(1, "k") + field(2, field(3, 2)))))
        + attribute("empty", field(6, b""))
        + field(11, fixed(1, 5) + field(2, "exception"))
        + field(15, field(2, "so") + field(3, status))
    )


def request(*spans):
    return field(1, field(1, b"") + field(2, b"".join(field(2, one) for one in spans)))


@pytest.fixture
def export(door, experiment_id):
    def exporting(*spans, raw=None, **headers):
        given = {
            "content-type": "application/x-protobuf",
            "x-mlflow-experiment-id": experiment_id,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        body = request(*spans) if raw is None else raw
        return door.call("POST", "/v1/traces", raw=body, headers=given)

    return exporting


@pytest.fixture
def start(door, experiment_id):
    def starting(trace_id=TRACE, **fields):
        place = {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment_id},
        }
        told = {
            "trace_id": trace_id,
            "trace_location": place,
            "request_time": "2026-01-31T12:00:00.123Z",
            "execution_duration": "0.034s",
            "state": "OK",
            **fields,
        }
        answer = door.ok("POST", ROOT, body={"trace": {"trace_info": told}})
        return answer["trace"]["trace_info"]

    return starting


@pytest.fixture
def found(door, experiment_id):
    def asking(condition="", **fields):
        place = {"mlflow_experiment": {"experiment_id": experiment_id}}
        asked = {"locations": [place], "filter": condition, **fields}
        answer = door.ok("POST", f"{ROOT}/search", body=asked)
        return [trace["trace_id"] for trace in answer.get("traces", [])]

    return asking


def test_what_a_call_was_about_comes_back_as_stock_mlflow_shows_it(
    door, start, experiment_id, run_id
):
    given = {
        "client_request_id": "c",
        "request_preview": '{"x": 1}',
        "response_preview": "3",
        "trace_metadata": {"mlflow.sourceRun": run_id},
        "tags": {"mlflow.traceName": "add"},
    }
    shown = start(**given)
    assert shown == {
        **given,
        "trace_id": TRACE,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment_id},
        },
        "request_time": "2026-01-31T12:00:00.123Z",
        "execution_duration": "0.034s",
        "state": "OK",
        "trace_metadata": {
            "mlflow.sourceRun": run_id,
            "mlflow.trace.infoFinalized": "true",
        },
        "tags": {
            "mlflow.traceName": "add",
            "mlflow.artifactLocation": (
                f"mlflow-artifacts:/{experiment_id}/traces/{TRACE}/artifacts"
            ),
        },
    }
    assert door.ok("GET", f"{ROOT}/{TRACE}") == {"trace": {"trace_info": shown}}
    assert door.ok("GET", f"{ROOT}/get", trace_id=TRACE) == {"trace": {"trace_info": shown}}


def test_steps_come_back_as_they_were_sent(door, start, export):
    start()
    inner = span("inner", span_id=b"\x02" * 8, parent_id=b"\x01" * 8, start=3, end=4)
    status, headers, content = export(inner, span("outer", span_id=b"\x01" * 8, start=2, end=9))
    assert (status, content) == (200, b"")
    assert headers["content-type"] == "application/x-protobuf"
    trace = door.ok("GET", f"{ROOT}/get", trace_id=TRACE, allow_partial="False")["trace"]
    outer = {
        "trace_id": base64.b64encode(b"\xab" * 16).decode(),
        "span_id": base64.b64encode(b"\x01" * 8).decode(),
        "name": "outer",
        "start_time_unix_nano": 2_000_000,
        "end_time_unix_nano": 9_000_000,
        "attributes": [
            {"key": "text", "value": {"string_value": "é"}},
            {"key": "yes", "value": {"bool_value": True}},
            {"key": "whole", "value": {"int_value": -7}},
            {"key": "double", "value": {"double_value": 0.5}},
            {
                "key": "list",
                "value": {"array_value": {"values": [{"int_value": 1}, {"string_value": "x"}]}},
            },
            {
                "key": "map",
                "value": {
                    "kvlist_value": {"values": [{"key": "k", "value": {"int_value": 2}}]}
                },
            },
            {"key": "empty", "value": {"kvlist_value": {}}},
        ],
        "events": [{"time_unix_nano": 5, "name": "exception"}],
        "status": {"message": "so", "code": "STATUS_CODE_OK"},
    }
    assert trace["spans"][0] == outer
    assert trace["spans"][1]["parent_span_id"] == outer["span_id"]
    tags = trace["trace_info"]["tags"]
    assert tags["mlflow.trace.spansLocation"] == "TRACKING_STORE"
    assert trace["trace_info"]["execution_duration"] == "0.034s"
    many = door.ok("GET", f"{ROOT}/batchGet", trace_ids=[TRACE, "tr-none"])
    assert many == {"traces": [trace]}
    infos = door.ok("POST", f"{ROOT}/batchGetInfos", body={"trace_ids": [TRACE]})
    assert infos == {"trace_infos": [trace["trace_info"]]}


def test_steps_may_come_before_anyone_tells_what_they_are_of(door, export, start):
    export(span("inner", span_id=b"\x02" * 8, parent_id=b"\x01" * 8, start=3, end=4))
    info = door.ok("GET", f"{ROOT}/{TRACE}")["trace"]["trace_info"]
    assert info["state"] == "IN_PROGRESS"
    export(span("outer", span_id=b"\x01" * 8, start=2, end=9, status=2))
    info = door.ok("GET", f"{ROOT}/{TRACE}")["trace"]["trace_info"]
    assert info["request_time"] == "1970-01-01T00:00:00.002Z"
    assert (info["execution_duration"], info["state"]) == ("0.007s", "ERROR")
    assert info["tags"]["mlflow.traceName"] == "outer"
    told = start(tags={"mlflow.traceName": "told", "a": "b"})
    assert told["tags"]["mlflow.traceName"] == "told"
    assert told["tags"]["mlflow.trace.spansLocation"] == "TRACKING_STORE"
    assert told["request_time"] == "2026-01-31T12:00:00.123Z"
    export(span("outer", span_id=b"\x01" * 8, start=1, end=99))
    again = door.ok("GET", f"{ROOT}/get", trace_id=TRACE)["trace"]
    assert again["trace_info"] == told
    assert len(again["spans"]) == 2


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_packed_body_is_read(door, export, encoding):
    raw = request(span("outer", span_id=b"\x01" * 8))
    packed = gzip.compress(raw) if encoding == "gzip" else zlib.compress(raw)
    assert export(raw=packed, content_encoding=encoding)[0] == 200
    assert len(door.ok("GET", f"{ROOT}/get", trace_id=TRACE)["trace"]["spans"]) == 1


BOMB = gzip.compress(b"\0" * (17 * 1024 * 1024))


@pytest.mark.parametrize(
    ("raw", "headers", "status"),
    [
        (b"", {}, 400),
        (b"\xff", {}, 400),
        (field(1, field(2, field(2, b"\x0a\x7f"))), {}, 400),
        (request(span("x", span_id=b"")), {}, 400),
        (request(span("x", span_id=b"\1" * 9)), {}, 400),
        (request(span("x", span_id=b"\1" * 8, trace_id=b"")), {}, 400),
        (request(span("x", span_id=b"\1" * 8)), {"content_type": "application/json"}, 400),
        (request(span("x", span_id=b"\1" * 8)), {"content_encoding": "br"}, 400),
        (request(span("x", span_id=b"\1" * 8)), {"content_encoding": "gzip"}, 400),
        (request(span("x", span_id=b"\1" * 8)), {"x_mlflow_experiment_id": ""}, 400),
        (request(span("x", span_id=b"\1" * 8)), {"x_mlflow_experiment_id": "77"}, 404),
        (BOMB, {"content_encoding": "gzip"}, 413),
        (b"\0" * (16 * 1024 * 1024 + 1), {}, 413),
    ],
    ids=range(13),
)
def test_steps_that_cannot_be_right_are_refused(export, raw, headers, status):
    assert export(raw=raw, **headers)[0] == status


def test_values_nested_without_end_are_refused(export):
    value = field(1, "x")
    for _ in range(300):
        value = field(5, field(1, value))
    bad = span("x", span_id=b"\1" * 8) + attribute("deep", value)
    assert export(bad)[0] == 400


def test_tags_of_a_trace_change_and_go(door, start):
    start(tags={"a": "1"})
    for version in ("2.0", "3.0"):
        path = f"/api/{version}/mlflow/traces/{TRACE}/tags"
        assert door.ok("PATCH", path, body={"key": "b", "value": "2" * 9000}) == {}
        tags = door.ok("GET", f"{ROOT}/{TRACE}")["trace"]["trace_info"]["tags"]
        assert (tags["a"], tags["b"]) == ("1", "2" * 8000)
        assert door.ok("DELETE", path, body={"key": "b"}) == {}
        refused = door.refused("DELETE", path, body={"key": "b"})
        assert refused[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
        body = {"key": "mlflow.artifactLocation", "value": "s3://elsewhere"}
        assert door.refused("PATCH", path, body=body)[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_an_absent_trace_is_told_as_such(door):
    for method, path, body in (
        ("GET", f"{ROOT}/tr-none", None),
        ("PATCH", f"{ROOT}/tr-none/tags", {"key": "a", "value": "b"}),
        ("DELETE", f"{ROOT}/tr-none/tags", {"key": "a"}),
        ("GET", "/api/2.0/mlflow/traces/tr-none/info", None),
        ("PATCH", "/api/2.0/mlflow/traces/tr-none", {"timestamp_ms": 1, "status": "OK"}),
    ):
        status, code, message = door.refused(method, path, body=body)
        assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert message == "Trace with ID 'tr-none' not found."


@pytest.mark.parametrize(
    "fields",
    [
        {"trace_id": "../x"},
        {"trace_id": ""},
        {"state": "FINE"},
        {"request_time": "yesterday"},
        {"execution_duration": "long"},
        {"trace_location": {}},
    ],
    ids=str,
)
def test_a_trace_that_cannot_be_right_is_refused(door, experiment_id, fields):
    place = {"mlflow_experiment": {"experiment_id": experiment_id}}
    told = {"trace_id": TRACE, "trace_location": place, **fields}
    body = {"trace": {"trace_info": told}}
    assert door.refused("POST", ROOT, body=body)[:2] == (400, "INVALID_PARAMETER_VALUE")


@pytest.fixture
def calls(start, run_id):
    """Three traces; the last one failed, and belongs to a run."""
    for n, state in enumerate(("OK", "OK", "ERROR")):
        start(
            f"tr-{n}",
            state=state,
            request_time=f"2026-01-31T12:00:0{n}Z",
            execution_duration="" if n == 1 else f"{3 - n}.5s",
            trace_metadata={"mlflow.sourceRun": run_id} if n == 2 else {"m": str(n)},
            tags={"mlflow.traceName": f"call {n % 2}", "kind": "ab"[n // 2]},
        )


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", [2, 1, 0]),
        ("trace.status = 'ERROR'", [2]),
        ("status != 'ERROR'", [1, 0]),
        ("attributes.name = 'call 0'", [2, 0]),
        ("trace.name LIKE 'call%' AND tags.kind = 'a'", [1, 0]),
        ("tags.`mlflow.traceName` = 'call 1'", [1]),
        ("tag.kind != 'a'", [2]),
        ("tags.nope IS NULL", [2, 1, 0]),
        ("metadata.m IS NOT NULL", [1, 0]),
        ("request_metadata.m = '1'", [1]),
        ("execution_time_ms >= 3500", [0]),
        ("timestamp_ms < 1769860802000", [1, 0]),
        ("end_time > 0", [2, 0]),
        ("request_id IN ('tr-0', 'tr-9')", [0]),
        ("trace_id NOT IN ('tr-0')", [2, 1]),
    ],
)
def test_traces_are_found_by_what_is_known_of_them(found, condition, expected):
    assert found(condition) == [f"tr-{n}" for n in expected]


ORDERS = [
    (["timestamp_ms ASC"], [0, 1, 2]),
    (["execution_time_ms DESC"], [0, 2, 1]),
    (["execution_time"], [2, 0, 1]),
    (["name", "timestamp_ms"], [0, 2, 1]),
    (["status"], [2, 1, 0]),
]


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_traces_are_ordered_what_lacks_a_value_last(door, found, experiment_id, order):
    expected = [f"tr-{n}" for n in order[1]]
    assert found(order_by=order[0]) == expected
    seen, token = [], ""
    place = {"mlflow_experiment": {"experiment_id": experiment_id}}
    asked = {"locations": [place], "order_by": order[0], "max_results": 1}
    for _ in expected:
        page = door.ok("POST", f"{ROOT}/search", body={**asked, "page_token": token})
        seen += [trace["trace_id"] for trace in page["traces"]]
        token = page.get("next_page_token", "")
    assert (seen, token) == (expected, "")


@pytest.mark.usefixtures("calls")
def test_a_run_has_the_traces_made_in_it_and_those_linked_to_it(door, found, run_id):
    asked = f"attribute.run_id = '{run_id}'"
    assert found(asked) == ["tr-2"]
    body = {"run_id": run_id, "trace_ids": ["tr-0", "tr-9"]}
    for _ in range(2):
        assert door.post("traces/link-to-run", body) == {}
    assert found(asked) == ["tr-2", "tr-0"]
    body = {"run_id": "0" * 32, "trace_ids": ["tr-0"]}
    assert door.refused("POST", "traces/link-to-run", body=body)[0] == 404
    body = {"run_id": run_id, "trace_ids": [f"tr-{n}" for n in range(101)]}
    assert door.refused("POST", "traces/link-to-run", body=body)[0] == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"filter": "nope = 'x'"},
        {"filter": "span.name = 'x'"},
        {"filter": "metrics.x > 1"},
        {"order_by": ["nope"]},
        {"max_results": 501},
        {"max_results": 0},
        {"page_token": "garbage"},
        {"locations": []},
    ],
    ids=str,
)
def test_a_search_that_cannot_be_right_is_refused(door, fields):
    asked = {"locations": [{"mlflow_experiment": {"experiment_id": "0"}}], **fields}
    refused = door.refused("POST", f"{ROOT}/search", body=asked)
    assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.usefixtures("calls")
def test_traces_are_deleted_by_id_or_by_age(door, found, export, experiment_id):
    export(span("x", span_id=b"\1" * 8))
    about = {"experiment_id": experiment_id}
    body = {**about, "request_ids": ["tr-0", "tr-9", TRACE]}
    assert door.post("traces/delete-traces", body) == {"traces_deleted": 2}
    assert found() == ["tr-2", "tr-1"]
    assert "spans" not in door.ok("GET", f"{ROOT}/batchGet", trace_ids=[TRACE])
    body = {**about, "max_timestamp_millis": 1769860803000, "max_traces": 1}
    assert door.ok("POST", f"{ROOT}/delete-traces", body=body) == {"traces_deleted": 1}
    assert found() == ["tr-2"]
    for wrong in ({}, {"max_timestamp_millis": 1, "request_ids": ["x"]}):
        refused = door.refused("POST", "traces/delete-traces", body={**about, **wrong})
        assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")
    body = {"experiment_id": "0", "request_ids": ["tr-2"]}
    assert door.post("traces/delete-traces", body) == {"traces_deleted": 0}


def test_clients_of_mlflow_2_begin_and_end_a_trace(door, experiment_id):
    begun = door.post(
        "traces",
        {
            "experiment_id": experiment_id,
            "timestamp_ms": 1000,
            "request_metadata": [{"key": "m", "value": "1"}],
            "tags": [{"key": "t", "value": "v"}],
        },
    )["trace_info"]
    assert begun["status"] == "IN_PROGRESS"
    assert "execution_time_ms" not in begun
    ended = door.patch(
        f"traces/{begun['request_id']}",
        {"timestamp_ms": 1250, "status": "OK", "tags": [{"key": "u", "value": "w"}]},
    )["trace_info"]
    assert (ended["status"], ended["execution_time_ms"]) == ("OK", 250)
    tags = {tag["key"]: tag["value"] for tag in ended["tags"]}
    assert (tags["t"], tags["u"]) == ("v", "w")
    assert tags["mlflow.artifactLocation"].endswith(f"/traces/{begun['request_id']}/artifacts")
    assert door.get(f"traces/{begun['request_id']}/info") == {"trace_info": ended}
    page = door.get("traces", experiment_ids=[experiment_id], max_results=10)
    assert page == {"traces": [ended]}


def test_what_is_not_served_is_told_without_a_body(door, start):
    start()
    for method, path in (
        ("POST", f"{ROOT}/{TRACE}/assessments"),
        ("POST", f"{ROOT}/metrics"),
        ("POST", f"{ROOT}/calculate-filter-correlation"),
    ):
        status, _, content = door.call(method, path, body={})
        assert (status, content) == (404, b"")
