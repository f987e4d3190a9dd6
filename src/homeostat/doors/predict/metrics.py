"""What the workers counted, as Prometheus reads it; answers ``/metrics``.

`worker` measures its own process, `supervisor` adds the workers up, and the worker that was
asked writes the sum.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from homeostat.lifecycle.serving import engine, loading, meters

_COUNTED: Final = re.compile(r"(?:/v2/models/([^/]+))?/(explain|labels)")
_ROUTES: Final[dict[str, meters.Route]] = {"explain": "explain", "labels": "label"}


def count(
    answering: engine.Engine, path: str, *, named: str, status: int, seconds: float
) -> None:
    """Count an explanation or a call with labels; other paths that predict nothing are not.

    Parameters
    ----------
    answering
        Whose meters count.
    path
        Of the request.
    named
        The deployment that a header names; empty where none does.
    status
        HTTP status of the answer.
    seconds
        From the last byte of the request to the answer.
    """
    found = _COUNTED.fullmatch(path)
    if found is None:
        return
    names = answering.names
    name = found[1] or named or (names[0] if len(names) == 1 else "")
    # What is not known here has no name: callers could else fill the memory with names.
    name = name if name in names else ""
    answering.meters.observe(name, status=status, seconds=seconds, route=_ROUTES[found[2]])


def measure(answering: engine.Engine, *, held_bytes: int = 0) -> meters.Snapshot:
    """Return all numbers of this process.

    Parameters
    ----------
    answering
        The engine.
    held_bytes
        What the loaded versions take.

    Returns
    -------
    Snapshot
        Counts and gauges.
    """
    counted = answering.meters.snapshot()
    warm = [(one.document.deployment, one) for one in answering.warm()]
    gauges: dict[str, list[tuple[meters.Labels, float]]] = {
        "spool_lost_rows_total": [((), answering.log.lost_rows)],
        "spool_open_rows": [((), answering.log.waiting_rows())],
        "queue_rows": [
            ((name,), sum(arm.lane.n_waiting for arm in now.arms)) for name, now in warm
        ],
        "plan_generation": [((name,), now.document.plan.generation) for name, now in warm],
        "deployments_known": [((), len(answering.names))],
        "deployments_warm": [((), len(warm))],
        "versions_bytes": [((), held_bytes)],
        "memory_bytes": [((), loading.resident_bytes())],
        "workers": [((), 1)],
    }
    return meters.Snapshot(numbers={**counted.numbers, **gauges}, histograms=counted.histograms)


def expose(told: meters.Snapshot) -> bytes:
    """Write numbers.

    Parameters
    ----------
    told
        Of one process or of all.

    Returns
    -------
    bytes
        Prometheus text format 0.0.4.
    """
    lines: list[str] = []
    for family in meters.FAMILIES:
        values = told.numbers.get(family.name)
        if values is not None:
            _head(lines, family.name, family.told, family.kind)
            for labels, value in values:
                _sample(lines, family.name, _named(family.labels, labels), value)
    for histogram in meters.HISTOGRAMS:
        found = told.histograms.get(histogram.name, [])
        if found:
            _head(lines, histogram.name, histogram.told, "histogram")
        for labels, buckets in found:
            _histogram(lines, histogram, _named(histogram.labels, labels), buckets)
    return ("\n".join(lines) + "\n").encode()


def _named(names: tuple[str, ...], values: meters.Labels) -> dict[str, str]:
    return dict(zip(names, values, strict=True))


def _histogram(
    lines: list[str],
    family: meters.HistogramFamily,
    labels: Mapping[str, str],
    buckets: meters.Buckets,
) -> None:
    total = 0
    edges = [*map(str, family.edges), "+Inf"]
    for edge, count in zip(edges, buckets.counts, strict=True):
        total += count
        _sample(lines, f"{family.name}_bucket", {**labels, "le": edge}, total)
    _sample(lines, f"{family.name}_sum", labels, buckets.total)
    _sample(lines, f"{family.name}_count", labels, total)


def _head(lines: list[str], name: str, told: str, kind: str) -> None:
    lines.append(f"# HELP homeostat_{name} {told}")
    lines.append(f"# TYPE homeostat_{name} {kind}")


def _sample(lines: list[str], name: str, labels: Mapping[str, str], value: float) -> None:
    told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    shown = f"{{{told}}}" if told else ""
    number = int(value) if value == int(value) else value
    lines.append(f"homeostat_{name}{shown} {number}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
