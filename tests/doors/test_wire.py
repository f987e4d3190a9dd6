"""The short way of small requests over real sockets: framing, order, ends of connections."""

from __future__ import annotations

import concurrent.futures
import json
import re
import socket
import threading

import psutil
import pytest

GET = b"GET /api/2.0/mlflow/experiments/get?experiment_id=0 HTTP/1.1\r\nhost: localhost\r\n"
LOG = b"/api/2.0/mlflow/runs/set-tag"


class Line:
    """One connection, bytes as they are."""

    def __init__(self, url):
        host, port = re.match(r"http://(.+):(\d+)", url).groups()
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.left = b""

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """Return status, headers and body of the next answer; status 0 at the end."""
        while b"\r\n\r\n" not in self.left:
            if not self._more():
                return 0, {}, b""
        head, self.left = self.left.split(b"\r\n\r\n", 1)
        status_line, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        size = int(headers.get("content-length", 0))
        while len(self.left) < size:
            assert self._more()
        body, self.left = self.left[:size], self.left[size:]
        return int(status_line.split()[1]), headers, body

    def _more(self):
        data = self.socket.recv(65536)
        self.left += data
        return bool(data)


@pytest.fixture
def line(module_server):
    made = Line(module_server.url)
    yield made
    made.socket.close()


def posted(path, fields, *, more=b""):
    body = json.dumps(fields).encode()
    return (
        b"POST " + path + b" HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n" % len(body) + more + b"\r\n" + body
    )


def new_run(line):
    line.send(posted(b"/api/2.0/mlflow/runs/create", {"experiment_id": "0"}))
    return json.loads(line.answer()[2])["run"]["info"]["run_id"]


def test_requests_follow_each_other_on_one_connection(line):
    run_id = new_run(line)
    for i in range(3):
        line.send(posted(LOG, {"run_id": run_id, "key": "k", "value": str(i)}))
        status, headers, body = line.answer()
        assert (status, body) == (200, b"{}")
        assert headers["content-type"] == "application/json"
        assert headers["x-content-type-options"] == "nosniff"
        assert "connection" not in headers


def test_a_request_may_come_byte_by_byte(line):
    run_id = new_run(line)
    for byte in posted(LOG, {"run_id": run_id, "key": "k", "value": "v"}):
        line.send(bytes([byte]))
    assert line.answer()[0] == 200


def test_requests_sent_ahead_are_answered_in_order(line):
    run_id = new_run(line)
    asked = posted(LOG, {"run_id": run_id, "key": "a", "value": "1"})
    wrong = posted(LOG, {"run_id": "nobody", "key": "a", "value": "1"})
    line.send(asked + GET + b"\r\n" + wrong + GET + b"\r\n" + asked)
    answers = [line.answer() for _ in range(5)]
    assert [answer[0] for answer in answers] == [200, 200, 404, 200, 200]
    assert json.loads(answers[1][2])["experiment"]["experiment_id"] == "0"


def test_a_body_in_chunks_is_taken(line):
    run_id = new_run(line)
    body = json.dumps({"run_id": run_id, "key": "k", "value": "v"}).encode()
    line.send(
        b"POST " + LOG + b" HTTP/1.1\r\nhost: localhost\r\n"
        b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (5, body[:5], len(body) - 5, body[5:])
    )
    assert line.answer()[0] == 200


def test_a_client_that_asks_leave_for_its_body_gets_it(line):
    run_id = new_run(line)
    whole = posted(
        LOG, {"run_id": run_id, "key": "k", "value": "v"}, more=b"expect: 100-continue\r\n"
    )
    head, body = whole.split(b"\r\n\r\n", 1)
    line.send(head + b"\r\n\r\n")
    assert line.answer()[0] == 100
    line.send(body)
    assert line.answer()[0] == 200


def test_a_connection_is_closed_when_asked(line):
    line.send(GET + b"connection: close\r\n\r\n")
    status, headers, _ = line.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert line.answer()[0] == 0


def test_an_old_client_gets_one_answer(line):
    line.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n")
    assert line.answer()[0] == 200
    assert line.answer()[0] == 0


