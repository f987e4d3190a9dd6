"""The engine answers what it logged, keeps neighbours apart, and changes plans unnoticed."""

from __future__ import annotations

import asyncio
import contextlib
import functools

import msgspec
import numpy as np
import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.data import rows
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.predictions import segments, spool
from homeostat.lifecycle.serving import composite, engine, entities, plan, router, served
from homeostat.lifecycle.serving import rules as serving_rules


class Scaled:
    """The income times a factor; answers nonsense for an income of -1, raises for -2."""

    is_fast = False

    def __init__(self, factor):
        self.factor = factor

    def scores(self, columns):
        incomes = np.array(columns["income"], dtype=float)
        if (incomes == -2).any():
            raise ArithmeticError("negative")
        return np.where(incomes == -1, np.nan, incomes * self.factor)


REGION = Column(name="region", kind="category", categories=("north", "south"))
SCHEMA = Schema((Column(name="income", kind="number"),))


def loaded(factor=0.1):
    return served.Loaded(
        predictor=Scaled(factor),
        classes=("no", "yes"),
        labels=("no", "yes"),
        columns=(("income", "number"),),
        validate=rows.compile_row(SCHEMA),
        read=rows.compile_columns(SCHEMA),
    )


def document(made):
    return entities.PlanDocument(
        deployment="credit",
        model="credit",
        key="customer",
        protected=("sex",),
        plan=made,
        versions=(),
        changed=made.generation,
    )


def canary(share, *, stable=1, new=2, generation=1, shadow=()):
    arms = (
        entities.Arm("stable", 1 - share, (entities.Member(stable, 1.0),)),
        entities.Arm("canary", share, (entities.Member(new, 1.0),)),
    )
    return entities.Plan(generation=generation, arms=arms, shadow=shadow, salt="s")


class Bench:
    """An engine with its log in a folder."""

    def __init__(self, folder, **options):
        self.log = spool.Spool(folder, limits=spool.Limits(max_age_s=3600), **options)
        self.engine = engine.Engine(self.log, threads=2)

    async def finish(self):
        await self.engine.close()
        self.log.close()
        return [segments.decode(one.path.read_bytes()) for one in self.log.closed()]


@contextlib.asynccontextmanager
async def bench(folder, **options):
    made = Bench(folder, **options)
    try:
        yield made
    finally:
        await made.finish()


def run(story):
    return asyncio.run(story)


def test_what_is_answered_is_in_the_log(tmp_path):
    async def story():
        made = Bench(tmp_path)
        made.engine.install(document(plan.single(1)), {1: loaded()})
        got = await made.engine.predict(
            "credit",
            [{"income": 2, "sex": "f", "customer": 7}, {"income": 9}],
            keys=[None, "k"],
        )
        assert got.scores == pytest.approx([0.2, 0.9])
        assert (got.answers, got.keys, got.versions) == (["no", "yes"], ["7", "k"], ["1", "1"])
        (contents,) = await made.finish()
        table = contents.predictions
        assert table["id"].to_list() == got.ids
        assert table["score"].to_list() == got.scores
        assert table["c.sex"].to_list() == ["f", None]
        assert table["x.income"].to_list() == [2.0, 9.0]
        assert "x.sex" not in table.columns
        assert "x.customer" not in table.columns

    run(story())


def test_a_row_without_a_key_is_known_by_its_id(tmp_path):
    async def story():
        async with bench(tmp_path) as made:
            made.engine.install(document(plan.single(1)), {1: loaded()})
            got = await made.engine.predict("credit", [{"income": 2}])
            assert got.keys == got.ids

    run(story())


@pytest.mark.parametrize(
    ("said", "key"), [(42, "42"), (42.0, "42"), ("42.0", "42.0"), (float("nan"), None)]
)
def test_the_key_column_names_a_row_as_its_label_will(tmp_path, said, key):
    async def story():
        async with bench(tmp_path) as made:
            made.engine.install(document(plan.single(1)), {1: loaded()})
            got = await made.engine.predict("credit", [{"income": 2, "customer": said}])
            assert got.keys == [key or got.ids[0]]

    run(story())


