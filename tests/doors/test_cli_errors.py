"""What a person sees who makes a mistake at the command line: one sentence, one code."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from pathlib import Path

import click
import numpy as np
import polars as pl
import pytest

from homeostat.doors import cli
from homeostat.doors.cli import init
from homeostat.foundation import house, settings

N = 600
SLOW = """
import sys
import time

import homeostat as hs


@hs.step
def one(x: int) -> int:
    return x + 1


@hs.step(timeout_s=0.3)
def hang(x: int) -> int:
    time.sleep(60)


@hs.pipeline
def hanging(x: int = 1) -> int:
    return hang(one(x))


@hs.pipeline
def endless(x: int = 1) -> int:
    while True:
        x += 1


@hs.pipeline
def raising(x: int = 1) -> int:
    return {}[one(x)]


@hs.pipeline
def leaving(x: int = 1) -> int:
    sys.exit(4)
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A folder of tables, each with one thing that is odd."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    y = (x + rng.normal(size=N) > 0).astype(int)
    times = [dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=n) for n in range(N)]
    holes = [n % 10 == 0 for n in range(N)]
    odd = {
        "ok": {},
        "three": {"y": rng.integers(0, 3, N)},
        "one": {"y": np.zeros(N, int)},
        "none": {"y": pl.Series([None] * N, dtype=pl.Int64)},
        "boolean": {"y": y == 1},
        "text": {"y": np.where(y, "yes", "no")},
        "nan-target": {"y": np.where(holes, np.nan, y)},
        "null-target": {
            "y": [None if hole else int(v) for hole, v in zip(holes, y, strict=True)]
        },
        "not-finite": {"a": np.where(holes, np.inf, np.where(y, np.nan, x))},
        "null": {"a": pl.Series([None] * N, dtype=pl.Float64)},
        "constant": {"a": np.ones(N), "b": ["k"] * N},
        "categories": {"a": [f"c{n}" for n in rng.integers(0, 1000, N) % 500]},
        "missing": {"a": [None if hole else "u" for hole in holes]},
        "times": {"t": times, "d": [t.date() for t in times]},
        "no-time": {"t": [None if hole else t for hole, t in zip(holes, times, strict=True)]},
        "lists": {"a": [[1, 2]] * N},
    }
    for name, columns in odd.items():
        frame = pl.DataFrame({"x": x, "z": rng.normal(size=N), "y": y, **columns})
        frame.write_parquet(folder / f"{name}.parquet")
    pl.DataFrame({"x": x, "y": y})[:1].write_parquet(folder / "row.parquet")
    (folder / "words.parquet").write_text("hello\n")
    (folder / "folder.parquet").mkdir()
    (folder / "other.toml").write_text(
        "[model]\nname='a'\ntarget='y'\n[retraining]\nblok=200\n"
    )
    return folder


