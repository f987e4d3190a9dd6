"""Plays the scenarios of this folder with the MLflow client of the Python that runs it.

    python stock.py TURNS.json

`test_stock_clients.py` starts it, once for each client. A turn names a server, the environment
of its caller, the file for results, where each scenario is one entry, and the scenarios if not
all. It does not depend on the rest of this project.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

HERE = Path(__file__).parent
QUIET = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # An answer of 5xx must show up, not be repeated until it is gone.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    # Autologging loads every model once more to see what it imports; we know what it needs.
    "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MPLBACKEND": "Agg",
}


def scenarios():
    """Yield name and function of every scenario."""
    for path in sorted(HERE.glob("scenarios_*.py")):
        module = importlib.import_module(path.stem)
        for name, found in list(vars(module).items()):
            is_own = getattr(found, "__module__", "") == path.stem
            if is_own and callable(found) and not name.startswith("_"):
                yield name, found


def play(name, scenario):
    """Play one scenario and return what came of it."""
    mlflow = importlib.import_module("mlflow")
    began = time.monotonic()
    try:
        scenario()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        told = {"ok": False, "why": "".join(traceback.format_exception(error)[-6:])}
    else:
        told = {"ok": True, "why": ""}
    while mlflow.active_run() is not None:
        mlflow.end_run()
    return {"name": name, "seconds": round(time.monotonic() - began, 2), **told}


def is_due(name, scenario, wanted):
    """Whether this client can play a scenario, and shall."""
    asking = importlib.import_module("asking")
    has_key = {"MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"} & os.environ.keys()
    return (
        (not wanted or name in wanted)
        and (asking.IS_NEWEST or not getattr(scenario, "needs_newest", False))
        and (has_key or not getattr(scenario, "needs_key", False))
    )


def take(turn):
    """Play all scenarios, or those wanted, and write the results."""
    mlflow = importlib.import_module("mlflow")
    os.environ.update(turn["environment"])
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        os.environ[name] = turn["url"]
    mlflow.set_tracking_uri(turn["url"])
    mlflow.set_registry_uri(turn["url"])
    found = []
    for name, scenario in scenarios():
        if not is_due(name, scenario, turn["wanted"]):
            continue
        found.append(play(name, scenario))
        if os.environ.get("STOCK_TELL"):
            last = found[-1]
            line = (
                f"{'ok  ' if last['ok'] else 'FAIL'} {name} {last['seconds']} s\n{last['why']}"
            )
            sys.stdout.write(line.rstrip() + "\n")
            sys.stdout.flush()
    told = {"client": mlflow.__version__, "scenarios": found}
    Path(turn["results"]).write_text(json.dumps(told, indent=1), encoding="utf-8")


def main(turns):
    """Take one turn after the other."""
    os.environ.update(QUIET)
    sys.path.insert(0, str(HERE))
    warnings.filterwarnings("ignore")
    importlib.import_module("mlflow")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    for turn in json.loads(Path(turns).read_bytes()):
        take(turn)


if __name__ == "__main__":
    main(*sys.argv[1:])
