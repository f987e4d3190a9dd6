"""What jobs and schedules promise, on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import threading

import pytest

from homeostat.foundation import errors, events, jobs

MINUTE_MS = 60_000


@pytest.fixture
def at(database):
    """A write at a chosen distance from now, in seconds."""

    @contextlib.contextmanager
    def open_at(seconds=0):
        with database.write() as tx:
            tx.at += round(seconds * 1000)
            yield tx

    return open_at


def take(tx, worker="w1", lease_s=30):
    return jobs.lease(tx, worker, kinds=["fit"], lease_s=lease_s)


def test_work_is_taken_done_and_over(at, actor):
    with at() as tx:
        made = jobs.enqueue(tx, actor, "fit", payload={"rows": [1, 2]})
        assert jobs.pending(tx) == 1
    with at() as tx:
        job = take(tx)
        assert (job.id, job.payload, job.attempts) == (made.id, {"rows": [1, 2]}, 1)
        assert take(tx, "w2") is None
    with at() as tx:
        done = jobs.complete(tx, job, {"model": 3})
        assert (done.state, done.result) == (jobs.State.DONE, {"model": 3})
        assert jobs.pending(tx) == 0
        assert [e.kind for e in events.read(tx)] == ["job.enqueued", "job.completed"]


def test_workers_get_only_the_kinds_they_ask_for(at, actor):
    with at() as tx:
        jobs.enqueue(tx, actor, "mail", payload={})
        assert take(tx) is None


def test_work_is_done_in_order_of_when_it_is_due(at, actor):
    with at() as tx:
        late = jobs.enqueue(tx, actor, "fit", payload={}, run_after_at=tx.at + 5000)
        soon = jobs.enqueue(tx, actor, "fit", payload={})
        assert take(tx).id == soon.id
        assert take(tx) is None
    with at(6) as tx:
        assert take(tx).id == late.id


def test_a_key_waits_once_but_may_come_again_while_one_runs(at, actor):
    with at() as tx:
        first = jobs.enqueue(tx, actor, "fit", payload={}, key="credit")
        assert jobs.enqueue(tx, actor, "fit", payload={}, key="credit").id == first.id
        assert jobs.enqueue(tx, actor, "mail", payload={}, key="credit").id != first.id
        take(tx)
        assert jobs.enqueue(tx, actor, "fit", payload={}, key="credit").id != first.id


def test_a_silent_workers_job_goes_to_another_and_the_first_can_do_no_harm(at, actor):
    with at() as tx:
        jobs.enqueue(tx, actor, "fit", payload={})
        mine = take(tx, "w1", lease_s=10)
    with at(11) as tx:
        theirs = take(tx, "w2")
        assert (theirs.id, theirs.attempts) == (mine.id, 2)
    for act in (
        lambda tx: jobs.complete(tx, mine),
        lambda tx: jobs.extend(tx, mine, lease_s=9),
    ):
        with pytest.raises(errors.ConflictError, match="no longer has"), at(12) as tx:
            act(tx)
    with at(12) as tx:
        assert jobs.complete(tx, theirs).state is jobs.State.DONE


def test_a_lease_dated_far_ahead_by_a_clock_that_was_set_back_is_free(at, actor):
    with at() as tx:
        jobs.enqueue(tx, actor, "fit", payload={})
    with at(7 * 24 * 3600) as tx:
        assert take(tx, "w1") is not None
    with at() as tx:
        assert jobs.is_due(tx, kinds=["fit"])
        assert take(tx, "w2").attempts == 2


def test_an_extended_lease_is_kept(at, actor):
    with at() as tx:
        jobs.enqueue(tx, actor, "fit", payload={})
        job = take(tx, lease_s=10)
    with at(9) as tx:
        job = jobs.extend(tx, job, lease_s=10)
    with at(15) as tx:
        assert take(tx, "w2") is None
        jobs.complete(tx, job)


def test_news_for_a_job_that_waits_after_a_failure_end_its_waiting(at, actor):
    with at() as tx:
        made = jobs.enqueue(tx, actor, "fit", payload={}, key="credit")
        jobs.fail(tx, take(tx), "the store was busy")
        assert take(tx) is None
        again = jobs.enqueue(tx, actor, "fit", payload={}, key="credit")
        assert (again.id, again.run_after_at) == (made.id, tx.at)
        assert take(tx).id == made.id


def test_looking_for_work_finds_what_a_lease_would(at, actor):
    def is_due(tx, kind="fit"):
        return jobs.is_due(tx, kinds=[kind])

    with at() as tx:
        assert not is_due(tx)
        jobs.enqueue(tx, actor, "fit", payload={}, run_after_at=tx.at + 5000)
        assert not is_due(tx)
    with at(6) as tx:
        assert is_due(tx)
        assert not is_due(tx, "mail")
        take(tx, lease_s=30)
        assert not is_due(tx)
    with at(40) as tx:
        assert is_due(tx)


def test_a_failed_job_comes_again_later_and_later_until_its_attempts_are_used(at, actor):
    with at() as tx:
        jobs.enqueue(tx, actor, "fit", payload={}, max_attempts=3)
    for attempt, (now, wait) in enumerate([(0, 1), (10, 2)], start=1):
        with at(now) as tx:
            job = take(tx)
            assert job.attempts == attempt
            failed = jobs.fail(tx, job, "it raised")
            assert failed.state is jobs.State.QUEUED
            assert failed.run_after_at == tx.at + wait * 1000
            assert take(tx) is None
    with at(20) as tx:
        assert jobs.fail(tx, take(tx), "it raised").state is jobs.State.FAILED
        assert events.read(tx, newest_first=True)[0].facts["error"] == "it raised"


def test_what_would_fail_again_is_not_tried_again(at, actor):
    with at() as tx:
        jobs.enqueue(tx, actor, "fit", payload={})
        assert jobs.fail(tx, take(tx), "no such column", retry=False).state is jobs.State.FAILED


def test_a_job_that_kills_its_worker_each_time_is_failed(at, actor):
    with at() as tx:
        made = jobs.enqueue(tx, actor, "fit", payload={}, max_attempts=2)
    for now in (0, 40):
        with at(now) as tx:
            assert take(tx) is not None
    with at(80) as tx:
        assert take(tx) is None
        ended = jobs.get(tx, made.id)
        assert ended.state is jobs.State.FAILED
        assert "went silent 2 times" in ended.error


def test_workers_at_once_never_take_the_same_job(database, actor):
    with database.write() as tx:
        for _ in range(30):
            jobs.enqueue(tx, actor, "fit", payload={})
    taken = []

    def work(name):
        while True:
            with database.write() as tx:
                job = take(tx, name, lease_s=600)
            if job is None:
                return
            taken.append(job.id)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 30


def test_bad_jobs_are_refused(at, actor):
    with pytest.raises(errors.InvalidInputError, match="payload"), at() as tx:
        jobs.enqueue(tx, actor, "fit", payload={"x": float("nan")})
    with pytest.raises(errors.InvalidInputError, match="max_attempts"), at() as tx:
        jobs.enqueue(tx, actor, "fit", payload={}, max_attempts=0)
    with pytest.raises(errors.NotFoundError), at() as tx:
        jobs.get(tx, "none")


def test_a_schedule_makes_one_job_when_it_is_due_and_none_before(at, actor):
    with at() as tx:
        made = jobs.schedule(
            tx, actor, "nightly", cron="* * * * *", kind="fit", payload={"a": 1}
        )
        assert made.next_at % MINUTE_MS == 0
        assert jobs.enqueue_due(tx) == []
    with at(180) as tx:
        due = jobs.enqueue_due(tx)
        assert [job.payload for job in due] == [{"a": 1}]
        assert jobs.enqueue_due(tx) == []
        assert jobs.pending(tx) == 1
    with at(260) as tx:
        assert [job.id for job in jobs.enqueue_due(tx)] == [due[0].id]
        assert jobs.pending(tx) == 1


def test_setting_the_same_schedule_again_keeps_its_next_time(at, actor):
    with at() as tx:
        made = jobs.schedule(tx, actor, "n", cron="* * * * *", kind="fit", payload={})
    with at(300) as tx:
        assert jobs.schedule(tx, actor, "n", cron="* * * * *", kind="fit", payload={}) == made
    with at(-86_400) as tx:  # the clock was a day ahead
        again = jobs.schedule(tx, actor, "n", cron="* * * * *", kind="fit", payload={})
        assert again.next_at == made.next_at - 86_400_000
        assert jobs.schedules(tx) == [again]
    with at(300) as tx:
        other = jobs.schedule(tx, actor, "n", cron="0 3 * * 1", kind="fit", payload={})
        assert jobs.schedules(tx) == [other]
        assert jobs.unschedule(tx, actor, "n")
        assert not jobs.unschedule(tx, actor, "n")
        assert jobs.schedules(tx) == []


@pytest.mark.parametrize("cron", ["often", "61 * * * *", "0 0 31 2 *", ""])
def test_what_is_no_schedule_is_refused(cron):
    with pytest.raises(errors.InvalidInputError, match="no schedule"):
        jobs.next_time(cron, after_at=0)
