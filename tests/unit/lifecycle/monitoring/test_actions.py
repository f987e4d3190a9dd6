"""Windows are kept once; alerts are told once, acknowledged by people, resolved when over."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.foundation import access, errors, events
from homeostat.lifecycle.monitoring import actions, baseline, judge

FROZEN = baseline.freeze(
    pl.DataFrame({"a": np.random.default_rng(0).lognormal(size=1000)}), features=["a"]
)
VIEWER = access.Actor(name="eve", role=access.Role.VIEWER, kind=access.Kind.PERSON)


def _judged(first_row, factor=1.0):
    values = factor * np.random.default_rng(first_row).lognormal(size=200)
    frame = pl.DataFrame({"a": values})
    return judge.window(frame, FROZEN, first_row=first_row, budget=judge.AlarmBudget())


def _kinds(house):
    return [e.kind for e in house.read(events.read)]


def _open(house, actor, **more):
    said = {"deployment": "credit", "kind": "feed", "cause": "feed", "sentence": "x"}
    return house.write(lambda tx: actions.open_alert(tx, actor, **{**said, **more}))


def test_a_window_is_kept_once_with_its_summary(house, actor):
    judged = _judged(0, factor=1000.0)
    first = house.write(lambda tx: actions.save_window(tx, actor, "credit", judged))
    again = house.write(lambda tx: actions.save_window(tx, actor, "credit", judged))
    assert first == again
    assert first.findings == judged.findings
    assert first.broken == ((0, 200),)
    assert house.read(lambda tx: actions.read_summary(tx, actor, first.id)) == judged.summary
    assert _kinds(house) == ["window.found"]


def test_windows_are_read_page_by_page_the_latest_first(house, actor):
    for row in range(0, 1000, 200):
        judged = _judged(row, factor=1000.0 if row == 400 else 1.0)
        house.write(lambda tx, j=judged: actions.save_window(tx, actor, "credit", j))

    def page(**asked):
        return [
            w.first_row
            for w in house.read(lambda tx: actions.list_windows(tx, actor, "credit", **asked))
        ]

    assert page(limit=2) == [800, 600]
    assert page(limit=2, before_row=600) == [400, 200]
    assert page(with_findings=True) == [400]
    assert house.read(lambda tx: actions.list_windows(tx, actor, "other")) == []


def test_the_same_alert_is_not_opened_twice_until_it_is_over(house, actor):
    first = _open(house, actor, column="income")
    assert _open(house, actor, column="income") == first
    other = _open(house, actor, column="debt")
    assert other.id != first.id
    house.write(lambda tx: actions.resolve_alert(tx, actor, first.id))
    assert _open(house, actor, column="income").id != first.id
    assert _kinds(house).count("alert.opened") == 3


def test_an_acknowledged_alert_stays_told(house, actor):
    alert = _open(house, actor)
    seen = house.write(lambda tx: actions.acknowledge_alert(tx, actor, alert.id))
    assert (seen.state, seen.acknowledged_by) == ("acknowledged", "ada")
    assert house.write(lambda tx: actions.acknowledge_alert(tx, actor, alert.id)) == seen
    assert _open(house, actor) == seen
    assert house.read(lambda tx: actions.get_alert(tx, actor, alert.id)) == seen


def test_everything_of_a_kind_is_resolved_at_once(house, actor):
    _open(house, actor, column="a")
    _open(house, actor, column="b")
    _open(house, actor, kind="harm")
    done = house.write(
        lambda tx: actions.resolve_alerts(tx, actor, deployment="credit", kind="feed")
    )
    assert {alert.column for alert in done} == {"a", "b"}
    left = house.read(lambda tx: actions.list_alerts(tx, actor, states=("open",)))
    assert [alert.kind for alert in left] == ["harm"]
    again = house.write(lambda tx: actions.resolve_alert(tx, actor, done[0].id))
    assert again == done[0]
    with pytest.raises(errors.ConflictError, match="resolved already"):
        house.write(lambda tx: actions.acknowledge_alert(tx, actor, done[0].id))


def test_alerts_are_read_page_by_page_the_latest_first(house, actor):
    made = [_open(house, actor, column=f"c{i}").id for i in range(5)]
    _open(house, actor, deployment="other")

    def page(**asked):
        return [
            a.id
            for a in house.read(
                lambda tx: actions.list_alerts(tx, actor, deployment="credit", **asked)
            )
        ]

    first = page(limit=2)
    assert set(first + page(limit=3, before=first[-1])) == set(made)
    assert page() == sorted(made, reverse=True)


@pytest.mark.parametrize(
    "act",
    [
        lambda tx: actions.save_window(tx, VIEWER, "credit", _judged(0)),
        lambda tx: actions.open_alert(
            tx, VIEWER, deployment="d", kind="k", cause="c", sentence="s"
        ),
        lambda tx: actions.resolve_alert(tx, VIEWER, "x"),
        lambda tx: actions.acknowledge_alert(tx, VIEWER, "x"),
    ],
)
def test_viewers_may_only_look(house, act):
    with pytest.raises(errors.NotAllowedError):
        house.write(act)


def test_what_is_not_there_and_wrong_pages_are_refused(house, actor):
    with pytest.raises(errors.NotFoundError, match="no alert"):
        house.read(lambda tx: actions.get_alert(tx, actor, "nothing"))
    with pytest.raises(errors.NotFoundError, match="no window"):
        house.read(lambda tx: actions.read_summary(tx, actor, "nothing"))
    with pytest.raises(errors.InvalidInputError, match="limit"):
        house.read(lambda tx: actions.list_alerts(tx, actor, limit=0))
    with pytest.raises(errors.InvalidInputError, match="limit"):
        house.read(lambda tx: actions.list_windows(tx, actor, "d", limit=1001))
