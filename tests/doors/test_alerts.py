"""Alerts, silences and windows through every door: HTTP, SDK, command line."""

from __future__ import annotations

import asyncio
import json
import re

import httpx
import numpy as np
import polars as pl
import pytest
import yaml

from homeostat.doors import cli
from homeostat.foundation import clock, errors, house
from homeostat.lifecycle.alerting import counting
from homeostat.lifecycle.monitoring import actions, baseline, judge
from homeostat.lifecycle.serving import meters


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
        code = cli.invoke([*arguments])
        return code, capsys.readouterr().out

    return running


def test_the_command_line_lists_alerts_the_latest_first(run, told_of):
    first, second = told_of
    code, out = run("alerts", "list", "--json")
    assert code == 0
    assert [a["id"] for a in json.loads(out)] == [second.id, first.id]
    assert run("monitor") == run("alerts")
    assert "resolved" in run("alerts", "resolve", first.id)[1]
    assert len(json.loads(run("alerts", "list", "--json")[1])) == 1
    assert len(json.loads(run("alerts", "list", "--all", "--json")[1])) == 2
    assert run("alerts", "ack", "nothing")[0] == errors.NotFoundError.exit_code


@pytest.mark.parametrize("width", ["80", "120"])
def test_ids_are_whole_however_narrow_the_terminal_is(run, told_of, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    _, out = run("alerts")
    assert all(one.id in out for one in told_of)


def test_the_command_line_lists_windows_and_findings(run, told_of):
    assert len(json.loads(run("monitor", "windows", "credit", "--all", "--json")[1])) == 2
    (found,) = json.loads(run("monitor", "findings", "credit", "--json")[1])
    assert (found["kind"], found["column"], found["factor"]) == ("unit", "income", 100.0)
    assert "unit income" in run("monitor", "windows", "credit")[1]
    assert run("monitor", "findings", "nobody")[0] == errors.NotFoundError.exit_code


def test_alerts_from_elsewhere_are_opened_once_and_silenced(client, told_of):
    made = client.alerts.open("dataset:orders", "late", "no file since noon", cause="feed")
    assert client.alerts.open("dataset:orders", "late", "still none", cause="feed") == made
    assert (made.state, made.confirmed_at is None) == ("open", False)
    until_at = clock.now_ms() + 60_000
    silence = client.alerts.silence(until_at=until_at, reason="they know", kind="late")
    assert client.alerts.silences() == [silence]
    assert client.alerts.end_silence(silence.id).ended_by == silence.made_by
    assert client.alerts.deliveries() == []
    with pytest.raises(errors.NotFoundError, match="no silence"):
        client.alerts.end_silence("nothing")


def test_prometheus_reads_what_is_open(app, client, told_of):
    text = client.transport.call("GET", "/api/metrics", answer=bytes).decode()
    named = (
        'deployment="credit",kind="feed",cause="feed",state="open",standing="soft",held="no"'
    )
    assert f"{counting.ALERTS}{{{named}}} 1" in text.splitlines()
    assert f"# TYPE {counting.DELIVERIES} gauge" in text
    assert re.search(rf"^{counting.OVERDUE} [\d.]+$", text, re.MULTILINE)


def test_the_command_line_answers_and_silences(run, told_of):
    first, second = told_of
    assert "soft" in run("alerts")[1]
    assert first.sentence in run("alerts", "show", first.id)[1]
    assert "acknowledged" in run("alerts", "ack", first.id)[1]
    assert "resolved" in run("alerts", "resolve", second.id)[1]
    code, out = run("alerts", "silence", "--for", "2h", "--reason", "moving house", "--json")
    assert code == 0
    assert "moving house" in run("alerts", "silences")[1]
    assert "ended" in run("alerts", "unsilence", json.loads(out)["id"])[1]
    assert "nobody was told" in run("alerts", "deliveries")[1]
    assert run("alerts", "silence", "--for", "soon", "--reason", "x")[0] == 2
    assert (
        run("alerts", "silence", "nobody", "--reason", "x")[0] == errors.NotFoundError.exit_code
    )


def test_the_rules_for_prometheus_are_on_metrics_that_exist(run, tmp_path):
    path = tmp_path / "rules.yml"
    assert run("alerts", "rules", "--output", str(path))[0] == 0
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    rules = [rule for group in told["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    known = {f"homeostat_{one.name}" for one in (*meters.FAMILIES, *meters.HISTOGRAMS)}
    known |= {f"homeostat_{one.name}_bucket" for one in meters.HISTOGRAMS}
    known |= {counting.ALERTS, counting.DELIVERIES, counting.JOBS, counting.OVERDUE}
    known |= {counting.BUDGET, counting.BURN}
    for rule in rules:
        named = set(re.findall(r"homeostat_\w+", rule["expr"]))
        assert named, rule
        assert named <= known


BASE = "http://127.0.0.1:5000"


@pytest.fixture
def press(app):
    """Send a form of the page of an alert, and return the page that follows."""

    async def sending(path, fields):
        carrying = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=carrying, base_url=BASE) as http:
            reply = await http.post(path, data=fields, headers={"origin": BASE})
            return await http.get(reply.headers["location"]) if reply.is_redirect else reply

    return lambda path, **fields: asyncio.run(sending(path, fields))


def test_an_alert_is_silenced_and_resolved_from_its_page(press, client, told_of):
    here = f"/alerts/{told_of[0].id}"
    page = press(f"{here}/silence", reason="the feed is being mended", hours="2")
    assert "I have seen it" in page.text
    (made,) = client.alerts.silences()
    assert (made.deployment, made.kind, made.column) == ("credit", "feed", "income")
    assert made.until_at - made.made_at == 2 * 3_600_000
    assert press(f"{here}/silence", reason="x", hours="0").status_code == 422
    assert "It is over" not in press(f"{here}/resolve").text
    assert client.alerts.get(told_of[0].id).state == "resolved"
