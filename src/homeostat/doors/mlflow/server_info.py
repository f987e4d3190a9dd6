"""What clients ask a server about itself before anything else."""

from __future__ import annotations

from typing import Final

from homeostat.doors.mlflow import routing

LEVEL: Final = "3.18.0"
"""Of the protocol spoken here; clients from 3.4 send spans to `/v1/traces` because of it."""

_INFO: Final = {
    "store_type": "SqlStore",
    "workspaces_enabled": False,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": False,
    "multipart_downloads_enabled": False,
    "artifact_serving_enabled": True,
    "features_enabled": {},
    "tracking_auth": "",
    "artifacts_presigned_only": False,
}
_TEXT: Final = (("content-type", "text/plain; charset=utf-8"),)


async def health(_: routing.Call) -> routing.Answer:
    """Say that the server is there."""
    return routing.Answer(200, _TEXT, b"OK")


async def version(_: routing.Call) -> routing.Answer:
    """Say which MLflow this server speaks like."""
    return routing.Answer(200, _TEXT, LEVEL.encode())


async def server_info(_: routing.Call) -> dict[str, object]:
    """Say which optional features there are: none that would change a client's ways."""
    return _INFO


Route = routing.Route

ROUTES = (
    Route("GET", "=/health", routing.PUBLIC, health),
    Route("GET", "=/version", routing.PUBLIC, version),
    Route("GET", "/3.0/mlflow/server-info", routing.PUBLIC, server_info),
)
