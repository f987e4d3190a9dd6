"""From the command line: switch at once, go back at once, send a segment elsewhere."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from homeostat.doors import cli, local
from homeostat.foundation import house, settings
from homeostat.lifecycle.serving import router

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A house with a deployment `credit` in a canary of versions 1 and 2."""
    place = tmp_path_factory.mktemp("deploying")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("HOMEOSTAT_HOME", str(place / "home"))
        spec = importlib.util.spec_from_file_location("furnishing", FOLDER / "furnishing.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with house.open_house(settings.load()) as opened:
            module.furnish(opened)
        yield place


@pytest.fixture
def deploy(home, capsys, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOMEOSTAT_HOME", str(home / "home"))

    def invoke(*arguments, status=0):
        assert cli.invoke(["deploy", *arguments, "--json"]) == status
        said = capsys.readouterr()
        return json.loads(said.out or said.err)

    return invoke


def arms(made):
    return [
        (arm["name"], arm["share"], [member["version"] for member in arm["members"]])
        for arm in made["plan"]["arms"]
    ]


def test_a_switch_is_one_change_and_so_is_the_way_back(deploy):
    before = deploy("credit:1", "--switch")
    made = deploy("credit:2", "--switch")
    assert arms(made) == [("stable", 1.0, [2])]
    back = deploy("credit", "--rollback")
    assert arms(back) == arms(before) == [("stable", 1.0, [1])]
    assert back["plan"]["generation"] == before["plan"]["generation"] + 2
    canary = deploy("credit:2", "--switch", "--share", "0.25")
    assert arms(canary) == [("stable", 0.75, [1]), ("canary", 0.25, [2])]


def test_rules_are_set_checked_and_taken_back(deploy):
    deploy("credit:1", "--switch")
    made = deploy("credit", "--rule", "region = north and income >= 10000 -> 2")
    assert arms(made) == [("stable", 1.0, [1]), ("v2", 0.0, [2])]
    assert made["plan"]["rules"][0]["arm"] == "v2"
    wrong = deploy("credit", "--rule", "colour = red -> 2", status=2)
    assert "'colour' is in no request; known are income, region" in wrong["detail"]
    assert "9" in deploy("credit", "--rule", "region = north -> 9", status=4)["detail"]
    assert arms(deploy("credit", "--no-rules")) == [("stable", 1.0, [1])]


def test_callers_may_name_the_version_when_told_so(deploy):
    assert deploy("credit", "--override")["plan"]["override"] == {"tokens": []}
    assert deploy("credit", "--no-override")["plan"]["override"] is None


def test_one_change_at_a_time(deploy):
    for wrong in (["--switch", "--rollback"], ["--share", "0.5"]):
        assert "one change at a time" in deploy("credit", *wrong, status=2)["detail"]


def test_what_becomes_of_unseen_categories_travels_with_the_plan(home, deploy):
    with local.open_client(settings.load()) as client:
        policy = client.deployments.get("credit").policy
        assert client.deployments.plan("credit").unseen == "accept"
        client.deployments.set_policy("credit", policy + '\n[serving]\nunseen = "refuse"\n')
        assert client.deployments.plan("credit").unseen == "refuse"


def test_only_holders_of_a_token_name_the_version(home, deploy):
    with local.open_client(settings.load()) as client:
        made = client.deployments.set_override("credit", allowed=True, tokens=["secret"])
        assert made.plan.override.tokens == (router.token_digest("secret"),)
