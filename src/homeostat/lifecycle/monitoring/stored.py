"""Summaries of what was served, kept by minute, hour and day and added when they are read.

Every row of the log is counted once on the frozen bins of the version that answered, into the
windows it belongs to, so that a month is drawn without a row being read again. Windows are kept
by version, role and, for hours and days, by value of a protected column and by slice. Called by
the loop's `summarising`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec
import polars as pl

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.monitoring import (
    baseline,
    column_windows,
    report,
    slicing,
    stored_records,
)
from homeostat.measures import summary, windows

Grain = Literal["minute", "hour", "day"]
Role = Literal["stable", "canary", "shadow"]

GRAINS: Final[dict[Grain, int]] = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
"""Milliseconds."""
KEPT: Final[dict[Grain, int]] = {"minute": 2 * 86_400_000, "hour": 400 * 86_400_000}
"""How far back from the newest row, in milliseconds; days are kept for good."""
ROLES: Final[tuple[Role, ...]] = get_args(Role)
EVERYBODY = ""
MOST_PARTS = 16
MOST_WINDOWS = 1000
_COMPRESSED = b"\x78"  # no packed window begins so


class Place(NamedTuple):
    """Which window a summary is of."""

    grain: Grain
    starts_at: int
    version: str
    role: str
    part: str


class SummaryWindow(msgspec.Struct, frozen=True, kw_only=True):
    """All columns in one window, as one version saw them."""

    starts_at: int
    ends_at: int
    version: str
    n_rows: int
    columns: dict[str, column_windows.ColumnWindow]


class Stored(NamedTuple):
    """A packed summary as it is kept."""

    starts_at: int
    version: str
    n_rows: int
    summary: bytes


def summarise(
    rows: pl.DataFrame,
    frozen: baseline.Baseline,
    *,
    at: Sequence[int],
    version: str,
    role: str,
    parts: Mapping[str, Sequence[str]],
    slices: Mapping[str, pl.Series] = MappingProxyType({}),
) -> Iterator[tuple[Place, int, bytes]]:
    """Count rows of one version into their windows.

    Parameters
    ----------
    rows
        Features as plain columns, and ``score`` where the baseline has one.
    frozen
        Baseline of the version, whose bins they are counted on.
    at
        When each row was served, milliseconds UTC.
    version, role
        Who answered, and as what.
    parts
        Protected columns of the rows, whose values are parts of their own; the most frequent
        16 of all.
    slices
        Which rows are in which slice, by its name; each is a part of its own.

    Yields
    ------
    tuple
        Place, rows and packed summary of a window.
    """
    newest = max(at, default=0)
    whole = rows.with_columns(pl.Series("_at", at, dtype=pl.Int64))
    for grain, length in GRAINS.items():
        kept = KEPT.get(grain)
        inside = whole if kept is None else whole.filter(pl.col("_at") >= newest - kept)
        start = pl.col("_at") // length * length
        for (starts_at,), part in inside.group_by(start, maintain_order=True):
            place = Place(grain, int(str(starts_at)), version, role, EVERYBODY)
            yield place, part.height, _packed(part, frozen)
    named = whole.with_columns(pl.Series(f"_{name}", values) for name, values in parts.items())
    sliced = ((slicing.label(name), whole.filter(inside)) for name, inside in slices.items())
    for label, chosen in (*_largest(named, tuple(parts)), *sliced):
        for grain in ("hour", "day"):
            length = GRAINS[grain]
            start = pl.col("_at") // length * length
            for (starts_at,), part in chosen.group_by(start, maintain_order=True):
                place = Place(grain, int(str(starts_at)), version, role, label)
                yield place, part.height, _packed(part, frozen)


def _packed(rows: pl.DataFrame, frozen: baseline.Baseline) -> bytes:
    return windows.pack(summary.summarise_table(rows, frozen.bins))


def _opened(kept: bytes) -> bytes:
    """Return a window as it was packed; those kept before they were small are compressed."""
    return zlib.decompress(kept) if kept.startswith(_COMPRESSED) else kept


def _largest(rows: pl.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    found = [
        (part.height, f"{name}={value}", part)
        for name in columns
        for (value,), part in rows.group_by(f"_{name}")
    ]
    found.sort(key=lambda one: (-one[0], one[1]))
    yield from ((label, part) for _, label, part in found[:MOST_PARTS])


def place(tx: Transaction, deployment: str) -> int:
    """Return the first row of a deployment's log that is not in any window yet."""
    which = {"in_project": tx.project, "in_deployment": deployment}
    return int(tx.execute(stored_records.PLACE, which).scalar() or 0)


def add(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    found: Sequence[tuple[Place, int, bytes]],
    *,
    rows: tuple[int, int],
) -> None:
    """Add windows to those that are kept, and let go of minutes and hours that are too old.

    Parameters
    ----------
    tx, actor
        Needs ``monitoring.write``.
    deployment
        Its name.
    found
        From `summarise`.
    rows
        Of the log, first and end; every row is added once.

    Raises
    ------
    ConflictError
        When another worker added them; nothing is added twice.
    """
    access.require(actor, "monitoring.write")
    which = {"in_project": tx.project, "in_deployment": deployment}
    moved = tx.execute(
        stored_records.MOVE, {**which, "from_row": rows[0], "to_row": rows[1]}
    ).rowcount
    if not moved and (rows[0] or place(tx, deployment)):
        raise errors.ConflictError(
            f"rows {rows[0]} to {rows[1]} of deployment {deployment!r} are summarised already",
            hint="two workers do the same; nothing is lost",
        )
    if not moved:
        begun = {"project": tx.project, "deployment": deployment, "summarised_row": rows[1]}
        tx.execute(stored_records.BEGIN, begun)
    for one in found:
        _grow(tx, deployment, one)
    newest = max((where.starts_at for where, _, _ in found), default=0)
    for grain, kept in KEPT.items():
        before = {**which, "in_grain": grain, "before": newest - kept - GRAINS["day"]}
        tx.execute(stored_records.PRUNE, before)


