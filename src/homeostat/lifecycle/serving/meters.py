"""What a prediction process counts about itself; filled by the engine, shown by its door."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

EDGES_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


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
        self.requests: Counter[tuple[str, str]] = Counter()  # deployment, status
        self.rows: Counter[tuple[str, str, str]] = Counter()  # deployment, arm, composite
        self.batches: Counter[tuple[str, str]] = Counter()  # deployment, arm
        self.faults: Counter[tuple[str, str, str]] = Counter()  # deployment, member, kind
        self.fallbacks: Counter[tuple[str, str]] = Counter()  # deployment, arm
        self.shadow_dropped: Counter[tuple[str, str]] = Counter()  # deployment, member
        self.labels: Counter[str] = Counter()  # deployment
        self.seconds: dict[str, Histogram] = {}  # deployment

    def observe(self, deployment: str, *, status: int, seconds: float) -> None:
        """Count one answered request.

        Parameters
        ----------
        deployment
            Its name.
        status
            HTTP status of the answer.
        seconds
            From the last byte of the request to the answer.
        """
        self.requests[deployment, str(status)] += 1
        histogram = self.seconds.get(deployment)
        if histogram is None:
            histogram = self.seconds[deployment] = Histogram()
        histogram.observe(seconds)
