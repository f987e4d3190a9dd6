"""What a prediction server is told of a deployment; called by `actions`."""

from __future__ import annotations

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.serving import plan as plans
from homeostat.lifecycle.serving.entities import Deployment, PlanDocument, VersionFiles


def document(tx: Transaction, actor: access.Actor, deployment: Deployment) -> PlanDocument:
    """Return all that a prediction server must know of a deployment.

    Parameters
    ----------
    tx, actor
        Needs ``model.read``.
    deployment
        As read.

    Returns
    -------
    PlanDocument
        Its plan and the files of every version that the plan names.
    """
    named = [
        registry.get_version(tx, actor, deployment.model, number)
        for number in plans.versions(deployment.plan)
    ]
    return PlanDocument(
        deployment=deployment.name,
        model=deployment.model,
        key=deployment.key,
        protected=policies.parse(deployment.policy).data.protected,
        plan=deployment.plan,
        versions=tuple(
            VersionFiles(
                version=one.number,
                digest=one.digest,
                files={file.path: file.digest for file in one.files},
            )
            for one in named
        ),
        changed=deployment.changed,
    )
