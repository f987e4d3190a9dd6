"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

import listening
from homeostat.doors import cli
from homeostat.doors.cli import ports, supervision
from homeostat.foundation import access, errors, house, ids, settings
from homeostat.lifecycle import policy
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.monitoring import alerts
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import frames

WAIT_S = 240
FOLDER = Path(__file__).parent
SEGMENT = "5e9"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Run commands in an empty folder with a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOMEOSTAT_HOME", str(tmp_path / "home"))
    return tmp_path


def test_help_lists_every_command_and_the_exit_codes(here, capsys):
    assert cli.invoke(["--help"]) == 0
    told = capsys.readouterr().out
    for name, entry in cli.COMMANDS.items():
        assert name in told
        assert entry.help[:30] in told
    assert "Exit codes" in told


def test_an_unknown_command_is_an_input_error(here, capsys):
    assert cli.invoke(["modle"]) == 2
    assert "modle" in capsys.readouterr().err


def test_an_unknown_key_in_the_toml_is_one_sentence(here, capsys):
    Path("homeostat.toml").write_text("[server]\nprot = 5000\n")
    assert cli.invoke(["audit", "verify"]) == 2
    told = capsys.readouterr().err
    assert "prot" in told
    assert "port" in told
    assert "Traceback" not in told


def test_errors_are_json_for_programs(here, capsys):
    Path("homeostat.toml").write_text("[server]\nprot = 5000\n")
    assert cli.invoke(["audit", "verify", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "invalid-input"


def test_audit_verify_says_the_log_is_whole(here, capsys):
    assert cli.invoke(["audit", "verify"]) == 0
    assert "whole" in capsys.readouterr().out
    assert cli.invoke(["audit", "verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_audit_verify_fails_with_code_9_when_a_byte_was_changed(here, capsys, record):
    with house.open_house(settings.load()) as opened:
        record(opened)
        raw = opened.database.writing.raw_connection()
        raw.cursor().execute("UPDATE events SET facts = replace(facts, '1', '2')")
        raw.commit()
        raw.close()
    assert cli.invoke(["audit", "verify"]) == 9
    assert "event 1" in capsys.readouterr().err


def test_audit_log_lists_the_latest_first(here, capsys, record):
    with house.open_house(settings.load()) as opened:
        record(opened, kind="first.done")
        record(opened, kind="second.done")
    assert cli.invoke(["audit", "log", "--json"]) == 0
    kinds = [event["kind"] for event in json.loads(capsys.readouterr().out)]
    assert kinds == ["second.done", "first.done"]


def test_init_writes_a_project_and_never_over_another(here, capsys):
    assert cli.invoke(["init", "loans", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert all((here / "loans" / name).exists() for name in files)
    assert cli.invoke(["init", "loans"]) == 5
    assert "nothing was written" in capsys.readouterr().err


def test_the_test_of_a_new_project_passes(here):
    assert cli.invoke(["init", "loans"]) == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=here / "loans",
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stdout


def test_the_policy_of_a_new_project_is_understood(here):
    assert cli.invoke(["init", "loans"]) == 0
    assert policy.read(here / "loans" / "homeostat.toml").model.name == "credit"


def test_doctor_is_content_with_an_empty_folder_and_leaves_it_empty(here, capsys, monkeypatch):
    monkeypatch.setenv("HOMEOSTAT_PORT", str(listening.port()))
    monkeypatch.setenv("HOMEOSTAT_PREDICT_PORT", str(listening.port()))
    assert cli.invoke(["doctor", "--json"]) == 0
    assert all(one["ok"] for one in json.loads(capsys.readouterr().out))
    assert list(here.iterdir()) == []


def test_doctor_names_a_key_that_others_can_read(here, capsys):
    house.open_house(settings.load()).close()
    (here / "home" / "master.key").chmod(0o644)
    assert cli.invoke(["doctor", "--json"]) == 3
    bad = [one["name"] for one in json.loads(capsys.readouterr().out) if not one["ok"]]
    assert "master key" in bad


@pytest.fixture
def taken():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]


@pytest.mark.parametrize(
    "command", ["server --port", "up --port", "up --port 0 --predict-port"]
)
def test_a_port_in_use_is_named_with_the_option_that_changes_it(here, capsys, taken, command):
    assert cli.invoke([*command.split(), str(taken)]) == 7
    told = capsys.readouterr().err
    assert f"port {taken} is in use" in told
    assert command.split()[-1] in told


def test_a_host_others_can_reach_is_refused_with_the_reason(here, capsys, monkeypatch):
    monkeypatch.setenv("HOMEOSTAT_HOST", "0.0.0.0")
    assert cli.invoke(["server"]) == 2
    assert "sign-in" in capsys.readouterr().err


def test_sigterm_ends_a_server_with_code_0(server):
    assert server.stop() == 0


def test_a_child_ends_when_its_parent_is_killed(here):
    code = (
        "import os, sys\n"
        "from homeostat.doors.cli import supervision\n"
        f"port = {listening.port()}\n"
        "one = supervision.Child('server', ['--port', str(port)], environment=os.environ)\n"
        "one.start()\n"
        "print(one.process.pid, port, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    child, port = (int(word) for word in parent.stdout.readline().split())
    reading = os.pidfd_open(child)
    while not ports.is_well("127.0.0.1", port):
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"the parent ended with {parent.wait(0.05)}")
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    assert select.select([reading], [], [], WAIT_S)[0] == [reading]
    os.close(reading)


def test_a_child_that_dies_is_started_again(here):
    environment = dict(os.environ)
    port = listening.port()
    one = supervision.Child("server", ["--port", str(port)], environment=environment)
    family = supervision.Family([one])
    one.start()
    try:
        assert family.until(
            lambda: ports.is_well("127.0.0.1", port), timeout_s=WAIT_S, what="the server"
        )
        one.process.kill()
        one.process.wait()
        assert family.until(
            lambda: one.restarts == 1 and ports.is_well("127.0.0.1", port),
            timeout_s=WAIT_S,
            what="the server",
        )
    finally:
        family.stop()
    assert one.process.returncode == 0


def test_a_child_with_wrong_input_is_not_started_again(here):
    environment = {**os.environ, "HOMEOSTAT_PROT": "1"}
    one = supervision.Child("server", [], environment=environment)
    one.start()
    one.process.wait(WAIT_S)
    with pytest.raises(errors.UnavailableError, match="ended with code 2"):
        one.tend()


def test_a_child_that_does_not_stay_up_is_tried_on_and_the_others_live(here, monkeypatch):
    monkeypatch.setattr(supervision, "LONGEST_BACKOFF_S", 0.0)
    wrong = {**os.environ, "HOMEOSTAT_PROT": "1"}
    broken = supervision.Child("server", [], environment=wrong)
    healthy = supervision.Child("worker", [], environment=os.environ)
    family = supervision.Family([broken, healthy])
    broken.start()
    healthy.start()
    keeping = threading.Thread(target=family.keep)
    keeping.start()
    try:
        while broken.restarts < 2:
            assert keeping.is_alive()
            time.sleep(0.05)
        assert healthy.process.poll() is None
    finally:
        family.ending.set()  # nothing is started again once the keeper is gone
        keeping.join(WAIT_S)
        family.stop()
    assert healthy.restarts == 0


@pytest.fixture
def furnished(here):
    """A house with something of everything, in the home of `here`."""
    spec = importlib.util.spec_from_file_location("furnishing", FOLDER / "furnishing.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with house.open_house(settings.load()) as opened:
        module.furnish(opened)
        yield opened


def test_status_tells_the_health_of_every_deployment(furnished, capsys, monkeypatch):
    for name in ("PORT", "PREDICT_PORT"):
        monkeypatch.setenv(f"HOMEOSTAT_{name}", "9")  # where nobody answers
    assert cli.invoke(["status", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["log_is_whole"] is True
    assert [one["health"] for one in told["deployments"]] == ["harm"]
    assert cli.invoke(["status"]) == 2
    assert "credit" in capsys.readouterr().out
    assert cli.invoke(["status", "--nagios"]) == 2
    whole, credit = capsys.readouterr().out.splitlines()
    assert whole.startswith("HOMEOSTAT CRITICAL - 1 deployment, ")
    assert credit.startswith("CRITICAL - credit: harm: ")
    assert credit.partition(" | ")[2].startswith("'credit_open_alerts'=")
    # Harm is worse than not to know, but without it a model that nobody can ask is not well.
    assert "nobody answers predictions at" in whole
    owner = access.local_owner("ada")
    for one in furnished.read(lambda tx: alerts.list_alerts(tx, owner, limit=1000)):
        furnished.write(lambda tx, which=one.id: alerts.resolve_alert(tx, owner, which))
    assert cli.invoke(["status"]) == 3
    assert "not known" in capsys.readouterr().out


def test_status_is_unknown_to_nagios_when_nobody_answers(here, capsys, monkeypatch):
    monkeypatch.setenv("HOMEOSTAT_URL", "http://127.0.0.1:9")
    assert cli.invoke(["status", "--nagios"]) == 3
    assert capsys.readouterr().out.startswith("HOMEOSTAT UNKNOWN - ")
    assert cli.invoke(["status"]) == 3


def test_status_of_an_empty_home_says_what_comes_next(here, capsys):
    assert cli.invoke(["status"]) == 0
    assert "homeostat deploy" in capsys.readouterr().out


def test_why_traces_a_decision_to_what_it_did(furnished, capsys):
    actor = access.local_owner("ada")
    found = furnished.read(lambda tx: loop.list_decisions(tx, actor, kinds=("quarantine",)))
    assert cli.invoke(["why", found[0].id, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "decision"
    assert "the feed is broken" in told["steps"][0]["sentence"]
    assert any("keep-out" in step["sentence"] for step in told["steps"])
    assert cli.invoke(["why", found[0].id]) == 0
    assert "quarantine" in capsys.readouterr().out


def segment(prediction):
    """Write a segment with one answered row, as a prediction server does."""
    served_at = int(prediction[:12], 16)
    batch = frames.Batch(
        served_at,
        1,
        "stable",
        True,
        "1",
        [prediction],
        ["A1"],
        [[38_000.0], ["north"]],
        [],
        [0.71],
        [1],
        ["1"],
        [[0.71]],
    )
    layout = frames.Layout(("income", "region"), ("number", "category"), ())
    found = (frames.Opened(SEGMENT, "credit", served_at), layout, batch)
    return b"".join(map(frames.encode, found))


def test_why_traces_a_prediction_to_its_version_gates_run_and_plan(furnished, capsys):
    prediction = ids.new_id()
    raw = segment(prediction)
    sealed = predictions.seal_segment(furnished, "credit", segment=SEGMENT, raw=raw)
    actor = access.system("serving")
    furnished.write(lambda tx: predictions.accept_segment(tx, actor, sealed))
    assert cli.invoke(["why", prediction, "--json"]) == 0
    told = " | ".join(step["sentence"] for step in json.loads(capsys.readouterr().out)["steps"])
    for part in ("credit answered 1", "plan generation 1", "by version 1", "gates said", "run"):
        assert part in told


def test_why_does_not_know_what_is_not_there(here, capsys):
    assert cli.invoke(["why", "nothing"]) == 4
    assert "no prediction and no decision" in capsys.readouterr().err


def test_up_starts_all_three_that_others_find_and_one_sigterm_drains_them(here, capsys):
    port, predict_port = listening.port(), listening.port()
    arguments = ["--port", str(port), "--predict-port", str(predict_port)]
    module = [sys.executable, "-m", "homeostat.doors.cli.child", str(os.getpid())]
    running = subprocess.Popen(
        [*module, "up", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        told = [running.stdout.readline() for _ in range(4)]
        assert f"127.0.0.1:{port}" in told[0], running.stderr.read()
        assert f"127.0.0.1:{predict_port}" in told[1]
        assert ports.is_well("127.0.0.1", port)
        assert ports.is_well("127.0.0.1", predict_port)
        assert cli.invoke(["status", "--json"]) == 0
        seen = json.loads(capsys.readouterr().out)
        assert (seen["server"], seen["predictions"]) == (True, True)
        children = [one.name() for one in psutil.Process(running.pid).children()]
        assert len(children) == 3
    finally:
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=2 * WAIT_S)
    assert running.returncode == 0, said
    assert not ports.is_well("127.0.0.1", port)
    assert not ports.is_well("127.0.0.1", predict_port)
