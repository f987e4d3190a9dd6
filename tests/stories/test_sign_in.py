"""`homeostat up` with sign-in: the first key, a second person, and the end of a key."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import httpx
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

import listening
import nursery
import processes
from homeostat.doors import local
from homeostat.foundation import errors
from homeostat.lifecycle.data.entities import Column, Schema
from homeostat.lifecycle.registry import format as folder

SCHEMA = Schema((Column(name="x", kind="number"),))
SECOND_S = 1.0


class House:
    """`homeostat up` over a home where every caller must sign in."""

    def __init__(self, place):
        self.home = place / "home"
        known = {"HOME": str(self.home), "CODE": str(place), "SIGN_IN": "keys"}
        ports = {name: str(listening.port()) for name in ("PORT", "PREDICT_PORT")}
        self.environment = {
            f"HOMEOSTAT_{name}": value for name, value in (known | ports).items()
        }
        self.url = f"http://{processes.HOST}:{ports['PORT']}"
        self.predict_url = f"http://{processes.HOST}:{ports['PREDICT_PORT']}"
        clean = {n: v for n, v in os.environ.items() if not n.startswith("HOMEOSTAT_")}
        self.environment = clean | self.environment
        self.up = processes.Process("up", self.environment, port=int(ports["PREDICT_PORT"]))

    def run(self, *arguments, **environment):
        """Run a command of ours and return exit code and what it printed."""
        done = nursery.run(
            arguments,
            environment=self.environment | environment,
            folder=self.home.parent,
            timeout=processes.LONG_S,
        )
        return done.returncode, done.stdout, done.stderr

    def key(self, name, role):
        code, out, told = self.run("access", "create", name, "--role", role, "--json")
        assert code == 0, told
        return json.loads(out)

    def as_(self, made):
        return local.connect(self.url, token=made["secret"])


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    place = tmp_path_factory.mktemp("signed")
    made = House(place)
    made.up.start().wait()
    yield made
    assert made.up.end() == 0


def test_the_prediction_server_follows_plans_with_a_key_of_its_own(house):
    processes.until(
        lambda: httpx.get(f"{house.predict_url}/v2/health/ready").status_code == 200,
        told=house.up.tell,
    )
    kept = house.home / "serving.key"
    assert kept.stat().st_mode & 0o777 == 0o600
    _, listed, _ = house.run("access", "list", "--json")
    [own] = [one for one in json.loads(listed) if one["kind"] == "system"]
    assert own["name"] == "system:serving"
    assert kept.read_text().strip() not in house.up.tell() + listed


def test_nobody_comes_in_without_a_key_whatever_the_client(house):
    with local.connect(house.url) as stranger, pytest.raises(errors.UnauthenticatedError):
        stranger.deployments.list()
    code, _, told = house.run("--url", house.url, "model", "list")
    assert code == 6
    assert "access key" in told
    key = house.key("ada", "viewer")["secret"]
    code, _, told = house.run("--url", house.url, "model", "list", HOMEOSTAT_TOKEN=key)
    assert code == 0, told


def test_a_second_person_approves_where_the_tier_is_high(house):
    rows = pl.DataFrame({"x": [0.0, 1.0] * 20})
    fitted = LogisticRegression().fit(rows.to_numpy(), [0, 1] * 20)
    files = folder.pack(fitted, schema=SCHEMA, example=rows)
    with house.as_(house.key("carl", "reviewer")) as carl:
        version = carl.models.register("credit", files, schema=SCHEMA, tier="high")
        with pytest.raises(errors.NotAllowedError, match="second pair of eyes"):
            carl.models.approve("credit", version.number)
    with (
        house.as_(house.key("dora", "contributor")) as dora,
        pytest.raises(errors.NotAllowedError, match="'reviewer'"),
    ):
        dora.models.approve("credit", version.number)
    with house.as_(house.key("eva", "reviewer")) as eva:
        given = eva.models.approve("credit", version.number)
    assert given.actor == "eva"


def test_a_program_approves_nothing(house):
    code, out, _ = house.run("access", "create", "ci", "--role", "owner", "--program", "--json")
    assert code == 0
    rows = pl.DataFrame({"x": [0.0, 1.0] * 20})
    files = folder.pack(
        LogisticRegression().fit(rows.to_numpy(), [0, 1] * 20), schema=SCHEMA, example=rows
    )
    with house.as_(json.loads(out)) as ci:
        ci.models.register("churn", files, schema=SCHEMA)
        with pytest.raises(errors.NotAllowedError, match="no person"):
            ci.models.approve("churn", 1)


def test_a_key_that_another_process_revoked_opens_nothing_a_second_later(house):
    made = house.key("bo", "viewer")
    with house.as_(made) as bo:
        assert isinstance(bo.deployments.list(), list)
        code, told, _ = house.run("access", "revoke", made["key"]["id"])
        assert code == 0
        assert "revoked" in told
        time.sleep(SECOND_S)
        with pytest.raises(errors.UnauthenticatedError, match="unknown, expired or revoked"):
            bo.deployments.list()


def test_the_command_line_says_what_it_made_and_refuses_what_cannot_be(house):
    code, told, _ = house.run("access", "create", "fay", "--role", "viewer", "--expires", "90d")
    assert code == 0
    assert told.startswith("hs_")
    assert "not shown again" in told
    _, listed, _ = house.run("access", "list")
    assert "fay" in listed
    assert told.splitlines()[0] not in listed
    assert house.run("access", "create", "gus", "--role", "king")[0] == 2
    code, _, said = house.run(
        "access", "create", "gus", "--role", "viewer", "--expires", "soon"
    )
    assert code == 2
    assert "--expires is 'soon'" in said
    assert house.run("access", "revoke", "nothing")[0] == 4


def test_the_same_key_serves_the_next_start(house):
    before = (house.home / "serving.key").read_text()
    assert house.up.end() == 0
    house.up.start().wait()
    assert (house.home / "serving.key").read_text() == before
    assert Path(house.home / "serving.key").is_file()
