"""Plays the scenarios of this folder with the MLflow client of the Python that runs it.

    python stock.py URL RESULTS.json [name ...]

`test_stock_clients.py` starts it, once for each client; each scenario is one entry of the
results. It does not depend on the rest of this project.
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


def main(url, results, *wanted):
    """Play all scenarios, or those wanted, and write the results."""
    os.environ.update(QUIET, MLFLOW_TRACKING_URI=url, MLFLOW_REGISTRY_URI=url)
    sys.path.insert(0, str(HERE))
    warnings.filterwarnings("ignore")
    asking, mlflow = importlib.import_module("asking"), importlib.import_module("mlflow")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    found = []
    for name, scenario in scenarios():
        if wanted and name not in wanted:
            continue
        if getattr(scenario, "needs_newest", False) and not asking.IS_NEWEST:
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
    Path(results).write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
