from __future__ import annotations

import json
import logging
import subprocess
import sys

from homeostat.foundation import log


def test_lines_are_json_with_instant_level_and_values(capsys):
    log.configure(output="json")
    log.get("part").info("it began", n=3)
    entry = json.loads(capsys.readouterr().err)
    assert (entry["event"], entry["n"], entry["level"]) == ("it began", 3, "info")
    assert entry["logger"] == "part"
    assert entry["at"].endswith("Z")


def test_libraries_log_in_the_same_form(capsys):
    log.configure(output="json")
    logging.getLogger("library").warning("told %s", "so")
    assert json.loads(capsys.readouterr().err)["event"] == "told so"


def test_secrets_are_never_written(capsys):
    log.configure(output="json")
    log.get("part").info(
        "x",
        token="t0",
        nested={"password": "t1"},
        master_key="t2",
        url="s3://me:t3@host/x",
        many=["postgresql://me:t4@host/y"],
        key="application 7",
    )
    written = capsys.readouterr().err
    assert not any(f"t{i}" in written for i in range(5))
    assert "application 7" in written


def test_quieter_levels_are_left_out(capsys):
    log.configure(level="warning", output="json")
    log.get("part").info("hidden")
    assert capsys.readouterr().err == ""


def test_before_it_is_configured_nothing_reaches_standard_output():
    code = "from homeostat.foundation import log; log.get('x').warning('told', token='t0')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert "told" in done.stderr
    assert "t0" not in done.stderr
