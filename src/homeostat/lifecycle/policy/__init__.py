"""The policy of a model: `homeostat.toml`, read strictly; the lowest of a model's life."""

from __future__ import annotations

from homeostat.lifecycle.policy.entities import (
    Alerts,
    Data,
    Explain,
    Gates,
    Model,
    Monitoring,
    Policy,
    Retraining,
    Rollout,
    Serving,
)
from homeostat.lifecycle.policy.promised import Kpi, Metric, Objective
from homeostat.lifecycle.policy.read import digest, parse, read

__all__ = [
    "Alerts",
    "Data",
    "Explain",
    "Gates",
    "Kpi",
    "Metric",
    "Model",
    "Monitoring",
    "Objective",
    "Policy",
    "Retraining",
    "Rollout",
    "Serving",
    "digest",
    "parse",
    "read",
]
