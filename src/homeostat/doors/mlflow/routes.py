"""The one table of this door; `doors/local.py` gives it to the door."""

from __future__ import annotations

from homeostat.doors.mlflow import (
    artifacts,
    early_traces,
    experiments,
    inputs,
    logged_models,
    model_versions,
    reading,
    recording,
    registered_models,
    routing,
    runs,
    searching,
    server_info,
    traces,
)

SUBJECTS = (
    server_info,
    recording,
    reading,
    experiments,
    runs,
    inputs,
    searching,
    logged_models,
    registered_models,
    model_versions,
    artifacts,
    traces,
    early_traces,
)

TABLE: tuple[routing.Route, ...] = tuple(
    route for subject in SUBJECTS for route in subject.ROUTES
)
