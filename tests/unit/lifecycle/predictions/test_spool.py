"""The spool loses nothing that it acknowledged, whatever happens to the process or the disk."""

from __future__ import annotations

import errno
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.predictions import frames, segments, spool, spooled

LAYOUT = frames.Layout(("income", "region"), ("number", "category"), ("sex",))


def batch(*keys, score=0.25):
    n = len(keys)
    return frames.Batch(
        served_at=1,
        generation=1,
        arm="stable",
        answered=True,
        version="3",
        ids=[f"id-{key}" for key in keys],
        keys=list(keys),
        features=[[1.5] * n, ["north"] * n],
        context=[["f"] * n],
        scores=[score] * n,
        answers=[0] * n,
        members=["3"],
        member_scores=[[score] * n],
    )


def never():
    return spool.Limits(max_age_s=3600)


def keys_in(closed):
    found = []
    for one in closed:
        found += segments.decode(one.path.read_bytes()).predictions["key"].to_list()
    return found


def test_a_written_row_comes_back_with_all_its_columns(tmp_path):
    log = spool.Spool(tmp_path, limits=never())
    log.write("credit", batch("a", "b"), layout=LAYOUT)
    log.write("credit", batch("c"), layout=LAYOUT)
    log.close()
    (closed,) = log.closed()
    contents = segments.decode(closed.path.read_bytes())
    assert (contents.deployment, contents.segment) == ("credit", closed.segment)
    assert contents.predictions.row(2, named=True) == {
        "id": "id-c",
        "key": "c",
        "served_at": 1,
        "generation": 1,
        "arm": "stable",
        "answered": True,
        "version": "3",
        "score": 0.25,
        "served_score": 0.25,
        "corrections": "",
        "propensity": 1.0,
        "answer": 0,
        "members": ["3"],
        "member_scores": [0.25],
        "x.income": 1.5,
        "x.region": "north",
        "c.sex": "f",
    }


def test_a_segment_is_closed_by_its_number_of_rows(tmp_path):
    told = threading.Event()
    limits = spool.Limits(max_rows=3, max_age_s=3600)
    log = spool.Spool(tmp_path, limits=limits, on_closed=told.set)
    for key in "abcd":
        log.write("credit", batch(key), layout=LAYOUT)
    assert told.wait(60)
    assert keys_in(log.closed()) == ["a", "b", "c"]
    log.close()
    assert keys_in(log.closed()) == ["a", "b", "c", "d"]


def test_a_segment_is_closed_by_its_age(tmp_path):
    told = threading.Event()
    log = spool.Spool(tmp_path, limits=spool.Limits(max_age_s=0.01), on_closed=told.set)
    log.write("credit", batch("a"), layout=LAYOUT)
    assert told.wait(60)
    assert keys_in(log.closed()) == ["a"]
    log.close()


def test_each_segment_names_its_columns_again(tmp_path):
    log = spool.Spool(tmp_path, limits=spool.Limits(max_rows=1, max_age_s=3600))
    for key in "ab":
        log.write("credit", batch(key), layout=LAYOUT)
    log.close()
    for one in log.closed():
        assert "x.income" in segments.decode(one.path.read_bytes()).predictions.columns


def test_labels_share_the_log(tmp_path):
    log = spool.Spool(tmp_path, limits=never())
    log.write("credit", frames.Labels(7, ["a", "b"], ["1", "0"], [5, None]))
    log.close()
    labels = segments.decode(log.closed()[0].path.read_bytes()).labels
    assert labels.rows() == [("a", "1", 5, 7), ("b", "0", None, 7)]


def test_deployments_do_not_mix(tmp_path):
    log = spool.Spool(tmp_path, limits=never())
    log.write("credit", batch("a"), layout=LAYOUT)
    log.write("churn", batch("b"), layout=LAYOUT)
    log.close()
    by_name = {one.deployment: keys_in([one]) for one in log.closed()}
    assert by_name == {"credit": ["a"], "churn": ["b"]}


def n_files():
    return len(list(pathlib.Path("/proc/self/fd").iterdir()))


def test_many_deployments_hold_few_files_open_and_lose_nothing(tmp_path):
    limits = spool.Limits(max_age_s=3600, sync_every_s=3600, max_open=16)
    log = spool.Spool(tmp_path, durability="none", limits=limits)
    before = n_files()
    for n in range(200):
        log.write(f"credit-{n}", batch(str(n)), layout=LAYOUT)
        if n % 20 == 19:
            threading.Event().wait(0.001)  # the spool's own thread closes
    names = {path.parent.name for path in tmp_path.glob("*/*")}
    assert len(names) == 200
    log.close()
    assert sorted(keys_in(log.closed()), key=int) == [str(n) for n in range(200)]
    assert n_files() <= before


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".", "a\0b"])
def test_a_name_that_is_a_path_is_refused(tmp_path, name):
    log = spool.Spool(tmp_path, limits=never())
    with pytest.raises(errors.InvalidInputError):
        log.write(name, batch("a"), layout=LAYOUT)
    log.close()


