"""The command on real tables: the loop regains what a static model loses, at few fits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homeostat.doors import cli

DATA = Path(__file__).parents[3] / "shared" / "data"


def backtest(name, tmp_path, *options):
    table = DATA / name
    if not table.exists():
        pytest.skip(f"the real table {table} is not on this machine")
    written = tmp_path / "result.json"
    assert cli.invoke(["backtest", str(table), *options, "--json", str(written)]) == 0
    return json.loads(written.read_text())


@pytest.mark.slow
def test_the_loop_beats_a_static_model_on_elec2(tmp_path, capsys):
    static = backtest("elec2.parquet", tmp_path, "--target", "class", "--strategy", "static")
    loop = backtest("elec2.parquet", tmp_path, "--target", "class")
    assert loop["rows_scored"] == static["rows_scored"] == 39_648
    assert loop["previous_label_accuracy"] == pytest.approx(0.8546, abs=1e-4)
    assert loop["accuracy"] >= static["accuracy"] + 0.03
    assert loop["fits"] <= 0.15 * 198
    assert loop["kappa_temporal"] < 0, "the previous label is better: it must be shown"
    assert "previous label's accuracy" in capsys.readouterr().out


@pytest.mark.slow
def test_the_loop_is_not_worse_on_bank(tmp_path):
    options = ("--target", "y", "--drop", "duration")
    static = backtest("bank_marketing.parquet", tmp_path, *options, "--strategy", "static")
    loop = backtest("bank_marketing.parquet", tmp_path, *options)
    assert loop["accuracy"] > static["accuracy"]
    assert loop["log_loss"] < static["log_loss"]


def test_json_has_exactly_the_promised_keys(tmp_path):
    table = tmp_path / "small.csv"
    lines = ["x,z,y"] + [
        f"{i % 7},{(i * 31) % 11},{'yes' if i % 7 > 3 else 'no'}" for i in range(900)
    ]
    table.write_text("\n".join(lines))
    written = tmp_path / "result.json"
    code = cli.invoke(["backtest", str(table), "--target", "y", "--json", str(written)])
    assert code == 0
    assert list(json.loads(written.read_text())) == [
        "rows_scored",
        "accuracy",
        "log_loss",
        "kappa_temporal",
        "previous_label_accuracy",
        "fits",
        "corrector_fits",
        "promotions",
        "alarms",
        "labels_used",
        "wall_s",
        "strategy",
    ]


@pytest.mark.parametrize(
    "mistake",
    [
        (["nowhere.parquet", "--target", "y"], 4),
        (["table.csv", "--target", "z"], 2),
        (["table.csv", "--target", "y", "--strategy", "best"], 2),
    ],
    ids=["file", "target", "strategy"],
)
def test_a_mistake_is_one_sentence_and_a_code(tmp_path, monkeypatch, capsys, mistake):
    arguments, code = mistake
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{i % 5},{i % 2}" for i in range(600))
    (tmp_path / "table.csv").write_text(f"x,y\n{rows}\n")
    assert cli.invoke(["backtest", *arguments]) == code
    assert capsys.readouterr().err.count("error:") == 1


def test_ways_are_compared_in_a_table_and_a_chart(tmp_path, capsys):
    table = tmp_path / "small.csv"
    lines = ["x,z,y"] + [f"{i % 7},{(i * 31) % 11},{i % 3}" for i in range(900)]
    table.write_text("\n".join(lines))
    other = tmp_path / "other.toml"
    other.write_text('[model]\nname = "a"\ntarget = "y"\n[retraining]\nbudget = "minimal"\n')
    chart, written = tmp_path / "chart.html", tmp_path / "result.json"
    ways = f"static,cron-2,{other}"
    told = ["--compare", ways, "--chart", str(chart), "--json", str(written)]
    assert cli.invoke(["backtest", str(table), "--target", "y", "--batch", "50", *told]) == 0
    named = [way["name"] for way in json.loads(written.read_text())["ways"]]
    assert named == ["loop", "static", "cron-2", str(other)]
    assert "<svg" in chart.read_text()
    assert "regained" in capsys.readouterr().out
