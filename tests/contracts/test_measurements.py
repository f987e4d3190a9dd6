"""Numbers, objectives, checks, requests and classes are kept alike on both databases."""

from __future__ import annotations

import pytest

from homeostat.foundation import access, errors, house, settings
from homeostat.lifecycle.monitoring import (
    measured,
    measurements,
    model_classes,
    objectives,
    service_counts,
)
from homeostat.lifecycle.monitoring.checks import Check
from homeostat.lifecycle.policy import Metric, Objective

ADA = access.local_owner("ada")
WANTED = Metric(function="metrics:share", at_most=1.0)
PROMISED = Objective(of="freshness", target=0.9, within="1h")
HOUR = 3_600_000


def test_the_newest_number_of_each_part_is_found_and_its_hours(database_url, tmp_path):
    told = settings.load(home=tmp_path / "home", database_url=database_url)

    def number(value, hour, part=""):
        values = (value, None, None)
        return measured.judge(
            "share", WANTED, values, n_rows=9, at=round(hour * HOUR), part=part
        )

    with house.open_house(told) as opened:

        def put(*found):
            opened.write(lambda tx: measurements.keep(tx, ADA, "credit", found))

        def latest():
            found = opened.read(lambda tx: measurements.latest(tx, ADA, "credit"))
            return [(one.part, one.value) for one in found]

        put(*(number(0.2, 100, part) for part in ("", "slice=young", "slice=gone")))
        put(number(0.3, 100.5), number(2.0, 101), number(0.4, 101, "slice=young"))
        # All parts are measured at once: what was not among them last time is no part any more.
        assert latest() == [("", 2.0), ("slice=young", 0.4)]
        past = opened.read(lambda tx: measurements.history(tx, ADA, "credit", "share"))
        assert [(one.value, one.verdict) for one in past] == [(2.0, "found"), (0.3, "fine")]
        put(number(0.5, 100 + 24 * 500))
        assert (
            len(opened.read(lambda tx: measurements.history(tx, ADA, "credit", "share"))) == 1
        )
        opened.write(
            lambda tx: measurements.forget_others(tx, ADA, "credit", kind="metric", names=[])
        )
        assert latest() == []

        stand = objectives.judge("fresh", PROMISED, objectives.of_slots([]), now=1)
        for _ in range(2):
            opened.write(lambda tx: measurements.keep_objectives(tx, ADA, "credit", [stand]))
        every = opened.read(lambda tx: measurements.every_objective(tx, ADA))
        assert every == [("credit", stand)]
        checks = [Check(name=name, verdict=said, sentence="x") for name, said in SAID]
        opened.write(lambda tx: measurements.keep_checks(tx, ADA, "credit", checks))
        found = opened.read(lambda tx: measurements.checks(tx, ADA, "credit"))
        assert [one.name for one in found] == ["volume", "age"]

        for total in (100, 130):
            counts = service_counts.Counts({"0.05": total - 10, "+Inf": total})
            opened.write(lambda tx, c=counts: service_counts.add(tx, ADA, "credit", c))
        ((_, kept),) = opened.read(lambda tx: service_counts.slots(tx, "credit", since=1))
        assert (kept.total, kept.good(0.05)) == (30, 30)

        new = model_classes.NewClass(match="tier = 'high'", objectives={"fresh": PROMISED})
        for _ in range(2):
            made = opened.write(lambda tx: model_classes.set_class(tx, ADA, "high", new))
        assert opened.read(lambda tx: model_classes.list_classes(tx, ADA)) == [made]
        viewer = access.Actor("eve", access.Role.VIEWER, access.Kind.PERSON)
        with pytest.raises(errors.NotAllowedError):
            opened.write(lambda tx: model_classes.remove_class(tx, viewer, "high"))


SAID = (("age", "fine"), ("volume", "found"))
