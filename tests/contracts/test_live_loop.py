"""The loop lives the same on both databases: one stream, one story, replayed to the bit."""

from __future__ import annotations

import living
from homeostat.doors.cli.demo import lender
from homeostat.foundation import events, house, settings
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.registry import actions as registry


def test_feed_and_recession_are_told_apart_on_both_databases(database_url, tmp_path):
    told = settings.load(
        home=tmp_path / "home", code=tmp_path / "code", database_url=database_url
    )
    with house.open_house(told) as opened:
        life = living.Living(opened)
        life.train()
        life.deploy()
        life.live(1900)
        life.live(300, income_factor=100.0)
        life.live(400)
        life.live(1200, world=lender.RECESSION_WORLD)
        kinds = life.kinds()
        assert kinds[:3] == ["quarantine", "release", "retrain"]
        assert "promote" in kinds
        assert life.state().quarantined == (
            (1880, 2220),
        )  # and twenty doubtful rows on each side
        versions = opened.read(lambda tx: registry.list_versions(tx, life.owner, living.NAME))
        assert versions[0].trained_rows is not None
        for one in life.decisions():
            again = opened.read(
                lambda tx, which=one.id: loop.replay_decision(tx, life.owner, which)
            )
            assert again.identical, again.reason
        assert opened.read(events.verify).ok
