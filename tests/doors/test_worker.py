"""The worker: what it cannot answer is passed over, and it never lives on without its lanes."""

from __future__ import annotations

import threading

import pytest

from homeostat.doors import worker
from homeostat.foundation import access, errors, events, house, jobs, settings
from homeostat.lifecycle.loop import triggers

ACTOR = access.system("test")


@pytest.fixture
def opened(tmp_path):
    with house.open_house(settings.load(home=tmp_path / "home")) as found:
        yield found


def test_an_event_that_cannot_be_answered_is_told_and_passed_over(opened):
    for facts in ({}, {"deployment": "credit"}):
        opened.write(
            lambda tx, facts=facts: events.record(
                tx, ACTOR, "segment.closed", subject="deployment:credit", facts=facts
            )
        )
    for event in opened.read(lambda tx: events.follow(tx, triggers.READER)):
        worker.answer(opened, event)
    told = opened.read(lambda tx: events.read(tx, kinds=("trigger.failed",)))
    assert [(one.facts["seq"], one.facts["sentence"]) for one in told] == [
        (1, "KeyError: 'deployment'")
    ]
    assert [job.payload for job in opened.read(jobs.newest)] == [{"deployment": "credit"}]


def test_an_event_that_two_workers_read_is_answered_by_one_of_them(opened):
    opened.write(
        lambda tx: events.record(tx, ACTOR, "segment.closed", subject="deployment:x", facts={})
    )
    (event,) = opened.read(lambda tx: events.follow(tx, triggers.READER))
    for _ in range(2):
        worker.answer(opened, event)
    told = opened.read(lambda tx: events.read(tx, kinds=("trigger.failed",)))
    assert [one.facts["seq"] for one in told] == [event.seq]


def test_a_worker_whose_lane_died_ends_with_the_reason(opened):
    def leave(job):
        raise SystemExit(job.kind)

    opened.write(lambda tx: jobs.enqueue(tx, ACTOR, "odd", payload={}))
    ending = threading.Event()
    lane = worker.Lane("fit", {"odd": leave}, opened, ending=ending)
    lane.start()
    with pytest.raises(
        errors.UnavailableError, match="lane-fit of the worker died: SystemExit"
    ):
        worker.follow(opened, ending, lanes=[lane])
    ending.set()
    lane.join()
