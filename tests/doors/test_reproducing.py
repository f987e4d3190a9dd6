"""A version is made again from what its run recorded, without the user's project."""

from __future__ import annotations

import json
import platform
import shutil

import pytest

import living
from homeostat.doors import cli, local
from homeostat.foundation import errors, events, house, lineage, settings
from homeostat.lifecycle.registry import environments


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A home whose model was trained from a project that is gone since."""
    folder = tmp_path_factory.mktemp("reproducing")
    found = settings.Settings(home=folder / "home", code=folder / "code")
    with house.open_house(found) as opened:
        living.Living(opened).train(n=1200)
    shutil.rmtree(folder / "code")
    return found


@pytest.fixture(scope="module")
def made(told):
    """What came out, and what was said on the way."""
    said = []
    with local.open_client(told) as client:
        return client.reproductions.make("credit", 1, tell=said.append), said


def verdicts(made, kind):
    return {item.name: item.verdict for item in made.items if item.kind == kind}


def test_a_version_comes_out_the_same_without_the_project(made):
    found, said = made
    assert found.verdict == "same"
    assert set(verdicts(found, "code").values()) == {"same"}
    assert set(verdicts(found, "data").values()) == {"same"}
    assert verdicts(found, "environment") == {"packages": "same"}
    assert verdicts(found, "scores") == {"model": "same"}
    assert verdicts(found, "file")["MLmodel"] == "same"
    assert said[0] == "in the present environment"


def test_it_is_a_run_of_its_own_with_lineage_and_an_event(told, made):
    found, _ = made
    with local.open_client(told) as client:
        run = client.runs.get(found.run_id)
        assert run.run.status == "finished"
        assert run.inputs == client.runs.get(found.of_run).inputs
        assert found in client.reproductions.list("credit", 1)
    with house.open_house(told) as opened:
        edges = opened.read(lambda tx: lineage.ancestors(tx, found.reference))
        assert {"model:credit@1", f"run:{found.run_id}"} <= {edge.source for edge in edges}
        last = opened.read(lambda tx: events.follow(tx, "test", kinds=("version.reproduced",)))
        assert last[-1].subject == "model:credit@1"
        assert last[-1].facts["verdict"] == "same"


def test_code_that_is_another_now_is_told_and_what_differs_ends_with_three(
    told, tmp_path, monkeypatch, capsys
):
    with local.open_client(told) as client:
        recipe = client.runs.recipe(client.models.version("credit", 1).run_id)
    for file in recipe.files:
        text = file.text.replace("max_iter=60", "max_iter=20")
        assert text != file.text
        (tmp_path / file.path).write_text(text)
    monkeypatch.setenv("HOMEOSTAT_HOME", str(told.home))
    arguments = ["reproduce", "models:/credit/1", "--project", str(tmp_path), "--json"]
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    found = json.loads(capsys.readouterr().out)
    assert (ended.value.code, found["verdict"]) == (3, "differs")
    by_kind = {item["kind"]: item for item in found["items"] if item["verdict"] == "differs"}
    assert {"code", "step", "scores"} <= by_kind.keys()
    assert by_kind["scores"]["gap"] > 0.001


def test_what_is_missing_is_said(told):
    with local.open_client(told) as client:
        one = client.models.version("credit", 1)
        bare = client.models.register(
            "bare", client.models.files(one), schema=one.schema, run_id=""
        )
        found = client.reproductions.make("bare", bare.number)
    assert (found.verdict, found.run_id) == ("could not be checked", "")
    assert found.sentence.startswith("not known to be reproduced")
    assert "names no run" in found.items[0].sentence


def test_an_environment_that_cannot_be_had_is_one_sentence(told, monkeypatch):
    for name in ("PIP_NO_INDEX", "UV_OFFLINE"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(
        errors.UnavailableError, match="the recorded environment cannot be made"
    ):
        environments.make(
            [f"python=={platform.python_version()}", "nothing-of-that-name==1.0"],
            told.home / "environment",
        )