def _grow(tx: Transaction, deployment: str, found: tuple[Place, int, bytes]) -> None:
    where, n_rows, packed = found
    which = {
        "in_project": tx.project,
        "in_deployment": deployment,
        "in_grain": where.grain,
        "at_start": where.starts_at,
        "in_version": where.version,
        "in_role": where.role,
        "in_part": where.part,
    }
    before = tx.execute(stored_records.ONE, which).first()
    if before is None:
        row = {
            "project": tx.project,
            "deployment": deployment,
            **where._asdict(),
            "n_rows": n_rows,
            "summary": packed,
        }
        tx.execute(stored_records.INSERT, row)
        return
    try:
        both = windows.pack(windows.merge([_opened(one) for one in (before.summary, packed)]))
        n_rows += before.n_rows
    except ValueError:
        both = packed  # the version was judged anew: other bins, so its window begins again
    tx.execute(stored_records.GROW, {**which, "to_rows": n_rows, "to_summary": both})


def latest(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    *,
    grain: Grain = "hour",
    since: int = 0,
    until: int = 2**62,
    role: Role = "stable",
    part: str = EVERYBODY,
    limit: int = 100,
) -> list[Stored]:
    """Return stored windows, the latest first; by version where several answered in one.

    Parameters
    ----------
    tx, actor
        Needs ``monitoring.read``.
    deployment
        Its name.
    grain
        How long they are.
    since, until
        Windows that begin from then on and before then, milliseconds UTC.
    role
        What those that answered were.
    part
        Value of a protected column, such as ``sex=f``, or a slice, such as ``slice=young``;
        everybody when empty.
    limit
        At most this many, 1 to 1000.

    Raises
    ------
    InvalidInputError
        When `limit` is out of range.
    NotAllowedError
        When the actor may not.
    """
    access.require(actor, "monitoring.read")
    if not 1 <= limit <= MOST_WINDOWS:
        raise errors.InvalidInputError(f"limit must be 1 to {MOST_WINDOWS}; got {limit}")
    which: dict[str, Any] = {
        "in_project": tx.project,
        "in_deployment": deployment,
        "in_grain": grain,
        "since": since,
        "until": until,
        "in_part": part,
        "in_role": role,
        "n": limit,
    }
    return [
        Stored(row["starts_at"], row["version"], row["n_rows"], row["summary"])
        for row in tx.execute(stored_records.LATEST, which).mappings()
    ]


def parts(
    tx: Transaction, actor: access.Actor, deployment: str, *, limit: int = MOST_WINDOWS
) -> dict[Role, list[str]]:
    """Return which parts of what was answered are kept, by what those were that answered.

    Parameters
    ----------
    tx, actor
        Needs ``monitoring.read``.
    deployment
        Its name.
    limit
        At most this many.

    Returns
    -------
    dict
        For each role that answered: values of protected columns, and slices; `EVERYBODY` first.
    """
    access.require(actor, "monitoring.read")
    which: dict[str, Any] = {
        "in_project": tx.project,
        "in_deployment": deployment,
        "in_grain": "day",
        "n": limit,
    }
    found: dict[Role, list[str]] = {}
    for row in tx.execute(stored_records.PARTS, which).mappings():
        found.setdefault(row["role"], []).append(row["part"])
    return found


def counts(
    tx: Transaction, deployment: str, *, grain: Grain = "hour", since: int = 0
) -> list[tuple[int, int]]:
    """Return begin and number of rows of each window with any, in order; over all versions."""
    which = {
        "in_project": tx.project,
        "in_deployment": deployment,
        "in_grain": grain,
        "since": since,
        "in_role": ROLES[0],
    }
    found = tx.execute(stored_records.COUNTS, which).mappings()
    return [(int(row["starts_at"]), int(row["n_rows"])) for row in found]


def view(one: Stored, grain: Grain, frozen: baseline.Baseline) -> SummaryWindow:
    """Unpack a stored window and compare it with the baseline of its version."""
    seen = windows.merge([_opened(one.summary)])
    return SummaryWindow(
        starts_at=one.starts_at,
        ends_at=one.starts_at + GRAINS[grain],
        version=one.version,
        n_rows=one.n_rows,
        columns={
            name: column_windows.view(name, column, frozen)
            for name, column in seen.columns.items()
            if name in frozen.profiles
        },
    )


def opened(one: Stored, frozen: baseline.Baseline) -> summary.TableSummary | None:
    """Unpack a stored window; None where it was counted on other bins than the baseline's."""
    own = {name: column.bins_digest for name, column in frozen.summary.columns.items()}
    kept = windows.counted_on([_opened(one.summary)], own)
    return windows.merge(kept) if kept else None


def compare(kept: Sequence[Stored], frozen: baseline.Baseline) -> report.DriftReport | None:
    """Compare stored windows of one version, added up, with its baseline.

    Parameters
    ----------
    kept
        One or more.
    frozen
        Of the version. Windows that were counted on other bins, before the version was judged
        anew, are left out.

    Returns
    -------
    DriftReport or None
        None where no window is left.
    """
    own = {name: column.bins_digest for name, column in frozen.summary.columns.items()}
    packed = windows.counted_on([_opened(one.summary) for one in kept], own)
    if not packed:
        return None
    return report.from_summaries(frozen.bins, frozen.summary, windows.merge(packed))
