"""Corrections from every door, and in a real prediction server: logged, over by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json

import httpx
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

import processes
from homeostat.doors import cli, local
from homeostat.foundation import access, clock, errors, house, ids, settings
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.corrections import exploring
from homeostat.lifecycle.corrections.entities import (
    Abstain,
    Clause,
    Explore,
    Fallback,
    Recalibration,
    Ruling,
    Threshold,
)
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.evaluation import exam, gates
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import frames, read
from homeostat.lifecycle.registry import files as trees
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.serving import correcting

DAY = 86_400_000
BASE = "http://localhost"
POLICY = """
[model]
name = "credit"
target = "defaulted"
key = "customer"
tier = "low"
[data]
protected = ["sex"]
[gates]
at_least = 0.5
"""
SCHEMA = Schema((Column(name="late", kind="number"), Column(name="debt", kind="number")))


@functools.cache
def pack(seed):
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame({"late": rng.uniform(0, 10, 400), "debt": rng.uniform(0, 10, 400)})
    target = (frame["late"].to_numpy() + rng.normal(0, 3, 400) > 5).astype(int)
    model = LogisticRegression(C=0.1).fit(frame.to_numpy(), target)
    return folder.pack(model, schema=SCHEMA, example=frame.head(3), target="defaulted")


def register(client, files):
    taken = exam.sit([0, 1] * 50, [0.2, 0.8] * 50, rows="rows 0-99")
    rules = policies.parse(POLICY)
    report = client.reports.save(
        "credit",
        candidate=trees.tree_digest(trees.describe(files)),
        exam=taken,
        judged=gates.judge(taken, rules.gates),
        policy_digest=policies.digest(rules),
    )
    version = client.models.register("credit", files, schema=SCHEMA, report_id=report.id)
    client.models.approve("credit", version.number)


def furnish(client):
    """Two versions, the first one deployed."""
    for seed in (1, 2):
        register(client, pack(seed))
    client.deployments.deploy("credit", policy=POLICY, version=1)


def soon(ms=30 * DAY):
    return clock.now_ms() + ms


def propose(client, body, **more):
    told = {"reason": "the board asks", "expires_at": soon(), **more}
    return client.corrections.propose("credit", body, **told)


# --- through the doors ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    place = tmp_path_factory.mktemp("corrections") / "home"
    with local.open_client(settings.Settings(home=place)) as client:
        furnish(client)
    return place


@pytest.fixture
def inside(home):
    with local.open_client(settings.Settings(home=home)) as client:
        yield client
        for one in client.corrections.list("credit"):
            if one.status in {"proposed", "approved", "active"}:
                with contextlib.suppress(errors.ConflictError):
                    client.corrections.withdraw(one.id, reason="tidied up")


def test_a_correction_grows_the_deployment_so_that_followers_see_it(inside):
    seen = inside.deployments.get("credit").changed
    made = propose(inside, {"kind": "threshold", "at": 0.3})
    assert inside.deployments.get("credit").changed == seen
    inside.corrections.approve(made.id)
    grown = inside.deployments.get("credit")
    assert (grown.changed > seen, grown.plan.generation) == (True, 1)
    edges = inside.lineage.ancestors("deployment:credit")
    assert made.reference in {one.source for one in edges}
    inside.corrections.withdraw(made.id, reason="no longer")
    assert inside.deployments.get("credit").changed > grown.changed


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (Ruling(when=(Clause("colour", "eq", "red"),), answer="1"), "no column of requests"),
        (Ruling(when=(Clause("late", "lt", 1),), answer="2"), "it knows 0, 1"),
        (Ruling(when=(), answer="1"), "needs a condition"),
        (Ruling(when=(Clause("late", "lt", 1),), answer="1", score=0.1), "not both"),
        (Ruling(when=(Clause("late", "lt", "x"),), answer="1"), "lt takes a number"),
        (Ruling(when=(Clause("late", "in", 1),), answer="1"), "in takes a list"),
        (Ruling(when=(Clause("late", "is_null", 1),), answer="1"), "takes no value"),
        (Ruling(when=(Clause("late", "lt", 1),), score=2.0), "must be 0 to 1; seen 2.0"),
        (Abstain(), "a range of scores or a condition"),
        (Abstain(low=0.6, high=0.4), "seen [0.6, 0.4)"),
        (Fallback(), "a version or a score"),
        (Recalibration(method="isotonic"), "needs a knot"),
        (Recalibration(method="isotonic", knots=((0.5, 0.5), (0.2, 0.6))), "must ascend"),
        (Recalibration(method="platt", slope=-1.0), "above 0"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_what_cannot_mean_anything_is_refused_in_one_sentence(inside, body, sentence):
    with pytest.raises(errors.InvalidInputError) as refused:
        propose(inside, body)
    assert sentence in refused.value.message


def test_no_correction_lasts_for_ever_or_names_a_version_that_is_not_there(inside):
    with pytest.raises(errors.InvalidInputError, match="a year is the most"):
        propose(inside, Threshold(at=0.3), expires_at=soon(400 * DAY))
    with pytest.raises(errors.InvalidInputError, match="which is over"):
        propose(inside, Threshold(at=0.3), expires_at=soon(-1))
    with pytest.raises(errors.InvalidInputError, match="needs a reason"):
        propose(inside, Threshold(at=0.3), reason=" ")
    with pytest.raises(errors.NotFoundError):
        propose(inside, Fallback(version=9))
    with pytest.raises(errors.InvalidInputError, match="score"):
        inside.transport.call(
            "POST",
            "/api/deployments/credit/corrections",
            answer=dict,
            body={"body": {"kind": "threshold", "score": 1}, "reason": "x", "expires_at": 1},
        )


def test_the_version_of_a_fallback_travels_with_the_plan(inside):
    made = propose(inside, Fallback(version=2))
    inside.corrections.approve(made.id)
    found = inside.transport.call("GET", "/api/deployments/credit/plan", answer=dict)
    assert [one["version"] for one in found["versions"]] == [1, 2]
    assert [one["id"] for one in found["corrections"]] == [made.id]


def test_the_command_line_proposes_approves_lists_and_withdraws(home, capsys, monkeypatch):
    monkeypatch.setenv("HOMEOSTAT_HOME", str(home))

    def said(*words):
        assert cli.invoke(list(words)) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    rule = ["--when", "late>=9", "--when", "sex=f|m", "--block", "1", "--reason", "too late"]
    made = json.loads(said("correction", "propose", "credit", *rule, "--json"))
    assert made["body"] == {
        "kind": "rule",
        "when": [
            {"column": "late", "op": "ge", "value": 9.0},
            {"column": "sex", "op": "in", "value": ["f", "m"]},
        ],
        "answer": "1",
        "score": None,
    }
    assert "is active until" in said("correction", "approve", made["id"])
    assert "too late" in said("correction", "list", "credit")
    assert "0 of 0 predictions ever" in said("correction", "show", made["id"])
    assert "withdrawn" in said("correction", "withdraw", made["id"], "--reason", "over")
    assert "nothing waits" in said("review", "list", "credit")
    bad = ["--threshold", "0.3", "--block", "1", "--reason", "both"]
    assert cli.invoke(["correction", "propose", "credit", *bad]) == 2
    assert "say one thing" in capsys.readouterr().err


def test_a_recalibration_is_fitted_to_the_log_and_proposed_with_its_evidence(home, inside):
    with pytest.raises(errors.InvalidInputError, match="seen 0"):
        inside.corrections.fit("credit", reason="too sure", expires_at=soon())
    rng = np.random.default_rng(3)
    score = rng.uniform(0, 1, 600)
    label = rng.uniform(0, 1, 600) < score / 2
    with house.open_house(settings.Settings(home=home)) as opened:
        log(opened, score.tolist(), ["1" if one else "0" for one in label])
    made = inside.corrections.fit(
        "credit", method="platt", reason="too sure", expires_at=soon()
    )
    told = made.body.evidence
    assert (made.status, made.body.versions, told.n_rows) == ("proposed", "1", 600)
    assert told.brier_after < told.brier_before
    assert told.gain_low > 0
    assert inside.corrections.approve(made.id).status == "active"


def log(opened, scores, labels):
    """Hand over a segment of answers and their labels, as a prediction server does."""
    keys = [f"fit-{at}" for at in range(len(scores))]
    name = ids.new_id()
    parts = (
        frames.Opened(name, "credit", 0),
        frames.Layout((), (), ()),
        frames.Batch(
            served_at=clock.now_ms(),
            generation=1,
            arm="stable",
            answered=True,
            version="1",
            ids=[ids.new_id() for _ in keys],
            keys=keys,
            features=[],
            context=[],
            scores=scores,
            answers=["0"] * len(keys),
            members=["1"],
            member_scores=[scores],
        ),
        frames.Labels(clock.now_ms(), keys, labels, [None] * len(keys)),
    )
    raw = b"".join(map(frames.encode, parts))
    sealed = predictions.seal_segment(opened, "credit", segment=name, raw=raw)
    opened.write(lambda tx: correcting.accept_segment(tx, access.system("predict"), sealed))


def test_the_pages_of_a_deployment_and_a_correction_tell_what_it_does(home, inside):
    made = propose(inside, Threshold(at=0.3))
    with house.open_house(settings.Settings(home=home)) as opened:
        app = local.build(opened)
        ask = asker(app)
        assert "from a score of 0.3" in ask("GET", "/deployments/credit").text
        assert "Let version 1 work" in ask("GET", f"/corrections/{made.id}").text
        grounds = {"note": "seen by the board"}
        assert ask("POST", f"/corrections/{made.id}/approve", data=grounds).status_code == 303
        assert "seen by the board" in ask("GET", f"/corrections/{made.id}").text
        assert "Withdraw" in ask("GET", f"/corrections/{made.id}").text
        assert ask("POST", f"/corrections/{made.id}/withdraw").status_code == 422
        why = {"reason": "not needed"}
        assert ask("POST", f"/corrections/{made.id}/withdraw", data=why).status_code == 303
        assert "withdrawn" in ask("GET", f"/corrections/{made.id}").text
        assert "Nothing waits for a person" in ask("GET", "/reviews").text
        assert ask("GET", "/reviews?state=x").status_code == 422
        assert ask("GET", "/reviews/nothing").status_code == 404
        huge = {"reason": "x" * 20_000}
        assert ask("POST", f"/corrections/{made.id}/withdraw", data=huge).status_code == 413
        app.close()


def asker(app):
    """Return a function that asks pages as a browser on this machine does."""

    def ask(method, path, **more):
        async def inside():
            carrying = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=carrying, base_url=BASE) as http:
                headers = {"accept": "text/html", "origin": BASE}
                return await http.request(method, path, headers=headers, **more)

        return asyncio.run(inside())

    return ask


# --- in a real prediction server -----------------------------------------------------------


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """Server, prediction server and worker of a home with the deployment."""
    place = tmp_path_factory.mktemp("live") / "home"
    with local.open_client(settings.Settings(home=place)) as client:
        furnish(client)
    (place / "project").mkdir()
    with processes.Household(place) as found:
        yield found.start()


@pytest.fixture
def client(stage):
    with local.connect(stage.url) as one:
        yield one


class Asking:
    """Somebody who asks the prediction server, and knows what was answered."""

    def __init__(self, stage, http):
        self.stage = stage
        self.http = http

    def ask(self, key):
        row = {"late": 4.0, "debt": 1.0, "sex": "f", "customer": key}
        reply = self.http.post("/invocations", json={"dataframe_records": [row]})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def until(self, answer, key):
        """Ask until the answer is the one that is wanted; return it."""

        def look():
            said = self.ask(key)
            return said if said["predictions"] == [answer] else None

        return processes.until(look, told=self.stage.serve.tell)


@pytest.fixture
def asking(stage):
    with httpx.Client(base_url=stage.predict_url, trust_env=False) as http:
        yield Asking(stage, http)


def test_a_correction_works_is_counted_and_expires_by_itself(stage, client, asking):
    assert 0.2 < asking.ask("before")["scores"][0] < 0.5
    low = propose(client, Threshold(at=0.2), expires_at=soon(4_000))
    client.corrections.approve(low.id)
    asking.until(1, "lowered")
    assert low.mark in asking.http.get("/metrics").text

    def fired():
        seen = client.corrections.get(low.id).firing
        return seen if seen.n_fired else None

    seen = processes.until(fired)
    assert seen.n_rows > seen.n_fired_day >= 1
    asking.until(0, "expired")

    def kinds():
        told = client.events.list(subject=low.reference)
        return [one.kind.partition(".")[2] for one in told]

    processes.until(lambda: "expired" in kinds())
    assert sorted(kinds()) == ["approved", "expired", "proposed"]
    assert client.corrections.get(low.id).correction.status == "expired"
    table = logged(stage)
    lowered = table.filter(pl.col("key") == "lowered", pl.col("answer") == "1")
    assert set(lowered["corrections"]) == {low.mark}
    assert set(table.filter(pl.col("answer") == "0")["corrections"]) == {""}


def test_what_was_left_to_a_person_is_decided_and_becomes_a_label(stage, client, asking):
    score = asking.ask("before")["scores"][0]
    band = propose(client, Abstain(low=score - 0.01, high=score + 0.01, due_h=2))
    client.corrections.approve(band.id)
    held = asking.until("abstain", "held")["ids"][0]
    other = asking.until("abstain", "other")["ids"][0]
    client.corrections.withdraw(band.id, reason="enough")
    asking.until(0, "withdrawn")
    processes.until(lambda: other in {one.id for one in client.reviews.list()})
    shown = client.reviews.get(held)
    assert (shown.key, shown.features) == ("held", {"late": 4.0, "debt": 1.0})
    assert (shown.correction, shown.due_at - shown.served_at) == (band.mark, 7_200_000)
    client.reviews.claim(held)
    decided = client.reviews.decide(held, "1", note="called them", is_label=True)
    assert (decided.answer, decided.is_label) == ("1", True)
    with house.open_house(stage.settings) as opened:
        labels = opened.read(lambda tx: read.labels(opened, tx, "credit"))
    assert labels.filter(pl.col("key") == "held")["label"].to_list() == ["1"]
    row = logged(stage).row(by_predicate=pl.col("id") == held, named=True)
    assert (row["answer"], row["corrections"]) == ("abstain", band.mark)

    with httpx.Client(base_url=stage.url, headers={"accept": "text/html"}) as browser:
        page = f"/reviews/{other}"
        assert "Answer 0" in browser.get(page).text
        assert browser.post(f"{page}/claim").status_code == 303
        assert browser.post(f"{page}/decide", data={"note": "x"}).status_code == 422
        form = {"answer": "0", "note": "as they said"}
        assert browser.post(f"{page}/decide", data=form).status_code == 303
        assert "as they said" in browser.get(page).text
        assert other in browser.get("/reviews?state=decided").text
    assert client.reviews.get(other).is_label is False


def test_explored_keys_are_those_of_the_draw_and_the_log_knows_their_chance(
    stage, client, asking
):
    made = propose(client, Explore(share=0.4, answer="1", low=0.2, high=0.5))
    client.corrections.approve(made.id)
    keys = [f"explored-{at}" for at in range(12)]
    drawn = {key for key in keys if exploring.share_of(made.id, key) < 0.4}
    assert 0 < len(drawn) < len(keys)
    asking.until(1, min(drawn))
    assert {key for key in keys if asking.ask(key)["predictions"] == [1]} == drawn
    client.corrections.withdraw(made.id, reason="enough")
    asking.until(0, min(drawn))

    def chances():
        rows = client.predictions.read("credit", with_labels=True)
        told = rows.filter(pl.col("key").is_in(keys), pl.col("answer") == "1")
        return dict(told.select("key", "answer_propensity").iter_rows()) or None

    assert processes.until(chances) == dict.fromkeys(drawn, 0.4)


def logged(stage):
    with house.open_house(stage.settings) as opened:
        return opened.read(lambda tx: read.predictions(opened, tx, "credit"))
