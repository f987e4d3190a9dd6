"""What prediction processes count about themselves; filled by the engine, shown by its door.

A `Snapshot` leaves the process: those of several workers add up to one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

EDGES_S: Final = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
EDGES_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 10_000)
Labels = tuple[str, ...]
Route = Literal["predict", "explain", "label"]


class Family(msgspec.Struct, frozen=True):
    """One metric: its name, what it tells, its kind, its labels, and how workers add up."""

    name: str
    told: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...] = ()
    adds: Literal["sum", "min", "max"] = "sum"


class HistogramFamily(msgspec.Struct, frozen=True):
    """One metric with buckets."""

    name: str
    told: str
    labels: tuple[str, ...]
    edges: tuple[float, ...]


FAMILIES: Final = (
    Family(
        "requests_total", "Requests answered.", "counter", ("deployment", "route", "status")
    ),
    Family(
        "rows_total",
        "Rows scored, shadows included.",
        "counter",
        ("deployment", "arm", "version"),
    ),
    Family("batches_total", "Batches scored.", "counter", ("deployment", "arm")),
    Family(
        "member_failures_total",
        "Rows a member could not score.",
        "counter",
        ("deployment", "member", "kind"),
    ),
    Family(
        "fallbacks_total",
        "Rows the stable arm answered for another.",
        "counter",
        ("deployment", "arm"),
    ),
    Family(
        "shadow_dropped_total",
        "Rows a shadow had no room for.",
        "counter",
        ("deployment", "member"),
    ),
    Family(
        "unseen_total",
        "Requests with a category that training never saw.",
        "counter",
        ("deployment", "column"),
    ),
    Family(
        "corrections_fired_total",
        "Rows whose score or answer a correction changed.",
        "counter",
        ("deployment", "correction"),
    ),
    Family("labels_total", "Late labels taken.", "counter", ("deployment",)),
    Family("loads_total", "Versions loaded into memory.", "counter"),
    Family("load_failures_total", "Versions that could not be loaded.", "counter"),
    Family("load_seconds_total", "Time spent loading versions.", "counter"),
    Family("evictions_total", "Deployments put out of memory for others.", "counter"),
    Family("spool_lost_rows_total", "Rows that could not be logged.", "counter"),
    Family("spool_open_rows", "Rows in open segments.", "gauge"),
    Family("spool_waiting_segments", "Segments to hand over.", "gauge", adds="max"),
    Family("spool_refused_segments", "Segments never taken.", "gauge", adds="max"),
    Family("spool_lag_seconds", "Age of the oldest segment to hand over.", "gauge", adds="max"),
    Family("queue_rows", "Rows that wait for a batch.", "gauge", ("deployment",)),
    Family(
        "plan_generation",
        "Generation of the plan that answers; in every worker at least this one.",
        "gauge",
        ("deployment",),
        "min",
    ),
    Family("deployments_known", "Deployments that can be asked.", "gauge", adds="max"),
    Family(
        "deployments_warm",
        "Deployments in memory, in the worker that has most.",
        "gauge",
        adds="max",
    ),
    Family("versions_bytes", "Memory that loaded versions take.", "gauge"),
    Family("memory_bytes", "Resident memory of the workers.", "gauge"),
    Family("workers", "Workers that answer.", "gauge"),
    Family("workers_missing", "Workers whose present numbers are not in here.", "gauge"),
    Family("worker_restarts_total", "Workers that ended and were started again.", "counter"),
    Family("plans_waiting", "Plans whose files could not be had yet.", "gauge"),
    Family("control_plane_up", "Whether the server answered when last asked.", "gauge"),
)
SECONDS: Final = HistogramFamily(
    "request_seconds", "From request to answer.", ("deployment", "route"), EDGES_S
)
BATCH_ROWS: Final = HistogramFamily(
    "batch_rows", "Rows scored together.", ("deployment", "arm"), EDGES_ROWS
)
CANARY_SECONDS: Final = HistogramFamily(
    "canary_scoring_seconds",
    "From rows to scores, of a canary's batches of up to 16 rows.",
    ("deployment", "generation"),
    EDGES_S,
)
FEW_ROWS: Final = 16
HISTOGRAMS: Final = (SECONDS, BATCH_ROWS, CANARY_SECONDS)
_ADDING: Final = {one.name: one.adds for one in FAMILIES}
_COUNTERS: Final = frozenset(one.name for one in FAMILIES if one.kind == "counter")


class Buckets(msgspec.Struct, frozen=True, array_like=True):
    """A histogram's counts, the last one beyond all edges, and the sum of what it saw."""

    counts: tuple[int, ...]
    total: float


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers by family, each with the values of its labels."""

    numbers: dict[str, list[tuple[Labels, float]]] = {}
    histograms: dict[str, list[tuple[Labels, Buckets]]] = {}


class Histogram:
    """Counts by upper edge, as Prometheus has them, the last one being infinity."""

    def __init__(self, edges: tuple[float, ...] = EDGES_S) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value.

        Parameters
        ----------
        value
            In the unit of the edges.
        """
        self.counts[bisect_left(self.edges, value)] += 1
        self.total += value