@pytest.mark.parametrize("said", ["", "k" * 1001, True, [1, 2], 1.5, float("inf")])
def test_what_is_no_key_in_the_key_column_is_refused_with_its_place(tmp_path, said):
    async def story():
        async with bench(tmp_path) as made:
            made.engine.install(document(plan.single(1)), {1: loaded()})
            rows = [{"income": 2, "customer": "a"}, {"income": 2, "customer": said}]
            with pytest.raises(
                errors.InvalidInputError, match=r"rows\[1\]\.customer: "
            ) as told:
                await made.engine.predict("credit", rows)
            assert told.value.facts["path"] == "rows[1].customer"
            got = await made.engine.predict("credit", rows, keys=["b", "c"])
            assert got.keys == ["b", "c"]

    run(story())


@pytest.mark.parametrize("row", [{"income": "much"}, {}, {"income": 1, "unknown": 2}])
def test_a_bad_row_is_refused_with_its_place_and_harms_no_neighbour(tmp_path, row):
    async def story():
        async with bench(tmp_path) as made:
            made.engine.install(document(plan.single(1)), {1: loaded()})
            good, bad = await asyncio.gather(
                made.engine.predict("credit", [{"income": 5}]),
                made.engine.predict("credit", [{"income": 1}, row]),
                return_exceptions=True,
            )
            assert good.scores == [0.5]
            assert isinstance(bad, errors.InvalidInputError)
            assert bad.message.startswith("rows[1].")

    run(story())


@pytest.mark.parametrize(("income", "kind"), [(-1, "not-finite"), (-2, "raised")])
def test_a_failing_model_fails_its_rows_only_and_the_log_says_so(tmp_path, income, kind):
    async def story():
        made = Bench(tmp_path)
        made.engine.install(document(plan.single(1)), {1: loaded()})
        good, bad = await asyncio.gather(
            made.engine.predict("credit", [{"income": 5}]),
            made.engine.predict("credit", [{"income": 5}, {"income": income}]),
            return_exceptions=True,
        )
        assert good.scores == [0.5]
        assert isinstance(bad, errors.UserCodeError)
        assert "rows[1]: version 1" in bad.message
        (contents,) = await made.finish()
        assert contents.predictions["id"].to_list() == good.ids
        (failure,) = contents.failures
        assert (failure.arm, failure.member, failure.kind) == ("stable", "1", kind)
        assert made.engine.meters.faults["credit", "1", kind] == 1

    run(story())


def test_where_a_canary_fails_the_stable_arm_answers_and_the_log_tells_both(tmp_path):
    async def story():
        made = Bench(tmp_path)
        broken = loaded(factor=float("nan"))
        made.engine.install(document(canary(0.5)), {1: loaded(), 2: broken})
        rows = [{"income": 5}] * 40
        got = await made.engine.predict("credit", rows, keys=[str(i) for i in range(40)])
        assert set(got.scores) == {0.5}
        assert set(got.versions) == {"1"}
        (contents,) = await made.finish()
        assert sorted(contents.predictions["key"].to_list()) == sorted(got.keys)
        (failure,) = contents.failures
        assert (failure.arm, failure.member) == ("canary", "2")
        assert made.engine.meters.fallbacks["credit", "canary"] == failure.n_rows

    run(story())


class Quick(Scaled):
    """Scored on the event loop, so that the arms of a plan score in one turn of it."""

    is_fast = True


def test_where_the_log_refuses_no_arm_answers_and_both_do_once_it_takes_again(tmp_path):
    async def story():
        made = Bench(tmp_path / "log")
        quick = {at: loaded()._replace(predictor=Quick(0.1)) for at in (1, 2)}
        made.engine.install(document(canary(0.5)), quick)

        def ask():
            asked = [made.engine.predict("credit", [{"income": i % 9}]) for i in range(40)]
            return asyncio.gather(*asked, return_exceptions=True)

        (tmp_path / "log").rmdir()
        assert {type(one) for one in await ask()} == {errors.UnavailableError}
        (tmp_path / "log").mkdir()
        answered = await ask()
        assert {one.arms[0] for one in answered} == {"stable", "canary"}
        (contents,) = await made.finish()
        logged = contents.predictions
        assert sorted(logged["id"]) == sorted(one.ids[0] for one in answered)
        assert set(logged["arm"]) == {"stable", "canary"}

    run(story())


def test_a_composite_answers_once_with_all_its_members(tmp_path):
    async def story():
        made = Bench(tmp_path)
        arm = entities.Arm("stable", 1.0, (entities.Member(4, 0.25), entities.Member(3, 0.75)))
        both = entities.Plan(generation=1, arms=(arm,))
        made.engine.install(document(both), {3: loaded(0.1), 4: loaded(0.02)})
        got = await made.engine.predict("credit", [{"income": 5}])
        assert got.scores == pytest.approx([0.75 * 0.5 + 0.25 * 0.1])
        assert got.versions == ["3+4"]
        (contents,) = await made.finish()
        row = contents.predictions.row(0, named=True)
        assert row["members"] == ["3", "4"]
        assert row["member_scores"] == pytest.approx([0.5, 0.1])

    run(story())


