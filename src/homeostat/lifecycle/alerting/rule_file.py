"""Rules for Prometheus on the metrics of the servers; written by `homeostat alerts rules`."""

from __future__ import annotations

from typing import Any

from homeostat.lifecycle.alerting import counting

_PREDICT = "homeostat_"


def rules() -> dict[str, Any]:
    """Return the groups of a Prometheus rule file, as plain data.

    Returns
    -------
    dict
        To be written as YAML. Thresholds are those a person would begin with; the file is the
        user's to change.
    """
    return {
        "groups": [
            {"name": "homeostat-alerts", "rules": _alerts()},
            {"name": "homeostat-predictions", "rules": _predictions()},
        ]
    }


def _alerts() -> list[dict[str, Any]]:
    standing = 'standing="hard",held="no"'
    given_up = f'{counting.DELIVERIES}{{state="given-up"}}'
    return [
        _rule(
            "HomeostatModelDoesHarm",
            f'sum by (deployment) ({counting.ALERTS}{{kind="harm",{standing}}}) > 0',
            summary="{{ $labels.deployment }} answers worse than accepted",
            severity="critical",
        ),
        _rule(
            "HomeostatBudgetBurnsFast",
            f'sum by (deployment) ({counting.ALERTS}{{kind="budget-fast",{standing}}}) > 0',
            summary="{{ $labels.deployment }} spends the error budget of an objective",
            severity="critical",
        ),
        _rule(
            "HomeostatBudgetUsedUp",
            f"{counting.BUDGET} < 0",
            hold="15m",
            summary="{{ $labels.objective }} of {{ $labels.deployment }} is not kept",
        ),
        _rule(
            "HomeostatAlert",
            "sum by (deployment, kind, cause) "
            f'({counting.ALERTS}{{kind!~"harm|budget-fast",{standing}}}) > 0',
            summary="{{ $labels.deployment }}: {{ $labels.kind }}, {{ $labels.cause }}",
        ),
        _rule(
            "HomeostatAlertNotDelivered",
            # Zero an hour ago is a series that was not there.
            f"{given_up} > ({given_up} offset 1h or 0 * {given_up})",
            summary="Messages to {{ $labels.receiver }} were given up",
        ),
        _rule(
            "HomeostatWorkerAway",
            f"{counting.OVERDUE} > 900",
            summary="Jobs wait for a quarter of an hour: without a worker nothing is judged, "
            "and nobody is told",
            severity="critical",
        ),
        _rule(
            "HomeostatJobsPileUp",
            f"{counting.JOBS} > 100",
            hold="15m",
            summary="Jobs come faster than the worker does them",
        ),
    ]


def _predictions() -> list[dict[str, Any]]:
    requests = f"rate({_PREDICT}requests_total"
    return [
        _rule(
            "HomeostatPredictionsFail",
            f'sum by (deployment) ({requests}{{status=~"5.."}}[5m])) '
            f"> 0.01 * sum by (deployment) ({requests}[5m]))",
            hold="5m",
            summary="More than 1 % of the requests to {{ $labels.deployment }} fail",
            severity="critical",
        ),
        _rule(
            "HomeostatPredictionsSlow",
            "histogram_quantile(0.99, sum by (deployment, le) "
            f'(rate({_PREDICT}request_seconds_bucket{{route="predict"}}[5m]))) > 0.25',
            hold="10m",
            summary="One request in a hundred to {{ $labels.deployment }} takes over 250 ms",
        ),
        _rule(
            "HomeostatMemberFails",
            f"sum by (deployment, member) (rate({_PREDICT}member_failures_total[5m])) > 0",
            hold="5m",
            summary="{{ $labels.member }} of {{ $labels.deployment }} cannot score rows",
        ),
        _rule(
            "HomeostatPredictionsNotLogged",
            f"increase({_PREDICT}spool_lost_rows_total[15m]) > 0",
            summary="Predictions were answered that could not be logged",
            severity="critical",
        ),
        _rule(
            "HomeostatLogNotHandedOver",
            f"{_PREDICT}spool_lag_seconds > 900",
            hold="5m",
            summary="The log of predictions waits for the server",
        ),
        _rule(
            "HomeostatControlPlaneDown",
            f"{_PREDICT}control_plane_up == 0",
            hold="5m",
            summary="The prediction server goes on with its last plan; the server is away",
        ),
        _rule(
            "HomeostatWorkersRestart",
            f"increase({_PREDICT}worker_restarts_total[15m]) > 3",
            summary="Workers of the prediction server die again and again",
        ),
    ]


def _rule(
    name: str, expression: str, *, summary: str, hold: str = "", severity: str = "warning"
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        **({"for": hold} if hold else {}),
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }
