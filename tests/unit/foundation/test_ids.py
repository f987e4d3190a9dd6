"""Identifiers sort as they were made and never meet."""

from __future__ import annotations

import itertools
import threading
import uuid

from homeostat.foundation import clock, ids

_AT_NS = 1_700_000_000_123_456_789


def test_ids_of_one_millisecond_sort_as_they_were_made(monkeypatch):
    # As far apart as the twelve bits behind the milliseconds tell.
    instants = itertools.count(_AT_NS, 250)
    monkeypatch.setattr(clock, "now_ns", lambda: next(instants))
    made = [ids.new_id() for _ in range(1000)]
    assert made == sorted(made)
    assert len({one[:12] for one in made}) == 1, "all of one millisecond"


def test_an_id_is_a_uuid_of_version_7_that_tells_its_instant():
    before = clock.now_ms()
    made = uuid.UUID(ids.new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= clock.now_ms()


def test_ids_of_one_instant_differ_in_every_thread(monkeypatch):
    monkeypatch.setattr(clock, "now_ns", lambda: _AT_NS)
    made: list[str] = []

    def make() -> None:
        made.extend(ids.new_id() for _ in range(2000))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(made) == 8000


def test_many_at_once_follow_each_other():
    first, *others = ids.new_ids(500)
    assert [int(one, 16) - int(first, 16) for one in others] == list(range(1, 500))