WRITER = """
import sys, pathlib
from homeostat.lifecycle.predictions import frames, spool
log = spool.Spool(pathlib.Path(sys.argv[1]), limits=spool.Limits(max_rows=40, max_age_s=0.02))
n = 0
while True:
    log.write("credit", frames.Labels(n, [str(n)], ["1"], [None]))
    print(n, flush=True)
    n += 1
"""


@pytest.mark.parametrize("acknowledged", [1, 137, 555])
def test_kill_9_loses_nothing_acknowledged_and_doubles_nothing(tmp_path, acknowledged):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    seen = -1
    for line in writer.stdout:
        seen = int(line)
        if seen >= acknowledged:
            break
    os.kill(writer.pid, signal.SIGKILL)
    rest = writer.stdout.read().splitlines(keepends=True)
    writer.wait()
    writer.stdout.close()
    seen = max([seen, *(int(line) for line in rest if line.endswith("\n"))])
    log = spool.Spool(tmp_path, limits=never())
    log.close()
    found = []
    for one in log.closed():
        found += segments.decode(one.path.read_bytes()).labels["key"].to_list()
    assert len(found) == len(set(found))
    assert set(map(str, range(seen + 1))) <= set(found)
    assert len(found) <= seen + 2  # one may have been written and not yet acknowledged


def test_recovery_drops_only_the_torn_end(tmp_path):
    folder = tmp_path / "credit"
    folder.mkdir()
    whole = frames.encode(frames.Opened("s1", "credit", 0))
    whole += frames.encode(frames.Labels(1, ["a"], ["1"], [None]))
    torn = frames.encode(frames.Labels(2, ["b"], ["1"], [None]))
    for cut in range(1, len(torn)):
        (folder / "s1.open").write_bytes(whole + torn[:cut])
        assert spooled.recover(tmp_path) == 1
        assert (folder / "s1.closed").read_bytes() == whole


def test_recovery_leaves_the_segment_of_a_living_writer_alone(tmp_path):
    living = spool.Spool(tmp_path, limits=never())
    living.write("credit", batch("a"), layout=LAYOUT)
    assert spooled.recover(tmp_path) == 0
    living.close()
    assert keys_in(living.closed()) == ["a"]


FULL = """
import sys, pathlib, signal, resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from homeostat.foundation import errors
from homeostat.lifecycle.predictions import frames, spool
limits = spool.Limits(max_age_s=3600)
log = spool.Spool(pathlib.Path(sys.argv[1]), durability=sys.argv[2], limits=limits)
log.write("credit", frames.Labels(0, ["small"], ["1"], [None]))
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
try:
    log.write("credit", frames.Labels(0, ["x" * 8000], ["1"], [None]))
    print("answered, lost", log.lost_rows)
except errors.UnavailableError as error:
    print(error.http_status, error.message)
log.write("credit", frames.Labels(0, ["after"], ["1"], [None]))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.close()
"""


@pytest.mark.parametrize(
    ("durability", "said"),
    [
        ("process", "503 the disk under"),
        ("ack", "503 the disk under"),
        ("none", "answered, lost 1"),
    ],
)
def test_a_full_disk_is_said_and_hides_no_other_frame(tmp_path, durability, said):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), durability],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(said)
    log = spool.Spool(tmp_path, limits=never())
    log.close()
    labels = segments.decode(log.closed()[0].path.read_bytes()).labels
    assert labels["key"].to_list() == ["small", "after"]


def test_nothing_is_acknowledged_until_a_sync_has_worked(tmp_path, monkeypatch):
    limits = spool.Limits(max_age_s=3600, sync_every_s=3600)
    log = spool.Spool(tmp_path, durability="ack", limits=limits)
    log.write("credit", batch("a"), layout=LAYOUT)
    works = os.fdatasync

    def fails(_):
        raise OSError(errno.EIO, "the disk is gone")

    monkeypatch.setattr(os, "fdatasync", fails)
    for _ in range(2):  # the second waiter of a failed sync is as unsafe as the first
        with pytest.raises(errors.UnavailableError, match="refuses writes"):
            log.sync()
    monkeypatch.setattr(os, "fdatasync", works)
    log.write("credit", batch("b"), layout=LAYOUT)
    log.sync()
    log.close()
    assert keys_in(log.closed()) == ["a", "b"]


def test_a_segment_that_cannot_be_closed_holds_up_no_other(tmp_path):
    limits = spool.Limits(max_age_s=3600, sync_every_s=3600)
    log = spool.Spool(tmp_path, limits=limits)
    log.write("gone", batch("a"), layout=LAYOUT)
    log.write("credit", batch("b"), layout=LAYOUT)
    (name,) = (tmp_path / "gone").iterdir()
    name.unlink()
    with pytest.raises(FileNotFoundError):
        log.close_segments()
    assert keys_in(log.closed()) == ["b"]
    name.touch()
    log.close()


def test_what_was_refused_is_set_aside_until_it_is_offered_again(tmp_path):
    log = spool.Spool(tmp_path, limits=never())
    log.write("credit", batch("a"), layout=LAYOUT)
    log.close()
    (closed,) = log.closed()
    spooled.set_aside(closed)
    assert log.closed() == []
    (refused,) = log.refused()
    assert refused.segment == closed.segment
    assert spooled.offer_again(tmp_path) == 1
    assert (log.closed(), log.refused()) == ([closed], [])
