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

    async def score(self, batch):
        self.batches.append([one.name for one in batch])
        self.started.set()
        await self.go.wait()
        return [ValueError(one.name) if one.name == "bad" else one.name * 2 for one in batch]


def test_an_idle_lane_starts_at_once_and_the_rest_is_the_next_batch():
    async def story():
        gate = Gate()
        lane = batcher.Lane(gate.score)
        first = asyncio.create_task(lane.submit(Job("a")))
        await gate.started.wait()
        rest = [asyncio.create_task(lane.submit(Job(name))) for name in "bcd"]
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
            lane.submit(Job("good")), lane.submit(Job("bad")), return_exceptions=True
        )
        assert good == "goodgood"
        assert isinstance(bad, ValueError)

    asyncio.run(story())


def test_a_batch_that_cannot_be_scored_tells_everyone_and_the_lane_lives():
    async def story():
        calls = []

        async def score(batch):
            calls.append(len(batch))
            if len(calls) == 1:
                raise RuntimeError("boom")
            return [one.name for one in batch]

        lane = batcher.Lane(score)
        got = await asyncio.gather(
            lane.submit(Job("a")), lane.submit(Job("b")), return_exceptions=True
        )
        assert [str(one) for one in got] == ["boom", "boom"]
        assert await lane.submit(Job("c")) == "c"

    asyncio.run(story())


def test_batches_are_bounded_in_rows_and_so_is_the_queue():
    async def story():
        gate = Gate()
        lane = batcher.Lane(gate.score, max_rows=4, max_waiting=8)
        tasks = [asyncio.create_task(lane.submit(Job("a", 3)))]
        await gate.started.wait()
        tasks += [asyncio.create_task(lane.submit(Job(name, 3))) for name in "bc"]
        await asyncio.sleep(0)
        with pytest.raises(errors.UnavailableError, match="6 rows wait"):
            await lane.submit(Job("d", 3))
        gate.go.set()
        await asyncio.gather(*tasks)
        assert gate.batches == [["a"], ["b"], ["c"]]

    asyncio.run(story())


def test_a_caller_that_leaves_does_not_stop_the_lane():
    async def story():
        gate = Gate()
        lane = batcher.Lane(gate.score)
        gone = asyncio.create_task(lane.submit(Job("a")))
        await gate.started.wait()
        stays = asyncio.create_task(lane.submit(Job("b")))
        gone.cancel()
        gate.go.set()
        assert await stays == "bb"

    asyncio.run(story())
