"""Tables scored in bulk, the log read back, and what led to what: over a house with models."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import types

import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from doors import furnishing
from homeostat.doors import cli, local
from homeostat.doors.client import scorings as sdk
from homeostat.foundation import clock, errors, house, ids, settings
from homeostat.lifecycle.corrections import stored
from homeostat.lifecycle.corrections.entities import Correction, Fallback, Threshold
from homeostat.lifecycle.data import batches
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import frames, segments, spool
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import batched, bundled, engine
from homeostat.lifecycle.serving import rules as serving_rules
from homeostat.lifecycle.serving.entities import Arm, Member, Plan

REGIONS = ("capital", "east", "north")
ADA = furnishing.ADA


def table(n, *, seed=0):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"k{at:05}" for at in range(n)],
            "income": rng.uniform(10_000, 200_000, n).round(2),
            "region": rng.choice(REGIONS, n),
            "sex": rng.choice(["f", "m"], n),
            "note": [f"note {at}" for at in range(n)],
        }
    )


def model(seed):
    rows = table(300, seed=seed)
    codes = [REGIONS.index(one) for one in rows["region"]]
    x = np.column_stack([rows["income"].to_numpy() / 1e5, codes])
    made = LogisticRegression().fit(
        np.column_stack([rows["income"].to_numpy(), codes]),
        (x[:, 0] + 0.3 * x[:, 1] + 0.2 * seed > 1.2).astype(int),
    )
    return folder.pack(
        made,
        schema=furnishing.SCHEMA,
        example=rows.select("income", "region"),
        target="defaulted",
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a composite of two versions and a canary of one."""
    place = tmp_path_factory.mktemp("scored") / "home"
    with house.open_house(settings.Settings(home=place)) as opened:
        run = opened.write(lambda tx: furnishing.run(tx, "fit", n_points=2))
        one = furnishing.version(opened, run, model(1), purpose="initial")
        furnishing.version(opened, run, model(2), purpose="refresh", champion=one.reference)
        opened.write(lambda tx: registry.approve(tx, ADA, "credit", 2, note="seen"))
        opened.write(
            lambda tx: serving.deploy(tx, ADA, "credit", policy=furnishing.POLICY, number=1)
        )
        plan = Plan(
            generation=2,
            arms=(
                Arm("stable", 0.6, (Member(1, 0.25), Member(2, 0.75))),
                Arm("canary", 0.4, (Member(1, 1.0),)),
            ),
            salt="s",
        )
        opened.write(lambda tx: serving.set_plan(tx, ADA, "credit", plan, reason="both"))
    return place


@pytest.fixture
def client(home):
    with local.open_client(settings.Settings(home=home)) as one:
        yield one


@pytest.fixture
def at_home(home, monkeypatch):
    """Let commands find the home."""
    monkeypatch.setenv("HOMEOSTAT_HOME", str(home))


@pytest.fixture
def document(client):
    return client.scorings._document(sdk.target("credit"))


def online(document, files, rows, tmp_path):
    """Return what the engine of a prediction server answers."""

    async def asked():
        log = spool.Spool(tmp_path / "spool")
        served = engine.Engine(log)
        bundle = bundled.Bundle(document=document, files=files)
        loaded = {one.version: bundled.load(bundle, one) for one in document.versions}
        served.install(document, loaded)
        told = await served.predict(
            document.deployment,
            rows.select("income", "region", "sex").to_dicts(),
            keys=rows["id"].to_list(),
        )
        await served.close()
        log.close()
        return told

    return asyncio.run(asked())


@pytest.mark.parametrize("is_corrected", [False, True], ids=["plain", "corrected"])
def test_a_table_gets_the_scores_that_the_prediction_server_answers(
    client, document, tmp_path, is_corrected
):
    rows = table(500, seed=9)
    if is_corrected:
        now = clock.now_ms()
        made = Correction(
            id="c1",
            version=1,
            deployment="credit",
            body=Threshold(at=0.3),
            status="active",
            reason="fewer losses",
            made_by="ada",
            made_at=now,
            starts_at=now - 1000,
            expires_at=now + 10**7,
        )
        document = msgspec.structs.replace(document, corrections=(made,))
    files = client.scorings._files(document)
    bench = batched.Bench(bundled.Bundle(document=document, files=files), key="id")
    done = bench.score(rows, first_row=0, is_text=False).rows
    told = online(document, files, rows, tmp_path)
    assert done["score"].to_list() == told.scores
    assert done["answer"].to_list() == told.answers
    assert done["arm"].to_list() == told.arms
    assert set(told.versions) == {"1", "1+2"}


