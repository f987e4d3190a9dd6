"""Large files through a real server: what is in memory stays small, and a full disk is told."""

from __future__ import annotations

import http.client
import json
import os
import resource
import sys
import threading

import psutil
import pytest

MEGABYTE = 1024 * 1024
PIECE = os.urandom(MEGABYTE)
N_PIECES = 200
MOST_GROWTH = 64 * MEGABYTE


class Watch:
    """Sees the largest memory of a process while it is entered."""

    def __init__(self, pid):
        self._process = psutil.Process(pid)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.before = self.most = 0

    def __enter__(self):
        self.before = self.most = self._process.memory_info().rss
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()

    def _look(self):
        while not self._is_over.wait(0.005):
            self.most = max(self.most, self._process.memory_info().rss)


@pytest.fixture
def ask(module_server):
    connection = http.client.HTTPConnection("127.0.0.1", module_server.port, timeout=180)

    def asking(method, path, body=None, **headers):
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        if method == "GET":
            return answer.status, answer
        return answer.status, answer.read()

    yield asking
    connection.close()


@pytest.fixture
def addresses(ask):
    body = json.dumps({"experiment_id": "0"})
    made = ask(
        "POST", "/api/2.0/mlflow/runs/create", body, **{"content-type": "application/json"}
    )
    run_id = json.loads(made[1])["run"]["info"]["run_id"]
    return {
        "mlflow": f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/big.bin",
        "native": f"/api/runs/{run_id}/artifacts/big.bin",
    }


def content():
    for n in range(N_PIECES):
        yield bytes([n]) + PIECE[1:]


@pytest.mark.slow
@pytest.mark.parametrize("door", ["mlflow", "native"])
def test_a_file_is_never_in_memory_whole(module_server, ask, addresses, door):
    length = {"content-length": str(N_PIECES * MEGABYTE)}
    with Watch(module_server.process.pid) as watch:
        status, _ = ask("PUT", addresses[door], content(), **length)
        assert status in {200, 201}
        status, answer = ask("GET", addresses[door])
        assert status == 200
        for expected in content():
            assert answer.read(MEGABYTE) == expected
        assert answer.read() == b""
    assert watch.most - watch.before < MOST_GROWTH


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process's files")
def test_a_disk_without_room_is_told_and_the_server_goes_on(module_server, ask, addresses):
    where = addresses["mlflow"]
    pid = module_server.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (6 * MEGABYTE, limits[1]))
    status, body = ask("PUT", where, PIECE * 9)
    assert status == 503
    told = json.loads(body)
    assert told["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert "disk is not full" in told["message"]
    assert ask("PUT", f"{where}.txt", b"small")[0] == 200
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    incoming = module_server.home / "blobs" / "incoming"
    assert list(incoming.iterdir()) == []
    assert ask("PUT", where, PIECE * 9)[0] == 200
    status, answer = ask("GET", where)
    assert answer.read() == PIECE * 9
