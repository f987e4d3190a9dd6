"""A model that is served elsewhere is attached, told of, and watched like our own."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import polars as pl
import pytest

from homeostat.doors import cli, worker
from homeostat.doors.web import monitoring
from homeostat.foundation import access, errors, events, house, jobs
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import checking, duties, triggers
from homeostat.lifecycle.monitoring import blame
from homeostat.lifecycle.serving.entities import PlanDocument

HOUR_MS = 3_600_000
POLICY = """
[model]
name = "scores"
target = "bad"
key = "id"

[data]
time = "at"
protected = ["sex"]

[monitoring]
window = "200 rows"

[retraining]
on = []
block = 100
"""


def answers(n, *, seed, income=1.0, first=0):
    """Return what a server elsewhere logged; every row a second apart."""
    rng = np.random.default_rng(seed)
    x, z = rng.lognormal(10, 0.4, size=n), rng.normal(size=n)
    chance = 1 / (1 + np.exp(-(z - 1)))
    return pl.DataFrame(
        {
            "id": [f"k{first + i}" for i in range(n)],
            "at": np.arange(first, first + n) * 1000 + 500_000 * HOUR_MS,
            "income": x * income,
            "z": z,
            "region": rng.choice(["north", "south"], size=n),
            "sex": rng.choice(["f", "m"], size=n),
            "score": chance,
            "bad": (rng.random(n) < chance).astype(int),
        }
    )


@pytest.fixture
def at_home(told, monkeypatch):
    monkeypatch.setenv("HOMEOSTAT_HOME", str(told.home))
    return told


@pytest.fixture
def reference():
    return answers(2000, seed=0)


def work(told):
    """Do what a worker would, until nothing is left to do."""
    with house.open_house(told) as opened:
        bench = duties.Bench(opened)
        handlers = bench.quick()
        kinds = tuple(triggers.TRIGGERS)
        while True:
            news = opened.read(lambda tx: events.follow(tx, triggers.READER, kinds=kinds))
            for event in news:
                worker.answer(opened, event)
            job = opened.write(
                lambda tx: jobs.lease(tx, "test", kinds=tuple(handlers), lease_s=60)
            )
            if job is not None:
                finish = handlers[job.kind](job)
                opened.write(
                    lambda tx, job=job, finish=finish: jobs.complete(tx, job, finish(tx))
                )
            elif not news:
                break
        bench.close()


def test_a_broken_feed_of_a_model_served_elsewhere_is_found(
    client, at_home, reference, tmp_path
):
    told = at_home
    made = client.monitoring.attach("scores", reference=reference, policy=POLICY)
    assert (made.kind, made.key) == ("watched", "id")
    assert client.data.get("scores.reference").key == "id"  # what is served is compared by it
    good, broken = answers(400, seed=1), answers(200, seed=2, income=100.0, first=400)
    rows = pl.concat([good, broken])
    assert client.monitoring.send("scores", predictions=rows)[:2] == (600, 0)
    assert client.monitoring.send("scores", predictions=rows) == (600, 0, ())  # taken once
    assert client.monitoring.send("scores", labels=good.select("id", "bad")) == (0, 400, ())
    work(told)
    seen = client.alerts.windows("scores")
    assert [w.first_row for w in seen] == [400, 200, 0]
    (cause,) = seen[0].causes
    assert (cause.kind, cause.column, cause.factor) == ("feed", "income", 100.0)
    assert "from row 400 to 600" in cause.sentence
    assert "from row 400 to 600" in seen[0].findings[0].sentence
    assert not seen[1].findings
    (alert,) = client.alerts.list(deployment="scores")
    assert (alert.kind, alert.column) == ("feed", "income")
    blamed = client.monitoring.blame("scores")
    assert blamed.harm is None
    assert (blamed.causes[0].kind, blamed.causes[0].column) == ("feed", "income")
    assert blamed.causes[0].query == "homeostat monitor show scores --by minute"
    checked = client.monitoring.check("scores")
    shown = {blame.SHOWN[kind].format("scores") for kind in blame.SHOWN}
    for query in sorted(shown | {one.query for one in checked} - {""}):
        assert (
            cli.invoke(query.replace("log.parquet", str(tmp_path / "l.parquet")).split()[1:])
            == 0
        ), query
    report = client.deployments.label_report("scores")
    assert (report.n_predictions, report.n_labelled) == (600, 400)
    with house.open_house(told) as opened:
        state = opened.read(lambda tx: loop.find_state(tx, "scores"))
    assert state.n_blocks == 3  # the rows beside the broken ones are kept out, so no fourth
    assert state.harm.alarm.accepted is None or state.harm.alarm.accepted < 0.5


NUMBERS = f"""{POLICY}
[objectives.close]
of = "accuracy"
within = "1.5"
target = 0.9
window = "30d"
"""


def told_of(task, n, *, seed, first=0, worse=False):
    """Return answers of another task: three classes by where `z` is, or `z` twice over."""
    rows = answers(n, seed=seed, first=first).drop("score", "bad")
    noise = np.random.default_rng(seed + 100).normal(0, 0.3, n)
    if task == "regression":
        truth = 2 * rows["z"] + noise + (rows["z"] > 0) * 3.0 * worse
        return rows.with_columns((2 * rows["z"]).alias("score"), truth.alias("bad"))
    names = pl.Series(["high", "low", "middle"])
    places = [np.digitize(rows["z"] + move, [-0.5, 0.5]) for move in (0, noise)]
    said, came = (names.gather((one + 1) % 3) for one in places)
    if worse:
        came = names.gather(places[0] % 3)
    return rows.with_columns(
        pl.lit(0.8).alias("score"), said.alias("answer"), came.alias("bad")
    )


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_several_classes_and_numbers_that_are_served_elsewhere_are_watched_too(
    client, told, task
):
    policy = NUMBERS.replace("[data]", 'task = "regression"\n\n[data]', 1)
    client.monitoring.attach(
        "scores",
        reference=told_of(task, 2000, seed=0),
        policy=policy if task == "regression" else POLICY,
    )
    good, worse = (
        told_of(task, 1500, seed=1),
        told_of(task, 900, seed=2, first=1500, worse=True),
    )
    rows = pl.concat([good, worse])
    sent = client.monitoring.send("scores", predictions=rows.drop("bad"), labels=rows[:2100])
    assert sent == (2400, 2100, ())
    work(told)
    (alert,) = [a for a in client.alerts.list(deployment="scores") if a.kind == "harm"]
    blamed = client.monitoring.blame("scores")
    assert blamed.harm is not None
    assert 1400 <= blamed.harm.first_row <= 1600
    assert (blamed.causes[0].kind, alert.cause) == ("concept-change", "concept-change")
    if task == "regression":
        assert "the mean loss of" in alert.evidence[-1] + blamed.causes[0].sentence
        assert "excess loss is where z is" in blamed.causes[0].sentence
    found = {one.name: one for one in client.monitoring.check("scores")}
    assert found["performance without labels"].verdict == "unknown"  # for it is broken
    assert found["fairness by sex"].verdict == "fine"
    word = "answered rightly" if task == "multiclass" else "answered within the usual error"
    assert word in found["fairness by sex"].sentence
    if task == "regression":
        client.objectives.measure("scores")
        work(told)
        (close,) = client.objectives.of("scores")
        assert (close.total, close.standing) == (2100, "burning-slow")
        assert close.good == 1500 + (worse["z"][:600] <= 0).sum()
    with pytest.raises(errors.InvalidInputError, match=r"score|answer"):
        client.monitoring.observe(
            "scores",
            [{"features": {"z": 1.0}, "score": 0.5, "answer": "none of them"}][:1]
            if task == "multiclass"
            else [{"features": {"z": 1.0}, "score": "x"}],
        )


def test_performance_is_that_of_mature_rows_as_it_was_known_then(client, told, reference):
    then = 300_000 * HOUR_MS  # an hour ago, as it were; labels are known only now
    policy = POLICY.replace("[data]", '[data]\nlabel_delay = "100s"')
    client.monitoring.attach("scores", reference=reference, policy=policy)
    rows = answers(1000, seed=1).with_columns(pl.col("at") - 200_000 * HOUR_MS)
    says = (pl.col("score") >= 0.5) & (pl.col("sex") == "m")  # whatever women score
    corrected = rows.with_columns(says.cast(int).alias("answer"))
    client.monitoring.send("scores", predictions=corrected, labels=rows[:800])
    found = client.monitoring.performance("scores", as_of=then + 1_000_000)
    assert (found.n_mature, found.n_labelled, found.metrics) == (901, 0, {})
    assert "0 of 901 rows that are old enough" in found.sentence
    found = client.monitoring.performance("scores")
    assert (found.n_mature, found.n_labelled, found.maturity) == (1000, 800, "100s")
    right = ((rows["score"] >= 0.5) == rows["bad"])[:800].mean()
    assert found.metrics["accuracy"].value == pytest.approx(right)
    assert found.metrics["roc_auc"].low < found.metrics["roc_auc"].value
    checked = {one.name: one for one in client.monitoring.check("scores")}
    assert (checked["performance"].verdict, checked["calibration"].verdict) == ("told", "fine")
    right = (corrected["answer"] == rows["bad"])[:800].mean()
    assert found.metrics["accuracy of the answers"].value == pytest.approx(right)
    assert checked["fairness by sex"].verdict == "found"
    assert "f is favoured 0.00 times as often as m" in checked["fairness by sex"].sentence


def test_what_was_served_is_kept_by_minute_hour_and_day(client, told, reference):
    client.monitoring.attach("scores", reference=reference, policy=POLICY)
    usual, moved = answers(3600, seed=1), answers(1800, seed=2, income=2.0, first=3600)
    client.monitoring.send("scores", predictions=usual[:3000])
    work(told)
    client.monitoring.send("scores", predictions=pl.concat([usual[3000:], moved]))
    work(told)
    second, first = client.monitoring.summaries("scores", by="hour")
    assert (first.n_rows, second.n_rows, first.version) == (3600, 1800, "1")
    assert first.columns["income"].mean == pytest.approx(usual["income"].mean(), rel=1e-6)
    assert first.columns["income"].shift < 0.05
    assert second.columns["income"].shift > 0.5
    assert second.columns["z"].shift < 0.05
    (day,) = client.monitoring.summaries("scores", by="day")
    assert day.n_rows == 5400
    minutes = client.monitoring.summaries("scores", by="minute", since=second.starts_at)
    assert [m.n_rows for m in minutes] == [60] * 30
    women = client.monitoring.summaries("scores", part="sex=f")
    assert sum(w.n_rows for w in women) == (pl.concat([usual, moved])["sex"] == "f").sum()


def test_each_column_that_moved_has_an_alert_of_its_own(client, told, reference):
    client.monitoring.attach("scores", reference=reference, policy=POLICY)
    moved = answers(400, seed=2, income=2.0).with_columns(pl.lit("north").alias("region"))
    client.monitoring.send("scores", predictions=moved)
    work(told)
    found = client.alerts.list(deployment="scores")
    assert {(one.kind, one.column) for one in found} >= {
        ("covariate-drift", "income"),
        ("covariate-drift", "region"),
    }
    assert all(one.confirmed_at for one in found)  # the second window says the same


def test_no_prediction_server_is_told_of_it_and_its_plan_stays(client, reference):
    made = client.monitoring.attach("scores", reference=reference, policy=POLICY)
    assert client.transport.call("GET", "/api/plans", answer=list[PlanDocument]) == []
    with pytest.raises(errors.ConflictError, match="served elsewhere"):
        client.deployments.plan("scores")
    plan = msgspec.structs.replace(made.plan, generation=2)
    with pytest.raises(errors.ConflictError, match="served elsewhere"):
        client.deployments.set_plan("scores", plan, reason="no")


def test_what_cannot_be_watched_is_refused_with_a_sentence(client, reference):
    attach = client.monitoring.attach
    with pytest.raises(errors.InvalidInputError, match="never retrained"):
        attach("scores", reference=reference, policy=POLICY.replace("on = []", ""))
    with pytest.raises(errors.InvalidInputError, match="probability"):
        attach("scores", reference=reference.with_columns(pl.col("z").alias("score")))
    attach("scores", reference=reference, policy=POLICY)
    with pytest.raises(errors.ConflictError, match="exists already"):
        attach("scores", reference=reference, policy=POLICY)
    twice = pl.concat([reference, reference])
    attach("twice", reference=twice, policy=POLICY.replace('"scores"', '"twice"'))
    assert client.data.get("twice.reference").key is None
    row = {"features": {"z": 1.0}, "score": 0.5}
    with pytest.raises(errors.InvalidInputError, match="score"):
        client.monitoring.observe("scores", [{**row, "score": 1.5}])
    with pytest.raises(errors.InvalidInputError, match="when it was answered"):
        client.monitoring.observe("scores", [row], batch="b")
    client.monitoring.observe("scores", [{**row, "at": 1}], batch="b")
    with pytest.raises(errors.ConflictError, match="other bytes"):
        client.monitoring.observe("scores", [{**row, "at": 1, "score": 0.6}], batch="b")


def test_the_command_line_attaches_files(at_home, reference, tmp_path, capsys):
    places = {name: tmp_path / f"{name}.parquet" for name in ("reference", "predictions")}
    reference.write_parquet(places["reference"])
    answers(50, seed=1).write_parquet(places["predictions"])
    files = [f"--{name}={place}" for name, place in places.items()]
    columns = ["--target", "bad", "--key", "id", "--time", "at", "--protected", "sex"]
    assert cli.invoke(["monitor", "attach", "scores", *files, *columns, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["kind"] == "watched"
    assert said.err == ""
    assert cli.invoke(["monitor", "attach", "others", files[0], *columns, "--protected", "se"])
    assert "se" in capsys.readouterr().err
    answers(9, seed=2, first=50).drop("z", "sex").write_parquet(places["predictions"])
    assert cli.invoke(["monitor", "attach", "scores", files[1]]) == 0
    assert "the reference has or the policy protects: z, sex." in capsys.readouterr().err
    assert cli.invoke(["monitor", "attach", "nobody", files[1]]) != 0
    work(at_home)
    assert cli.invoke(["monitor", "show", "scores"]) == 0
    assert "59" in capsys.readouterr().out
    assert cli.invoke(["monitor", "show", "scores", "--part", "sex=f"]) == 0
    assert "nothing" not in capsys.readouterr().out
    assert cli.invoke(["monitor", "show", "scores", "--column", "income"]) == 0
    shown = capsys.readouterr().out
    assert "different" in shown
    assert "± " in shown
    assert cli.invoke(["monitor", "show", "scores", "--column", "incom"]) != 0
    assert "income" in capsys.readouterr().err
    answers(8, seed=2, first=7200).write_parquet(places["predictions"])
    assert cli.invoke(["monitor", "attach", "scores", files[1]]) == 0
    work(at_home)
    assert cli.invoke(["monitor", "show", "scores", "--column", "income", "--json"]) == 0
    newest = json.loads(capsys.readouterr().out.split("\n", 1)[1])[0]["columns"]["income"]
    assert newest["lacking"].startswith("not enough data: 8 rows")


def test_the_map_colours_what_moved_and_only_that(client, told, reference):
    client.monitoring.attach("scores", reference=reference, policy=POLICY)
    usual, moved = answers(3600, seed=1), answers(1800, seed=2, income=2.0, first=3600)
    client.monitoring.send("scores", predictions=pl.concat([usual, moved]))
    work(told)
    windows = client.monitoring.summaries("scores", by="hour")
    drawn = monitoring.heat(windows[::-1], "hour")
    assert drawn.n_rows == (3600, 1800)
    income = windows[0].columns["income"]
    assert income.n_different == pytest.approx(moved["income"].n_unique(), rel=0.1)
    assert {float(text) for text in income.examples} <= set(moved["income"])
    levels = {row.name: [cell.level for cell in row.cells] for row in drawn.rows}
    assert levels.pop("income")[0] == 0 < max(cell.level for cell in drawn.rows[0].cells)
    assert drawn.rows[0].name == "income"
    assert all(not any(each) for each in levels.values())


def test_a_deployment_is_checked_beside_its_windows(client, at_home, reference, capsys):
    client.monitoring.attach("scores", reference=reference, policy=POLICY)
    rows, again = answers(3000, seed=1), answers(3000, seed=1)[:200]
    client.monitoring.send("scores", predictions=rows, labels=rows[:1500].select("id", "bad"))
    client.monitoring.send("scores", predictions=again)
    work(at_home)
    strange = answers(1, seed=5, income=1e6, first=9000)
    client.monitoring.send("scores", predictions=strange)
    (told,) = client.alerts.list(deployment="scores")
    assert (told.kind, told.column) == ("unexpected-decision", "income")
    assert "the answer to k9000 is not backed by the training: its income is" in told.sentence
    client.alerts.resolve(told.id)
    rare = {one.key: one for one in client.monitoring.unusual("scores", limit=20)}
    assert next(iter(rare["k9000"].reasons)) == "income"
    found = {one.name: one for one in client.monitoring.check("scores")}
    assert found["duplicates"].verdict == "found"
    assert found["volume"].verdict == found["freshness"].verdict == "unknown"
    assert found["performance without labels"].verdict == "told"
    assert found["prior shift"].verdict == "fine"
    assert found["fairness by sex"].verdict == "fine"
    assert found["staleness"].verdict == "fine"
    assert all(one.query for one in found.values())
    actor = access.system("loop")
    with house.open_house(at_home) as opened:
        opened.write(lambda tx: checking.tell(tx, actor, "scores", list(found.values())))
        (alert,) = client.alerts.list(deployment="scores", states=("open",))
        assert (alert.kind, alert.cause) == ("duplicates", "feed")
        fine = msgspec.structs.replace(found["duplicates"], verdict="fine")
        opened.write(lambda tx: checking.tell(tx, actor, "scores", [fine]))
    assert not client.alerts.list(deployment="scores", states=("open",))
    assert cli.invoke(["monitor", "check", "scores", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(found)
