"""Many deployments, memory for few: what is asked for is there, what is not goes."""

from __future__ import annotations

import asyncio

import blake3
import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from homeostat.foundation import errors
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.predictions import spool
from homeostat.lifecycle.registry import described
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.serving import engine, loading, warming
from homeostat.lifecycle.serving.entities import Arm, Member, Plan, PlanDocument, VersionFiles

N_DEPLOYMENTS, N_FIT = 60, 10
NAMES = [f"d{n:02d}" for n in range(N_DEPLOYMENTS)]


@pytest.fixture(scope="module")
def packed():
    frame = pl.DataFrame({"late": np.arange(40.0)})
    model = LogisticRegression().fit(frame.to_numpy(), [0, 1] * 20)
    schema = Schema((Column(name="late", kind="number"),))
    return folder.pack(model, schema=schema, example=frame.head(3), target="y")


@pytest.fixture(scope="module")
def size_bytes(packed):
    """What is read of a version; loading it here also imports what it needs."""
    kept = described.Kept({path: path for path in packed}, packed.__getitem__)
    loading.load(kept)
    return kept.bytes_read


def document(name, packed, *, changed=1, version=1):
    """A deployment whose version is one of its own, though its files are those of all."""
    files = {path: blake3.blake3(data).hexdigest() for path, data in packed.items()}
    return PlanDocument(
        deployment=name,
        model=name,
        key="",
        protected=(),
        plan=Plan(generation=changed, arms=(Arm("stable", 1.0, (Member(version, 1.0),)),)),
        versions=(VersionFiles(version=version, digest=f"{name}@{version}", files=files),),
        changed=changed,
    )


class Process:
    """An engine, and memory for ten versions of equal size."""

    def __init__(self, home, packed, *, budget_bytes):
        files = home / "files"
        files.mkdir()
        for data in packed.values():
            (files / blake3.blake3(data).hexdigest()).write_bytes(data)
        self.files = files
        self.log = spool.Spool(home / "spool")
        self.engine = engine.Engine(self.log)
        self.told = []
        self.damaged = []
        self.warmer = warming.Warmer(
            self.engine,
            files=files,
            budget_bytes=budget_bytes,
            told=self.told.append,
            damaged=self.damaged.append,
            resident=lambda: 0,  # so that files alone count
        )

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.warmer.close()
        await self.engine.close()
        await asyncio.to_thread(self.log.close)

    async def ask(self, name):
        return await self.engine.predict(name, [{"late": 3.0}])

    @property
    def warm(self):
        return [one.document.deployment for one in self.engine.warm()]


@pytest.fixture
def process(tmp_path, packed, size_bytes):
    return Process(tmp_path, packed, budget_bytes=size_bytes * N_FIT)


def test_sixty_deployments_are_answered_with_memory_for_ten(process, packed):
    async def story():
        async with process:
            for name in NAMES:
                process.warmer.take(document(name, packed))
            await process.warmer.settle(limit_s=60)
            assert len(process.warm) <= N_FIT
            assert set(process.engine.names) == set(NAMES)
            answered = [await process.ask(name) for name in NAMES]
            assert len({one.scores[0] for one in answered}) == 1
            assert process.warm == NAMES[-N_FIT:]
            counted = process.engine.meters
            assert (counted.loads - counted.evictions, counted.load_failures) == (N_FIT, 0)

    asyncio.run(story())


def test_the_one_not_asked_for_longest_goes(process, packed):
    async def story():
        async with process:
            for name in NAMES:
                process.warmer.take(document(name, packed))
            for name in NAMES[:N_FIT]:
                await process.ask(name)
            await process.ask(NAMES[0])  # the oldest is the youngest now
            await process.ask(NAMES[-1])
            assert process.warm == [*NAMES[2:N_FIT], NAMES[0], NAMES[-1]]

    asyncio.run(story())


def test_one_at_work_does_not_go(process, packed):
    async def story():
        async with process:
            for name in NAMES:
                process.warmer.take(document(name, packed))
            for name in NAMES[:N_FIT]:
                await process.ask(name)
            asked = asyncio.create_task(process.ask(NAMES[0]))
            await asyncio.sleep(0)
            assert not process.engine.evict(NAMES[0])
            assert (await asked).versions == ["1"]
            assert process.engine.evict(NAMES[0])

    asyncio.run(story())


def test_many_who_ask_for_a_cold_deployment_have_it_loaded_once(process, packed):
    async def story():
        async with process:
            process.warmer.take(document("cold", packed))
            process.engine.evict("cold")
            loads = process.engine.meters.loads
            found = await asyncio.gather(*(process.ask("cold") for _ in range(20)))
            assert len({one.ids[0] for one in found}) == len(found)
            assert process.engine.meters.loads <= loads + 1

    asyncio.run(story())


def test_a_warm_deployment_answers_by_its_plan_until_the_next_one_is_loaded(process, packed):
    async def story():
        async with process:
            process.warmer.take(document("one", packed))
            await process.ask("one")
            process.warmer.take(document("one", packed, changed=2, version=2))
            assert (await process.ask("one")).generation in {1, 2}
            while process.told[-1].changed != 2:  # noqa: ASYNC110 - it loads in a thread
                await asyncio.sleep(0.01)
            assert (await process.ask("one")).versions == ["2"]

    asyncio.run(story())


def test_where_a_new_version_will_not_load_the_last_plan_answers(process, packed):
    broken = {**packed, folder.DESCRIPTION: b"{}"}

    async def story():
        async with process:
            (process.files / blake3.blake3(b"{}").hexdigest()).write_bytes(b"{}")
            process.warmer.take(document("one", packed))
            await process.ask("one")
            process.warmer.take(document("one", broken, changed=2, version=2))
            while not process.engine.meters.load_failures:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
            assert (await process.ask("one")).versions == ["1"]
            assert process.engine.evict("one")
            assert (await process.ask("one")).versions == ["1"]
            assert [one.changed for one in process.told] == [1, 1]
            process.warmer.take(document("new", broken))
            with pytest.raises(errors.UserCodeError, match="version 1 cannot be loaded"):
                await process.ask("new")

    asyncio.run(story())


def test_an_older_plan_changes_nothing(process, packed):
    async def story():
        async with process:
            process.warmer.take(document("one", packed, changed=2, version=2))
            process.warmer.take(document("one", packed, changed=1))
            assert (await process.ask("one")).versions == ["2"]
            process.warmer.take(msgspec.structs.replace(document("one", packed), key="late"))
            assert (await process.ask("one")).versions == ["2"]

    asyncio.run(story())
