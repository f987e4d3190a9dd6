"""Alerts are watched, held back and told in the same way on every database."""

from __future__ import annotations

import pytest

from homeostat.foundation import access, settings
from homeostat.foundation import house as house_module
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.alerting import actions, counting, holding, sending, telling, watching
from homeostat.lifecycle.alerting.posting import Outcome
from homeostat.lifecycle.monitoring import alerts, marks

ADA = access.local_owner("ada")
LOOP = access.system("loop")
POLICY = policies.Alerts(email={"team": ("team@example.org",)}, tell=("team",))
TEAM = telling.Receiver("credit", "team", POLICY)


@pytest.fixture(name="house")
def _house(database_url, tmp_path):
    told = settings.load(home=tmp_path / "home", database_url=database_url)
    with house_module.open_house(told) as opened:
        yield opened


def _say(tx, column, **more):
    place = {"deployment": "credit", "kind": "covariate-drift", "cause": "feed"}
    return watching.open_alert(tx, LOOP, **place, column=column, sentence="x", **more)


def test_what_is_watched_silenced_and_sent_is_kept(house):
    drift = house.write(lambda tx: _say(tx, "a"))
    assert house.write(lambda tx: _say(tx, "a")) == drift
    house.write(lambda tx: watching.lose_sight(tx, LOOP, "credit"))
    silence = house.write(
        lambda tx: actions.silence(
            tx, ADA, until_at=tx.at + 60_000, reason="x", column="a", is_downtime=True
        )
    )
    assert house.read(lambda tx: holding.silence_of(tx, drift)) == silence
    house.write(lambda tx: telling.tell(tx, LOOP, drift, "confirmed"))
    (held,) = house.read(lambda tx: marks.held_by(tx, f"silence:{silence.id}"))
    ended = house.write(lambda tx: actions.end_silence(tx, ADA, silence.id))
    assert house.read(lambda tx: actions.list_silences(tx, ADA)) == [ended]
    assert house.write(lambda tx: telling.look(tx, LOOP, "credit")) is None
    made = house.write(
        lambda tx: [
            telling.deliver(tx, LOOP, one, "confirmed", receiver=TEAM)
            for one in (held, _say(tx, "b"))
        ]
    )
    assert made[0].id == made[1].id
    over = house.write(lambda tx: telling.deliver(tx, LOOP, held, "resolved", receiver=TEAM))
    assert house.write(lambda tx: sending.begin(tx, LOOP, made[0].id))[1] is None
    # An attempt is under way: what comes now is a message of its own, and the end comes last.
    more = house.write(
        lambda tx: telling.deliver(tx, LOOP, _say(tx, "c"), "confirmed", receiver=TEAM)
    )
    assert more.id != made[0].id
    assert house.write(lambda tx: sending.begin(tx, LOOP, over.id))[1] is not None
    later = house.write(lambda tx: sending.note(tx, LOOP, made[0].id, Outcome("no answer")))
    assert later == {"state": "waiting"}
    house.write(lambda tx: sending.begin(tx, LOOP, made[0].id))
    house.write(lambda tx: sending.note(tx, LOOP, made[0].id, Outcome(remark="not bob")))
    assert house.write(lambda tx: sending.begin(tx, LOOP, over.id))[1] is None
    *_, sent = house.read(lambda tx: actions.list_deliveries(tx, ADA))
    assert (sent.state, sent.attempts, len(sent.alerts)) == ("sent", 2, 2)
    assert sent.last_error == "not bob"
    assert 'receiver="team",state="sent"} 1' in house.read(lambda tx: counting.expose(tx, ADA))
    house.write(
        lambda tx: watching.clear(tx, LOOP, deployment="credit", kind="covariate-drift")
    )
    found = house.read(lambda tx: alerts.list_alerts(tx, ADA))
    assert {one.state for one in found} == {"resolved"}


def test_deliveries_are_forgotten_some_day_but_none_that_waits(house, monkeypatch):
    drift = house.write(lambda tx: _say(tx, "a"))
    sent, waiting = (
        house.write(lambda tx, t=told: telling.deliver(tx, LOOP, drift, t, receiver=TEAM))
        for told in ("confirmed", "resolved")
    )
    house.write(lambda tx: sending.note(tx, LOOP, sent.id, Outcome()))
    assert house.write(lambda tx: sending.purge(tx, LOOP)) == 0
    monkeypatch.setattr(sending, "KEPT_MS", -60_000)
    assert house.write(lambda tx: sending.purge(tx, LOOP)) == 1
    left = house.read(lambda tx: actions.list_deliveries(tx, ADA))
    assert [one.id for one in left] == [waiting.id]
