"""Artifacts of runs, logged models and folders of a client's, on both databases."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeostat.foundation import access, errors, events
from homeostat.lifecycle.tracking import (
    actions,
    artifact_records,
    artifacts,
    entities,
    records,
)

ADA = access.local_owner("ada")
ABSENT = "f" * 32


@pytest.fixture
def act(database):
    def acting(does, *args, actor=ADA, project="default", **options):
        with database.write(project=project) as tx:
            return does(tx, actor, *args, **options)

    return acting


@pytest.fixture
def read(database):
    def reading(does, *args, project="default", **options):
        with database.read(project=project) as tx:
            return does(tx, *args, **options)

    return reading


@pytest.fixture
def run(act):
    return act(actions.create_run)


@pytest.fixture
def keep(act, run):
    def keeping(*paths, holder=None):
        for n, path in enumerate(paths):
            act(
                artifacts.keep,
                holder or f"run:{run.id}",
                path=path,
                digest=f"{n:064x}",
                size_bytes=n,
            )

    return keeping


def test_an_address_below_the_root_of_a_run_means_that_run(read, run):
    root = f"0/{run.id}/artifacts"
    holder = f"run:{run.id}"
    assert read(artifacts.resolve, f"mlflow-artifacts:/{root}/model/a b%.pkl") == (
        holder,
        "model/a b%.pkl",
    )
    assert read(artifacts.resolve, f"{root}/model/") == (holder, "model")
    assert read(artifacts.resolve, root) == (holder, "")
    assert read(artifacts.resolve, f"mlflow-artifacts:///{root}") == (holder, "")
    below = f"{root}/0/{run.id}/artifacts/x"
    assert read(artifacts.resolve, below) == (holder, f"0/{run.id}/artifacts/x")


def test_an_address_elsewhere_means_a_folder(read, run):
    assert read(artifacts.resolve, f"7/{run.id}/artifacts/x") == (
        "experiment:7",
        f"{run.id}/artifacts/x",
    )
    assert read(artifacts.resolve, f"0/{ABSENT}/artifacts/x")[0] == "experiment:0"
    assert read(artifacts.resolve, f"0/{run.id}/x") == ("experiment:0", f"{run.id}/x")
    assert read(artifacts.resolve, "0/traces/tr-1/artifacts/traces.json") == (
        "experiment:0",
        "traces/tr-1/artifacts/traces.json",
    )
    assert read(artifacts.resolve, "mine/x.bin") == ("project:default", "mine/x.bin")
    assert read(artifacts.resolve, "mine", project="other") == ("project:other", "mine")
    assert read(artifacts.resolve, "") == ("project:default", "")


def test_a_run_whose_files_lie_at_an_address_of_its_own_is_found_there_only(act, read, run):
    root = f"mlflow-artifacts:/team/a/{run.id}/artifacts"

    def move(tx, _):
        tx.execute(records.runs.update().values(artifact_root=root))

    act(move)
    assert read(artifacts.resolve, f"{root}/x") == (f"run:{run.id}", "x")
    assert read(artifacts.resolve, f"0/{run.id}/artifacts/x")[0] == "experiment:0"


@pytest.mark.parametrize(
    "address", ["mlflow-artifacts://elsewhere/0/x", "mlflow-artifacts:/../x", "0/%2e%2e/x"]
)
def test_an_address_that_cannot_be_right_is_refused(read, address):
    with pytest.raises(errors.InvalidInputError):
        read(artifacts.resolve, address)


def test_a_kept_file_is_found_and_told_of_once(act, read, run):
    holder = f"run:{run.id}"
    made = act(artifacts.keep, holder, path="a/b c+%.bin", digest="ab", size_bytes=3)
    assert act(artifacts.find, holder, path="a/b c+%.bin") == made
    assert act(actions.list_artifacts, run.id) == [made]
    assert act(actions.get_artifact, run.id, path=made.path) == made
    told = [e for e in read(events.read) if e.kind == "artifact.added"]
    assert [(e.subject, e.facts["path"]) for e in told] == [(holder, made.path)]


def test_what_is_not_there_and_what_is_a_folder_are_two_refusals(act, keep, run):
    keep("model/MLmodel")
    with pytest.raises(errors.InvalidInputError, match="directory, not a file"):
        act(artifacts.find, f"run:{run.id}", path="model")
    with pytest.raises(errors.NotFoundError, match="'mod'"):
        act(artifacts.find, f"run:{run.id}", path="mod")


def test_a_file_and_a_folder_do_not_share_a_name(act, keep, run):
    keep("a", "d/x")
    for path in ("a/b", "a/b/c", "d"):
        with pytest.raises(errors.InvalidInputError, match=r"already"):
            keep(path)
    keep("a", "ab/c", "d/x")
    assert len(act(actions.list_artifacts, run.id)) == 3


def test_a_run_that_does_not_exist_keeps_nothing(act):
    with pytest.raises(errors.NotFoundError, match=ABSENT):
        act(artifacts.keep, f"run:{ABSENT}", path="x", digest="ab", size_bytes=1)


def test_a_viewer_may_look_but_neither_keep_nor_remove(act, keep, run):
    keep("x")
    viewer, holder = access.Actor("bob"), f"run:{run.id}"
    assert act(artifacts.find, holder, path="x", actor=viewer).path == "x"
    with pytest.raises(errors.NotAllowedError):
        act(artifacts.keep, holder, path="y", digest="ab", size_bytes=1, actor=viewer)
    with pytest.raises(errors.NotAllowedError):
        act(artifacts.remove, holder, path="x", actor=viewer)


NAMES = ["a", "a.txt", "a/b", "a0", "aé/x", "z/1", "z/2/3", "z0/q", "ÿ/💡"]


def test_a_folder_shows_what_stands_directly_in_it(act, keep, run):
    keep(*(name for name in NAMES if name != "a"))
    shown = act(artifacts.entries, f"run:{run.id}")
    assert [(e.name, e.is_dir) for e in shown] == [
        *(("a", True), ("a.txt", False), ("a0", False), ("aé", True)),
        *(("z", True), ("z0", True), ("ÿ", True)),
    ]
    inside = act(artifacts.entries, f"run:{run.id}", folder="z")
    assert [(e.name, e.is_dir) for e in inside] == [("1", False), ("2", True)]
    assert act(artifacts.entries, f"run:{run.id}", folder="a.txt") == []
    assert act(artifacts.entries, f"run:{run.id}", folder="nothing") == []


def test_a_listing_of_many_files_is_whole(act, run):
    names = [f"{n:04d}" for n in range(1203)] + [f"deep/{n:04d}/x" for n in range(1203)]
    rows = [
        {
            "project": "default",
            "holder": f"run:{run.id}",
            "path": name,
            "digest": "ab",
            "size_bytes": 1,
            "created_at": 1,
        }
        for name in names
    ]
    act(lambda tx, _: tx.execute(artifact_records.artifacts.insert(), rows))
    shown = [e.name for e in act(artifacts.entries, f"run:{run.id}")]
    assert shown == [*names[:1203], "deep"]
    deep = act(artifacts.entries, f"run:{run.id}", folder="deep")
    assert [e.name for e in deep] == names[:1203]
    assert all(e.is_dir for e in deep)


SEGMENT = st.text(alphabet="ab.0 é-", min_size=1, max_size=3).filter(
    lambda text: text not in {".", ".."}
)
PATHS = st.lists(st.lists(SEGMENT, min_size=1, max_size=3).map("/".join), max_size=12)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(PATHS, st.lists(SEGMENT, max_size=2).map("/".join))
def test_a_listing_is_what_a_walk_over_all_paths_would_show(act, run, wanted, folder):
    holder = f"run:{run.id}"
    act(artifacts.remove, holder, path="")
    kept = set()
    for path in wanted:
        try:
            act(artifacts.keep, holder, path=path, digest="ab", size_bytes=1)
        except errors.InvalidInputError:
            continue
        kept.add(path)
    start = f"{folder}/" if folder else ""
    rests = [path[len(start) :] for path in kept if path.startswith(start)]
    expected = {(rest.partition("/")[0], "/" in rest) for rest in rests}
    shown = act(artifacts.entries, holder, folder=folder)
    assert len(shown) == len(expected)
    assert {(e.name, e.is_dir) for e in shown} == expected
    below = {a.path for a in artifacts_under(act, holder, folder)}
    assert below == {path for path in kept if path.startswith(start) or path == folder}


def artifacts_under(act, holder, prefix):
    return act(lambda tx, _: artifacts.under(tx, holder, prefix))


def test_under_gives_a_file_or_all_of_a_folder(act, keep, run):
    keep("m/MLmodel", "m/data/x", "m2/y", "m.txt")
    holder = f"run:{run.id}"
    assert [a.path for a in artifacts_under(act, holder, "m")] == ["m/MLmodel", "m/data/x"]
    assert [a.path for a in artifacts_under(act, holder, "m.txt")] == ["m.txt"]
    assert len(artifacts_under(act, holder, "")) == 4
    assert artifacts_under(act, holder, "no") == []


def test_removing_a_folder_forgets_all_below_it_and_nothing_beside(act, keep, read, run):
    keep("m/a", "m/b/c", "m2", "m.txt")
    holder = f"run:{run.id}"
    assert act(artifacts.remove, holder, path="m") == 2
    assert [a.path for a in artifacts_under(act, holder, "")] == ["m.txt", "m2"]
    assert act(artifacts.remove, holder, path="m") == 0
    assert act(artifacts.remove, holder, path="m2") == 1
    told = [e for e in read(events.read) if e.kind == "artifact.removed"]
    assert [e.facts for e in told] == [
        {"path": "m", "n_files": 2},
        {"path": "m2", "n_files": 1},
    ]


def test_holders_and_projects_do_not_see_each_others_files(act, keep, run):
    keep("x", holder="experiment:0")
    keep("x", holder="project:default")
    assert artifacts_under(act, f"run:{run.id}", "") == []
    assert act(artifacts.remove, "experiment:0", path="x") == 1
    assert len(artifacts_under(act, "project:default", "")) == 1
    assert act(artifacts.entries, "project:default", project="other") == []


def test_a_folder_is_read_by_a_range_of_the_key(house):
    """The plan of a listing searches the primary key by path; it walks no table.

    PostgreSQL plans by statistics; the index is the same.
    """
    text = artifact_records.SOME.text("sqlite")

    def planned(tx):
        which = {**artifact_records.of_holder(tx, "run:x"), "in_first": "a/", "in_limit": 5}
        return tx.execute(sa.text(f"EXPLAIN QUERY PLAN {text}"), which).all()

    assert [row.detail.partition(" USING ")[2] for row in house.read(planned)] == [
        "INDEX sqlite_autoindex_artifacts_1 (project=? AND holder=? AND path>?)"
    ]


def test_an_entry_of_a_folder_has_no_size(act, keep, run):
    keep("d/x")
    assert act(artifacts.entries, f"run:{run.id}") == [entities.Entry("d", True, 0)]
