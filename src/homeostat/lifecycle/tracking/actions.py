"""What an actor may do with experiments and runs; called by doors and pipeline's actions.

One import for all of them; each group stands in a file of its own.
"""

from __future__ import annotations

from homeostat.lifecycle.tracking.artifacts import (
    add_artifact,
    get_artifact,
    list_artifacts,
)
from homeostat.lifecycle.tracking.experiments import (
    create_experiment,
    ensure_experiment,
    list_experiments,
)
from homeostat.lifecycle.tracking.keep import (
    add_inputs,
    add_outputs,
    insert_inputs,
    insert_params,
    log_batch,
    log_metrics,
    log_params,
    set_tags,
)
from homeostat.lifecycle.tracking.look import (
    get_run,
    metric_history,
    search_runs,
)
from homeostat.lifecycle.tracking.runs import (
    create_run,
    end_run,
    existing,
    find_run,
    finish_run,
    insert_run,
    new_run,
    record_end,
)

__all__ = [
    "add_artifact",
    "add_inputs",
    "add_outputs",
    "create_experiment",
    "create_run",
    "end_run",
    "ensure_experiment",
    "existing",
    "find_run",
    "finish_run",
    "get_artifact",
    "get_run",
    "insert_inputs",
    "insert_params",
    "insert_run",
    "list_artifacts",
    "list_experiments",
    "log_batch",
    "log_metrics",
    "log_params",
    "metric_history",
    "new_run",
    "record_end",
    "search_runs",
    "set_tags",
]