def test_a_shadow_is_logged_and_never_answers(tmp_path):
    async def story():
        made = Bench(tmp_path)
        shadowed = entities.Plan(
            generation=1, arms=plan.single(1).arms, shadow=(entities.Shadow(2, 0.5),)
        )
        made.engine.install(document(shadowed), {1: loaded(), 2: loaded(0.2)})
        rows = [{"income": 2}] * 200
        got = await made.engine.predict("credit", rows, keys=[str(i) for i in range(200)])
        assert set(got.scores) == {0.2}
        contents = await made.finish()
        table = segments.stack(one.predictions for one in contents)
        shadow = table.filter(~table["answered"])
        assert table["answered"].sum() == 200
        assert 60 < len(shadow) < 140
        assert shadow["score"].unique().to_list() == [0.4]
        assert shadow["arm"].unique().to_list() == ["shadow"]
        assert set(shadow["key"]) <= set(got.keys)

    run(story())


def test_plans_change_under_load_without_a_failed_request(tmp_path):
    async def story():
        made = Bench(tmp_path)
        versions = {1: loaded(), 2: loaded(0.05)}
        made.engine.install(document(canary(0.0)), versions)
        stop = asyncio.Event()
        seen = []

        async def client(name):
            n = 0
            while not stop.is_set():
                got = await made.engine.predict("credit", [{"income": 5}], keys=[f"{name}-{n}"])
                seen.append((got.keys[0], got.generation, got.versions[0], got.scores[0]))
                n += 1

        clients = [asyncio.create_task(client(name)) for name in range(8)]
        for generation in range(2, 22):
            share = generation / 21
            made.engine.install(document(canary(share, generation=generation)), versions)
            while not seen or seen[-1][1] != generation:  # noqa: ASYNC110 - clients run
                await asyncio.sleep(0)
        stop.set()
        await asyncio.gather(*clients)
        contents = await made.finish()
        table = segments.stack(one.predictions for one in contents)
        logged = table.select("key", "generation", "version", "score").rows()
        assert sorted(logged) == sorted(seen)
        assert {score for _, _, version, score in seen if version == "1"} == {0.5}
        assert {version for *_, version, _ in seen} == {"1", "2"}
        generation, timed = made.engine.meters.canary["credit"]
        assert (generation, sum(timed.counts) > 0) == ("21", True)

    run(story())


def test_an_older_generation_is_ignored(tmp_path):
    async def story():
        async with bench(tmp_path) as made:
            made.engine.install(document(plan.single(1, generation=3)), {1: loaded()})
            made.engine.install(document(plan.single(2, generation=2)), {2: loaded()})
            assert made.engine.get("credit").document.plan.generation == 3

    run(story())


def test_a_version_that_cannot_take_its_place_is_told_to_the_log(tmp_path):
    async def story():
        made = Bench(tmp_path)
        made.engine.install(document(plan.single(1)), {1: loaded()})
        fault = composite.Fault(2, "load", "version 2: a file is missing")
        made.engine.report(document(canary(0.1, generation=2)), fault)
        assert (await made.engine.predict("credit", [{"income": 5}])).versions == ["1"]
        (contents,) = await made.finish()
        (failure,) = contents.failures
        assert (failure.generation, failure.arm, failure.member) == (2, "canary", "2")

    run(story())


def test_labels_are_the_models_own_classes(tmp_path):
    async def story():
        made = Bench(tmp_path)
        made.engine.install(document(plan.single(1)), {1: loaded()})
        given_labels = [engine.Label("a", "yes", 5), engine.Label("b", "no")]
        assert await made.engine.label("credit", given_labels) == 2
        with pytest.raises(errors.InvalidInputError, match=r"labels\[1\]: 1 is no label"):
            await made.engine.label("credit", [engine.Label("a", "yes"), engine.Label("b", 1)])
        (contents,) = await made.finish()
        assert contents.labels.select("key", "label", "event_at").rows() == [
            ("a", "yes", 5),
            ("b", "no", None),
        ]

    run(story())