@pytest.fixture
def told(capsys, monkeypatch, tmp_path):
    """Return a function that runs a command in a home of its own: code, out, err."""
    monkeypatch.setenv("HOMEOSTAT_HOME", str(tmp_path / "home"))

    def telling(*arguments):
        code = cli.invoke([str(one) for one in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return telling


@pytest.mark.parametrize(
    "case",
    [
        ("gone --target y", 4, "there is no file gone.parquet"),
        ("folder --target y", 2, "is a folder, not a table"),
        ("words --target y", 2, "words.parquet is not a readable parquet file"),
        ("row --target y", 2, "one class only"),
        ("ok --target q", 2, "the table has no column 'q'"),
        ("ok --target y --drop q", 2, "the table has no column 'q'"),
        ("ok --target y --time q", 2, "the table has no column 'q'"),
        ("ok --target y --time y", 2, "cannot be both the target and the time"),
        ("ok --target y --drop x --drop z", 2, "no feature is left"),
        ("ok --target y --batch 0", 2, "a batch needs 20 rows or more; got 0"),
        ("ok --target y --batch 5000", 2, "one batch of 5000 is needed"),
        ("ok --target y --warmup nan", 2, "inside (0, 1); got nan"),
        ("ok --target y --label-delay -1", 2, "labels cannot come before their rows"),
        ("ok --target y --seed -1", 2, "a seed is 0 to 4294967295; got -1"),
        ("ok --target y --strategy cron:0", 2, "there is no strategy 'cron:0'"),
        ("ok --target y --policy gone.toml", 4, "there is no gone.toml"),
        ("ok --target y --policy other.toml", 2, "other.toml:5: unknown key 'blok'"),
        ("ok --target y --json gone/x.json", 2, "cannot be written: there is no folder"),
        ("ok --target y --json folder.parquet", 2, "cannot be written: it is a folder"),
        ("ok", 2, "--target is missing"),
        ("ok --target y --deployment credit", 2, "name either a table or"),
        ("ok --target y --label-delay q", 2, "the table has no column 'q'"),
        ("ok --target y --compare static,best", 2, "there is no strategy 'best'"),
        ("ok --target y --compare gone.toml", 4, "there is no gone.toml"),
        ("ok --target y --chart x.png", 2, "a chart is a .svg or .html file; got 'x.png'"),
        ("one --target y", 2, "has one class only: 0"),
        ("none --target y", 2, "has no value in any row"),
        ("null --target y --time a", 2, "the time column 'a' has no value in any row"),
        ("lists --target y --time a", 2, "has no order"),
    ],
)
def test_a_backtest_that_cannot_be_right_says_why(told, tables, monkeypatch, case):
    arguments, code, part = case
    monkeypatch.chdir(tables)
    name, *options = arguments.split()
    seen, out, err = told("backtest", f"{name}.parquet", *options)
    assert (seen, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("error:") == 1
    assert part in err


@pytest.mark.parametrize(
    "case",
    [
        ("boolean", [], ""),
        ("text", [], ""),
        ("nan-target", [], "60 rows without a label are left out"),
        ("null-target", [], "60 rows without a label are left out"),
        ("no-time", ["--time", "t"], "60 rows without a time are left out"),
        ("not-finite", [], ""),
        ("null", [], "'a' is no feature: it has no value in any row"),
        ("constant", [], ""),
        ("categories", [], ""),
        ("missing", [], ""),
        ("times", ["--time", "t"], ""),
        ("lists", [], "'a' is no feature: the type List(Int64)"),
    ],
)
def test_a_backtest_answers_odd_tables_and_says_what_it_left_out(
    told, tables, monkeypatch, case
):
    name, options, note = case
    monkeypatch.chdir(tables)
    flags = ["--target", "y", "--strategy", "static", "--json", "-", *options]
    code, out, err = told("backtest", f"{name}.parquet", *flags)
    assert code == 0
    assert json.loads(out)["rows_scored"] > N / 2
    assert note in err


@pytest.mark.parametrize("name", ["hanging", "endless", "raising", "leaving"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pipeline_that_hangs_or_raises_is_exit_code_8_and_a_failed_run(
    told, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow.py").write_text(SLOW)
    limit = "1" if name == "endless" else "60"
    code, _, err = told("run", f"slow:{name}", "--timeout", limit, "--executor", "inline")
    assert code == 8
    assert err.count("error:") == 1
    words = {
        "hanging": "step 'hang' did not finish within 0.3 s and was stopped",
        "endless": "the run did not finish within 1 s and was stopped",
        "raising": "pipeline 'raising' failed at slow.py:31: KeyError: 2",
        "leaving": "pipeline 'leaving' failed at slow.py:36: SystemExit: 4",
    }
    assert words[name] in err
    with sqlite3.connect(tmp_path / "home" / "homeostat.db") as kept:
        assert kept.execute("SELECT status FROM runs").fetchall() == [("failed",)]
    kept.close()


def test_a_run_without_time_is_refused(told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow.py").write_text(SLOW)
    code, _, err = told("run", "slow:endless", "--timeout", "-1")
    assert (code, "above 0 s; got -1" in err) == (2, True)


@pytest.mark.parametrize(
    "case",
    [
        ('"defaulted"', '"defaultd"', "the target column 'defaultd'"),
        ('["sex"]', '["sx"]', "the protected column 'sx'"),
        ('"application_id"', '"aplication_id"', "the key column 'aplication_id'"),
        ('"applied_at"', '"applid_at"', "the time column 'applid_at'"),
    ],
)
def test_a_column_misspelt_in_the_toml_is_refused_before_anything_is_trained(
    told, tmp_path, monkeypatch, case
):
    old, new, part = case
    project = tmp_path / "project"
    init.write(project)
    monkeypatch.chdir(project)
    policy = Path("homeostat.toml")
    policy.write_text(policy.read_text().replace(old, new))
    code, out, err = told("run")
    assert (code, out) == (2, "")
    assert part in err
    assert "did you mean" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["alerts", "list", "nobody"],
        ["monitor", "windows", "nobody"],
        ["replay", "--all", "--deployment", "nobody"],
    ],
)
def test_an_unknown_deployment_is_no_all_clear(told, arguments):
    code, _, err = told(*arguments)
    assert code == 4
    assert "no deployment 'nobody'" in err


@pytest.mark.parametrize(
    "case",
    [
        ("HOMEOSTAT_PORT", "abc", "setting port needs int, got 'abc'"),
        ("HOMEOSTAT_URL", "garbage", "url is 'garbage', which is no address of a server"),
        ("HOMEOSTAT_PROT", "5", "unknown environment variable HOMEOSTAT_PROT"),
        ("HOMEOSTAT_DATABASE_URL", "mysql://x/y", "database_url starts with 'mysql'"),
        ("HOMEOSTAT_BLOBS_URL", "s4://x", "blobs cannot live at 's4://x'"),
        ("HOMEOSTAT_MASTER_KEY", "abc", "holds no master key"),
    ],
)
def test_a_variable_that_cannot_be_right_is_named(told, monkeypatch, case):
    variable, value, part = case
    monkeypatch.setenv(variable, value)
    code, _, err = told("data", "list")
    assert code == 2
    assert part in err


def test_a_database_of_a_newer_release_is_left_alone(told, tmp_path):
    house.open_house(settings.load()).close()
    path = tmp_path / "home" / "homeostat.db"
    with sqlite3.connect(path) as kept:
        kept.execute("UPDATE alembic_version SET version_num = '9999'")
    kept.close()
    code, _, err = told("data", "list")
    assert (code, "install the newer release" in err) == (5, True)
    code, out, _ = told("doctor", "--json")
    found = {one["name"]: one for one in json.loads(out)}
    assert (code, found["database"]["seen"]) == (3, "version 9999")


def test_a_demo_that_cannot_be_written_down_does_not_begin(told):
    code, out, err = told("demo", "--exit", "--json", "gone/story.json")
    assert (code, out) == (2, "")
    assert "there is no folder" in err


def test_a_wrong_option_is_json_for_programs(told):
    code, _, err = told("status", "--json", "--nope")
    assert (code, json.loads(err)["code"]) == (2, "invalid-input")


@pytest.fixture
def faulty(monkeypatch):
    """A command with a fault nobody foresaw."""

    def setting(error):
        @click.command()
        def broken():
            raise error

        monkeypatch.setattr(cli.Lazy, "get_command", lambda *_: broken)

    return setting


def test_an_unforeseen_fault_is_a_sentence_with_its_place(told, faulty, monkeypatch, capsys):
    faulty(ZeroDivisionError("by nothing"))
    code, _, err = told("status")
    assert code == 1
    assert "unforeseen ZeroDivisionError at" in err
    assert "test_cli_errors.py" in err
    monkeypatch.setenv("HOMEOSTAT_LOG_LEVEL", "debug")
    assert cli.invoke(["status"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_the_disk_names_the_file(told, faulty):
    faulty(OSError(28, "No space left on device", "/there/file"))
    assert told("status")[::2] == (7, "error: /there/file: No space left on device\n")
