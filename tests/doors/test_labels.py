"""Labels are asked for where they tell most, answered, and join the log like any other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from doors import furnishing
from homeostat.doors import cli, local
from homeostat.foundation import clock, errors, events, house, ids, settings
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import frames


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with 400 answers of two members and no label."""
    place = tmp_path_factory.mktemp("asking") / "home"
    with house.open_house(settings.Settings(home=place)) as opened:
        furnishing.furnish(opened)
        scores = np.random.default_rng(3).beta(0.5, 0.5, 400)
        batch = frames.Batch(
            served_at=clock.now_ms(),
            generation=2,
            arm="stable",
            answered=True,
            version="1+2",
            ids=[ids.new_id() for _ in scores],
            keys=[f"k{at}" for at in range(400)],
            features=[[38_000.0] * 400, ["north", "east"] * 200],
            context=[],
            scores=scores.tolist(),
            answers=[str(int(one >= 0.5)) for one in scores],
            members=["1", "2"],
            member_scores=[scores.tolist(), (scores * 0.9).tolist()],
        )
        layout = frames.Layout(("income", "region"), ("number", "category"), ())
        segment = ids.new_id()
        parts = (frames.Opened(segment, "credit", batch.served_at), layout, batch)
        raw = b"".join(map(frames.encode, parts))
        sealed = predictions.seal_segment(opened, "credit", segment=segment, raw=raw)
        opened.write(lambda tx: predictions.accept_segment(tx, furnishing.LOOP, sealed))
    return place


@pytest.fixture
def client(home):
    with local.open_client(settings.Settings(home=home)) as one:
        yield one


def test_doubtful_rows_are_asked_for_first_and_answers_reach_the_log(client, home):
    asked = client.labels.request("credit", budget=20, stratum="x.region")
    assert len(asked) == 20
    assert {one.stratum for one in asked} == {"east", "north"}
    # The more a label tells, the likelier it is asked for; no chance is 0.
    chances = [one.propensity for one in sorted(asked, key=lambda one: one.value)]
    assert chances == sorted(chances)
    assert 0 < chances[0] < chances[-1] <= 1
    # Every request carries its chance, and none is asked for twice.
    again = client.labels.request("credit", budget=380, by="random")
    assert not {one.key for one in asked} & {one.key for one in again}

    for one in asked[:-1]:
        client.labels.answer("credit", one.id, int(one.answer))
    assert [one.error for one in client.labels.estimates("credit")] == [None, None]
    client.deployments.label("credit", [(asked[-1].key, 1 - int(asked[-1].answer))])
    found = {one.draw: one for one in client.labels.estimates("credit")}[asked[0].draw]
    assert (found.n_rows, found.n_answered) == (400, 20)
    assert found.error == pytest.approx(1 / asked[-1].propensity / 400)

    log = client.predictions.read("credit", columns=("key", "label"), with_labels=True)
    labels = dict(log.select("key", "label").iter_rows())
    assert all(labels[one.key] == one.answer for one in asked[:-1])
    states = {one.id: one.state for one in client.labels.list("credit", states=("known",))}
    assert states == {asked[-1].id: "known"}
    with house.open_house(settings.Settings(home=home)) as opened:
        told = opened.read(lambda tx: events.follow(tx, "t", kinds=("labels.requested",)))
    assert [one.facts["n_requested"] for one in told] == [20, 380]


def test_an_answer_is_given_once_and_is_one_of_the_classes(client, home, monkeypatch, capsys):
    monkeypatch.setenv("HOMEOSTAT_HOME", str(home))
    if not client.labels.list("credit"):
        client.labels.request("credit", budget=5)
    cli_answers(["labels", "list", "credit", "--json", "--limit", "1"])
    (one,) = json.loads(capsys.readouterr().out)["requests"]
    cli_answers(["labels", "answer", "credit", one["id"], "1"])
    assert capsys.readouterr().out == f"{one['key']} is 1\n"
    with pytest.raises(errors.ConflictError, match="has its label already"):
        client.labels.answer("credit", one["id"], "1")
    with pytest.raises(errors.NotFoundError, match="no label request"):
        client.labels.answer("credit", "nothing", "1")
    with pytest.raises(errors.InvalidInputError, match="random share is above 0"):
        client.labels.request("credit", budget=5, random_share=0.0)


def cli_answers(arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code in (0, None)
