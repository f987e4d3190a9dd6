"""What a prediction server is told of a deployment; called by `actions`."""

from __future__ import annotations

import blake3

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.corrections import stored as corrections
from homeostat.lifecycle.corrections.entities import Fallback
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted
from homeostat.lifecycle.registry.entities import Version
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
        Its plan, its corrections, and the files of every version that they name.
    """
    found = tuple(corrections.in_force(tx, deployment.name))
    bodies = [one.body for one in found]
    others = [one.version for one in bodies if isinstance(one, Fallback) and one.version]
    named = [
        registry.get_version(tx, actor, deployment.model, number)
        for number in sorted({*plans.versions(deployment.plan), *others})
    ]
    policy = policies.parse(deployment.policy)
    return PlanDocument(
        deployment=deployment.name,
        model=deployment.model,
        key=deployment.key,
        protected=policy.data.protected,
        plan=deployment.plan,
        versions=tuple(files(tx, one) for one in named),
        changed=deployment.changed,
        unseen=policy.serving.unseen,
        corrections=found,
        explain=policy.explain,
        favourable=policy.model.favourable,
        false_alarms_per_year=policy.monitoring.false_alarms_per_year,
    )


def files(tx: Transaction, version: Version) -> VersionFiles:
    """Return what a process fetches to load a version, and whether its code may run.

    Parameters
    ----------
    tx
        Any transaction.
    version
        As read.

    Returns
    -------
    VersionFiles
        Digests of its files, and of the description that a judgement added.
    """
    how = adopted.loadable(tx, version)
    digest = version.digest
    if how.description or how.needs_trust:
        # Judged again, or trusted no more, it is to be loaded anew.
        told = f"{digest}\n{how.description}\n{how.is_trusted}"
        digest = blake3.blake3(told.encode()).hexdigest()
    return VersionFiles(
        version=version.number,
        digest=digest,
        files={file.path: file.digest for file in version.files},
        description=how.description,
        is_trusted=how.is_trusted,
        baseline=version.baseline,
    )
