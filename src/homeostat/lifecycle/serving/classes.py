"""Which labels a deployment knows, as the server sees it.

Called by the API for late labels, and for plans: a prediction server takes labels by what the
plan says, without loading a model for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import labelling
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted
from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions, plan
from homeostat.lifecycle.serving.entities import PlanDocument


class Unsealing(Protocol):
    """What returns stored bytes; the house does."""

    def get_blob(self, owner: str, digest: str, *, project: str | None = None) -> bytes:
        """Return the bytes of a digest."""


class _Known(msgspec.Struct):
    classes: tuple[str, ...] = ()
    task: str = ""

    @property
    def takes(self) -> tuple[str, ...]:
        """Which labels it may get."""
        return labelling.A_NUMBER if self.task == "regression" else self.classes


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
        In the model's order, as text; empty when its files do not say, and
        `labelling.A_NUMBER` of a regression.
    """
    for file in version.files:
        if file.path == folder.DESCRIPTION:
            described = house.get_blob(version.owner, file.digest, project=project)
            return msgspec.json.decode(described, type=_Known).takes
    return ()


Told = tuple[PlanDocument, adopted.Loadable]
"""A plan, and where the version is that decides most of its answers."""


def of_plan(tx: Transaction, actor: access.Actor, document: PlanDocument) -> Told:
    """Return a plan with where its classes are found, for `with_classes`.

    Parameters
    ----------
    tx, actor
        Needs ``model.read``.
    document
        As `actions` returns it.
    """
    number = plan.champion(document.plan)
    version = registry.get_version(tx, actor, document.model, number)
    return document, adopted.loadable(tx, version)


def with_classes(house: Unsealing, told: Sequence[Told], *, project: str) -> list[PlanDocument]:
    """Return plans that say which labels their deployments know.

    Parameters
    ----------
    house
        What returns stored bytes.
    told
        From `of_plan`.
    project
        Namespace.

    Returns
    -------
    list of PlanDocument
        In their order; without classes where a description cannot be read.
    """
    return [
        msgspec.structs.replace(document, classes=_classes(house, how, project))
        for document, how in told
    ]


def _classes(house: Unsealing, how: adopted.Loadable, project: str) -> tuple[str, ...]:
    files = {file.path: file.digest for file in how.files}
    owner, digest = how.described_by, how.description
    if not digest:
        owner, digest = how.owner, files.get(folder.DESCRIPTION, "")
    which = (project, owner, digest)
    if digest and which not in _read:
        try:
            described = house.get_blob(owner, digest, project=project)
            found = msgspec.json.decode(described, type=_Known).takes
        except (errors.HomeostatError, msgspec.MsgspecError):
            return ()  # whoever loads the version is told why
        if len(_read) >= _READ_AT_MOST:
            _read.clear()
        _read[which] = found
    return _read.get(which, ())


_READ_AT_MOST = 10_000
_read: dict[tuple[str, str, str], tuple[str, ...]] = {}  # what a digest names never changes
