"""Looks at single decisions of models that are served elsewhere, when they are handed over.

Called by the door that is told of them. A prediction worker of our own looks at what it answers
itself (`serving.guarding`); the words and the budget are the same.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.alerting import watching
from homeostat.lifecycle.monitoring.entities import Alert
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions.observed import Observation
from homeostat.lifecycle.registry import adopted
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import guarding
from homeostat.lifecycle.serving.entities import Deployment
from homeostat.measures import packed, rarity

SYSTEM = access.system("monitoring")
KIND = "unexpected-decision"
LEAST_S = 60.0
MOST_HELD = 16
LEAST_A_YEAR = 1e6


class _Rarest(NamedTuple):
    """The row of a delivery that training expected least."""

    row: Observation
    found: rarity.Row
    names: tuple[str, ...]


def find(
    house: House,
    deployment: Deployment,
    version: Version,
    rows: Sequence[Observation],
    *,
    project: str | None = None,
) -> guarding.Unexpected | None:
    """Return the row of a delivery that training expected least, where a person should hear.

    Parameters
    ----------
    house
        Where.
    deployment
        That is watched.
    version
        That answered; its baseline says what is usual.
    rows
        As handed over and not yet kept, one or more.
    project
        Namespace.

    Returns
    -------
    guarding.Unexpected or None
        None unless the row is rarer than a tenth of the yearly false alarms allows for, at the
        rate of the log.
    """
    if not version.baseline:
        return None

    def read(tx: Transaction) -> tuple[str, float]:
        return adopted.baseline_owner(tx, version), _level(tx, deployment, rows)

    owner, level = house.read(read, project=project)
    known = _read(house.get_blob(owner, version.baseline, project=project))
    seen = _rarest(known, rows)
    if seen.found.p_value > level:
        return None
    values = {name: seen.row.features.get(name) for name in seen.names}
    key = seen.row.key or "a row without a key"
    sentence, evidence = guarding.words(seen.found, values, key=key, level=level)
    return guarding.Unexpected(
        deployment=deployment.name,
        kind=KIND,
        column=seen.found.column,
        sentence=sentence,
        evidence=(*evidence, f"shown by: homeostat monitor unusual {deployment.name}"),
    )


def tell(tx: Transaction, told: guarding.Unexpected) -> Alert:
    """Open the alert of an unexpected decision; one that stands already is not told again.

    Parameters
    ----------
    tx
        Opened for writing.
    told
        From `find`.
    """
    return watching.open_alert(
        tx,
        SYSTEM,
        deployment=told.deployment,
        kind=told.kind,
        cause="unknown",
        column=told.column or None,
        sentence=told.sentence,
        evidence=told.evidence,
    )


@functools.lru_cache(maxsize=MOST_HELD)
def _read(baseline: bytes) -> rarity.Reference:
    """Read a baseline, which takes longer than to look at a thousand rows."""
    return packed.read(baseline)


def _rarest(known: rarity.Reference, rows: Sequence[Observation]) -> _Rarest:
    names = tuple(known.names)
    table = [[row.features.get(name) for row in rows] for name in names]
    if len(rows) >= guarding.FEW_ROWS:
        at, found = known.rarest(table, len(rows))
    else:
        each = [(at, known.one([column[at] for column in table])) for at in range(len(rows))]
        at, found = min(each, key=lambda row: row[1].p_value)
    return _Rarest(rows[at], found, names)


def _level(tx: Transaction, deployment: Deployment, rows: Sequence[Observation]) -> float:
    """Return the chance of a false alarm that one row may have, at the rate of the log."""
    since = min(deployment.created_at, *(row.at for row in rows if row.at is not None), tx.at)
    seconds = max(LEAST_S, (tx.at - since) / 1000)
    n_rows = predictions.get_log(tx, SYSTEM, deployment.name).n_rows + len(rows)
    a_year = max(LEAST_A_YEAR, n_rows / seconds * guarding.YEAR_S)
    alarms = serving.get_policy(deployment).monitoring.false_alarms_per_year
    return alarms * guarding.SHARE / a_year
