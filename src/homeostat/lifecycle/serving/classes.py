"""Which labels a deployment knows, as the server sees it; called by the API for late labels."""

from __future__ import annotations

from typing import Protocol

import msgspec

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions, plan


class Unsealing(Protocol):
    """What returns stored bytes; the house does."""

    def get_blob(self, owner: str, digest: str, *, project: str | None = None) -> bytes:
        """Return the bytes of a digest."""


class _Known(msgspec.Struct):
    classes: tuple[str, ...] = ()


def champion(tx: Transaction, actor: access.Actor, name: str) -> Version:
    """Return the version that decides most of a deployment's answers.

    Parameters
    ----------
    tx, actor
        Needs ``deployment.read`` and ``model.read``.
    name
        A deployment.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    """
    deployment = actions.get_deployment(tx, actor, name)
    number = plan.champion(deployment.plan)
    return registry.get_version(tx, actor, deployment.model, number)


def known(house: Unsealing, version: Version, *, project: str) -> tuple[str, ...]:
    """Return the labels that a version knows.

    Parameters
    ----------
    house
        What returns stored bytes.
    version
        From `champion`.
    project
        Namespace.

    Returns
    -------
    tuple of str
        In the model's order, as text; empty when its files do not say.
    """
    for file in version.files:
        if file.path == folder.DESCRIPTION:
            described = house.get_blob(version.owner, file.digest, project=project)
            return msgspec.json.decode(described, type=_Known).classes
    return ()
