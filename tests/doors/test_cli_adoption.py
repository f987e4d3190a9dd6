"""`homeostat model judge` and `trust` at a shell, without a server."""

from __future__ import annotations

import tomllib
from pathlib import Path

import cloudpickle
import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from homeostat.doors import cli

JUDGE = ["model", "judge", "credit", "1"]


@pytest.fixture
def here(tmp_path, told, monkeypatch):
    """An empty project with a folder that MLflow wrote and labelled rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOMEOSTAT_HOME", str(told.home))
    rng = np.random.default_rng(0)
    rows = pl.DataFrame({"age": rng.normal(40, 9, 600), "debt": rng.normal(0, 1, 600)})
    rows = rows.with_columns(late=(pl.col("debt") + rng.normal(0, 1, 600) > 0).cast(pl.Int64))
    rows.write_parquet("rows.parquet")
    model = LogisticRegression().fit(rows.select("age", "debt").to_pandas(), rows["late"])
    Path("forest").mkdir()
    about = {"flavors": {"sklearn": {"pickled_model": "model.pkl"}}}
    Path("forest/MLmodel").write_text(yaml.safe_dump(about), encoding="utf-8")
    Path("forest/model.pkl").write_bytes(cloudpickle.dumps(model))
    return tmp_path


def test_a_pickled_folder_is_registered_trusted_judged_shown_and_trusted_no_more(here, capsys):
    def says(*words):
        code = cli.invoke(list(words))
        told = capsys.readouterr()
        return code, told.out, told.err

    assert says("model", "register", "credit", "forest")[0] == 0
    code, _, complaint = says(*JUDGE, "--data", "rows.parquet")
    assert code == 4
    assert "name the column of the outcome with --target" in complaint
    code, _, complaint = says(*JUDGE, "--data", "rows.parquet", "--target", "late")
    assert code == 6
    assert "homeostat model trust credit 1 --reason WHY" in complaint
    policy = tomllib.loads(Path("homeostat.toml").read_text(encoding="utf-8"))
    assert policy == {"model": {"name": "credit", "target": "late"}}

    assert says("model", "trust", "credit", "1")[0] == 2
    code, told, _ = says("model", "trust", "credit", "1", "--reason", "ours")
    assert (code, "trusts model:credit@1" in told) == (0, True)
    code, told, complaint = says(*JUDGE, "--data", "rows.parquet")
    assert code == 0, complaint
    assert "is attached to model:credit@1" in told
    code, told, _ = says("model", "show", "credit", "1")
    assert "age, debt" in told
    assert "ours" in told

    code, told, _ = says("model", "trust", "credit", "1", "--revoke", "--reason", "old")
    assert (code, "no longer trusts model:credit@1" in told) == (0, True)
    assert says("model", "approve", "credit", "1")[0] == 0
    code, _, complaint = says("deploy", "credit")
    assert code == 6
    assert "nobody trusts it" in complaint


def test_a_judgement_that_fails_leaves_with_code_3(here, capsys):
    Path("homeostat.toml").write_text(
        '[model]\nname = "credit"\ntarget = "late"\n[gates]\nat_least = 0.9999\n'
    )
    assert cli.invoke(["model", "register", "credit", "forest"]) == 0
    assert cli.invoke(["model", "trust", "credit", "1", "--reason", "ours"]) == 0
    assert cli.invoke([*JUDGE, "--data", "rows.parquet"]) == 3
    assert "0.9999 or more is needed" in capsys.readouterr().out


def test_a_target_that_the_policy_does_not_predict_is_refused(here, capsys):
    Path("homeostat.toml").write_text('[model]\nname = "credit"\ntarget = "late"\n')
    assert cli.invoke([*JUDGE, "--data", "rows.parquet", "--target", "age"]) == 2
    assert "predicts 'late', not 'age'" in capsys.readouterr().err
    assert cli.invoke(["model", "judge", "fraud", "1", "--data", "rows.parquet"]) == 2
    assert "of model 'credit', not of 'fraud'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--target", "late"], "data/*.parquet"),
        (["--target", "late", "--data", "none.parquet"], "none.parquet"),
        (["--target", "lat", "--data", "rows.parquet"], "late"),
    ],
    ids=["no data", "no such file", "no such column"],
)
def test_no_policy_is_written_for_a_judgement_that_cannot_begin(here, capsys, options, word):
    assert cli.invoke([*JUDGE, *options]) in {2, 4}
    complaint = capsys.readouterr().err
    assert word in complaint
    assert "wrote" not in complaint
    assert not (here / "homeostat.toml").exists()
