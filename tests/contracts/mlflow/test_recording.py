"""What clients log while a run works, asked of the door on both databases."""

from __future__ import annotations

import base64
import concurrent.futures
import json

import pytest

LARGEST = 2**63 - 1


def point(key="loss", value=0.5, at=1, step=0, **more):
    return {"key": key, "value": value, "timestamp": at, "step": step, **more}


def history(door, run_id, key="loss", **query):
    return door.get("metrics/get-history", run_id=run_id, metric_key=key, **query)


def latest(door, run_id):
    data = door.get("runs/get", run_id=run_id)["run"]["data"]
    return {m["key"]: m["value"] for m in data.get("metrics", [])}


def test_a_point_is_read_back_exactly(door, run_id):
    door.post("runs/log-metric", {"run_id": run_id, **point(value=1e-300, at=17, step=-3)})
    assert history(door, run_id)["metrics"] == [point(value=1e-300, at=17, step=-3)]


def test_numbers_may_come_as_text(door, run_id):
    sent = {"run_id": run_id, **point(value="0.25", at="17", step="4")}
    door.post("runs/log-metric", sent)
    assert history(door, run_id)["metrics"] == [point(value=0.25, at=17, step=4)]


@pytest.mark.parametrize("number", [LARGEST, -LARGEST - 1])
def test_steps_hold_64_bits(door, run_id, number):
    door.post("runs/log-metric", {"run_id": run_id, **point(step=number)})
    assert history(door, run_id)["metrics"][0]["step"] == number