class Refusing:
    """A model that raises on rows of the east, as an encoder does that never saw them."""

    is_fast = True

    def __init__(self, kept):
        self._kept = kept

    def scores(self, rows):
        if "east" in rows["region"]:
            raise ValueError("found unknown category 'east'")
        return self._kept.scores(rows)


def test_rows_that_a_canary_fails_on_get_the_stable_answer(client, document):
    arms = (Arm("stable", 0.6, (Member(2, 1.0),)), Arm("canary", 0.4, (Member(1, 1.0),)))
    told = msgspec.structs.replace(
        document, plan=msgspec.structs.replace(document.plan, arms=arms)
    )
    files = client.scorings._files(told)
    bench = batched.Bench(bundled.Bundle(document=told, files=files), key="id")
    rows = table(500, seed=9)
    before = bench.score(rows, first_row=0, is_text=False).rows
    (seat,) = bench._arms[1].seats
    failing = seat._replace(predictor=Refusing(seat.predictor))
    bench._arms[1] = bench._arms[1]._replace(seats=[failing])
    done = bench.score(rows, first_row=0, is_text=False, is_logged=True)
    fell = (rows["region"] == "east") & (before["arm"] == "canary")
    assert fell.any()
    assert done.rows["problem"].null_count() == 500
    assert done.rows["score"].null_count() == 0
    assert set(done.rows.filter(fell)["arm"]) == {"stable"}
    stayed = before["arm"] == "stable"
    assert done.rows.filter(stayed).equals(before.filter(stayed))
    assert done.n_logged == 500


@pytest.mark.parametrize("key", ["id", None])
def test_rules_send_the_rows_of_a_table_where_they_send_requests(
    client, document, tmp_path, key
):
    told = (
        serving_rules.parse("region = east -> canary"),
        serving_rules.parse("sex = f -> stable"),
    )
    ruled = msgspec.structs.replace(
        document, plan=msgspec.structs.replace(document.plan, rules=told)
    )
    files = client.scorings._files(ruled)
    rows = table(500, seed=9)
    bench = batched.Bench(bundled.Bundle(document=ruled, files=files), key=key)
    done = bench.score(rows, first_row=0, is_text=False, is_logged=True)
    found = rows.with_columns(done.rows)
    east, women = pl.col("region") == "east", pl.col("sex") == "f"
    assert set(found.filter(east)["arm"]) == {"canary"}
    assert set(found.filter(~east & women)["arm"]) == {"stable"}
    assert set(found.filter(~east & ~women)["arm"]) == {"stable", "canary"}
    if key is not None:
        assert found["arm"].to_list() == online(ruled, files, rows, tmp_path).arms
    opened = frames.encode(frames.Opened("s", "credit", 0))
    logged = segments.decode(opened + done.log).predictions
    assert logged["id"].n_unique() == 500
    assert (logged["key"] == logged["id"]).all() == (key is None)
    chances = logged.group_by("x.region", "c.sex", "version").agg(pl.col("propensity").unique())
    for region, sex, version, (chance,) in chances.rows():
        is_ruled = region == "east" or sex == "f"
        assert chance == (1.0 if is_ruled else {"1": 0.4, "1+2": 0.6}[version])


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow"])
def test_every_format_is_read_and_written_alike(client, tmp_path, ending):
    rows = table(2500)
    source, output = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    writers = {"parquet": rows.write_parquet, "csv": rows.write_csv, "arrow": rows.write_ipc}
    writers[ending](source)
    seen = []
    done = client.scorings.score(
        "credit",
        source,
        output,
        key="id",
        keep=("id", "note"),
        batch_rows=700,
        progress=lambda share, n: seen.append((round(share, 2), n)),
    )
    readers = {"parquet": pl.read_parquet, "csv": pl.read_csv, "arrow": pl.read_ipc}
    found = readers[ending](output)
    assert found.columns == ["id", "note", "score", "answer", "version", "arm"]
    assert found["id"].to_list() == rows["id"].to_list()
    assert found["score"].is_between(0, 1).all()
    assert (done.told.n_rows, done.told.n_scored, seen[-1]) == (2500, 2500, (1.0, 2500))
    assert done.told.output_digest == batches.digest(output)
    assert [one.name for one in tmp_path.iterdir() if "part" in one.name] == []


