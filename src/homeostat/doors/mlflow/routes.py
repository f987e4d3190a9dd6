"""The one table of this door; `doors/local.py` gives it to the door."""

from __future__ import annotations

from homeostat.doors.mlflow import reading, recording, routing, server_info

SUBJECTS = (
    server_info,
    recording,
    reading,
)

TABLE: tuple[routing.Route, ...] = tuple(
    route for subject in SUBJECTS for route in subject.ROUTES
)
