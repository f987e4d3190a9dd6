"""Artifacts through MLflow's proxy: headers, ranges, listings, and what must be refused."""

from __future__ import annotations

import asyncio
import itertools
import os
from urllib.parse import quote, unquote

import pytest

from homeostat.doors import local
from homeostat.doors.api import routes as native
from homeostat.doors.mlflow import routes
from homeostat.foundation import events
from homeostat.lifecycle.tracking import artifacts

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
LOGGED = f"m-{'0' * 32}"
BIG = os.urandom(1024 * 1024) * 9


@pytest.fixture
def root(door, run_id):
    """The path of a run's artifacts below the proxy's root."""
    uri = door.get("runs/get", run_id=run_id)["run"]["info"]["artifact_uri"]
    return uri.removeprefix("mlflow-artifacts:/")


@pytest.fixture
def put(door, root):
    def putting(path, content=b"x", below=None):
        where = f"{PROXY}/{quote(f'{root if below is None else below}/{path}')}"
        status, _, body = door.call("PUT", where, raw=content)
        assert (status, body) == (200, b"")
        return where

    return putting


def asked(door, folder):
    return door.ok("GET", f"{PROXY}?path={quote(folder, safe='')}")


def listed(door, folder):
    files = asked(door, folder).get("files", [])
    return [(f["path"], f["is_dir"], f.get("file_size")) for f in files]


NAMES = ["sub/b c+%.bin", "ä/💡 100%.txt", "a'b\"(1)&=;@.csv", ".hid"]


@pytest.mark.parametrize(
    ("path", "content"), list(itertools.product(NAMES, [b"", b"hello", BIG])), ids=range(12)
)
def test_what_was_put_comes_back_under_its_name(door, put, path, content):
    where = put(path, content)
    status, headers, body = door.call("GET", where)
    assert (status, body) == (200, content)
    assert headers["content-length"] == str(len(content))
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"].startswith("attachment; filename=")
    assert headers["accept-ranges"] == "bytes"
    assert headers["etag"]
    assert headers["last-modified"].endswith(" GMT")
    folder, _, name = unquote(where).removeprefix(f"{PROXY}/").rpartition("/")
    assert listed(door, folder) == [(name, False, len(content) or None)]


def test_a_name_that_mlflow_2_forgot_to_encode_is_found_under_it(door, put, root):
    """It sends ``%17`` of a time stamp as it is, which decodes to a control character."""
    name = "k%step%1%timestamp%1732168443%ab.png"
    where = f"{PROXY}/{root}/images/{name}"
    assert door.call("PUT", where, raw=b"image")[0] == 200
    assert door.call("GET", where)[2] == b"image"
    ((shown, _, _),) = listed(door, f"{root}/images")
    assert shown == "k%step%1%timestamp%1732168443\ufffd.png"
    assert door.call("GET", f"{PROXY}/{root}/images/{quote(shown)}")[2] == b"image"


def test_a_name_beyond_ascii_is_told_in_both_ways(door, put):
    _, headers, _ = door.call("GET", put('ä"b.txt'))
    assert headers["content-disposition"] == (
        "attachment; filename=\"__b.txt\"; filename*=UTF-8''%C3%A4%22b.txt"
    )
    assert headers["content-type"].startswith("text/plain")


def test_head_tells_all_but_the_content(door, put):
    where = put("x.bin", BIG)
    status, headers, body = door.call("HEAD", where)
    assert (status, body, headers["content-length"]) == (200, b"", str(len(BIG)))


@pytest.mark.parametrize(
    ("asked", "between"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=5-9", (5, 10)),
        ("bytes=262143-262145", (262143, 262146)),
        ("bytes=4194300-", (4194300, len(BIG))),
        ("bytes=-7", (len(BIG) - 7, len(BIG))),
        ("bytes=0-99999999999", (0, len(BIG))),
        ("bytes=-99999999999", (0, len(BIG))),
    ],
)
def test_a_range_is_sent_alone(door, put, asked, between):
    start, end = between
    where = put("x.bin", BIG)
    status, headers, body = door.call("GET", where, headers={"range": asked})
    assert (status, body) == (206, BIG[start:end])
    assert headers["content-range"] == f"bytes {start}-{end - 1}/{len(BIG)}"


@pytest.mark.parametrize("asked", ["bytes=5-", "bytes=99-100", "bytes=-0"])
def test_a_range_behind_the_end_is_told(door, put, asked):
    status, headers, body = door.call("GET", put("x", b"12345"), headers={"range": asked})
    assert (status, headers["content-range"], body) == (416, "bytes */5", b"")


