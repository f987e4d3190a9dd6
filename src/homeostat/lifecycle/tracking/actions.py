"""What an actor may do with experiments and runs; called by doors and pipeline's actions.

One import for all of them; each group stands in a file of its own.
"""

from __future__ import annotations

from homeostat.lifecycle.tracking.artifacts import (
    add_artifact,
    get_artifact,
    list_artifacts,
)
from homeostat.lifecycle.tracking.datasets import log_inputs, log_outputs
from homeostat.lifecycle.tracking.experiment_changes import (
    delete_experiment,
    delete_experiment_tag,
    rename_experiment,
    restore_experiment,
    set_experiment_tag,
)
from homeostat.lifecycle.tracking.experiments import (
    create_experiment,
    ensure_experiment,
    get_experiment,
    get_experiment_by_name,
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
from homeostat.lifecycle.tracking.run_changes import (
    delete_run,
    delete_tag,
    restore_run,
    update_run,
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
from homeostat.lifecycle.tracking.samples import sample_metrics
from homeostat.lifecycle.tracking.start import start_run

__all__ = [
    "add_artifact",
    "add_inputs",
    "add_outputs",
    "create_experiment",
    "create_run",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_run",
    "delete_tag",
    "end_run",
    "ensure_experiment",
    "existing",
    "find_run",
    "finish_run",
    "get_artifact",
    "get_experiment",
    "get_experiment_by_name",
    "get_run",
    "insert_inputs",
    "insert_params",
    "insert_run",
    "list_artifacts",
    "list_experiments",
    "log_batch",
    "log_inputs",
    "log_metrics",
    "log_outputs",
    "log_params",
    "metric_history",
    "new_run",
    "record_end",
    "rename_experiment",
    "restore_experiment",
    "restore_run",
    "sample_metrics",
    "search_runs",
    "set_experiment_tag",
    "set_tags",
    "start_run",
    "update_run",
]