@pytest.mark.parametrize("field", ["timestamp", "step"])
def test_a_number_beyond_64_bits_is_refused(door, run_id, field):
    told = door.refused(
        "POST", "runs/log-metric", body={"run_id": run_id, **point(), field: LARGEST + 1}
    )
    assert told[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert field in told[2]


def test_a_timestamp_before_1970_is_refused(door, run_id):
    told = door.refused("POST", "runs/log-metric", body={"run_id": run_id, **point(at=-1)})
    assert told[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert "nonnegative" in told[2]


def test_nan_comes_back_and_infinity_as_the_largest_number(door, run_id):
    values = ["NaN", "Infinity", "-Infinity"]
    points = [point(key=f"m{i}", value=value) for i, value in enumerate(values)]
    door.post("runs/log-batch", {"run_id": run_id, "metrics": points})
    found = latest(door, run_id)
    assert found["m0"] == "NaN"
    assert found["m1"] == 1.7976931348623157e308
    assert found["m2"] == -1.7976931348623157e308


def test_the_same_point_twice_is_stored_once(door, run_id):
    for _ in range(2):
        door.post("runs/log-metric", {"run_id": run_id, **point()})
    assert len(history(door, run_id)["metrics"]) == 1


def test_the_latest_point_is_by_step_then_time_then_value(door, run_id):
    for value, at, step in [(1.0, 5, 2), (2.0, 9, 1), (3.0, 5, 2), (0.5, 4, 2)]:
        door.post("runs/log-metric", {"run_id": run_id, **point(value=value, at=at, step=step)})
    assert latest(door, run_id)["loss"] == 3.0


def test_a_history_is_ordered_by_time_and_read_page_by_page(door, run_id):
    points = [point(value=float(i), at=100 - i, step=i) for i in range(7)]
    door.post("runs/log-batch", {"run_id": run_id, "metrics": points})
    seen, token = [], ""
    while True:
        page = history(door, run_id, max_results=3, page_token=token)
        seen += [m["timestamp"] for m in page["metrics"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert seen == [94, 95, 96, 97, 98, 99, 100]
    assert [m["timestamp"] for m in history(door, run_id)["metrics"]] == seen


def test_a_page_token_of_another_history_is_refused(door, run_id):
    points = [point(key=key, at=i) for key in ("a", "b") for i in range(3)]
    door.post("runs/log-batch", {"run_id": run_id, "metrics": points})
    token = history(door, run_id, key="a", max_results=1)["next_page_token"]
    own = history(door, run_id, key="b", max_results=1)["next_page_token"]
    digest, place = json.loads(base64.urlsafe_b64decode(own))
    places = (["x"], [None] * 4, [2**80, *place[1:]], [*place, 1], [*place[:3], 5])
    forged = (base64.urlsafe_b64encode(json.dumps([digest, one]).encode()) for one in places)
    for wrong in (token, "garbage", "e30=", *forged):
        status, code, message = door.refused(
            "GET",
            "metrics/get-history",
            run_id=run_id,
            metric_key="b",
            max_results=1,
            page_token=wrong,
        )
        assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
        assert "page token" in message


def test_a_metric_never_logged_has_no_history(door, run_id):
    assert history(door, run_id, key="nothing") == {}


@pytest.mark.parametrize("number", [0, -1])
def test_a_page_of_no_points_is_refused(door, run_id, number):
    told = door.refused(
        "GET", "metrics/get-history", run_id=run_id, metric_key="a", max_results=number
    )
    assert told[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_a_parameter_may_be_repeated_but_never_changed(door, run_id):
    for _ in range(2):
        door.post("runs/log-parameter", {"run_id": run_id, "key": "lr", "value": "0.1"})
    status, code, message = door.refused(
        "POST", "runs/log-parameter", body={"run_id": run_id, "key": "lr", "value": "0.2"}
    )
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "Changing param values is not allowed. Param with key='lr'" in message
    assert "value='0.1'" in message


def test_a_batch_with_one_bad_thing_writes_nothing(door, run_id):
    door.post("runs/log-parameter", {"run_id": run_id, "key": "lr", "value": "0.1"})
    batch = {
        "run_id": run_id,
        "metrics": [point()],
        "params": [{"key": "new", "value": "1"}, {"key": "lr", "value": "2"}],
        "tags": [{"key": "t", "value": "1"}],
    }
    door.refused("POST", "runs/log-batch", body=batch)
    data = door.get("runs/get", run_id=run_id)["run"]["data"]
    assert "metrics" not in data
    assert [p["key"] for p in data["params"]] == ["lr"]
    assert "t" not in [t["key"] for t in data["tags"]]


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({"metrics": [point()] * 1001}, "at most 1000 metrics"),
        ({"params": [{"key": f"p{i}", "value": ""} for i in range(101)]}, "at most 100 params"),
        ({"tags": [{"key": f"t{i}", "value": ""} for i in range(101)]}, "at most 100 tags"),
        (
            {"metrics": [point()] * 950, "tags": [{"key": f"t{i}"} for i in range(60)]},
            "at most 1000 metrics, params, and tags",
        ),
        ({"params": [{"key": "a", "value": "1"}, {"key": "a", "value": "1"}]}, "['a']"),
    ],
)
def test_what_a_batch_may_hold_is_limited(door, run_id, batch, words):
    status, code, message = door.refused(
        "POST", "runs/log-batch", body={"run_id": run_id, **batch}
    )
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert words in message


@pytest.mark.parametrize(
    ("batch", "place"),
    [
        ({"metrics": [point(), {"value": 1, "timestamp": 1}]}, "metrics[1].key"),
        ({"metrics": [point(), point(value=None)]}, "metrics[1].value"),
        ({"metrics": [point(), point(value="abc")]}, "metrics[1].value"),
        ({"metrics": [point(), point(key=5)]}, "metrics[1].key"),
        ({"metrics": [point(), point(key="../up")]}, "metrics[1].name"),
        ({"params": [{"key": "a"}, {"key": "b\nc", "value": ""}]}, "params[1].key"),
        ({"tags": [{"key": "", "value": ""}]}, "tags[0].key"),
    ],
)
def test_a_refusal_names_the_place_in_the_request(door, run_id, batch, place):
    status, code, message = door.refused(
        "POST", "runs/log-batch", body={"run_id": run_id, **batch}
    )
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert f"'{place}'" in message


@pytest.mark.parametrize(
    "raw", [b"{bad", b"[1]", b'"text"', b"7", b"\xff\xfe", b'{"run_id": 7}', b'{"runId": "a"}']
)
def test_a_body_that_is_no_request_is_refused(door, raw):
    status, code, message = door.refused(
        "POST", "runs/log-batch", raw=raw, headers={"content-type": "application/json"}
    )
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message


@pytest.mark.parametrize(
    "raw",
    [
        '"value": NaN, "timestamp": 1',
        '"value": 1e999, "timestamp": 1.0, "step": 0.0',
        '"value": 0.5, "timestamp": 1e3, "step": null',
        '"value": 0.5, "timestamp": 1, "datasetName": "a", "datasetDigest": "b"',
    ],
)
def test_what_protobufs_json_takes_is_taken(door, run_id, raw):
    body = f'{{"run_id": "{run_id}", "key": "loss", {raw}}}'.encode()
    status, _, content = door.call(
        "POST", "runs/log-metric", raw=body, headers={"content-type": "application/json"}
    )
    assert (status, content) == (200, b"{}")
    assert len(history(door, run_id)["metrics"]) == 1


def test_two_spellings_of_one_field_are_refused(door, run_id):
    status, code, message = door.refused(
        "POST", "runs/log-metric", body={"run_id": run_id, "runId": run_id, **point()}
    )
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "both 'run_id' and 'runId'" in message


@pytest.mark.parametrize("raw", [b'{"zz":' + b"[" * 200_000, b"[" * 200_000])
def test_what_is_nested_too_deep_is_refused(door, raw):
    told = door.refused(
        "POST", "runs/log-batch", raw=raw, headers={"content-type": "application/json"}
    )
    assert told[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_a_body_that_is_no_json_by_its_type_is_refused(door):
    told = door.refused(
        "POST", "runs/log-batch", raw=b"{}", headers={"content-type": "text/plain"}
    )
    assert told[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_a_batch_over_its_limit_in_bytes_is_refused(door, run_id):
    raw = json.dumps({"run_id": run_id, "filler": "x" * 1_000_001}).encode()
    status, code, _ = door.refused(
        "POST", "runs/log-batch", raw=raw, headers={"content-type": "application/json"}
    )
    assert (status, code) == (413, "INVALID_PARAMETER_VALUE")


def test_fields_nobody_knows_are_ignored(door, run_id):
    sent = {"run_id": run_id, **point(surprise={"a": [1]}), "another": 1}
    door.post("runs/log-metric", sent)
    assert latest(door, run_id) == {"loss": 0.5}


def test_a_run_that_is_not_there_is_said_so(door):
    for path, body in [
        ("runs/log-metric", point()),
        ("runs/log-parameter", {"key": "a", "value": "b"}),
        ("runs/set-tag", {"key": "a", "value": "b"}),
        ("runs/log-batch", {"metrics": [point()]}),
    ]:
        status, code, message = door.refused("POST", path, body={"run_id": "f" * 32, **body})
        assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert "f" * 32 in message


def test_a_deleted_run_takes_nothing(door, run_id):
    door.post("runs/delete", {"run_id": run_id})
    status, code, message = door.refused(
        "POST", "runs/log-metric", body={"run_id": run_id, **point()}
    )
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "must be in the 'active' state" in message


def test_the_old_name_of_the_run_is_taken_too(door, run_id):
    door.post("runs/log-metric", {"run_uuid": run_id, **point()})
    assert latest(door, run_id) == {"loss": 0.5}
    assert door.get("runs/get", run_uuid=run_id)["run"]["info"]["run_id"] == run_id


def test_racing_writers_of_one_parameter_agree_on_one_value(door, run_id):
    def write(value):
        return door.call(
            "POST",
            "runs/log-parameter",
            body={"run_id": run_id, "key": "lr", "value": str(value)},
        )[0]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(write, range(8)))
    assert sorted(answers) == [200] + [400] * 7


def test_what_the_server_lacks_is_answered_without_a_body(door):
    for method, path in [
        ("POST", "/api/3.0/mlflow/gateway/secrets/create"),
        ("POST", "/api/2.0/mlflow/nothing"),
        ("PUT", "/api/2.0/mlflow/runs/get"),
        ("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk"),
    ]:
        status, _, content = door.call(method, path)
        assert (status, content) == (404, b"")


def test_the_pages_of_mlflow_ask_under_another_prefix(door, run_id):
    found = door.get("/ajax-api/2.0/mlflow/runs/get", run_id=run_id)
    assert found["run"]["info"]["run_id"] == run_id


def test_the_server_tells_which_protocol_it_speaks(door):
    assert door.call("GET", "/version")[2] == b"3.18.0"
    assert door.call("GET", "/health")[2] == b"OK"
    info = door.get("/api/3.0/mlflow/server-info")
    assert info["artifact_serving_enabled"] is True
    assert info["multipart_uploads_enabled"] is False
