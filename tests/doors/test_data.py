"""Data through every door: HTTP, SDK, command line."""

from __future__ import annotations

import json

import polars as pl
import pytest

import homeostat as hs
from homeostat.doors import cli
from homeostat.lifecycle.data import tables

FRAME = pl.DataFrame(
    {
        "id": [f"a{n}" for n in range(30)],
        "income": [float(n) for n in range(30)],
        "region": ["north", "south", "south"] * 10,
    }
)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "loans.parquet"
    file.write_bytes(tables.encode(FRAME))
    return file


@pytest.fixture
def here(tmp_path, told, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOMEOSTAT_HOME", str(told.home))
    return tmp_path


@pytest.fixture(params=["in-process", "server"])
def either(request):
    return request.getfixturevalue({"in-process": "client", "server": "remote"}[request.param])


def test_a_table_goes_in_and_comes_back(either, path):
    name = "round-trip"
    snapshot = either.data.add(path, name, key="id")
    assert (snapshot.number, snapshot.n_rows, snapshot.source) == (1, 30, str(path))
    assert either.data.read(name).equals(FRAME)
    assert either.data.get(name) == snapshot
    assert either.data.get(name, number=1) == snapshot
    assert either.data.find(snapshot.reference) == snapshot
    assert either.data.add(path, name) == snapshot
    assert either.data.snapshots(name) == [snapshot]
    assert name in [dataset.name for dataset in either.data.list()]


def test_a_frame_goes_in_as_it_is(client):
    first = client.data.add(FRAME, "loans")
    second = client.data.add(FRAME.head(7), "train", made_of=(first.reference,))
    assert client.data.read("train").equals(FRAME.head(7))
    assert [e.source for e in client.lineage.ancestors(second.reference)] == [first.reference]


def test_a_profile_says_what_columns_hold(client, path):
    client.data.add(path, "loans")
    by_name = {column.name: column for column in client.data.profile("loans")}
    income = by_name["income"]
    assert (income.minimum, income.maximum, income.mean, income.n_missing) == (0, 29, 14.5, 0)
    assert income.median == pytest.approx(14.5, abs=1.5)
    assert by_name["region"].frequent == (("south", 20), ("north", 10))
    assert (by_name["region"].n_different, by_name["region"].different_error) == (2, 0.0)
    assert set(by_name["region"].examples) == {"north", "south"}
    assert income.n_different == pytest.approx(30, abs=1)
    assert set(income.examples) <= {str(i) for i in range(30)}


def test_no_examples_of_a_key_are_kept(client, path):
    client.data.add(path, "keyed", key="id")
    by_name = {column.name: column for column in client.data.profile("keyed")}
    assert by_name["id"].n_different == pytest.approx(30, abs=1)
    assert by_name["id"].examples == ()
    assert len(by_name["income"].examples) == 5


def test_every_error_is_the_same_class_again(either, path, tmp_path):
    with pytest.raises(hs.NotFoundError, match="there is no dataset"):
        either.data.get("none")
    with pytest.raises(hs.NotFoundError, match="there is no file"):
        either.data.add(tmp_path / "none.csv", "none")
    with pytest.raises(hs.InvalidInputError, match="did you mean 'id'"):
        either.data.add(path, "other", key="idd")
    with pytest.raises(hs.InvalidInputError, match="cannot name a dataset"):
        either.data.add(path, "../up")
    (tmp_path / "cut.parquet").write_bytes(path.read_bytes()[:100])
    with pytest.raises(hs.InvalidInputError, match="not a readable parquet"):
        either.data.add(tmp_path / "cut.parquet", "cut")


def test_a_broken_schema_is_a_conflict(client):
    client.data.add(FRAME, "loans")
    with pytest.raises(hs.ConflictError, match="column 'region' \\(category\\) is gone"):
        client.data.add(FRAME.drop("region"), "loans")
    assert client.data.add(FRAME.drop("region"), "loans", allow_schema_change=True).number == 2


def test_the_command_line_adds_lists_and_shows(here, path, capsys):
    assert cli.invoke(["data", "add", str(path), "--name", "loans", "--key", "id"]) == 0
    told = capsys.readouterr().out
    assert "loans, snapshot 1: 30 rows, 3 columns" in told
    assert cli.invoke(["data", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "loans"
    assert cli.invoke(["data", "list"]) == 0
    assert "loans" in capsys.readouterr().out
    assert cli.invoke(["data", "show", "loans"]) == 0
    assert "south (20)" in capsys.readouterr().out
    assert cli.invoke(["data", "show", "loans", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["snapshot"]["n_rows"] == 30
    assert cli.invoke(["data", "checks", "loans"]) == 0
    assert "every row has a key of its own" in capsys.readouterr().out


def test_a_failed_check_is_exit_code_3(here, path, capsys):
    assert cli.invoke(["data", "add", str(path)]) == 0
    wider = here / "wider.parquet"
    wider.write_bytes(tables.encode(FRAME.with_columns(pl.col("income") * 100)))
    assert cli.invoke(["data", "add", str(wider), "--name", "loans"]) == 0
    assert "check failed: column 'income': values are from 0 to 58" in capsys.readouterr().out
    assert cli.invoke(["data", "checks", "loans"]) == 3


@pytest.mark.parametrize(
    "case",
    [
        (["add", "none.csv"], 4, "there is no file none.csv"),
        (["add", "."], 2, "is a folder"),
        (["add", "empty.csv"], 2, "is empty: 0 bytes"),
        (["add", "ragged.csv"], 2, "ragged.csv, line 3: 1 fields"),
        (["show", "nothing"], 4, "there is no dataset 'nothing'"),
    ],
)
def test_bad_input_is_one_sentence_and_an_exit_code(here, capsys, case):
    arguments, code, part = case
    (here / "empty.csv").write_text("")
    (here / "ragged.csv").write_text("a,b\n1,2\n3\n")
    assert cli.invoke(["data", *arguments]) == code
    told = capsys.readouterr().err
    assert part in told
    assert "Traceback" not in told
    assert told.count("error:") == 1