@pytest.mark.parametrize(
    "asked", ["bytes=", "bytes=3-1", "bytes=0-1,3-4", "rows=0-1", "bytes=a-b"]
)
def test_a_range_that_means_nothing_sends_the_whole(door, put, asked):
    status, _, body = door.call("GET", put("x", b"12345"), headers={"range": asked})
    assert (status, body) == (200, b"12345")


def test_a_file_the_caller_has_is_not_sent_again_and_a_changed_one_is_sent_whole(door, put):
    where = put("x", b"12345")
    _, headers, _ = door.call("GET", where)
    etag = headers["etag"]
    status, _, body = door.call("GET", where, headers={"if-none-match": etag})
    assert (status, body) == (304, b"")
    part = {"range": "bytes=1-2", "if-range": etag}
    assert door.call("GET", where, headers=part)[0] == 206
    put("x", b"other")
    status, _, body = door.call("GET", where, headers=part)
    assert (status, body) == (200, b"other")
    assert door.call("GET", where, headers={"if-none-match": etag})[0] == 200


def test_the_two_listings_tell_paths_from_different_roots(door, put, root, run_id):
    put("model/MLmodel", b"12")
    put("model/data/x")
    put("model.txt")
    assert listed(door, root) == [("model", True, None), ("model.txt", False, 1)]
    assert listed(door, f"{root}/model") == [("MLmodel", False, 2), ("data", True, None)]
    told = door.get("artifacts/list?path=model&run_id=" + run_id)
    assert told["root_uri"] == f"mlflow-artifacts:/{root}"
    assert told["files"] == [
        {"path": "model/MLmodel", "is_dir": False, "file_size": 2},
        {"path": "model/data", "is_dir": True},
    ]
    assert door.get("artifacts/list", run_uuid=run_id)["files"][0]["path"] == "model"


def test_a_file_and_an_absent_folder_list_nothing(door, put, root, run_id):
    put("x")
    for folder in (f"{root}/x", f"{root}/nothing", "nowhere"):
        assert asked(door, folder) == {}
    assert set(asked(door, f"{root}/")) == {"files"}
    assert "files" not in door.get("artifacts/list?path=x&run_id=" + run_id)