class Meters:
    """All counts of one process; every key begins with the deployment's name."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()  # deployment, route, status
        self.rows: Counter[tuple[str, str, str]] = Counter()  # deployment, arm, composite
        self.batches: Counter[tuple[str, str]] = Counter()  # deployment, arm
        self.faults: Counter[tuple[str, str, str]] = Counter()  # deployment, member, kind
        self.fallbacks: Counter[tuple[str, str]] = Counter()  # deployment, arm
        self.shadow_dropped: Counter[tuple[str, str]] = Counter()  # deployment, member
        self.unseen: Counter[tuple[str, str]] = Counter()  # deployment, column
        self.corrections: Counter[tuple[str, str]] = Counter()  # deployment, id@version
        self.labels: Counter[str] = Counter()  # deployment
        self.seconds: dict[tuple[str, str], Histogram] = {}  # deployment, route
        self.batch_rows: dict[tuple[str, str], Histogram] = {}  # deployment, arm
        self.canary: dict[str, tuple[str, Histogram]] = {}  # deployment: generation
        self.loads = 0
        self.load_failures = 0
        self.load_seconds = 0.0
        self.evictions = 0

    def observe(
        self, deployment: str, *, status: int, seconds: float, route: Route = "predict"
    ) -> None:
        """Count one answered request.

        Parameters
        ----------
        deployment
            Its name.
        status
            HTTP status of the answer.
        seconds
            From the last byte of the request to the answer.
        route
            What was asked for.
        """
        self.requests[deployment, route, str(status)] += 1
        histogram = self.seconds.get((deployment, route))
        if histogram is None:
            histogram = self.seconds[deployment, route] = Histogram()
        histogram.observe(seconds)

    def of_canary(self, deployment: str, generation: int) -> Histogram:
        """Return what counts how long a canary's scoring takes; one for each plan.

        Parameters
        ----------
        deployment, generation
            Of the plan; what was counted for the one before is forgotten.
        """
        known = self.canary.get(deployment)
        if known is None or known[0] != str(generation):
            known = self.canary[deployment] = (str(generation), Histogram())
        return known[1]

    def scored(self, deployment: str, arm: str, *, version: str, n_rows: int) -> None:
        """Count one scored batch.

        Parameters
        ----------
        deployment, arm, version
            Who scored it.
        n_rows
            1 or more.
        """
        self.rows[deployment, arm, version] += n_rows
        self.batches[deployment, arm] += 1
        histogram = self.batch_rows.get((deployment, arm))
        if histogram is None:
            histogram = self.batch_rows[deployment, arm] = Histogram(EDGES_ROWS)
        histogram.observe(n_rows)

    def snapshot(self) -> Snapshot:
        """Return the counts of this moment.

        Returns
        -------
        Snapshot
            Of the families that a process counts; gauges are the door's to add.
        """
        numbers: dict[str, list[tuple[Labels, float]]] = {
            "requests_total": list(self.requests.items()),
            "rows_total": list(self.rows.items()),
            "batches_total": list(self.batches.items()),
            "member_failures_total": list(self.faults.items()),
            "fallbacks_total": list(self.fallbacks.items()),
            "shadow_dropped_total": list(self.shadow_dropped.items()),
            "unseen_total": list(self.unseen.items()),
            "corrections_fired_total": list(self.corrections.items()),
            "labels_total": [((name,), n) for name, n in self.labels.items()],
            "loads_total": [((), self.loads)],
            "load_failures_total": [((), self.load_failures)],
            "load_seconds_total": [((), self.load_seconds)],
            "evictions_total": [((), self.evictions)],
        }
        histograms: dict[str, list[tuple[Labels, Buckets]]] = {
            SECONDS.name: [(labels, _buckets(one)) for labels, one in self.seconds.items()],
            BATCH_ROWS.name: [(labels, _buckets(o)) for labels, o in self.batch_rows.items()],
            CANARY_SECONDS.name: [
                ((name, generation), _buckets(one))
                for name, (generation, one) in self.canary.items()
            ],
        }
        return Snapshot(numbers=numbers, histograms=histograms)


def add(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Add up what several processes counted.

    Parameters
    ----------
    snapshots
        Of any number of processes.

    Returns
    -------
    Snapshot
        Counts and buckets are summed; of a gauge the sum, or the least or the greatest, as its
        family says.

    Examples
    --------
    >>> one = Snapshot(numbers={"workers": [((), 1)], "plan_generation": [(("a",), 3)]})
    >>> two = Snapshot(numbers={"workers": [((), 1)], "plan_generation": [(("a",), 2)]})
    >>> add([one, two]).numbers
    {'workers': [((), 2)], 'plan_generation': [(('a',), 2)]}
    """
    numbers: dict[str, dict[Labels, float]] = {}
    histograms: dict[str, dict[Labels, Buckets]] = {}
    for snapshot in snapshots:
        for name, values in snapshot.numbers.items():
            found = numbers.setdefault(name, {})
            adds = _ADDING.get(name, "sum")
            for labels, value in values:
                known = found.get(labels)
                found[labels] = value if known is None else _put(adds, known, value)
        for name, told in snapshot.histograms.items():
            held = histograms.setdefault(name, {})
            for labels, buckets in told:
                before = held.get(labels)
                held[labels] = buckets if before is None else _merge(before, buckets)
    return Snapshot(
        numbers={name: list(values.items()) for name, values in numbers.items()},
        histograms={name: list(values.items()) for name, values in histograms.items()},
    )


def lasting(snapshot: Snapshot) -> Snapshot:
    """Return what stays true of a process that has ended: its counts, not its gauges.

    Parameters
    ----------
    snapshot
        The last one of a process.
    """
    numbers = {name: one for name, one in snapshot.numbers.items() if name in _COUNTERS}
    return Snapshot(numbers=numbers, histograms=snapshot.histograms)


def _put(adds: str, known: float, value: float) -> float:
    if adds == "sum":
        return known + value
    return min(known, value) if adds == "min" else max(known, value)


def _merge(one: Buckets, other: Buckets) -> Buckets:
    counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
    return Buckets(counts, one.total + other.total)


def _buckets(histogram: Histogram) -> Buckets:
    return Buckets(tuple(histogram.counts), histogram.total)
