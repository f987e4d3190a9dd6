"""Homeostat: keep machine-learning models in production accurate, explained and accountable.

The public Python API. Names load on first use, so that ``import homeostat`` costs next to
nothing in a pipeline's process.

>>> import homeostat as hs
>>> @hs.step
... def double(x: int) -> int:
...     return 2 * x
>>> double(21)
42
"""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "Client": "homeostat.doors.client",
    "ConflictError": "homeostat.foundation.errors",
    "CorruptError": "homeostat.foundation.errors",
    "GateClosedError": "homeostat.foundation.errors",
    "HomeostatError": "homeostat.foundation.errors",
    "InvalidInputError": "homeostat.foundation.errors",
    "NotAllowedError": "homeostat.foundation.errors",
    "NotFoundError": "homeostat.foundation.errors",
    "TooLargeError": "homeostat.foundation.errors",
    "UnauthenticatedError": "homeostat.foundation.errors",
    "UnavailableError": "homeostat.foundation.errors",
    "UserCodeError": "homeostat.foundation.errors",
    "WrongMediaError": "homeostat.foundation.errors",
    "WrongMethodError": "homeostat.foundation.errors",
    "connect": "homeostat.doors.local",
    "drift_report": "homeostat.lifecycle.monitoring.report",
    "pipeline": "homeostat.lifecycle.pipeline.steps",
    "step": "homeostat.lifecycle.pipeline.steps",
}

__all__ = [
    "Client",
    "ConflictError",
    "CorruptError",
    "GateClosedError",
    "HomeostatError",
    "InvalidInputError",
    "NotAllowedError",
    "NotFoundError",
    "TooLargeError",
    "UnauthenticatedError",
    "UnavailableError",
    "UserCodeError",
    "WrongMediaError",
    "WrongMethodError",
    "connect",
    "drift_report",
    "pipeline",
    "step",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("homeostat")
    if name not in _PLACES:
        raise AttributeError(f"module 'homeostat' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
