"""What arrives while a batch is scored is the next batch; nobody waits for company."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.serving import batcher


class Job(NamedTuple):
    name: str
    n_rows: int = 1


class Gate:
    """Scores a batch when told to."""

    def __init__(self):
        self.batches = []
        self.started = asyncio.Event()
        self.go = asyncio.Event()

    def score(self, batch, deliver):
        self.batches.append([one.name for one in batch])
        self.started.set()
        self.task = asyncio.create_task(self.finish(batch, deliver))

    async def finish(self, batch, deliver):
        await self.go.wait()
        deliver([ValueError(one.name) if one.name == "bad" else one.name * 2 for one in batch])


async def submit(lane, job):
    waiter = asyncio.get_running_loop().create_future()
    lane.submit(job, lambda told: waiter.done() or waiter.set_result(told))
    told = await waiter
    if isinstance(told, BaseException):
        raise told
    return told


def test_an_idle_lane_starts_at_once_and_the_rest_is_the_next_batch():
    async def story():
        gate = Gate()
        lane = batcher.Lane(gate.score)
        first = asyncio.create_task(submit(lane, Job("a")))
        await gate.started.wait()
        rest = [asyncio.create_task(submit(lane, Job(name))) for name in "bcd"]
        await asyncio.sleep(0)
        assert lane.n_waiting == 3
        gate.go.set()
        assert await asyncio.gather(first, *rest) == ["aa", "bb", "cc", "dd"]
        assert gate.batches == [["a"], ["b", "c", "d"]]
        await lane.idle()

    asyncio.run(story())


def test_a_bad_neighbour_fails_alone():
    async def story():
        gate = Gate()
        gate.go.set()
        lane = batcher.Lane(gate.score)
        good, bad = await asyncio.gather(
            submit(lane, Job("good")), submit(lane, Job("bad")), return_exceptions=True
        )
        assert good == "goodgood"
        assert isinstance(bad, ValueError)

    asyncio.run(story())


def test_a_batch_that_cannot_be_scored_tells_everyone_and_the_lane_lives():
    async def story():
        calls = []

        def score(batch, deliver):
            calls.append(len(batch))
            if len(calls) == 1:
                raise RuntimeError("boom")
            deliver([one.name for one in batch])

        lane = batcher.Lane(score)
        got = await asyncio.gather(
            submit(lane, Job("a")), submit(lane, Job("b")), return_exceptions=True
        )
        assert [str(one) for one in got] == ["boom", "boom"]
        assert await submit(lane, Job("c")) == "c"

    asyncio.run(story())


def test_batches_are_bounded_in_rows_and_so_is_the_queue():
    async def story():
        gate = Gate()
        lane = batcher.Lane(gate.score, max_rows=4, max_waiting=8)
        tasks = [asyncio.create_task(submit(lane, Job("a", 3)))]
        await gate.started.wait()
        tasks += [asyncio.create_task(submit(lane, Job(name, 3))) for name in "bc"]
        await asyncio.sleep(0)
        with pytest.raises(errors.UnavailableError, match="6 rows wait"):
            await submit(lane, Job("d", 3))
        gate.go.set()
        await asyncio.gather(*tasks)
        assert gate.batches == [["a"], ["b"], ["c"]]

    asyncio.run(story())


def test_a_caller_that_leaves_does_not_stop_the_lane():
    async def story():
        gate = Gate()
        lane = batcher.Lane(gate.score)
        gone = asyncio.create_task(submit(lane, Job("a")))
        await gate.started.wait()
        stays = asyncio.create_task(submit(lane, Job("b")))
        gone.cancel()
        gate.go.set()
        assert await stays == "bb"

    asyncio.run(story())


def test_one_who_fails_on_his_answer_does_not_keep_others_from_theirs():
    async def story():
        got = []
        lane = batcher.Lane(lambda batch, deliver: deliver([one.name for one in batch]))

        def boom(_):
            raise RuntimeError("gone")

        for done in (got.append, boom, got.append):
            lane.submit(Job("a"), done)
        await lane.idle()
        assert got == ["a", "a"]
        assert await submit(lane, Job("b")) == "b"

    asyncio.run(story())