def test_what_is_absent_and_what_is_a_folder_are_told_apart(door, put, root):
    put("model/MLmodel")
    assert door.refused("GET", f"{PROXY}/{root}/no")[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    status, code, message = door.refused("GET", f"{PROXY}/{root}/model")
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "directory, not a file" in message
    status, code, _ = door.refused("PUT", f"{PROXY}/{root}/model", raw=b"x")
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    status, code, _ = door.refused("PUT", f"{PROXY}/{root}/model/MLmodel/x", raw=b"x")
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")


def test_deleting_takes_a_file_or_a_folder_and_asks_not_whether_it_is_there(door, put, root):
    put("a/1")
    put("a/b/2")
    put("c")
    assert door.ok("DELETE", f"{PROXY}/{root}/a/") == {}
    assert listed(door, root) == [("c", False, 1)]
    assert door.ok("DELETE", f"{PROXY}/{root}/a") == {}
    assert door.ok("DELETE", f"{PROXY}/{root}/c") == {}
    assert listed(door, root) == []
    assert door.call("GET", f"{PROXY}/{root}/c")[0] == 404


def test_a_file_of_a_run_has_an_address_to_paste(door, put, run_id):
    put("plots/a b+.png", b"png")
    for name in ("run_id", "run_uuid"):
        where = f"/get-artifact?{name}={run_id}&path=plots/a%20b%2B.png"
        status, headers, body = door.call("GET", where)
        assert (status, body) == (200, b"png")
        assert headers["content-disposition"] == 'attachment; filename="a b+.png"'
    assert door.refused("GET", "/get-artifact?path=x")[1] == "INVALID_PARAMETER_VALUE"
    assert door.refused("GET", f"/get-artifact?path=x&run_id={run_id}")[0] == 404
    assert door.refused("GET", f"/get-artifact?path=x&run_id={'f' * 32}")[0] == 404


def test_a_file_of_a_version_has_an_address_to_paste(door, put, run_id, root):
    put("model/MLmodel", b"flavors: {}")
    door.post("registered-models/create", {"name": "credit"})
    source = f"mlflow-artifacts:/{root}/model"
    made = {"name": "credit", "source": source, "run_id": run_id}
    door.post("model-versions/create", made)
    where = "/model-versions/get-artifact?name=credit&version=1"
    status, headers, body = door.call("GET", f"{where}&path=MLmodel")
    assert (status, body) == (200, b"flavors: {}")
    assert headers["content-disposition"] == 'attachment; filename="MLmodel"'
    assert door.refused("GET", f"{where}&path=no")[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    assert door.refused("GET", where.replace("=1", "=2") + "&path=MLmodel")[0] == 404
    assert door.refused("GET", where)[0] == 400


def test_files_of_a_run_are_the_same_at_both_doors(door, put, run_id, root):
    put("a/b c.txt", b"theirs")
    status, _, body = door.call("GET", f"/api/runs/{run_id}/artifacts/a/b%20c.txt")
    assert (status, body) == (200, b"theirs")
    assert door.call("PUT", f"/api/runs/{run_id}/artifacts/ours.bin", raw=BIG)[0] == 201
    assert door.call("GET", f"{PROXY}/{root}/ours.bin")[2] == BIG
    assert door.call("GET", f"/api/runs/{run_id}/artifacts/ours.bin")[2] == BIG


def test_each_kept_file_is_one_event(door, put, run_id):
    put("a")
    put("b", BIG)
    told = [e for e in door.house.read(events.read) if e.kind == "artifact.added"]
    assert [(e.subject, e.facts["path"]) for e in told] == [
        (f"run:{run_id}", "a"),
        (f"run:{run_id}", "b"),
    ]


@pytest.mark.parametrize("below", ["0/traces/tr-1/artifacts", "12/loose", "mine/and/yours"])
def test_any_other_place_below_the_root_keeps_files_too(door, put, below):
    where = put("x y.json", b"{}", below=below)
    assert door.call("GET", where)[2] == b"{}"
    assert listed(door, below) == [("x y.json", False, 2)]
    door.ok("DELETE", f"{PROXY}/{below}")
    assert listed(door, below) == []


def test_a_logged_model_keeps_its_own_files(door, experiment_id):
    made = door.post("logged-models", {"experiment_id": experiment_id, "name": "m"})
    info = made["model"]["info"]
    below = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    door.call("PUT", f"{PROXY}/{below}/MLmodel", raw=b"flavors: {}")
    holder = artifacts.of_logged_model(info["model_id"])
    kept = door.house.read(lambda tx: artifacts.under(tx, holder))
    assert [a.path for a in kept] == ["MLmodel"]
    assert listed(door, below) == [("MLmodel", False, 11)]


@pytest.mark.parametrize(
    "path",
    [
        "mlflow-artifacts/mpu/create/x",
        "mlflow-artifacts/mpu/complete/x",
        "mlflow-artifacts/mpu/abort/x",
        "mlflow/artifacts/presigned-upload-url",
        "mlflow/artifacts/presigned-download-url",
    ],
)
def test_transfers_in_parts_are_not_served_and_say_so_by_an_empty_404(door, path):
    assert door.call("POST", f"/api/2.0/{path}", body={})[::2] == (404, b"")
    assert door.call("GET", "/api/2.0/mlflow-artifacts/presigned/x")[::2] == (404, b"")
    assert door.call("POST", "/graphql", body={})[::2] == (404, b"")


ATTACKS = [
    *("../x", "a/../../x", "..", "a/..", "./x", "a/.", "a//x", "/etc/passwd", "a/"),
    *("..\\x", "a\\b", "\\\\host\\share", "C:/x", "c:\\x", "a\0b", "\0"),
    *("a#b", "a?b", "a#/../b"),
]
DEPTHS = [0, 1, 2, 3, 7, 30]
WITH_PATH = {
    ("PUT", "/2.0/mlflow-artifacts/artifacts/{path:path}"),
    ("GET", "/2.0/mlflow-artifacts/artifacts/{path:path}"),
    ("DELETE", "/2.0/mlflow-artifacts/artifacts/{path:path}"),
    ("GET", "/2.0/mlflow-artifacts/artifacts"),
    ("GET", "/2.0/mlflow/artifacts/list"),
    ("GET", "=/get-artifact"),
    ("GET", "=/model-versions/get-artifact"),
    ("GET", "/2.0/mlflow/logged-models/{model_id}/artifacts/directories"),
}
NATIVE_WITH_PATH = {
    ("GET", "/api/runs/{id}/artifacts/{path:path}"),
    ("PUT", "/api/runs/{id}/artifacts/{path:path}"),
    ("GET", "/api/models/{name}/versions/{number:int}/files/{path:path}"),
}


def test_every_route_that_takes_a_path_of_an_artifact_is_attacked_below():
    told = {(r.method, r.path) for r in routes.TABLE if "artifact" in r.path}
    assert told <= WITH_PATH
    taking = {(r.method, r.path) for r in native.TABLE if "{path:path}" in r.path}
    assert taking == NATIVE_WITH_PATH


def encoded(text, times):
    """Percent-encode everything but letters, once more than the server decodes."""
    for _ in range(times):
        text = "".join(
            chr(byte) if chr(byte).isalnum() and byte < ord("z") else f"%{byte:02X}"
            for byte in text.encode()
        )
    return text


def requests(root, path):
    """Every request that can carry a path of an artifact: method, path as decoded, query."""
    _, run_id, _ = root.split("/")
    asked = quote(path, safe="")
    for method, where in itertools.product(("PUT", "GET", "DELETE"), (f"{root}/{path}", path)):
        if method != "DELETE" or not path.endswith("/"):
            yield method, f"{PROXY}/{where}", ""
            yield method, f"/ajax-api/2.0/mlflow-artifacts/artifacts/{where}", ""
    if not path.endswith("/"):
        yield (
            "GET",
            f"/api/2.0/mlflow/logged-models/{LOGGED}/artifacts/directories",
            (f"artifact_directory_path={asked}"),
        )
        yield "GET", PROXY, f"path={quote(f'{root}/{path}', safe='')}"
        yield "GET", PROXY, f"path={asked}"
        yield "GET", "/api/2.0/mlflow/artifacts/list", f"run_id={run_id}&path={asked}"
    yield "GET", "/get-artifact", f"run_id={run_id}&path={asked}"
    yield "GET", "/model-versions/get-artifact", f"name=credit&version=1&path={asked}"
    yield "PUT", f"/api/runs/{run_id}/artifacts/{path}", ""
    yield "GET", f"/api/runs/{run_id}/artifacts/{path}", ""
    yield "GET", f"/api/models/credit/versions/1/files/{path}", ""


async def ask(app, method, path, query="", *, pieces=(b"x",)):
    """Ask as a server that decoded the path once; an HTTP client would mend some paths."""
    waiting, told = list(pieces), []

    async def receive():
        if waiting:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": True}
        if pieces != (b"x",):
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        told.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    return told


@pytest.fixture
def app(opened):
    made = local.build(opened)
    yield made
    made.close()


@pytest.mark.parametrize("depth", DEPTHS)
def test_no_path_leaves_its_folder_however_often_it_is_encoded(app, opened, root, depth):
    """A path that ends with a slash is a folder's, so that is no attack where one is meant."""

    async def attack():
        for text in ATTACKS:
            for method, where, query in requests(root, encoded(text, depth)):
                start, *rest = await ask(app, method, where, query)
                seen = (method, where, query, start["status"], rest)
                assert 400 <= start["status"] < 500, seen
                if "/api/runs/" not in where and "/api/models/" not in where:
                    assert b"INVALID_PARAMETER_VALUE" in rest[0]["body"], seen

    asyncio.run(attack())
    assert [e for e in opened.read(events.read) if e.kind.startswith("artifact.")] == []


def test_a_link_planted_among_the_blobs_shows_nothing_of_what_it_points_to(
    door, put, opened, tmp_path
):
    secret = tmp_path / "secret"
    secret.write_bytes(b"a secret of the machine" * 1000)
    where = put("x", b"mine")
    (blob,) = [p for p in (opened.settings.home / "blobs").rglob("*") if p.is_file()]
    blob.unlink()
    blob.symlink_to(secret)
    status, _, body = door.call("GET", where)
    assert status == 500
    assert b"secret of" not in body
    assert b"symbolic link" in body
    blob.unlink()
    blob.write_bytes(secret.read_bytes())
    status, _, body = door.call("GET", where)
    assert (status, b"secret of" in body) == (500, False)


def test_a_changed_blob_is_refused_before_an_answer_begins(door, put, opened):
    where = put("x", BIG)
    (blob,) = [p for p in (opened.settings.home / "blobs").rglob("*") if p.is_file()]
    stored = bytearray(blob.read_bytes())
    stored[100] ^= 1
    blob.write_bytes(stored)
    status, code, message = door.refused("GET", where)
    assert (status, code) == (500, "INTERNAL_ERROR")
    assert "does not open" in message


@pytest.mark.parametrize("sent", [1000, len(BIG) - 1])
def test_a_client_that_goes_away_leaves_nothing_behind(app, door, root, sent):
    pieces = [BIG[:sent][at : at + 300_000] for at in range(0, sent, 300_000)]
    for path in (f"{PROXY}/{root}/x", f"/api/runs/{root.split('/')[1]}/artifacts/x"):
        assert asyncio.run(ask(app, "PUT", path, pieces=pieces)) == []
    assert [p for p in (door.house.settings.home / "blobs").rglob("*") if p.is_file()] == []
    assert listed(door, root) == []
