"""The prediction log on every database: dense rows, accepted once, read as of any instant."""

from __future__ import annotations

import pytest

from homeostat.foundation import access, errors, events, jobs, settings
from homeostat.foundation import house as house_module
from homeostat.lifecycle.predictions import (
    actions,
    compaction,
    entities,
    finding,
    frames,
    read,
    records,
    segments,
    spool,
)

OWNER = access.LOCAL_OWNER("ada")
LAYOUT = frames.Layout(("income",), ("number",), ("sex",))


@pytest.fixture(name="house")
def _house(database_url, tmp_path):
    told = settings.load(home=tmp_path / "home", database_url=database_url)
    with house_module.open_house(told) as opened:
        yield opened


@pytest.fixture
def log(house):
    house.write(lambda tx: actions.open_log(tx, OWNER, "credit"))
    return Log(house)


class Log:
    """The log of one deployment, as a prediction server and its readers see it."""

    def __init__(self, house):
        self.house = house
        self.n = 0

    def segment(self, *found):
        self.n += 1
        name = f"{self.n:032x}"
        opened = frames.Opened(name, "credit", 0)
        return name, b"".join(map(frames.encode, (opened, *found)))

    def accept(self, name, raw, *, actor=OWNER):
        sealed = actions.seal_segment(self.house, "credit", segment=name, raw=raw)
        return self.house.write(lambda tx: actions.accept_segment(tx, actor, sealed))

    def predictions(self, **options):
        return self.house.read(lambda tx: read.predictions(self.house, tx, "credit", **options))

    def labels(self, **options):
        return self.house.read(lambda tx: read.labels(self.house, tx, "credit", **options))


def batch(*keys, at=1, layout=LAYOUT):
    n = len(keys)
    return frames.Batch(
        served_at=at,
        generation=1,
        arm="stable",
        answered=True,
        version="3",
        ids=[f"{at:012x}-{key}" for key in keys],
        keys=list(keys),
        features=[[1.5] * n for _ in layout.features],
        context=[["f"] * n for _ in layout.context],
        scores=[0.25] * n,
        answers=[0] * n,
        members=["3"],
        member_scores=[[0.25] * n],
    )


def test_rows_are_dense_in_order_of_acceptance(log):
    accepted = [log.accept(*log.segment(LAYOUT, batch(*keys))) for keys in ("abc", "d", "ef")]
    assert [(one.number, one.first_row, one.n_rows) for one in accepted] == [
        (0, 0, 3),
        (1, 3, 1),
        (2, 4, 2),
    ]
    table = log.predictions()
    assert table["row"].to_list() == list(range(6))
    assert table["key"].to_list() == list("abcdef")


def test_any_range_of_rows_is_read(log):
    for keys in ("abc", "d", "ef"):
        log.accept(*log.segment(LAYOUT, batch(*keys)))
    for first in range(7):
        for end in range(first, 8):
            got = log.predictions(first_row=first, end_row=end)
            assert "".join(got["key"]) == "abcdef"[first:end]
            assert got["row"].to_list() == list(range(first, min(end, 6)))


def test_handing_over_again_changes_nothing(log):
    handed = log.segment(LAYOUT, batch("a"), frames.Labels(5, ["a"], ["1"], [None]))
    first = log.accept(*handed)
    assert log.accept(*handed) == first
    assert len(log.predictions()) == len(log.labels()) == 1
    kinds = [event.kind for event in log.house.read(events.read)]
    assert kinds.count("segment.closed") == 1


def test_other_bytes_under_the_same_id_are_refused(log):
    name, raw = log.segment(LAYOUT, batch("a"))
    log.accept(name, raw)
    with pytest.raises(errors.ConflictError, match="other bytes"):
        log.accept(name, raw + frames.encode(batch("b")))
    assert len(log.predictions()) == 1


def test_the_event_that_closes_a_segment_carries_its_digest(log):
    accepted = log.accept(*log.segment(LAYOUT, batch("a", "b")))
    (event,) = log.house.read(lambda tx: events.read(tx, kinds=["segment.closed"]))
    assert event.subject == "deployment:credit"
    assert event.facts["digest"] == accepted.digest
    assert (event.facts["first_row"], event.facts["n_rows"]) == (0, 2)


def test_a_segment_of_another_deployment_is_refused(log):
    name, raw = log.segment(LAYOUT, batch("a"))
    with pytest.raises(errors.InvalidInputError, match=r"not .* of 'churn'"):
        actions.seal_segment(log.house, "churn", segment=name, raw=raw)


def test_an_unknown_deployment_has_no_log(house):
    log = Log(house)
    with pytest.raises(errors.NotFoundError, match="no deployment 'credit'"):
        log.accept(*log.segment(LAYOUT, batch("a")))
    assert len(log.predictions()) == 0