def test_a_version_alone_is_named_by_number_or_alias(client, tmp_path):
    source = tmp_path / "in.parquet"
    table(50).write_parquet(source)
    client.models.set_alias("credit", "champion", 2)
    for name, number in (("models:/credit/1", 1), ("models:/credit@champion", 2)):
        done = client.scorings.score(name, source, tmp_path / "out.parquet")
        assert done.told.versions == (number,)
        assert set(pl.read_parquet(tmp_path / "out.parquet")["version"]) == {str(number)}
    ways = {edge.kind for edge in client.lineage.ancestors(done.reference)}
    assert {"scored", "read-by"} <= ways
    assert done in client.scorings.list("credit")


def bad_table(path):
    rows = table(6)
    incomes = ["1000", "abc", "2000.5", "", "inf", "7"]
    rows.with_columns(pl.Series("income", incomes)).write_csv(path)


def test_a_bad_row_ends_it_with_its_number_and_leaves_nothing(client, tmp_path):
    bad_table(tmp_path / "in.csv")
    with pytest.raises(errors.InvalidInputError, match=r"rows\[1\]\.income: .*'abc'"):
        client.scorings.score("credit", tmp_path / "in.csv", tmp_path / "out.parquet")
    assert [one.name for one in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("executor", ["inline", "processes"])
@pytest.mark.parametrize("how", ["skip", "keep"])
def test_bad_rows_are_left_out_or_kept_and_told(client, tmp_path, how, executor):
    bad_table(tmp_path / "in.csv")
    done = client.scorings.score(
        "credit",
        tmp_path / "in.csv",
        tmp_path / "out.parquet",
        key="id",
        bad_rows=how,
        executor=executor,
        batch_rows=4,
    )
    told = [json.loads(one) for one in (tmp_path / "out.bad.jsonl").read_bytes().splitlines()]
    assert [one["row"] for one in told] == [1, 3, 4]
    assert told[0]["values"]["id"] == "k00001"
    assert "null" in told[1]["problem"]
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert (done.told.n_scored, done.told.n_bad) == (3, 3)
    if how == "skip":
        assert found["id"].to_list() == ["k00000", "k00002", "k00005"]
    else:
        assert found["score"].is_null().to_list() == [False, True, False, True, True, False]
        assert found["problem"].null_count() == 3


def test_a_ray_that_does_not_start_is_said_and_leaves_nothing(client, tmp_path, monkeypatch):
    ray = types.ModuleType("ray")
    ray.is_initialized = lambda: False
    ray.init = lambda **_: (_ for _ in ()).throw(RuntimeError("no room for a node"))
    monkeypatch.setitem(sys.modules, "ray", ray)
    table(20).write_csv(tmp_path / "in.csv")
    asked = ("credit", tmp_path / "in.csv", tmp_path / "out.csv")
    with pytest.raises(
        errors.UnavailableError, match="does not start here: no room for a node"
    ):
        client.scorings.score(*asked, key="id", executor="ray")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in.csv"]


def test_a_table_that_lacks_a_feature_names_it(client, tmp_path):
    table(3).drop("income").write_parquet(tmp_path / "in.parquet")
    with pytest.raises(errors.InvalidInputError, match="no column 'income'"):
        client.scorings.score("credit", tmp_path / "in.parquet", tmp_path / "o.parquet")


def test_logged_rows_are_in_the_log_and_labels_join_them(client, tmp_path):
    rows = table(40, seed=3).with_columns(pl.format("batch-{}", "id").alias("id"))
    rows.write_parquet(tmp_path / "in.parquet")
    before = clock.now_ms()
    done = client.scorings.score(
        "credit", tmp_path / "in.parquet", tmp_path / "o.parquet", key="id", log=True
    )
    assert done.told.n_logged == 40
    client.deployments.label("credit", [("batch-k00000", "1"), ("batch-k00000", "0")])
    found = client.predictions.read(
        "credit",
        since=before,
        columns=("key", "arm", "propensity", "x.income", "label"),
        with_labels=True,
    )
    assert found.columns == ["key", "arm", "propensity", "x.income", "label"]
    assert set(found["propensity"]) == {0.4, 0.6}
    mine = found.filter(pl.col("key").str.starts_with("batch-"))
    assert mine["key"].sort().to_list() == rows["id"].to_list()
    assert set(mine["arm"]) == {"batch"}
    label = dict(mine.select("key", "label").iter_rows())
    assert (label["batch-k00000"], label["batch-k00001"]) == ("0", None)


def log(opened, *, at, version, keys, segment=None, fired=()):
    """Hand over a segment with one batch."""
    n = len(keys)
    name = segment or ids.new_id()
    batch = frames.Batch(
        served_at=at,
        generation=2,
        arm="stable",
        answered=True,
        version=version,
        ids=[f"{at:012x}{n_:020x}" for n_ in range(n)],
        keys=list(keys),
        features=[[38_000.0] * n, ["north"] * n],
        context=[],
        scores=[0.71] * n,
        answers=["1"] * n,
        members=version.split("+"),
        member_scores=[[0.71] * n for _ in version.split("+")],
        fired=list(fired),
    )
    layout = frames.Layout(("income", "region"), ("number", "category"), ())
    raw = b"".join(map(frames.encode, (frames.Opened(name, "credit", at), layout, batch)))
    sealed = predictions.seal_segment(opened, "credit", segment=name, raw=raw)
    opened.write(lambda tx: predictions.accept_segment(tx, furnishing.LOOP, sealed))
    return batch.ids


def test_the_log_is_read_by_version_and_time_and_exported_in_every_format(
    client, home, tmp_path
):
    with house.open_house(settings.Settings(home=home)) as opened:
        log(opened, at=5_000, version="1", keys=["a", "b"])
        log(opened, at=6_000, version="1+2", keys=["c"])
    read = client.predictions.read
    assert read("credit", until=5_500)["key"].to_list() == ["a", "b"]
    assert read("credit", until=7_000, versions=["2"])["key"].to_list() == ["c"]
    assert read("credit", until=7_000, versions=["1"])["key"].to_list() == ["a", "b", "c"]
    assert read("credit", as_of=5_999)["key"].to_list() == ["a", "b"]
    assert read("credit", until=7_000).to_arrow().num_rows == 3
    with pytest.raises(errors.InvalidInputError, match="no column 'keys'"):
        read("credit", columns=["keys"])
    for ending, reader in (
        ("parquet", pl.read_parquet),
        ("arrow", pl.read_ipc_stream),
        ("jsonl", pl.read_ndjson),
    ):
        path = tmp_path / f"log.{ending}"
        assert client.predictions.export("credit", path, until=7_000) > 0
        assert reader(path)["key"].to_list() == ["a", "b", "c"]


def test_the_command_scores_a_table_and_says_so_in_a_line(home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOMEOSTAT_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    table(20).write_csv(tmp_path / "in.csv")
    asked = ["predict", "credit", "--input", "in.csv", "--output", "out.csv", "--keep", "*"]
    assert cli.invoke([*asked, "--key", "id"]) == 0
    assert "20 rows scored by credit 1+2 into out.csv" in capsys.readouterr().out
    assert pl.read_csv("out.csv").columns[:5] == table(1).columns
    assert cli.invoke(["predictions", "export", "credit", "log.parquet"]) == 0


def sentences(told):
    return " | ".join(step["sentence"] for step in told["steps"])


def test_why_goes_from_a_prediction_by_id_or_key_to_members_run_and_explanation(
    home, monkeypatch, capsys
):
    monkeypatch.setenv("HOMEOSTAT_HOME", str(home))
    with house.open_house(settings.Settings(home=home)) as opened:
        made = log(opened, at=9_000_000, version="1+2", keys=["known", "other"])
        log(opened, at=9_500_000, version="1", keys=["known"])
    assert cli.invoke(["why", made[1], "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    for part in (
        "answered 1 with the score 0.71 for the key other",
        "0.71 by version 1, 0.71 by version 2",
        "plan generation 2",
        "by version 1",
        "by version 2",
        "approved by",
        "its gates said",
        "made by the run fit",
    ):
        assert part in sentences(told)
    assert told["steps"][-1]["facts"]["command"] == f"homeostat explain --prediction {made[1]}"
    assert cli.invoke(["why", "known", "--deployment", "credit", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"][0]["at"] == 9_500_000
    assert cli.invoke(["why", "nobody", "--deployment", "credit"]) == 4
    assert "no prediction with the key 'nobody'" in capsys.readouterr().err


def worked(letter, body):
    """Return a correction that worked until it was withdrawn."""
    return Correction(
        id=letter * 32,
        version=1,
        deployment="credit",
        body=body,
        status="withdrawn",
        reason="a test",
        made_by="ada",
        made_at=1_000,
        starts_at=1_000,
        expires_at=2**50,
        approved_by="ada",
        approved_at=1_000,
        ended_at=8_000_000,
    )


def test_what_a_fallback_answered_is_explained_by_the_fallback(client, home):
    with house.open_house(settings.Settings(home=home)) as opened:
        for letter, body in (("a", Fallback(version=2)), ("b", Fallback(score=0.9))):
            opened.write(functools.partial(stored.insert, made=worked(letter, body)))
        by = {
            letter: log(opened, at=at, version="1", keys=[letter], fired=[f"{letter * 32}@1"])[
                0
            ]
            for at, letter in ((7_100_000, "a"), (7_200_000, "b"))
        }
    said = client.predictions.explain(by["a"]).explanation
    assert [(one.version, one.weight) for one in said.members] == [(2, 1.0)]
    with pytest.raises(errors.ConflictError, match=r"a fallback of score 0\.9 answered"):
        client.predictions.explain(by["b"])


@pytest.mark.usefixtures("at_home")
def test_a_logged_prediction_is_explained_by_who_scored_it_then(client, home, document, capsys):
    threshold = worked("c", Threshold(at=0.3))
    with house.open_house(settings.Settings(home=home)) as opened:
        opened.write(lambda tx: stored.insert(tx, threshold))
        (early,) = log(opened, at=7_900_000, version="1+2", keys=["early"])
        (late,) = log(opened, at=8_100_000, version="1", keys=["late"])
        plan = msgspec.structs.replace(
            document.plan,
            generation=document.plan.generation + 1,
            arms=(Arm("stable", 1.0, (Member(1, 1.0),)),),
        )
        opened.write(lambda tx: serving.set_plan(tx, ADA, "credit", plan, reason="alone"))
    with house.open_house(settings.Settings(home=home)) as opened:
        found = client.predictions.explain(early)
        opened.write(lambda tx: serving.rollback_plan(tx, ADA, "credit", reason="as before"))
    said = found.explanation
    assert [(one.version, one.weight) for one in said.members] == [(1, 0.25), (2, 0.75)]
    assert said.base + sum(said.contributions.values()) == pytest.approx(said.margin, abs=1e-9)
    assert found.prediction.row == {"income": 38_000.0, "region": "north"}
    assert found.gap == pytest.approx(abs(said.score - 0.71))
    assert said.threshold == 0.3  # it was withdrawn since
    after = client.predictions.explain("late", deployment="credit", kinds=["contributions"])
    assert (after.prediction.id, after.explanation.threshold) == (late, 0.5)
    assert cli.invoke(["explain", "--prediction", early]) == 0
    assert "logged was 0.71" in capsys.readouterr().out
    assert cli.invoke(["why", late]) == 0
    assert "income moved it by" in capsys.readouterr().out
    assert cli.invoke(["explain", "--prediction", "0" * 32]) == 4
    assert cli.invoke(["explain", "credit"]) == 2


def test_why_goes_from_a_run_or_a_version_to_what_was_decided(
    client, home, monkeypatch, capsys
):
    monkeypatch.setenv("HOMEOSTAT_HOME", str(home))
    with house.open_house(settings.Settings(home=home)) as opened:
        log(opened, at=1_000, version="2", keys=["z1", "z2"])
    before = client.lineage.consequences("model:credit@2").decided[0]
    with house.open_house(settings.Settings(home=home)) as opened:
        log(opened, at=2_000, version="1+2", keys=["z3"])
    (after,) = client.lineage.consequences("model:credit@2").decided
    assert after.n_answered == before.n_answered + 1
    assert (after.deployment, after.first_served_at) == ("credit", 1_000)
    run = client.models.version("credit", 1).run_id
    came = client.lineage.consequences(f"run:{run}")
    assert came.versions == ("model:credit@1", "model:credit@2")
    assert client.lineage.consequences("snapshot:nothing").decided == ()
    asked = ["why", "--version", "credit/2", "--list", "--limit", "500", "--json"]
    assert cli.invoke(asked) == 0
    told = json.loads(capsys.readouterr().out)
    keys = [one["key"] for one in told["predictions"]["credit"]]
    assert keys.count("z1") == keys.count("z3") == 1
    rows = [one["row"] for one in told["predictions"]["credit"]]
    assert cli.invoke([*asked, "--after", str(rows[0])]) == 0
    again = json.loads(capsys.readouterr().out)["predictions"]["credit"]
    assert [one["row"] for one in again] == rows[1:]
    assert cli.invoke(["why", "--run", run, "--list"]) == 0
    assert "model:credit@1" in capsys.readouterr().out
    assert cli.invoke(["why"]) == 2


def test_a_snapshot_is_scored_and_leads_to_the_table_that_came_of_it(
    client, tmp_path, at_home, capsys
):
    table(30).write_parquet(tmp_path / "rows.parquet")
    snapshot = client.data.add(tmp_path / "rows.parquet", "applicants", key="id")
    done = client.scorings.score("credit", "data:applicants@1", tmp_path / "o.csv", key="id")
    assert (done.told.snapshot, done.told.n_rows) == (snapshot.reference, 30)
    assert done.told.input_digest == snapshot.digest
    assert client.lineage.consequences(snapshot.reference).scored == (done,)
    assert cli.invoke(["why", "--snapshot", "applicants"]) == 0
    assert done.reference in capsys.readouterr().out


@pytest.mark.parametrize("is_broken", [False, True], ids=["whole", "with a broken row"])
def test_categories_that_training_never_saw_are_refused_where_the_policy_says_so(
    client, document, is_broken
):
    rows = table(4, seed=1).with_columns(pl.Series("region", ["east", "moon", "east", "sun"]))
    if is_broken:
        rows = rows.with_columns(pl.Series("income", [float("inf"), 1.0, 2.0, 3.0]))
    strict = msgspec.structs.replace(document, unseen="refuse")
    files = client.scorings._files(document)
    bench = batched.Bench(bundled.Bundle(document=strict, files=files), key="id")
    done = bench.score(rows, first_row=100, is_text=False).rows
    said = done["problem"].to_list()
    assert said[1] == "rows[101].region: training never saw 'moon'"
    assert done["score"].is_null().to_list() == [is_broken, True, False, True]


def test_a_row_of_a_table_without_a_key_is_known_by_its_id_and_a_wrong_one_is_told(
    client, document
):
    rows = table(4, seed=1).with_columns(pl.Series("id", ["a", None, "", "k" * 1001]))
    files = client.scorings._files(document)
    bench = batched.Bench(bundled.Bundle(document=document, files=files), key="id")
    done = bench.score(rows, first_row=10, is_text=False, is_logged=True)
    assert done.rows["problem"].to_list() == [
        None,
        None,
        "rows[12].id: a key has 1 to 1000 characters; seen 0",
        "rows[13].id: a key has 1 to 1000 characters; seen 1001",
    ]
    opened = frames.encode(frames.Opened("s", "credit", 0))
    logged = segments.decode(opened + done.log).predictions
    assert [key for key, id_ in logged.select("key", "id").rows() if key != id_] == ["a"]
    assert logged.height == 2


def test_a_backtest_reads_what_was_served_and_has_its_label(client, at_home, tmp_path, capsys):
    rows = table(400, seed=9).with_columns(pl.format("past-{}", "id").alias("id"))
    rows.write_parquet(tmp_path / "in.parquet")
    client.scorings.score(
        "credit", tmp_path / "in.parquet", tmp_path / "o.parquet", key="id", log=True
    )
    keys, incomes = rows["id"].to_list(), rows["income"].to_list()
    labels = [(key, str(int(income > 9e4))) for key, income in zip(keys, incomes, strict=True)]
    client.deployments.label("credit", labels[:-1])
    asked = ["backtest", "--deployment", "credit", "--batch", "50", "--warmup", "0.3"]
    assert cli.invoke([*asked, "--strategy", "static", "--json", str(tmp_path / "r.json")]) == 0
    assert 270 <= json.loads((tmp_path / "r.json").read_text())["rows_scored"] <= 290
    assert "accuracy" in capsys.readouterr().out


def test_a_plan_says_which_labels_its_deployment_knows(document):
    assert document.classes == ("0", "1")
