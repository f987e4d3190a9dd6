"""What an alert means for fits: performance that is below what the policy promises.

Called by `triggers` for each alert that opens. Performance is an objective of accuracy whose
budget burns, and a metric or an indicator of the user's own outside of its bounds. Speed,
freshness and fairness are no reason to fit: more of the same rows mends none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import newest
from homeostat.lifecycle.serving.entities import Deployment

BUDGETS = ("budget-fast", "budget-slow")
OWN = ("metric", "kpi")


def subject(
    tx: Transaction, actor: access.Actor, found: Deployment, alert: Mapping[str, Any]
) -> str:
    """Return what falls short, such as ``objective:right``; empty where it is no performance.

    Parameters
    ----------
    tx, actor
        Needs ``monitoring.read``.
    found
        The deployment of the alert.
    alert
        Facts of its event: ``kind``, and ``column``, which names what was promised.
    """
    kind, name = str(alert["kind"]), str(alert["column"] or "")
    if kind in OWN:
        return f"{kind}:{name}"
    if kind not in BUDGETS:
        return ""
    for one in newest.promises(tx, actor, found):
        called = f"{one.model_class}/{one.name}" if one.model_class else one.name
        if called == name and one.wanted.of == "accuracy":
            return f"objective:{name}"
    return ""
