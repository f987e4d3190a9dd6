"""What explains a prediction of the log, over HTTP; asked by the SDK.

The server gives the row, who scored it and by which corrections; the originals run where the
explanation is asked for, as tables are scored there, so that no model runs in this process.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from homeostat.doors.api import routing
from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import finding
from homeostat.lifecycle.serving import actions, recalled


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """In which deployment a key is looked for."""

    deployment: Annotated[
        str, msgspec.Meta(description="then the id is the key of its latest prediction")
    ] = ""


async def recall(call: routing.Call) -> recalled.Recalled:
    """Return a prediction as it was logged, with all that explains it."""
    wanted = str(call.path_params["id"]).removeprefix("prediction:")
    deployment: str = call.query.deployment if call.query is not None else ""

    def fetch(tx: Transaction) -> recalled.Recalled:
        access.require(call.actor, "prediction.read")
        if deployment:
            actions.get_deployment(tx, call.actor, deployment)
            name, row = deployment, finding.newest(call.house, tx, deployment, key=wanted)
        else:
            name, row = finding.one(call.house, tx, wanted)
        return recalled.recall(tx, call.actor, call.house, deployment=name, row=row)

    return await call.read(fetch)


ROUTES = (
    routing.Route(
        "GET",
        "/api/predictions/{id}",
        "prediction.read",
        recall,
        answer=recalled.Recalled,
        query=Where,
        summary="A prediction as it was logged, and what explains it",
    ),
)
