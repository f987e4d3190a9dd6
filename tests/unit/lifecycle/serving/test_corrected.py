"""The engine under corrections: what is answered, logged, counted, and when that ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import msgspec
import numpy as np
import polars as pl
import pytest

from homeostat.foundation import clock, errors
from homeostat.lifecycle.corrections.entities import (
    Abstain,
    Clause,
    Correction,
    Fallback,
    GroupThreshold,
    Recalibration,
    Ruling,
    Threshold,
)
from homeostat.lifecycle.data import rows
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.predictions import segments, spool
from homeostat.lifecycle.serving import answering, engine, entities, plan, served
from homeostat.lifecycle.serving import rules as serving_rules

SCHEMA = Schema((Column(name="income", kind="number"),))
NAMES = "abcdef"
LONG_S = 60.0


class Scaled:
    """The income times a factor; raises for an income of -2; waits where told to."""

    is_fast = True

    def __init__(self, factor, wait=None):
        self.factor = factor
        self.wait = wait

    def scores(self, columns):
        incomes = np.array(columns["income"], dtype=float)
        if self.wait is not None:
            self.wait()
        if (incomes == -2).any():
            raise ArithmeticError("negative")
        return incomes * self.factor


def loaded(factor=0.1, **more):
    return served.Loaded(
        predictor=Scaled(factor, **more),
        classes=("no", "yes"),
        labels=("no", "yes"),
        columns=(("income", "number"),),
        validate=rows.compile_row(SCHEMA),
        read=rows.compile_columns(SCHEMA),
    )


def document(*bodies, arms=None, changed=1, expires_at=2**60, shadow=(), **more):
    made = plan.single(1) if arms is None else entities.Plan(generation=1, arms=arms, salt="s")
    made = msgspec.structs.replace(made, shadow=shadow, **more)
    corrections = tuple(
        Correction(
            id=name,
            version=1,
            deployment="credit",
            body=body,
            status="active",
            reason="because",
            made_by="ada",
            made_at=0,
            starts_at=0,
            expires_at=expires_at,
        )
        for name, body in zip(NAMES, bodies, strict=False)
    )
    return entities.PlanDocument(
        deployment="credit",
        model="credit",
        key="",
        protected=("sex",),
        plan=made,
        versions=(),
        changed=changed,
        corrections=corrections,
    )


@contextlib.asynccontextmanager
async def bench(folder, told, versions):
    """An engine that serves; afterwards its log is in `tables`."""
    log = spool.Spool(folder, limits=spool.Limits(max_age_s=3600))
    made = engine.Engine(log, threads=2)
    made.install(told, versions)
    made.tables = []
    try:
        yield made
    finally:
        await made.close()
        log.close()
        made.tables += [segments.decode(one.path.read_bytes()) for one in log.closed()]


def ask(made, *incomes, sex="f"):
    return made.predict("credit", [{"income": one, "sex": sex} for one in incomes])


def test_what_corrections_did_is_answered_logged_and_counted(tmp_path):
    halve = Recalibration(method="isotonic", knots=((0.0, 0.0), (1.0, 0.5)))
    told = document(
        halve,
        GroupThreshold(column="sex", at={"f": 0.2}),
        Abstain(low=0.3, high=0.4),
        Ruling(when=(Clause("income", "ge", 10),), answer="no"),
    )

    async def story():
        async with bench(tmp_path, told, {1: loaded()}) as made:
            got = await ask(made, 2, 5, 7, 10)
            assert got.scores == pytest.approx([0.1, 0.25, 0.35, 0.5])
            assert got.answers == ["no", "yes", "abstain", "no"]
            assert dict(made.meters.corrections) == {
                ("credit", "a@1"): 4,
                ("credit", "b@1"): 1,
                ("credit", "c@1"): 1,
                ("credit", "d@1"): 1,
            }
        (contents,) = made.tables
        table = contents.predictions
        assert table["score"].to_list() == pytest.approx([0.2, 0.5, 0.7, 1.0])
        assert table["served_score"].to_list() == got.scores
        assert table["answer"].to_list() == got.answers
        assert table["corrections"].to_list() == ["a@1", "a@1,b@1", "a@1,c@1", "a@1,d@1"]

    asyncio.run(story())


def test_a_correction_ends_by_the_clock_without_a_new_plan(tmp_path, monkeypatch):
    now = clock.now_ms()
    told = document(Threshold(at=0.3), expires_at=now + 60_000)

    async def story():
        async with bench(tmp_path, told, {1: loaded()}) as made:
            assert (await ask(made, 4)).answers == ["yes"]
            monkeypatch.setattr(clock, "now_ms", lambda: now + 60_000)
            assert (await ask(made, 4)).answers == ["no"]

    asyncio.run(story())


def test_a_fallback_answers_the_rows_a_model_fails_on_and_the_log_tells_both(tmp_path):
    told = document(Fallback(version=2), Threshold(at=0.3))

    async def story():
        async with bench(
            tmp_path, told, {1: loaded(), 2: loaded()._replace(predictor=Steady())}
        ) as made:
            got = await ask(made, 4, -2)
            assert got.scores == pytest.approx([0.4, 0.9])
            assert got.answers == ["yes", "yes"]
        (contents,) = made.tables
        assert contents.predictions["corrections"].to_list() == ["b@1", "a@1"]
        assert contents.predictions["score"].is_nan().to_list() == [False, True]
        assert [one.kind for one in contents.failures] == ["raised"]

    asyncio.run(story())


class Steady:
    """Scores whatever comes."""

    is_fast = True

    def scores(self, columns):
        return np.full(len(columns["income"]), 0.9)


def test_where_the_fallback_fails_as_well_the_request_fails_alone(tmp_path):
    told = document(Fallback(version=2))

    async def story():
        async with bench(tmp_path, told, {1: loaded(), 2: loaded(0.2)}) as made:
            good, bad = await asyncio.gather(
                ask(made, 4), ask(made, 4, -2), return_exceptions=True
            )
            assert good.answers == ["no"]
            assert isinstance(bad, errors.UserCodeError)
        (contents,) = made.tables
        assert contents.predictions["score"].to_list() == [0.4]

    asyncio.run(story())


def test_a_canary_that_fails_is_answered_for_by_the_stable_arm_not_by_the_fallback(tmp_path):
    arms = (
        entities.Arm("stable", 0.0, (entities.Member(1, 1.0),)),
        entities.Arm("canary", 1.0, (entities.Member(2, 1.0),)),
    )
    told = document(Fallback(score=0.7), arms=arms)

    async def story():
        broken = loaded(float("nan"))
        async with bench(tmp_path, told, {1: loaded(), 2: broken}) as made:
            got = await ask(made, 4)
            assert (got.scores, got.arms) == ([0.4], ["stable"])
            assert made.meters.fallbacks["credit", "canary"] == 1

    asyncio.run(story())


def test_the_log_says_with_which_chance_a_row_came_to_its_arm(tmp_path):
    arms = (
        entities.Arm("stable", 0.75, (entities.Member(1, 1.0),)),
        entities.Arm("canary", 0.25, (entities.Member(2, 1.0),)),
    )

    async def story():
        versions = {1: loaded(), 2: loaded()}
        async with bench(tmp_path, document(arms=arms), versions) as made:
            await ask(made, *[4] * 100)
        (contents,) = made.tables
        seen = contents.predictions.select("arm", "propensity").unique()
        assert sorted(seen.rows()) == [("canary", 0.25), ("stable", 0.75)]

    asyncio.run(story())


def test_a_row_that_a_rule_sent_came_with_certainty(tmp_path):
    arms = (
        entities.Arm("stable", 0.75, (entities.Member(1, 1.0),)),
        entities.Arm("canary", 0.25, (entities.Member(2, 1.0),)),
    )
    sent = (serving_rules.parse("income >= 5 -> canary"),)

    async def story():
        versions = {1: loaded(), 2: loaded()}
        async with bench(tmp_path, document(arms=arms, rules=sent), versions) as made:
            await ask(made, *[4] * 50, *[6] * 50)
        (contents,) = made.tables
        seen = contents.predictions.select("x.income", "arm", "propensity").unique()
        assert sorted(seen.filter(pl.col("x.income") > 5).rows()) == [(6.0, "canary", 1.0)]
        dealt = seen.filter(pl.col("x.income") < 5)
        assert sorted(dealt.rows()) == [(4.0, "canary", 0.25), (4.0, "stable", 0.75)]

    asyncio.run(story())


def test_shadows_are_logged_as_they_scored(tmp_path):
    told = document(Threshold(at=0.3), shadow=(entities.Shadow(2, 1.0),))

    async def story():
        async with bench(tmp_path, told, {1: loaded(), 2: loaded()}) as made:
            await ask(made, 4)
        (contents,) = made.tables
        table = contents.predictions.sort("answered")
        assert table["answer"].to_list() == ["no", "yes"]
        assert table["corrections"].to_list() == ["", "a@1"]

    asyncio.run(story())


def test_a_change_of_corrections_alone_is_a_change_of_plan_document(tmp_path):
    async def story():
        versions = {1: loaded()}
        async with bench(tmp_path, document(), versions) as made:
            assert (await ask(made, 4)).answers == ["no"]
            made.install(document(Threshold(at=0.3), changed=2), versions)
            assert (await ask(made, 4)).answers == ["yes"]
            made.install(document(changed=3), versions)
            assert (await ask(made, 4)).answers == ["no"]

    asyncio.run(story())


def test_a_model_that_hangs_is_answered_for_by_the_fallback(tmp_path, monkeypatch):
    told = document(Fallback(score=0.7))
    go = threading.Event()

    async def story():
        slow = loaded(wait=lambda: go.wait(LONG_S))
        slow = slow._replace(predictor=Apart(slow.predictor))
        async with bench(tmp_path, told, {1: slow}) as made:
            pool = made._threads
            give_up = pool._give_up

            def patient():  # only the model is late, not what answers for it
                pool._timeout_s = LONG_S
                give_up()

            monkeypatch.setattr(pool, "_give_up", patient)
            monkeypatch.setattr(pool, "_timeout_s", 0.03)
            monkeypatch.setattr(answering, "REST_S", LONG_S)
            got = await ask(made, 4)
            assert (got.scores, got.answers) == ([0.7], ["yes"])
            again = await ask(made, 4)  # it rests
            assert again.scores == [0.7]
            go.set()

    asyncio.run(story())


class Apart:
    """A predictor that is asked in a thread."""

    is_fast = False

    def __init__(self, inner):
        self.scores = inner.scores
