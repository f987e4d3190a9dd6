"""What a server says of alerts to Prometheus; read by `doors/api/alerts.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from homeostat.foundation import access, jobs
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.alerting import records, watching
from homeostat.lifecycle.monitoring import alerts, measurements

ALERTS = "homeostat_alerts"
DELIVERIES = "homeostat_alert_deliveries"
JOBS = "homeostat_jobs_waiting"
OVERDUE = "homeostat_jobs_overdue_seconds"
BUDGET = "homeostat_objective_budget_left"
BURN = "homeostat_objective_burn_rate"
_MOST = 1000


def expose(tx: Transaction, actor: access.Actor) -> str:
    """Return counts of alerts and deliveries.

    Parameters
    ----------
    tx, actor
        Needs the action ``alert.read``.

    Returns
    -------
    str
        Prometheus text format 0.0.4. Up to 1,000 alerts that are not over are counted.

    Raises
    ------
    NotAllowedError
        When the actor may not.
    """
    standing = alerts.list_alerts(tx, actor, states=watching.UNRESOLVED, limit=_MOST)
    counted = Counter(
        (
            one.deployment,
            one.kind,
            one.cause,
            one.state,
            "soft" if one.confirmed_at is None else "hard",
            "yes" if one.held_by else "no",
        )
        for one in standing
    )
    names = ("deployment", "kind", "cause", "state", "standing", "held")
    sent = tx.execute(records.DELIVERY_COUNTS, {"in_project": tx.project})
    lines = [
        *_family(
            ALERTS,
            "Alerts that are not over.",
            ((dict(zip(names, values, strict=True)), n) for values, n in counted.items()),
        ),
        *_family(
            DELIVERIES,
            "Messages about alerts, by receiver and what came of them.",
            (
                ({"receiver": row["receiver"], "state": row["state"]}, row["n"])
                for row in sent.mappings()
            ),
        ),
        *_objectives(tx, actor),
        *_family(JOBS, "Jobs that wait or are being done.", [({}, jobs.pending(tx))]),
        *_family(
            OVERDUE,
            "For how long the oldest job that is due waits for a worker.",
            [({}, jobs.overdue_ms(tx) / 1000)],
        ),
    ]
    return "\n".join(lines) + "\n"


def _objectives(tx: Transaction, actor: access.Actor) -> list[str]:
    """Return budgets and burn rates as last counted; those without data are not there."""
    budgets: list[tuple[dict[str, str], float]] = []
    burns: list[tuple[dict[str, str], float]] = []
    for deployment, one in measurements.every_objective(tx, actor):
        named = {"deployment": deployment, "objective": one.name, "class": one.model_class}
        if one.budget_left is not None:
            budgets.append((named, one.budget_left))
        burns += [
            ({**named, "seconds": str(burn.long_ms // 1000)}, burn.long)
            for burn in one.burns
            if burn.long is not None
        ]
    return [
        *_family(BUDGET, "What is left of an error budget, 1 untouched.", budgets),
        *_family(BURN, "How many times too fast a budget is spent, by window.", burns),
    ]


def _family(
    name: str, told: str, values: Iterable[tuple[Mapping[str, str], float]]
) -> list[str]:
    lines = [f"# HELP {name} {told}", f"# TYPE {name} gauge"]
    for labels, value in values:
        named = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{named}}} {value}" if named else f"{name} {value}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