def test_who_may_not_write_predictions_is_refused(log):
    viewer = access.Actor("bob", access.Role.VIEWER)
    with pytest.raises(errors.NotAllowedError):
        log.accept(*log.segment(LAYOUT, batch("a")), actor=viewer)


def test_labels_are_numbered_apart_and_read_as_of_any_instant(log):
    log.accept(
        *log.segment(LAYOUT, batch("a"), frames.Labels(5, ["a", "b"], ["1", "0"], [4, None]))
    )
    log.accept(*log.segment(frames.Labels(9, ["a"], ["0"], [None])))
    assert log.labels()["known_at"].to_list() == [5, 5, 9]
    assert log.labels(as_of=8)["key"].to_list() == ["a", "b"]
    assert log.labels(first_label=1)["key"].to_list() == ["b", "a"]
    assert log.labels(first_label=1, end_label=2)["event_at"].to_list() == [None]


def test_predictions_are_read_as_of_any_instant(log):
    log.accept(*log.segment(LAYOUT, batch("a", at=1), batch("b", at=3)))
    assert log.predictions(as_of=2)["key"].to_list() == ["a"]


def test_a_feature_that_comes_later_is_null_before(log):
    wider = frames.Layout(("income", "debt"), ("number", "number"), ())
    log.accept(*log.segment(LAYOUT, batch("a")))
    log.accept(*log.segment(wider, batch("b", layout=wider)))
    table = log.predictions()
    assert table["x.debt"].to_list() == [None, 1.5]
    assert table["c.sex"].to_list() == ["f", None]


def test_labels_given_to_the_server_are_in_the_same_log(log):
    given = [entities.LateLabel(key="a", label=1), entities.LateLabel(key="b", label=0)]
    log.accept(*actions.labels_segment("credit", given, classes=("0", "1")))
    assert log.labels().select("key", "label").rows() == [("a", "1"), ("b", "0")]


def test_unknown_and_doubled_keys_are_counted_and_listed(log):
    labels = frames.Labels(5, ["a", "x", "a"], ["1", "0", "0"], [None] * 3)
    log.accept(*log.segment(LAYOUT, batch("a", "b", "b"), labels))
    report = log.house.read(
        lambda tx: actions.label_report(tx, OWNER, log.house, deployment="credit")
    )
    assert (report.n_predictions, report.n_labels, report.n_labelled) == (3, 3, 1)
    assert report.unknown_keys == ("x",)
    assert report.relabelled_keys == ("a",)
    assert report.repeated_keys == ("b",)


def test_failures_of_members_are_kept_by_plan(log):
    failed = [
        frames.Failure(1, generation, "canary", "4", 3, "raised", "boom")
        for generation in (1, 2)
    ]
    accepted = log.accept(*log.segment(*failed))
    assert accepted.n_failed_rows == 6
    found = log.house.read(lambda tx: read.failures(tx, "credit", since_generation=2))
    assert [(one.generation, one.member, one.n_rows) for one in found] == [(2, "4", 3)]


def test_a_prediction_is_found_by_its_id(log):
    log.accept(*log.segment(LAYOUT, batch("a", at=1000)))
    log.accept(*log.segment(LAYOUT, batch("b", at=10**9)))
    wanted = f"{10**9:012x}-b"
    deployment, rows = log.house.read(lambda tx: read.find(log.house, tx, wanted))
    assert deployment == "credit"
    assert rows["row"].to_list() == [1]
    assert log.house.read(lambda tx: read.find(log.house, tx, "nothing")) is None


def test_the_stored_log_is_sealed(log):
    log.accept(*log.segment(LAYOUT, batch("a-very-visible-key")))
    stored = b"".join(
        one.read_bytes() for one in log.house.settings.home.rglob("*") if one.is_file()
    )
    assert b"a-very-visible-key" not in stored


def test_what_a_spool_closed_is_accepted(log, tmp_path):
    spooled = spool.Spool(tmp_path / "spool", limits=spool.Limits(max_age_s=3600))
    spooled.write("credit", batch("a", "b"), layout=LAYOUT)
    spooled.close()
    (closed,) = spooled.closed()
    log.accept(closed.segment, closed.path.read_bytes())
    assert log.predictions()["key"].to_list() == ["a", "b"]
    assert segments.decode(closed.path.read_bytes()).segment == closed.segment


def everything(log):
    return log.predictions(), log.labels()


def compact(log):
    return compaction.compact(log.house, OWNER, "credit")


