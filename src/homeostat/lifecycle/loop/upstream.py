"""What a new snapshot means: new data to learn from, an upstream dataset's event, or nothing.

Called by `triggers` for each snapshot that is added.
"""

from __future__ import annotations

from homeostat.foundation import access, errors, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.data.entities import Snapshot
from homeostat.lifecycle.loop import asked, entities
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.registry import actions as registry

LOOP = access.system("loop")
SNAPSHOT = "snapshot:"
OWN = ".log"
"""Datasets that the loop itself keeps of a deployment's log end so."""


def cause(
    tx: Transaction,
    snapshot: Snapshot,
    *,
    model: str,
    state: entities.LoopState,
    policy: Policy,
) -> asked.Reason | None:
    """Return why a new snapshot asks a deployment for a fit; None when it does not.

    Parameters
    ----------
    tx
        Any transaction.
    snapshot
        The new one.
    model, state
        Of the deployment.
    policy
        Its `retraining` names causes, and datasets beside those of the lineage.

    Returns
    -------
    Reason or None
        ``new-data`` for the dataset that a member learned from; ``upstream`` for any other one
        in a member's lineage, or that the policy names.
    """
    wanted = {"new-data", "upstream"} & set(policy.retraining.on)
    if not wanted or snapshot.dataset.endswith(OWN):
        return None
    learned, above = _datasets(tx, model, state)
    if snapshot.dataset in learned:
        return "new-data" if "new-data" in wanted else None
    if snapshot.dataset in above or snapshot.dataset in policy.retraining.upstream:
        return "upstream" if "upstream" in wanted else None
    return None


def _datasets(
    tx: Transaction, model: str, state: entities.LoopState
) -> tuple[set[str], set[str]]:
    """Return the datasets that members learned from, and those above them."""
    learned: set[str] = set()
    above: set[str] = set()
    for member in state.members:
        if not member.version.isdigit():
            continue
        try:
            version = registry.get_version(tx, LOOP, model, int(member.version))
        except errors.NotFoundError:  # deleted; it leaves the pool with the next block
            continue
        learned |= {_dataset(tx, reference) for reference in version.snapshots}
        edges = lineage.ancestors(tx, version.reference)
        above |= {_dataset(tx, edge.source) for edge in edges}
    return learned - {""}, above - learned - {""}


def _dataset(tx: Transaction, reference: str) -> str:
    if not reference.startswith(SNAPSHOT):
        return ""
    try:
        found = data.find_snapshot(tx, LOOP, reference.removeprefix(SNAPSHOT))
    except errors.NotFoundError:
        return ""
    return "" if found.dataset.endswith(OWN) else found.dataset
