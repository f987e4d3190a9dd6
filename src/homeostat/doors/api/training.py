"""Ask for a model to be trained, and how far the loop has come; the loop's door for people."""

from __future__ import annotations

from homeostat.doors.api import routing
from homeostat.foundation import jobs
from homeostat.lifecycle.loop import asking


async def train(call: routing.Call) -> jobs.Job:
    """Ask a worker to train, judge and register a model."""
    return await call.write(lambda tx: asking.train(tx, call.actor, call.body))


async def progress(call: routing.Call) -> asking.Progress:
    """Return how far the loop has come with a deployment."""
    name = call.path_params["name"]
    return await call.read(lambda tx: asking.progress(tx, call.actor, name))


ROUTES = (
    routing.Route(
        "POST",
        "/api/train",
        "model.register",
        train,
        body=asking.Train,
        answer=jobs.Job,
        summary="Train a model, judge its gates and register it; the answer is a job",
        status=202,
    ),
    routing.Route(
        "GET",
        "/api/deployments/{name}/progress",
        "deployment.read",
        progress,
        answer=asking.Progress,
        summary="How far windows, blocks and jobs have come",
    ),
)