def test_compaction_changes_where_rows_are_stored_and_nothing_else(log):
    wider = frames.Layout(("income", "debt"), ("number", "number"), ())
    for at in range(12):
        layout = wider if at >= 8 else LAYOUT
        known = frames.Labels(5 if at < 2 else at, [f"k{at // 2}"], ["1"], [None])
        keys = [f"k{at}"] * (at + 1)
        log.accept(*log.segment(layout, batch(*keys, at=at + 1, layout=layout), known))
    before = everything(log)
    segments_before = log.house.read(lambda tx: actions.list_segments(tx, OWNER, "credit"))
    done = compact(log)
    assert done.n_new >= 2
    assert done.n_replaced > done.n_new
    after = everything(log)
    assert all(a.equals(b) for a, b in zip(before, after, strict=True))
    for first in range(0, 78, 7):
        got = log.predictions(first_row=first, end_row=first + 9, columns=("key",))
        assert got.equals(before[0].select("row", "key").slice(first, 9))
    assert log.labels(first_label=3, end_label=7).equals(before[1].slice(3, 4))
    found = log.house.read(lambda tx: actions.list_segments(tx, OWNER, "credit"))
    kept = ("id", "number", "digest", "first_row", "n_rows", "first_label", "n_labels")
    for one, was in zip(found, segments_before, strict=True):
        assert [getattr(one, name) for name in kept] == [getattr(was, name) for name in kept]
    assert len({one.predictions for one in found}) < 12
    wanted = before[0]["id"][-1]
    _, hit = log.house.read(lambda tx: read.find(log.house, tx, wanted))
    assert set(hit["key"]) == {"k11"}


def test_compaction_again_changes_nothing_and_goes_on_with_what_came_since(log):
    for at in range(8):
        log.accept(*log.segment(LAYOUT, batch(f"a{at}")))
    assert compact(log)[:2] == (1, 8)
    assert compact(log)[:2] == (0, 0)
    for at in range(8):
        log.accept(*log.segment(LAYOUT, batch(f"b{at}")))
    assert compact(log)[:2] == (1, 9)
    keys = [f"{part}{at}" for part in "ab" for at in range(8)]
    assert log.predictions()["key"].to_list() == keys
    events_told = log.house.read(lambda tx: events.read(tx, kinds=["log.compacted"]))
    assert [event.facts["n"] for event in events_told] == [8, 16]


def test_old_objects_go_when_their_grace_is_over(log, monkeypatch):
    for at in range(4):
        log.accept(*log.segment(LAYOUT, batch(f"a{at}")))
    found = log.house.read(lambda tx: actions.list_segments(tx, OWNER, "credit"))
    old = [one.predictions for one in found]
    assert compact(log).n_removed == 0
    assert all(log.house.has_blob("deployment:credit", one) for one in old)
    monkeypatch.setattr(compaction, "_GRACE_MS", -1)
    assert compact(log).n_removed == 4
    assert not any(log.house.has_blob("deployment:credit", one) for one in old)
    assert log.predictions()["key"].to_list() == ["a0", "a1", "a2", "a3"]


def test_a_compaction_that_another_one_overtook_changes_nothing(log, monkeypatch):
    for at in range(4):
        log.accept(*log.segment(LAYOUT, batch(f"a{at}")))
    stale = log.house.read(
        lambda tx: compaction._newest(tx, deployment="credit", what="predictions")
    )
    compact(log)
    log.accept(*log.segment(LAYOUT, batch("b")))
    monkeypatch.setattr(compaction, "_newest", lambda _, **__: stale)
    with pytest.raises(errors.ConflictError, match="compacted by somebody else"):
        compact(log)
    assert log.predictions()["key"].to_list() == ["a0", "a1", "a2", "a3", "b"]


def test_every_so_many_segments_a_compaction_is_asked_for_once(log, monkeypatch):
    monkeypatch.setattr(compaction, "EVERY", 4)
    for at in range(9):
        log.accept(*log.segment(frames.Labels(at, [f"{at}"], ["1"], [None])))
    waiting = log.house.read(lambda tx: jobs.newest(tx, limit=10))
    assert [one.payload for one in waiting if one.kind == compaction.COMPACT] == [
        {"deployment": "credit"}
    ]


def test_members_are_counted_and_segments_of_an_earlier_release_are_looked_into(log):
    log.accept(*log.segment(LAYOUT, batch("a", "b", at=5)))
    log.accept(*log.segment(LAYOUT, batch("c", at=7)))

    def count(tx):
        return finding.counted(log.house, tx, "credit", ["3", "4"])

    before = log.house.read(count)
    assert [(one.member, one.n_answered, one.last_served_at) for one in before] == [("3", 3, 7)]
    log.house.write(lambda tx: tx.execute(records.segment_members.delete()))
    assert log.house.read(count) == before


def test_the_latest_prediction_of_a_key_is_found(log):
    for at, keys in ((5, "abc"), (6, "xyz"), (7, "bcd")):
        log.accept(*log.segment(LAYOUT, batch(*keys, at=at)))
    found = log.house.read(lambda tx: finding.newest(log.house, tx, "credit", key="b"))
    assert (found["served_at"], found["row"]) == (7, 6)
    with pytest.raises(errors.NotFoundError, match="no prediction with the key 'q'"):
        log.house.read(lambda tx: finding.newest(log.house, tx, "credit", key="q"))
