"""The one table of this door; `doors/local.py` gives it to the door."""

from __future__ import annotations

from homeostat.doors.mlflow import (
    artifacts,
    early_traces,
    experiments,
    inputs,
    logged_models,
    reading,
    recording,
    routing,
    runs,
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
    logged_models,
    artifacts,
    traces,
    early_traces,
)

TABLE: tuple[routing.Route, ...] = tuple(
    route for subject in SUBJECTS for route in subject.ROUTES
)