def test_labels_of_a_cold_deployment_load_nothing(tmp_path):
    async def story():
        async with bench(tmp_path) as made:
            loads = []

            async def load(name):
                loads.append(name)
                raise errors.UserCodeError("its version does not load")

            made.engine.load = load
            made.engine.expect("credit", ("no", "yes"))
            assert await made.engine.label("credit", [engine.Label("a", "yes")]) == 1
            with pytest.raises(errors.InvalidInputError, match="it knows no, yes"):
                await made.engine.label("credit", [engine.Label("a", "maybe")])
            told = msgspec.structs.replace(document(plan.single(1)), classes=("no", "yes"))
            made.engine.install(told, {1: loaded()})
            assert made.engine.evict("credit")
            assert await made.engine.label("credit", [engine.Label("b", "no")]) == 1
            assert loads == []

    run(story())


def test_what_is_not_served_is_named_with_what_is(tmp_path):
    async def story():
        async with bench(tmp_path) as made:
            made.engine.install(document(plan.single(1)), {1: loaded()})
            with pytest.raises(errors.NotFoundError, match=r"no deployment 'churn'.*credit"):
                await made.engine.predict("churn", [{}])

    run(story())


def test_too_many_rows_are_refused(tmp_path):
    async def story():
        async with bench(tmp_path) as made:
            made.engine.install(document(plan.single(1)), {1: loaded()})
            with pytest.raises(errors.TooLargeError, match="10000 rows; seen 10001"):
                await made.engine.predict("credit", [{"income": 1}] * 10_001)
            with pytest.raises(errors.InvalidInputError, match="at least one row"):
                await made.engine.predict("credit", [])

    run(story())


def ruled(**more):
    arms = (
        entities.Arm("stable", 1.0, (entities.Member(1, 1.0),)),
        entities.Arm("rich", 0.0, (entities.Member(2, 1.0),)),
    )
    told = (serving_rules.parse("income >= 5 -> rich"), serving_rules.parse("sex = m -> rich"))
    return document(entities.Plan(generation=1, arms=arms, rules=told, **more))


def test_a_rule_decides_row_by_row_on_features_and_context(tmp_path):
    async def story():
        async with bench(tmp_path) as made:
            made.engine.install(ruled(), {1: loaded(0.1), 2: loaded(0.01)})
            rows = [{"income": 2}, {"income": 9}, {"income": 1, "sex": "m"}]
            got = await made.engine.predict("credit", rows)
            assert got.versions == ["1", "2", "2"]
            assert got.scores == pytest.approx([0.2, 0.09, 0.01])

    run(story())


@pytest.mark.parametrize(
    ("version", "token", "answer"),
    [("2", "secret", 1), ("rich", "secret", 1), ("1", "secret", 0), ("7", "secret", None)],
)
def test_who_may_names_the_version_that_answers(tmp_path, version, token, answer):
    async def story():
        async with bench(tmp_path) as made:
            keeper = entities.Override((router.token_digest("secret"),))
            made.engine.install(ruled(override=keeper), {1: loaded(), 2: loaded()})
            now = made.engine.get("credit")
            request = now.admit(["income"], [[2]], n_rows=1)
            if answer is None:
                with pytest.raises(errors.NotFoundError, match="no version '7'"):
                    now.ask_for(request, version, token=token)
                return
            now.ask_for(request, version, token=token)
            assert now.route(request) == answer
            with pytest.raises(errors.NotAllowedError, match="does not let you choose"):
                now.ask_for(request, version, token="guess")

    run(story())


@pytest.mark.parametrize("unseen", ["accept", "refuse"])
def test_a_category_never_seen_is_told_or_refused(tmp_path, unseen):
    schema = Schema((Column(name="income", kind="number"), REGION))
    seat = loaded()._replace(
        columns=(("income", "number"), ("region", "category")),
        read=rows.compile_columns(schema),
        unseen=rows.compile_unseen(schema),
    )

    async def story():
        async with bench(tmp_path) as made:
            told = msgspec.structs.replace(document(plan.single(1)), unseen=unseen)
            made.engine.install(told, {1: seat})
            now = made.engine.get("credit")
            asked = functools.partial(now.admit, ["income", "region"], n_rows=2)
            assert asked([[1, 2], ["north", "north"]]).unseen is None
            if unseen == "refuse":
                with pytest.raises(errors.InvalidInputError, match=r"rows\[1\]\.region"):
                    asked([[1, 2], ["north", "moon"]])
            else:
                assert asked([[1, 2], ["north", "moon"]]).unseen == {"region": ["moon"]}
            assert made.engine.meters.unseen["credit", "region"] == 1

    run(story())