def test_a_large_body_goes_the_ordinary_way_and_is_refused(line):
    line.send(posted(LOG, {"run_id": "a" * 32, "key": "k", "value": "v" * 2_000_000}))
    status, _, body = line.answer()
    assert (status, json.loads(body)["error_code"]) == (413, "INVALID_PARAMETER_VALUE")


def test_who_goes_away_while_waiting_harms_nobody(module_server, line):
    run_id = new_run(line)
    for _ in range(20):
        gone = Line(module_server.url)
        gone.send(posted(LOG, {"run_id": run_id, "key": "k", "value": "v"}))
        gone.socket.close()
    half = Line(module_server.url)
    half.send(posted(LOG, {"run_id": run_id, "key": "k", "value": "v"})[:-3])
    half.socket.close()
    line.send(posted(LOG, {"run_id": run_id, "key": "k", "value": "w"}))
    assert line.answer()[0] == 200


def test_who_asks_ahead_and_never_reads_holds_up_nobody(module_server, line):
    """A thousand large answers wait for their reader, not in the server's memory."""
    run_id = new_run(line)
    tags = [{"key": f"k{i}", "value": "v" * 5000} for i in range(100)]
    line.send(posted(b"/api/2.0/mlflow/runs/log-batch", {"run_id": run_id, "tags": tags}))
    assert line.answer()[0] == 200
    process = psutil.Process(module_server.process.pid)
    before = process.memory_info().rss
    asked = b"GET /api/2.0/mlflow/runs/get?run_id=%b HTTP/1.1\r\nhost: localhost\r\n\r\n"
    greedy = Line(module_server.url)
    greedy.send(asked % run_id.encode() * 1000)
    for _ in range(20):
        line.send(GET + b"\r\n")
        assert line.answer()[0] == 200
    assert process.memory_info().rss - before < 64 * 2**20
    greedy.socket.close()


def test_a_mountain_of_headers_is_refused(line):
    line.send(GET + b"x-much: " + b"a" * 70_000)
    assert line.answer()[0] == 431


def test_two_hosts_in_one_request_are_refused(line):
    line.send(GET + b"host: evil.example\r\n\r\n")
    status, _, body = line.answer()
    assert (status, json.loads(body)["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    "asked",
    [
        GET.replace(b"localhost", b"evil.example") + b"\r\n",
        posted(LOG, {}, more=b"origin: http://evil.example\r\n"),
    ],
)
def test_a_foreign_host_or_page_is_refused_in_mlflows_shape(line, asked):
    line.send(asked)
    status, _, body = line.answer()
    assert (status, json.loads(body)["error_code"]) == (403, "PERMISSION_DENIED")


def test_what_was_acknowledged_before_the_stop_is_kept(server, start_server):
    """Writers go on until the server stops; what it answered is there when it is back."""

    under_way = threading.Barrier(5)

    def write(number):
        line, kept = Line(server.url), []
        run_id = new_run(line)
        try:
            for i in range(100_000):
                line.send(posted(LOG, {"run_id": run_id, "key": f"k{i}", "value": "v"}))
                if line.answer()[0] != 200:
                    break
                kept.append(i)
                if i == 0:
                    under_way.wait(60)
        except OSError:
            return run_id, kept  # the server has stopped
        finally:
            line.socket.close()
        return run_id, kept

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(write, number) for number in range(4)]
        under_way.wait(60)
        concurrent.futures.wait(waiting, timeout=1)
        assert server.stop() == 0
        found = [future.result() for future in waiting]
    again = start_server(server.home)
    line = Line(again.url)
    for run_id, kept in found:
        assert kept
        line.send(
            b"GET /api/2.0/mlflow/runs/get?run_id=%b HTTP/1.1\r\nhost: localhost\r\n\r\n"
            % run_id.encode()
        )
        tags = json.loads(line.answer()[2])["run"]["data"]["tags"]
        assert {f"k{i}" for i in kept} <= {tag["key"] for tag in tags}
    line.socket.close()
