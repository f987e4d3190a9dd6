"""What came of data, a run or a version: versions, what they decided, and what they scored.

The way back of `why`, asked by the door of the same name.
"""

from __future__ import annotations

import msgspec

from homeostat.foundation import access, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import finding, read
from homeostat.lifecycle.serving import actions, scorings

EDGES_AT_MOST = 10_000
_PAGE = 1000
# The next snapshot of a dataset holds other rows: what was made of it was not made of this one.
_NOT_MADE_OF = frozenset({"followed-by"})


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What a version scored under a deployment, alone or with others.

    Attributes
    ----------
    n_answered, n_shadow
        Rows that were answered, and rows that were only scored.
    first_served_at, last_served_at
        Of both; milliseconds UTC.
    """

    version: str
    deployment: str
    member: str
    n_answered: int
    n_shadow: int
    first_served_at: int
    last_served_at: int


class Consequences(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that came of a reference, as far as lineage and the log know.

    Attributes
    ----------
    versions
        References of versions trained on it, or made of those.
    decided
        By version and deployment; the rows themselves are in the log.
    scored
        Tables that these versions scored in bulk, and tables scored from the reference itself.
    """

    reference: str
    versions: tuple[str, ...]
    decided: tuple[Decided, ...]
    scored: tuple[scorings.Scoring, ...]


def of(
    tx: Transaction, actor: access.Actor, house: read.Unsealing, *, reference: str
) -> Consequences:
    """Follow lineage forward from a reference to decisions.

    Parameters
    ----------
    tx, actor
        Who may read predictions, deployments and runs.
    house
        What returns stored bytes.
    reference
        Such as ``snapshot:<id>``, ``run:<id>``, ``model:credit@3``.

    Returns
    -------
    Consequences
        Empty lists for a reference that nothing was made of.

    Notes
    -----
    Takes one walk over at most 10,000 edges and one look into the index of segments for each
    deployment of the models that came of it; no rows are read but of segments that an earlier
    release sealed.
    """
    access.require(actor, "prediction.read")
    reached = _reached(tx, reference)
    versions = tuple(one for one in reached if _is_version(one))
    by_model: dict[str, dict[str, str]] = {}
    for one in versions:
        model, _, number = one.removeprefix("model:").rpartition("@")
        by_model.setdefault(model, {})[number] = one
    decided = []
    for name, model in _deployments(tx, actor):
        named = by_model.get(model, {})
        decided += [
            Decided(version=named[one.member], deployment=name, **msgspec.structs.asdict(one))
            for one in finding.counted(house, tx, name, tuple(named))
        ]
    scored = [
        scorings.get(tx, actor, one.removeprefix("scoring:"))
        for one in reached
        if one.startswith("scoring:")
    ]
    return Consequences(
        reference=reference,
        versions=versions,
        decided=tuple(sorted(decided, key=lambda one: (one.deployment, one.version))),
        scored=tuple(scored),
    )


def _reached(tx: Transaction, reference: str) -> list[str]:
    """Return everything made of a reference, itself first; not the dataset's next snapshot."""
    edges = lineage.descendants(tx, reference, limit=EDGES_AT_MOST)
    onwards: dict[str, list[str]] = {}
    for edge in edges:
        if edge.kind not in _NOT_MADE_OF:
            onwards.setdefault(edge.source, []).append(edge.target)
    found, todo = {reference: None}, [reference]
    while todo:
        for target in onwards.get(todo.pop(), ()):
            if target not in found:
                found[target] = None
                todo.append(target)
    return list(found)


def _is_version(reference: str) -> bool:
    name, _, number = reference.removeprefix("model:").rpartition("@")
    return reference.startswith("model:") and bool(name) and number.isdigit()


def _deployments(tx: Transaction, actor: access.Actor) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    while True:
        after = found[-1][0] if found else ""
        page = actions.list_deployments(tx, actor, after=after, limit=_PAGE)
        found += [(one.name, one.model) for one in page]
        if len(page) < _PAGE:
            return found
