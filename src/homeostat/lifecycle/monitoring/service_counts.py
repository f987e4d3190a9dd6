"""How many requests were answered how fast, in slots of five minutes; called by `measuring`.

The prediction server counts since it was started and tells Prometheus; the worker reads the
same numbers and keeps what was added, so that an objective for latency can look back for
months.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.foundation.database.metadata import metadata

SLOT_MS: Final = 300_000
KEPT_MS: Final = 100 * 86_400_000
_BUCKET: Final = re.compile(r"homeostat_request_seconds_bucket\{(.*)\} (\d+)")
_FAILED: Final = re.compile(r"homeostat_requests_total\{(.*)\} (\d+)")
_CANARY: Final = re.compile(r"homeostat_canary_scoring_seconds_bucket\{(.*)\} (\d+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_SERVER_ERROR: Final = "5"


class Counts(msgspec.Struct, frozen=True):
    """Requests for predictions.

    Attributes
    ----------
    within
        How many took at most so many seconds, by the edge as Prometheus writes it; the last,
        ``+Inf``, are all.
    failed
        How many the server could not answer.
    """

    within: dict[str, int] = {}
    failed: int = 0

    @property
    def total(self) -> int:
        """All requests."""
        return self.within.get("+Inf", 0)

    def less(self, before: Counts) -> Counts:
        """Return what was added since; all of it, where the server began anew.

        Examples
        --------
        >>> now = Counts({"0.05": 2, "+Inf": 3})  # it was asked as often, but not as fast
        >>> now.less(Counts({"0.05": 3, "+Inf": 3})) == now
        True
        """
        fell = any(self.within.get(edge, 0) < n for edge, n in before.within.items())
        if fell or self.failed < before.failed:
            return self
        return Counts(
            {edge: n - before.within.get(edge, 0) for edge, n in self.within.items()},
            self.failed - before.failed,
        )

    def more(self, other: Counts) -> Counts:
        """Return both together."""
        edges = {**self.within, **other.within}
        return Counts(
            {edge: self.within.get(edge, 0) + other.within.get(edge, 0) for edge in edges},
            self.failed + other.failed,
        )

    def good(self, seconds: float) -> int:
        """Return how many certainly took at most so long, and did not fail.

        Parameters
        ----------
        seconds
            Counted at the largest edge that is not above it.
        """
        edges = [edge for edge in self.within if edge != "+Inf" and float(edge) <= seconds]
        fast = self.within[max(edges, key=float)] if edges else 0
        return max(0, min(fast, self.total - self.failed))

    def slow(self, seconds: float) -> int:
        """Return how many certainly took longer.

        Parameters
        ----------
        seconds
            Counted at the smallest edge that is not below it.

        Examples
        --------
        >>> Counts({"0.05": 90, "0.1": 97, "+Inf": 100}).slow(0.06)
        3
        """
        edges = [edge for edge in self.within if edge != "+Inf" and float(edge) >= seconds]
        return self.total - self.within[min(edges, key=float)] if edges else 0


def read(text: str) -> dict[str, Counts]:
    """Return what a prediction server has counted since it was started, by deployment.

    Parameters
    ----------
    text
        Its ``/metrics``.
    """
    within: dict[str, dict[str, int]] = {}
    failed: dict[str, int] = {}
    for line in text.splitlines():
        if found := _BUCKET.fullmatch(line):
            labels = _labels(found[1])
            if labels.get("route") == "predict":
                within.setdefault(labels.get("deployment", ""), {})[labels["le"]] = int(
                    found[2]
                )
        elif found := _FAILED.fullmatch(line):
            labels = _labels(found[1])
            is_ours = labels.get("route") == "predict"
            if is_ours and labels.get("status", "").startswith(_SERVER_ERROR):
                name = labels.get("deployment", "")
                failed[name] = failed.get(name, 0) + int(found[2])
    return {name: Counts(edges, failed.get(name, 0)) for name, edges in within.items()}


def of_canary(text: str, deployment: str, *, generation: int) -> Counts:
    """Return how many batches a canary scored how fast, under one plan.

    Parameters
    ----------
    text
        ``/metrics`` of a prediction server.
    deployment, generation
        Whose plan.
    """
    within: dict[str, int] = {}
    for line in text.splitlines():
        if found := _CANARY.fullmatch(line):
            labels = _labels(found[1])
            if (labels.get("deployment"), labels.get("generation")) == (
                deployment,
                str(generation),
            ):
                within[labels["le"]] = int(found[2])
    return Counts(within)


def _labels(text: str) -> Mapping[str, str]:
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in _LABEL.findall(text)}


# --- as they are kept ------------------------------------------------------------------------

counts = sa.Table(
    "service_counts",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, primary_key=True),
    # 0 is not a time: there, what the server had counted when it was last asked.
    sa.Column("starts_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
)
_OURS = (
    counts.c.project == sa.bindparam("in_project"),
    counts.c.deployment == sa.bindparam("in_deployment"),
)
_AT = counts.c.starts_at == sa.bindparam("at_start", type_=sa.BigInteger)
_ONE = sa.select(counts.c.body).where(*_OURS, _AT)
_UPDATE = counts.update().where(*_OURS, _AT).values(body=sa.bindparam("to_body"))
_INSERT = counts.insert()
_PRUNE = counts.delete().where(
    *_OURS,
    counts.c.starts_at > 0,
    counts.c.starts_at < sa.bindparam("before", type_=sa.BigInteger),
)
_SINCE = (
    sa.select(counts.c.starts_at, counts.c.body)
    .where(*_OURS, counts.c.starts_at >= sa.bindparam("since", type_=sa.BigInteger))
    .order_by(counts.c.starts_at)
)


def add(tx: Transaction, actor: access.Actor, deployment: str, seen: Counts) -> Counts:
    """Keep what was answered since the server was last asked, in the slot of this moment.

    Parameters
    ----------
    tx, actor
        Needs ``monitoring.write``.
    deployment
        Its name.
    seen
        From `read`. What a server had counted before it was first asked is of no known time,
        and not kept.

    Returns
    -------
    Counts
        What was added.
    """
    access.require(actor, "monitoring.write")
    which = {"in_project": tx.project, "in_deployment": deployment}
    before = _find(tx, which, 0)
    _put(tx, which, 0, seen)
    if before is None:
        return Counts()
    added = seen.less(before)
    if added.total or added.failed:
        start = tx.at // SLOT_MS * SLOT_MS
        _put(tx, which, start, added.more(_find(tx, which, start) or Counts()))
        tx.execute(_PRUNE, {**which, "before": start - KEPT_MS})
    return added


def slots(tx: Transaction, deployment: str, *, since: int) -> list[tuple[int, Counts]]:
    """Return the slots of a deployment that begin from an instant on, in order.

    Parameters
    ----------
    tx
        Any transaction.
    deployment
        Its name.
    since
        Milliseconds UTC, above 0.
    """
    which = {"in_project": tx.project, "in_deployment": deployment, "since": max(1, since)}
    rows = tx.execute(_SINCE, which)
    return [(int(row.starts_at), msgspec.json.decode(row.body, type=Counts)) for row in rows]


def _find(tx: Transaction, which: dict[str, Any], start: int) -> Counts | None:
    body = tx.execute(_ONE, {**which, "at_start": start}).scalar()
    return None if body is None else msgspec.json.decode(body, type=Counts)


def _put(tx: Transaction, which: dict[str, Any], start: int, seen: Counts) -> None:
    body = msgspec.json.encode(seen).decode()
    changed = tx.execute(_UPDATE, {**which, "at_start": start, "to_body": body}).rowcount
    if not changed:
        row = {"project": which["in_project"], "deployment": which["in_deployment"]}
        tx.execute(_INSERT, {**row, "starts_at": start, "body": body})
