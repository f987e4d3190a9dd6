"""The event log over HTTP: as a list, a long poll and a stream."""

from __future__ import annotations

import threading

import httpx
import msgspec
import pytest

from homeostat.foundation import errors, events, house, settings


def test_events_are_listed_in_order_and_by_kind(client, told, record):
    with house.open_house(told) as opened:
        record(opened, kind="a.happened")
        record(opened, kind="b.happened")
    assert [event.seq for event in client.events.list()] == [1, 2]
    assert [event.kind for event in client.events.list(kinds=("b.happened",))] == ["b.happened"]
    assert [event.seq for event in client.events.list(newest_first=True, limit=1)] == [2]


def test_a_long_poll_ends_when_another_process_writes(client, told, record):
    found: list[events.Event] = []
    waiting = threading.Thread(target=lambda: found.extend(client.events.list(wait_s=50)))
    waiting.start()
    with house.open_house(told) as opened:
        record(opened)
    waiting.join(timeout=90)
    assert [event.seq for event in found] == [1]


def test_a_long_poll_without_news_ends_empty(client):
    assert client.events.list(wait_s=0.05) == []


def test_follow_yields_each_event_once(client, told, record):
    with house.open_house(told) as opened:
        record(opened)
        record(opened)
    following = client.events.follow(after=1)
    assert next(following).seq == 2


def test_an_empty_log_is_whole(client):
    assert client.audit.verify().ok


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_page_size_out_of_range_is_refused(client, limit):
    with pytest.raises(errors.InvalidInputError, match="limit"):
        client.events.list(limit=limit)


def streamed(server, *, headers, n):
    """Read `n` events of the stream."""
    found = []
    with httpx.stream("GET", f"{server.url}/api/events/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                found.append(msgspec.json.decode(line[6:], type=events.Event))
            if len(found) == n:
                return found
    raise AssertionError("the stream ended early")


def test_a_stream_resumes_behind_the_last_event_that_was_seen(server, record):
    with house.open_house(settings.Settings(home=server.home)) as opened:
        for _ in range(3):
            record(opened)
        seen = streamed(server, headers={"last-event-id": "1"}, n=2)
    assert [event.seq for event in seen] == [2, 3]


def test_a_stream_tells_what_another_process_does(server, record):
    found: list[events.Event] = []
    ready = threading.Event()

    def read():
        with httpx.stream("GET", f"{server.url}/api/events/stream", timeout=90) as answer:
            for line in answer.iter_lines():
                ready.set()
                if line.startswith("data: "):
                    found.append(msgspec.json.decode(line[6:], type=events.Event))
                    return

    reading = threading.Thread(target=read)
    reading.start()
    assert ready.wait(90)
    with house.open_house(settings.Settings(home=server.home)) as opened:
        record(opened, kind="news.came")
    reading.join(timeout=90)
    assert [event.kind for event in found] == ["news.came"]


def test_an_open_stream_does_not_hold_up_the_stop(server):
    with httpx.stream("GET", f"{server.url}/api/events/stream", timeout=90) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert server.stop() == 0


def test_a_malformed_last_event_id_is_refused(server):
    reply = httpx.get(f"{server.url}/api/events/stream", headers={"last-event-id": "x"})
    assert reply.status_code == 422
