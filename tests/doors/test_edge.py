"""The prediction server's HTTP edge over raw sockets: framing, patience and limits."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from homeostat.doors.wire import connection, heads, listening

LIMIT = 1024 * 1024
POST = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b"


class Echo:
    """Answers the body; `/later` after others had their turn, `/boom` with an error."""

    most_body_bytes = LIMIT

    def take(self, exchange):
        if exchange.head.path == "/later":
            loop = asyncio.get_running_loop()
            loop.call_later(0.05, lambda: exchange.answer(200, b"later"))
        else:
            said = exchange.body or exchange.head.path.encode()
            exchange.answer(200, said, media=b"text/plain")

    def refuse(self, exchange, status, why):
        exchange.answer(status, why.encode())


class Edge:
    """A listener on a loop of its own thread."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.listener = listening.Listener(Echo())
        bound = socket.create_server(("127.0.0.1", 0))
        self.port = bound.getsockname()[1]
        self.do(self.listener.listen(bound))

    def do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def close(self):
        self.do(self.listener.close(drain_s=2))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class Line:
    """One connection, spoken by hand."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def answer(self, *, has_body=True):
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        size = int(headers.get("content-length", 0)) if has_body else 0
        return status, headers, self.file.read(size)

    def is_closed(self):
        return self.file.read(1) == b""

    def close(self):
        self.file.close()
        self.socket.close()


@pytest.fixture(scope="module")
def edge():
    made = Edge()
    yield made
    made.close()


@pytest.fixture
def line(edge):
    made = Line(edge.port)
    yield made
    made.close()


def test_requests_follow_each_other_on_one_connection(line):
    for n in range(3):
        line.send(POST % (3, b"ab%d" % n))
        assert line.answer()[2] == b"ab%d" % n


def test_a_request_may_come_byte_by_byte(line):
    for one in POST % (5, b"hello"):
        line.send(bytes([one]))
    assert line.answer()[2] == b"hello"


def test_what_was_sent_ahead_is_answered_in_order(line):
    later = b"GET /later HTTP/1.1\r\nhost: x\r\n\r\n"
    line.send(later + POST % (1, b"a") + POST % (1, b"b") + later + POST % (1, b"c"))
    assert [line.answer()[2] for _ in range(5)] == [b"later", b"a", b"b", b"later", b"c"]


def test_a_client_that_sends_ahead_without_end_is_not_read_further(edge, line):
    line.send(b"GET /later HTTP/1.1\r\nhost: x\r\n\r\n" + POST % (1, b"z") * 20_000)
    assert line.answer()[2] == b"later"
    assert {line.answer()[2] for _ in range(20_000)} == {b"z"}


def test_a_body_in_chunks_is_taken_and_ends_its_connection(line):
    line.send(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel")
    line.send(b"lo\r\n1\r\n!\r\n0\r\n\r\n")
    status, headers, body = line.answer()
    assert (status, body, headers["connection"]) == (200, b"hello!", "close")
    assert line.is_closed()


def test_an_offer_to_speak_another_protocol_is_passed_over(line):
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\n"
    head += b"upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
    line.send(head + b"content-length: 2\r\n\r\nab")
    assert line.answer()[2] == b"ab"
    line.send(head + b"transfer-encoding: chunked\r\n\r\n2\r\ncd\r\n0\r\n\r\n")
    assert line.answer()[2] == b"cd"


def test_a_client_that_asks_leave_for_its_body_gets_it(line):
    line.send(b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n")
    line.send(b"content-length: 2\r\n\r\n")
    assert line.file.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert line.file.readline() == b"\r\n"
    line.send(b"ok")
    assert line.answer()[2] == b"ok"


def test_head_is_get_without_a_body(line):
    line.send(b"HEAD /some HTTP/1.1\r\nhost: x\r\n\r\nGET /some HTTP/1.1\r\nhost: x\r\n\r\n")
    status, headers, _ = line.answer(has_body=False)
    assert (status, headers["content-length"]) == (200, "5")
    assert line.answer()[2] == b"/some"


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.0\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ],
)
def test_who_wants_one_answer_gets_one(line, head):
    line.send(head)
    assert line.answer()[:2][1]["connection"] == "close"
    assert line.is_closed()


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        (
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n"
            b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_framing_that_two_readers_might_read_differently_is_refused(line, sent):
    line.send(sent)
    assert line.answer()[0] == 400
    assert line.is_closed()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"transfer-encoding: gzip, chunked", 501),
        (b"expect: the-unexpected\r\ncontent-length: 1", 417),
    ],
)
def test_what_is_not_offered_is_refused_by_its_own_status(line, header, status):
    line.send(b"POST / HTTP/1.1\r\nhost: x\r\n" + header + b"\r\n\r\n")
    assert line.answer()[0] == status
    assert line.is_closed()


def test_unfinished_bodies_of_all_connections_are_bounded_together(edge, monkeypatch):
    monkeypatch.setattr(edge.listener._room, "_most", 2 * LIMIT)
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % LIMIT
    lines = [Line(edge.port) for _ in range(3)]
    for one in lines:
        one.send(head)
    assert lines[2].answer()[0] == 503
    for one in lines[:2]:
        one.send(bytes(LIMIT))
        assert len(one.answer()[2]) == LIMIT
    assert edge.listener._room.taken == 0
    lines[0].send(head)
    lines[0].close()
    lines[1].send(head + bytes(LIMIT))
    assert len(lines[1].answer()[2]) == LIMIT
    lines[1].close()
    lines[2].close()


def test_a_mountain_of_headers_is_refused(line):
    line.send(b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 20_000)
    assert line.answer()[0] == 431


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_refused_before_it_is_held(line, announced):
    if announced:
        line.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999999\r\n\r\n")
    else:
        line.send(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        line.send(b"%x\r\n" % (LIMIT + 1) + bytes(LIMIT + 1))
    status, _, body = line.answer()
    assert (status, body) == (413, b"the request is larger than 1 MiB")


@pytest.mark.parametrize(
    "begun", [b"GET / HT", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nab"]
)
def test_a_client_that_never_finishes_is_told_so(edge, line, begun, monkeypatch):
    monkeypatch.setattr(connection.Times, "head_s", 0.1)
    monkeypatch.setattr(connection.Times, "body_s", 0.1)
    line.send(begun)
    assert line.answer()[0] == 408
    assert line.is_closed()


def test_blank_lines_do_not_keep_a_connection(edge, monkeypatch):
    monkeypatch.setattr(connection.Times, "idle_s", 0.4)
    line = Line(edge.port)
    with pytest.raises(OSError):  # noqa: PT011, PT012 - reset or broken pipe, as it comes
        for _ in range(600):
            line.send(b"\r\n")
            time.sleep(0.1)
    line.close()


def test_a_connection_without_requests_is_closed(edge, monkeypatch):
    monkeypatch.setattr(connection.Times, "idle_s", 0.1)
    line = Line(edge.port)
    assert line.is_closed()
    line.close()


def test_what_has_begun_is_answered_when_the_listener_stops():
    edge = Edge()
    busy, idle = Line(edge.port), Line(edge.port)
    busy.send(b"GET /later HTTP/1.1\r\nhost: x\r\n\r\n")
    idle.send(POST % (1, b"a"))
    assert idle.answer()[2] == b"a"
    edge.close()
    status, headers, body = busy.answer()
    assert (status, headers["connection"], body) == (200, "close", b"later")
    assert idle.is_closed()
    busy.close()
    idle.close()


def test_the_same_bytes_are_read_once_and_few_are_remembered():
    seen = heads.Heads()
    raw = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
    assert seen.read(raw) is seen.read(bytes(raw))
    for n in range(3000):
        seen.read(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % n)
    assert len(seen._known) <= 1024
    long = b"GET /a HTTP/1.1\r\nhost: x\r\nq: " + b"y" * 4000 + b"\r\n\r\n"
    assert seen.read(long) is not seen.read(long)


def test_paths_come_decoded_and_queries_as_they_are():
    head = heads.Heads().read(b"GET /caf%C3%A9/%2e%2e?a=%20 HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (head.path, head.query) == ("/café/..", b"a=%20")
