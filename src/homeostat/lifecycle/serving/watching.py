"""Deployments that another server answers: they are told what it answered, and watched.

Such a deployment has a log, windows, alerts and decisions like any other. Its plan names one
version without a model file, which holds the baseline; no prediction server is told of it.
Called by `loop.attaching`.
"""

from __future__ import annotations

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.serving import actions
from homeostat.lifecycle.serving import plan as plans
from homeostat.lifecycle.serving.entities import Deployment

FLAVOUR = "watched"


def attach(
    tx: Transaction, actor: access.Actor, name: str, *, policy: str, version: int
) -> Deployment:
    """Begin to watch a version that answers elsewhere.

    Parameters
    ----------
    tx, actor
        Needs ``deployment.change``.
    name
        Letters, digits, ``.``, ``_``, ``-``.
    policy
        Text of its homeostat.toml; names the model, and says ``[retraining] on = []``.
    version
        Of the flavour ``watched``: it answers to no gate here, for nothing here lets it answer.

    Returns
    -------
    Deployment
        At generation 1, of the kind ``watched``.

    Raises
    ------
    InvalidInputError
        When the name is none, or the policy asks for what a watched model cannot have.
    ConflictError
        When the name is taken, or the version is one that could be served here.
    """
    access.require(actor, "deployment.change")
    actions.need_free(tx, name)
    told = policies.parse(policy)
    plans.need_watchable("watched", told)
    found = registry.get_version(tx, actor, told.model.name, version)
    if found.flavour != FLAVOUR:
        raise errors.ConflictError(
            f"{found.reference} has its files here; it is deployed, not attached",
            hint=f"homeostat deploy {told.model.name}:{version}",
        )
    return actions.begin(tx, actor, name, policy=policy, version=version, kind="watched")


def need_watched(deployment: Deployment) -> None:
    """Refuse to be told of answers that are given here: they come from a prediction server.

    Raises
    ------
    ConflictError
        When the deployment is not watched.
    """
    if deployment.kind != "watched":
        raise errors.ConflictError(
            f"deployment {deployment.name!r} is served here, and its prediction servers hand "
            f"over what they answered",
            hint="attach a model that is served elsewhere with homeostat monitor attach",
            name=deployment.name,
        )
