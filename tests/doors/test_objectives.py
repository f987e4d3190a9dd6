"""What a user wants measured is measured: slices, metrics, indicators, objectives."""

from __future__ import annotations

import asyncio
import json

import httpx
import numpy as np
import polars as pl
import pytest

from homeostat.doors import cli, local, worker
from homeostat.foundation import access, clock, errors, events, house, jobs, settings
from homeostat.lifecycle.loop import duties, triggers
from homeostat.lifecycle.monitoring import service_counts
from homeostat.lifecycle.policy import Objective

HOUR_MS = 3_600_000
POLICY = """
[model]
name = "scores"
target = "bad"
key = "id"
owner = "risk"

[data]
time = "at"
protected = ["sex"]

[monitoring]
window = "200 rows"

[retraining]
on = []
block = 100

[slices]
rich = "income >= 20000 and region = 'north'"
ghosts = "weight > 3"

[metrics.women]
function = "metrics:women"
slices = ["rich"]
at_most = 0.2
unit = "share"

[metrics.broken]
function = "metrics:broken"

[metrics.hanging]
function = "metrics:leaves"

[metrics.ghostly]
function = "metrics:women"
slices = ["ghosts"]

[kpis.recovered]
dataset = "payments"
key = "id"
value = "eur"
time = "paid_at"
at_least = 100
slices = ["rich"]
unit = "EUR"

[objectives.right]
of = "accuracy"
target = 0.95
window = "7d"

[objectives.fast]
of = "latency"
target = 0.99
window = "7d"
within = "50ms"

[objectives.alive]
of = "freshness"
target = 0.5
window = "7d"
within = "30m"

[objectives.fair]
of = "fairness"
column = "sex"
target = 0.9
window = "7d"
slice = "rich"
"""
METRICS = '''
"""Numbers of this project."""
import os


def women(rows):
    return float((rows["sex"] == "f").mean())


def broken(rows):
    return rows["no_such_column"].sum()


def leaves(rows):
    os._exit(3)
'''


