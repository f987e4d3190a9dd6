"""A decision far from training is told, and versions that disagree; usual rows are not."""

from __future__ import annotations

import asyncio

import blake3
import numpy as np
import polars as pl
import pytest

from homeostat.lifecycle.monitoring import baseline
from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.serving import guarding
from homeostat.lifecycle.serving.entities import (
    Arm,
    Member,
    Plan,
    PlanDocument,
    Shadow,
    VersionFiles,
)

FEATURES = ("income", "age", "region")
LAYOUT = frames.Layout(FEATURES, ("number", "number", "category"), ())


def table(n, *, seed):
    rng = np.random.default_rng(seed)
    age = rng.normal(45, 12, size=n)
    return pl.DataFrame(
        {
            "income": np.exp(10 + 0.02 * age + rng.normal(size=n) * 0.3),
            "age": age,
            "region": rng.choice(["north", "south"], size=n),
        }
    )


def batch(rows, *, first=0, scores=None, version="1", answered=True, members=()):
    n = rows.height
    names = [f"k{first + i}" for i in range(n)]
    return frames.Batch(
        served_at=0,
        generation=1,
        arm="stable",
        answered=answered,
        version=version,
        ids=names,
        keys=names,
        features=[rows[name].to_list() for name in FEATURES],
        context=[],
        scores=[0.5] * n if scores is None else scores,
        answers=["no"] * n,
        members=[str(i + 1) for i in range(len(members) or 1)],
        member_scores=list(members) or [[0.5] * n],
    )


@pytest.fixture(scope="module")
def packed():
    rows = table(5000, seed=0)
    return baseline.encode(baseline.freeze(rows, features=FEATURES))


@pytest.fixture
def watch(packed, tmp_path):
    """Let a guard see batches; return what it told and itself."""
    digest = blake3.blake3(packed).hexdigest()
    (tmp_path / digest).write_bytes(packed)

    def see(*batches, shadow=()):
        document = PlanDocument(
            deployment="d",
            model="m",
            key="",
            protected=(),
            plan=Plan(
                generation=1, arms=(Arm("stable", 1.0, (Member(1, 1.0),)),), shadow=shadow
            ),
            versions=(VersionFiles(version=1, digest="d", files={}, baseline=digest),),
            changed=1,
        )
        told = []

        async def story():
            guard = guarding.Guard(tmp_path, tell=told.append)
            guard.know(document)
            for at_once in batches:
                for one in at_once if isinstance(at_once, list) else [at_once]:
                    guard.see("d", one, LAYOUT)
                while guard.is_waiting:
                    await asyncio.sleep(guarding.WAIT_S / 20)
                    guard.look()
            await guard.close()
            return guard

        return told, asyncio.run(story())

    return see


def test_usual_rows_are_told_of_to_nobody(watch):
    told, guard = watch(*(batch(table(1000, seed=1 + i), first=1000 * i) for i in range(20)))
    assert told == []
    assert (guard.n_seen, guard.n_skipped) == (20_000, 0)


@pytest.mark.parametrize("n", [1, 500])
def test_a_row_far_out_is_told_with_its_column_and_only_once(watch, n):
    rows = table(n, seed=2)
    rows[n - 1, "income"] = 1e12
    told, _ = watch(batch(rows), batch(rows, first=n))
    (one,) = told
    assert (one.kind, one.column) == ("unexpected-decision", "income")
    assert f"k{n - 1} " in one.sentence
    assert "income=1e+12" in one.evidence[2]


def test_what_there_is_no_time_for_is_counted(watch):
    whole = batch(table(5000, seed=4))
    told, guard = watch([whole, whole, whole])
    assert told == []
    assert (guard.n_seen, guard.n_skipped) == (5000, 10_000)


@pytest.mark.parametrize("way", ["members", "shadow"])
def test_a_disagreement_beyond_what_is_usual_is_told(watch, way):
    rng = np.random.default_rng(5)
    batches = []
    for i in range(4):
        rows, first = table(500, seed=10 + i), 500 * i
        one = rng.uniform(0.1, 0.9, size=500)
        other = one + rng.normal(scale=0.01, size=500)
        if i == 3:
            one[7], other[7] = 0.05, 0.95
        if way == "members":
            batches.append(batch(rows, first=first, members=(one.tolist(), other.tolist())))
        else:
            batches.append(batch(rows, first=first, scores=one.tolist()))
            batches.append(
                batch(rows, first=first, scores=other.tolist(), version="2", answered=False)
            )
    told, _ = watch(*batches, shadow=(Shadow(2, 1.0),))
    (found,) = told
    assert found.kind == "disagreement"
    assert "differ by 0.90 on k1507" in found.sentence
