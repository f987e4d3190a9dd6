"""Alerts and windows through every door: HTTP, SDK, command line."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from homeostat.doors import cli
from homeostat.foundation import errors, house
from homeostat.lifecycle.monitoring import actions, baseline, judge


@pytest.fixture
def told_of(told, actor):
    """Two alerts and two windows, one of them with a broken feed."""
    income = np.random.default_rng(0).lognormal(10, 0.4, size=2000)
    frozen = baseline.freeze(pl.DataFrame({"income": income}), features=["income"])
    with house.open_house(told) as one:
        for row, factor in ((0, 1), (200, 100)):
            judged = judge.window(
                pl.DataFrame({"income": factor * income[row : row + 200]}),
                frozen,
                first_row=row,
                budget=judge.AlarmBudget(),
            )
            one.write(lambda tx, j=judged: actions.save_window(tx, actor, "credit", j))
        cause = judged.causes[0]
        return [
            one.write(
                lambda tx, name=name: actions.open_alert(
                    tx,
                    actor,
                    deployment=name,
                    kind="feed",
                    cause=cause.kind,
                    column=cause.column,
                    sentence=cause.sentence,
                    evidence=cause.evidence,
                )
            )
            for name in ("credit", "fraud")
        ]


def test_alerts_are_listed_shown_acknowledged_and_resolved(client, told_of):
    first, second = told_of
    assert [a.id for a in client.alerts.list()] == [second.id, first.id]
    assert [a.id for a in client.alerts.list(limit=1, before=second.id)] == [first.id]
    assert client.alerts.list(deployment="fraud") == [second]
    assert client.alerts.get(first.id) == first
    assert client.alerts.acknowledge(first.id).state == "acknowledged"
    assert client.alerts.resolve(first.id).state == "resolved"
    assert client.alerts.list(states=("open", "acknowledged")) == [second]
    kinds = [e.kind for e in client.events.list(subject=f"alert:{first.id}")]
    assert kinds == ["alert.opened", "alert.acknowledged", "alert.resolved"]


def test_windows_say_what_was_found(client, told_of):
    assert [w.first_row for w in client.alerts.windows("credit")] == [200, 0]
    (found,) = client.alerts.windows("credit", with_findings=True)
    assert found.broken == ((200, 400),)
    assert (found.causes[0].column, found.causes[0].factor) == ("income", 100.0)
    assert [w.first_row for w in client.alerts.windows("credit", before_row=200)] == [0]


def test_wrong_questions_are_refused_with_a_sentence(client, told_of):
    with pytest.raises(errors.NotFoundError, match="no alert"):
        client.alerts.get("nothing")
    with pytest.raises(errors.InvalidInputError):
        client.alerts.list(limit=0)
    client.alerts.resolve(told_of[0].id)
    with pytest.raises(errors.ConflictError, match="resolved already"):
        client.alerts.acknowledge(told_of[0].id)


@pytest.fixture
def run(told, monkeypatch, capsys):
    """Run the command line in the house of the other fixtures."""
    monkeypatch.setenv("HOMEOSTAT_HOME", str(told.home))

    def running(*arguments):
        code = cli.invoke(["monitor", *arguments])
        return code, capsys.readouterr().out

    return running


def test_the_command_line_lists_and_answers_alerts(run, told_of):
    code, out = run("alerts", "--json")
    assert code == 0
    assert [a["id"] for a in json.loads(out)] == [told_of[1].id, told_of[0].id]
    assert run()[0] == 0
    assert "acknowledged" in run("ack", told_of[0].id)[1]
    assert "resolved" in run("resolve", told_of[0].id)[1]
    assert len(json.loads(run("alerts", "--json")[1])) == 1
    assert len(json.loads(run("alerts", "--all", "--json")[1])) == 2
    assert run("ack", "nothing")[0] == errors.NotFoundError.exit_code


def test_the_command_line_lists_windows_and_findings(run, told_of):
    assert len(json.loads(run("windows", "credit", "--all", "--json")[1])) == 2
    (found,) = json.loads(run("findings", "credit", "--json")[1])
    assert (found["kind"], found["column"], found["factor"]) == ("unit", "income", 100.0)
    assert "unit income" in run("windows", "credit")[1]
    assert run("findings", "nobody")[0] == errors.NotFoundError.exit_code
