"""What the process counted, as Prometheus reads it; answers ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from homeostat.lifecycle.serving import engine

Pairs = Iterable[tuple[Mapping[str, str], float]]


def expose(served: engine.Engine, *, waiting_segments: int, refused_segments: int) -> bytes:
    """Write all meters of a process.

    Parameters
    ----------
    served
        The engine.
    waiting_segments
        Closed segments that are not handed over yet.
    refused_segments
        Segments that the server will never take; somebody must look at them.

    Returns
    -------
    bytes
        Prometheus text format 0.0.4.
    """
    meters = served.meters
    lines: list[str] = []
    requests = [
        ({"deployment": name, "status": status}, n)
        for (name, status), n in meters.requests.items()
    ]
    _counter(lines, "requests_total", "Requests answered.", requests)
    rows = [
        ({"deployment": name, "arm": arm, "version": version}, n)
        for (name, arm, version), n in meters.rows.items()
    ]
    _counter(lines, "rows_total", "Rows scored, shadows included.", rows)
    batches = [
        ({"deployment": name, "arm": arm}, n) for (name, arm), n in meters.batches.items()
    ]
    _counter(lines, "batches_total", "Batches scored.", batches)
    faults = [
        ({"deployment": name, "member": member, "kind": kind}, n)
        for (name, member, kind), n in meters.faults.items()
    ]
    _counter(lines, "member_failures_total", "Rows a member could not score.", faults)
    fallbacks = [
        ({"deployment": name, "arm": arm}, n) for (name, arm), n in meters.fallbacks.items()
    ]
    _counter(lines, "fallbacks_total", "Rows the stable arm answered for another.", fallbacks)
    dropped = [
        ({"deployment": name, "member": member}, n)
        for (name, member), n in meters.shadow_dropped.items()
    ]
    _counter(lines, "shadow_dropped_total", "Rows a shadow had no room for.", dropped)
    labels = [({"deployment": name}, n) for name, n in meters.labels.items()]
    _counter(lines, "labels_total", "Late labels taken.", labels)
    _latency(lines, served)
    _gauge(lines, "spool_open_rows", "Rows in open segments.", served.log.waiting_rows())
    _gauge(lines, "spool_waiting_segments", "Segments to hand over.", waiting_segments)
    _gauge(lines, "spool_refused_segments", "Segments never taken.", refused_segments)
    _gauge(lines, "spool_lost_rows", "Rows that could not be logged.", served.log.lost_rows)
    _head(lines, "plan_generation", "Generation of the plan that answers.", "gauge")
    for name in served.names:
        generation = served.get(name).document.plan.generation
        _sample(lines, "plan_generation", {"deployment": name}, generation)
    return ("\n".join(lines) + "\n").encode()


def _latency(lines: list[str], served: engine.Engine) -> None:
    _head(lines, "request_seconds", "From request to answer.", "histogram")
    for name, histogram in served.meters.seconds.items():
        total = 0
        edges = [*map(str, histogram.edges), "+Inf"]
        for edge, count in zip(edges, histogram.counts, strict=True):
            total += count
            _sample(lines, "request_seconds_bucket", {"deployment": name, "le": edge}, total)
        _sample(lines, "request_seconds_sum", {"deployment": name}, histogram.total)
        _sample(lines, "request_seconds_count", {"deployment": name}, total)


def _counter(lines: list[str], name: str, told: str, values: Pairs) -> None:
    _head(lines, name, told, "counter")
    for labels, value in values:
        _sample(lines, name, labels, value)


def _gauge(lines: list[str], name: str, told: str, value: float) -> None:
    _head(lines, name, told, "gauge")
    _sample(lines, name, {}, value)


def _head(lines: list[str], name: str, told: str, kind: str) -> None:
    lines.append(f"# HELP homeostat_{name} {told}")
    lines.append(f"# TYPE homeostat_{name} {kind}")


def _sample(lines: list[str], name: str, labels: Mapping[str, str], value: float) -> None:
    told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    shown = f"{{{told}}}" if told else ""
    lines.append(f"homeostat_{name}{shown} {value}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