def answers(n, *, seed, until, right=0.9):
    """Return what a server elsewhere logged; every row ten seconds apart, the last one now."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    score = 1 / (1 + np.exp(-4 * z))
    agrees = rng.random(n) < right
    return pl.DataFrame(
        {
            "id": [f"k{seed}-{i}" for i in range(n)],
            "at": until - np.arange(n)[::-1] * 10_000,
            "income": rng.lognormal(10, 0.4, size=n),
            "z": z,
            "region": rng.choice(["north", "south"], size=n),
            "sex": rng.choice(["f", "m"], size=n),
            "score": score,
            "bad": np.where(agrees, score >= 0.5, score < 0.5).astype(int),
        }
    )


@pytest.fixture(autouse=True)
def _noon(monkeypatch):
    """Just after midnight the newest day would have few of the rows: here it is noon."""
    now_ms = clock.now_ms
    ahead_ms = 12 * HOUR_MS - now_ms() % (24 * HOUR_MS)
    monkeypatch.setattr(clock, "now_ms", lambda: now_ms() + ahead_ms)


@pytest.fixture(name="told")
def _told(told, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "metrics.py").write_text(METRICS, encoding="utf-8")
    return settings.Settings(home=told.home, code=project)


@pytest.fixture(name="client")
def _client(told):
    with local.open_client(told) as one:
        yield one


@pytest.fixture(name="at_home")
def _at_home(told, monkeypatch):
    monkeypatch.setenv("HOMEOSTAT_HOME", str(told.home))
    return told


def work(told):
    """Do what a worker would, until nothing is left to do."""
    with house.open_house(told) as opened:
        bench = duties.Bench(opened)
        handlers = {**bench.quick(), **bench.aside()}
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


@pytest.fixture(name="scores")
def _scores(client, told):
    """A watched model with 1,200 predictions up to now, labels, and payments."""
    now = clock.now_ms()
    rows = answers(1200, seed=1, until=now, right=0.5)
    reference = answers(2000, seed=0, until=now - 90 * 24 * HOUR_MS)
    client.monitoring.attach("scores", reference=reference, policy=POLICY)
    client.monitoring.send("scores", predictions=rows, labels=rows[:900].select("id", "bad"))
    paid = rows[:600].select(
        "id", pl.col("at").alias("paid_at"), pl.lit(50.0).alias("eur") + pl.col("z")
    )
    client.data.add(paid, "payments", source="bank")
    work(told)
    return rows


def test_what_a_user_wants_measured_is_measured_and_told(client, at_home, scores, capsys):
    client.objectives.measure("scores")
    work(at_home)
    found = {(one.name, one.part): one for one in client.objectives.measured("scores")}
    rich = scores.filter((pl.col("income") >= 20_000) & (pl.col("region") == "north"))
    women = found["women", ""]
    assert (women.verdict, women.n_rows) == ("found", 1200)
    assert women.value == pytest.approx((scores["sex"] == "f").mean())
    assert len(women.code) == 64
    assert found["women", "slice=rich"].value == pytest.approx((rich["sex"] == "f").mean())
    assert found["broken", ""].verdict == "failed"
    assert "no_such_column" in found["broken", ""].sentence
    assert "metrics.py:11" in found["broken", ""].sentence
    assert found["hanging", ""].verdict == "failed"
    assert "weight" in found["ghostly", "slice=ghosts"].sentence
    paid = found["recovered", ""]
    assert (paid.verdict, paid.n_rows) == ("found", 600)
    assert paid.low < paid.value < paid.high < 60
    in_both = rich["id"].is_in(scores["id"][:600].implode()).sum()
    assert found["recovered", "slice=rich"].n_rows == in_both
    opened = {(one.kind, one.column) for one in client.alerts.list(deployment="scores")}
    assert {("metric", "women"), ("kpi", "recovered"), ("metric-failed", "broken")} <= opened
    assert ("budget-fast", "right") in opened
    hours = client.monitoring.summaries("scores", part="slice=rich")
    assert sum(one.n_rows for one in hours) == rich.height
    assert cli.invoke(["objectives", "measured", "scores", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(found)
    _pages_show_it(at_home)


def _pages_show_it(told):
    with house.open_house(told) as opened:
        app = local.build(opened)
        paths = [
            "/deployments/scores",
            "/deployments/scores/drift?by=day",
            "/deployments/scores/monitoring?by=day",
            "/deployments/scores/monitoring?by=day&part=slice%3Drich",
            "/models/scores",
            "/",
        ]
        pages = [_page(app, path) for path in paths]
        app.close()
    whole, drift, columns, part, model, home = pages
    assert "Values in the newest day" in columns
    assert "not counted" not in columns
    assert ">everybody</a>" in columns
    assert 'part=slice%3Drich" aria-current="page">slice=rich</a>' in part
    assert columns.count("1,200") > part.count("1,200")
    for word in ("burning fast", "no data", "recovered", "metrics.py:11", "duplicates"):
        assert word in whole
    assert "not known" in whole  # too few hours for volume
    assert "as at training" in drift
    assert drift.count("<article") == 4
    assert "burning fast" in model
    assert "3 of 4 promises kept" not in home
    assert "2 of 4 promises kept" in home


def test_a_drift_report_of_too_few_rows_says_that_it_cannot_tell(client, at_home):
    now = clock.now_ms()
    reference = answers(2000, seed=0, until=now - 90 * 24 * HOUR_MS)
    client.monitoring.attach("scores", reference=reference, policy=POLICY)
    few = answers(20, seed=1, until=now, right=0.5)
    client.monitoring.send("scores", predictions=few)
    work(at_home)
    with house.open_house(at_home) as opened:
        app = local.build(opened)
        drift = _page(app, "/deployments/scores/drift?by=day")
        app.close()
    assert "not enough data to tell" in drift
    assert "Not enough data: 20 rows, 30 needed" in drift
    assert "as at training" not in drift
    assert "as before" not in drift


def _page(app, path):
    async def inside():
        carrying = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=carrying, base_url="http://localhost") as http:
            return await http.get(path, headers={"accept": "text/html"})

    answer = asyncio.run(inside())
    assert answer.status_code == 200, answer.text
    return answer.text


def test_objectives_are_counted_and_burn(client, told, scores):
    stand = {one.name: one for one in client.objectives.of("scores")}
    right = stand["right"]
    assert (right.total, right.standing) == (900, "burning-fast")
    assert right.share == pytest.approx(0.5, abs=0.05)
    assert right.budget_left < 0
    assert stand["fast"].standing == "no-data"
    assert stand["alive"].standing == "kept"
    assert stand["fair"].standing == "kept"
    assert stand["fair"].total >= 3
    with house.open_house(told) as opened:
        part = access.system("worker")
        for total in (0, 1000):
            counts = service_counts.Counts(
                {"0.02": total * 9 // 10, "0.1": total, "+Inf": total}
            )
            opened.write(lambda tx, c=counts: service_counts.add(tx, part, "scores", c))
    fast = {one.name: one for one in client.objectives.of("scores")}["fast"]
    assert (fast.good, fast.total, fast.standing) == (900, 1000, "burning-fast")
    _a_class_of_models_shares_objectives(client)


def _a_class_of_models_shares_objectives(client):
    promised = {"quick": Objective(of="freshness", target=0.9, within="2h")}
    match = "owner = 'risk' and name like 'sc%'"
    made = client.objectives.set_class("risky", match=match, objectives=promised)
    assert client.objectives.classes() == [made]
    (quick,) = [one for one in client.objectives.of("scores") if one.model_class]
    assert (quick.name, quick.model_class, quick.standing) == ("quick", "risky", "kept")
    with pytest.raises(errors.InvalidInputError, match="cannot ask for"):
        client.objectives.set_class("x", match="income > 3", objectives=promised)
    with pytest.raises(errors.InvalidInputError, match="within is needed"):
        client.objectives.set_class(
            "x", match="tier = 'high'", objectives={"a": {"of": "freshness", "target": 0.5}}
        )
    client.objectives.remove_class("risky")
    assert all(not one.model_class for one in client.objectives.of("scores"))
    with pytest.raises(errors.NotFoundError):
        client.objectives.remove_class("risky")
