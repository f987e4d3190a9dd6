"""`homeostat demo` tells its four chapters, and the platform finds out each of them itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import listening

pytestmark = pytest.mark.slow

COMMAND = Path(sys.executable).with_name("homeostat")
LONGEST_S = 420
PHASES = ["steady", "harmless-shift", "broken-feed", "world-changed"]
KEYS = {
    "phases",
    "predictions",
    "failed_predictions",
    "champions",
    "audit_verified",
    "replayed",
    "wall_s",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Run the demo once, on ports that are free, and return what it wrote."""
    folder = tmp_path_factory.mktemp("demo")
    written = folder / "demo.json"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOMEOSTAT_")}
    environment["HOMEOSTAT_HOME"] = str(folder / "home")
    ports = ["--port", str(listening.port()), "--predict-port", str(listening.port())]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [COMMAND, "demo", "--exit", "--json", written, *ports],
            cwd=folder,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(LONGEST_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    assert code == 0, (folder / "said").read_text(encoding="utf-8")
    return json.loads(written.read_bytes()) | {"said": (folder / "said").read_text("utf-8")}


@pytest.fixture
def phase(told):
    return {one["name"]: one for one in told["phases"]}


def kinds(phase):
    return [one["kind"] for one in phase["decisions"] if one["kind"] != "none"]


def alerts(phase):
    return {(one["kind"], one["cause"], one["column"]) for one in phase["alerts"]}


def test_the_report_has_the_keys_that_are_promised(told):
    assert told.keys() >= KEYS
    assert [one["name"] for one in told["phases"]] == PHASES
    for one in told["phases"]:
        assert one.keys() >= {"rows", "alerts", "decisions", "loss_before", "loss_after"}


def test_business_as_usual_alarms_nobody(phase):
    assert phase["steady"]["alerts"] == []
    assert not {"rollback", "quarantine", "retrain"} & set(kinds(phase["steady"]))


def test_a_harmless_shift_is_told_and_nothing_is_retrained(phase):
    shifted = phase["harmless-shift"]
    assert "covariate-drift" in {kind for kind, _, _ in alerts(shifted)}
    assert set(kinds(shifted)) == {"investigate"}


def test_a_broken_feed_is_named_kept_out_and_let_in_again_without_a_fit(phase):
    broken = phase["broken-feed"]
    assert ("feed", "income") in {(cause, column) for _, cause, column in alerts(broken)}
    made = kinds(broken)
    assert "retrain" not in made
    assert made.index("quarantine") < made.index("release")


def test_a_changed_world_is_harm_and_what_is_learned_of_it_answers(phase):
    changed = phase["world-changed"]
    assert "harm" in {kind for kind, _, _ in alerts(changed)}
    made = kinds(changed)
    assert made.index("retrain") < made.index("promote")
    assert changed["loss_after"] < 1.5 * changed["loss_before"]
    assert changed["loss_after"] < 0.5 * changed["loss_peak"]


def test_every_request_is_answered(told):
    assert told["failed_predictions"] == 0, told["said"]
    assert told["predictions"] >= sum(one["rows"] for one in told["phases"])


def test_every_decision_replays_and_the_audit_holds(told):
    assert told["audit_verified"] is True
    assert told["replayed"] is True


def test_champions_follow_one_another_in_order(told):
    champions = told["champions"]
    assert len(champions) >= 2
    assert champions == sorted(set(champions))
