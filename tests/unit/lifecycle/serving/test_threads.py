"""A model that hangs costs its own batch; its neighbours and the disk go on."""

from __future__ import annotations

import asyncio
import threading

import pytest

from homeostat.lifecycle.serving import threads

LONG_S = 60.0


async def run(pool, work):
    """Return what came of it: ("then" | "late" | "failed", what)."""
    waiter = asyncio.get_running_loop().create_future()

    def told(kind):
        return lambda what: waiter.set_result((kind, what))

    pool.run(work, told("then"), late=told("late"), failed=told("failed"))
    return await waiter


@pytest.fixture
def stuck():
    """What hangs until the test is over."""
    go = threading.Event()
    yield lambda: go.wait(LONG_S)
    go.set()


def test_neighbours_of_models_that_hang_are_scored_by_further_threads(stuck):
    async def story():
        pool = threads.Threads(2, timeout_s=LONG_S)
        hanging = [asyncio.create_task(run(pool, stuck)) for _ in range(2)]
        assert await run(pool, lambda: 7) == ("then", 7)
        assert not any(one.done() for one in hanging)
        for one in hanging:
            one.cancel()

    asyncio.run(story())


def test_models_that_hang_are_given_up_with_their_threads(stuck):
    async def story():
        pool = threads.Threads(2, timeout_s=0.1)
        hanging = [asyncio.create_task(run(pool, stuck)) for _ in range(2)]
        assert [await one for one in hanging] == [("late", 0.1)] * 2
        assert pool.n_given_up == 2
        pool._timeout_s = LONG_S
        assert await run(pool, lambda: 8) == ("then", 8)

    asyncio.run(story())


def test_the_disk_is_not_behind_a_model(stuck):
    async def story():
        pool = threads.Threads(1, timeout_s=LONG_S)
        hanging = asyncio.create_task(run(pool, stuck))
        await asyncio.sleep(0)
        assert await asyncio.wait_for(pool.call(lambda: "synced"), LONG_S) == "synced"
        waiter = asyncio.get_running_loop().create_future()
        pool.then(lambda: None, waiter.set_result)
        assert await asyncio.wait_for(waiter, LONG_S) is None
        hanging.cancel()

    asyncio.run(story())


@pytest.mark.parametrize("kind", [ValueError, SystemExit, BaseException])
def test_whatever_is_raised_is_told(kind):
    def boom():
        raise kind("no")

    async def story():
        pool = threads.Threads(1)
        how, error = await run(pool, boom)
        assert (how, type(error)) == ("failed", kind)
        assert await run(pool, lambda: 1) == ("then", 1)
        pool.close()

    asyncio.run(story())


def test_a_process_with_many_threads_that_hang_says_so(stuck):
    async def story():
        worn = []
        pool = threads.Threads(1, timeout_s=0.05, on_worn=lambda: worn.append(True))
        many = (run(pool, stuck) for _ in range(threads.GIVEN_UP_AT_MOST))
        assert {how for how, _ in await asyncio.gather(*many)} == {"late"}
        assert worn == [True]

    asyncio.run(story())
