"""Stores many small segments of a log together, while it is read; a job of the worker.

A segment keeps its row, id, number, digest and place in the log: compaction only moves its
rows into a larger object and says where in it they begin. So row numbers, and everything that
is a range of them (windows, blocks, quarantines, training rows), stay what they were, and each
row is read once at any moment: one statement moves all segments of an object together.

Notes
-----
Objects are merged by size: going back from the newest, one is taken in when it holds no more
rows than all that were taken before it, so each row is written again O(log n) times, after
P. O'Neil et al., *The Log-Structured Merge-Tree*, Acta Informatica 33, 1996. Objects stay
within a day of acceptance and within 20,000 rows, and hold one set of columns, so that no type
changes.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import polars as pl

from homeostat.foundation import access, errors, events, jobs
from homeostat.foundation.blobs import Blob
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import read, records
from homeostat.lifecycle.predictions.entities import Segment

COMPACT = "log.compact"
EVERY = 64
"""A job for each so many segments."""

ROWS_AT_MOST = 20_000
_GROUP_ROWS = 2_000
"""Unpacked together: a window or a block is a few hundred rows."""
_LOOKED_AT = 2048
_DAY_MS = 86_400_000
_GRACE_MS = 3_600_000
"""A reader that found the old object may still be on its way to it."""

What = Literal["predictions", "labels"]
T = TypeVar("T")


class Storing(Protocol):
    """What reads and writes rows and bytes; the house is one."""

    def read(self, work: Callable[[Transaction], T], *, project: str | None = None) -> T:
        """Read in one consistent view."""

    def write(self, work: Callable[[Transaction], T], *, project: str | None = None) -> T:
        """Write in one transaction."""

    def get_blob(self, owner: str, digest: str, *, project: str | None = None) -> bytes:
        """Return the bytes of a digest."""

    def put_blob(self, owner: str, data: bytes, *, project: str | None = None) -> Blob:
        """Store bytes."""

    def delete_blob(self, owner: str, digest: str, *, project: str | None = None) -> None:
        """Remove bytes; nothing happens when they are not there."""


class Compacted(NamedTuple):
    """What a job did: objects that are new, objects that they replace, objects removed."""

    n_new: int
    n_replaced: int
    n_removed: int


class _Object(NamedTuple):
    """Segments whose tables lie in one stored object."""

    digest: str
    segments: tuple[Segment, ...]
    n_rows: int
    day: int


def enqueue(tx: Transaction, actor: access.Actor, segment: Segment) -> None:
    """Ask for a compaction after every 64th segment of a deployment.

    Parameters
    ----------
    tx, actor
        The one that accepts the segment.
    segment
        With its number.
    """
    if segment.number % EVERY == EVERY - 1:
        name = segment.deployment
        jobs.enqueue(tx, actor, COMPACT, payload={"deployment": name}, key=f"compact:{name}")


def compact(house: Storing, actor: access.Actor, deployment: str) -> Compacted:
    """Store the newest small objects of a deployment's log together.

    Parameters
    ----------
    house
        Where the log is.
    actor
        Who may write predictions.
    deployment
        Its name.

    Returns
    -------
    Compacted
        Nothing is left half done when the process dies: objects come before the rows that
        name them, old ones go an hour after. Doing it again changes nothing.

    Raises
    ------
    CorruptError
        When a stored object holds other rows than its segments say.
    """
    access.require(actor, "prediction.write")
    n_new = n_replaced = 0
    kinds: tuple[What, ...] = ("predictions", "labels")
    for what in kinds:
        found = house.read(functools.partial(_newest, deployment=deployment, what=what))
        for merged in _chosen(found, what):
            for parts in _merged(house, deployment, merged, what=what):
                move = functools.partial(_move, actor=actor, what=what, parts=parts)
                house.write(move)
                n_new, n_replaced = n_new + 1, n_replaced + len(parts.objects)
    return Compacted(n_new, n_replaced, _sweep(house, deployment))


def _newest(tx: Transaction, *, deployment: str, what: What) -> list[Segment]:
    statement = (
        records.NEWEST_WITH_ROWS if what == "predictions" else records.NEWEST_WITH_LABELS
    )
    own = {"in_project": tx.project, "in_deployment": deployment, "n": _LOOKED_AT}
    return [Segment(**row) for row in tx.execute(statement, own).mappings()]


def _chosen(found: Iterable[Segment], what: What) -> list[list[_Object]]:
    """Choose objects that are stored together, each group in the order of the log."""
    groups: list[list[_Object]] = []
    taken: list[_Object] = []
    n_rows = 0
    for one in _objects(found, what):
        fits = not taken or (
            one.day == taken[-1].day
            and one.n_rows <= n_rows
            and one.n_rows + n_rows <= ROWS_AT_MOST
        )
        if not fits:
            groups.append(taken[::-1])
            taken, n_rows = [], 0
        taken.append(one)
        n_rows += one.n_rows
    groups.append(taken[::-1])
    return [group for group in groups if len(group) > 1]


def _objects(found: Iterable[Segment], what: What) -> list[_Object]:
    """Group segments, the newest first, by the object they lie in."""
    made: list[list[Segment]] = []
    for one in found:
        newer = made[-1][-1] if made else None
        # Equal labels of two segments are one object too, but each begins at its start.
        if (
            newer is not None
            and getattr(newer, what) == getattr(one, what)
            and _at(one, what) + _length(one, what) == _at(newer, what)
        ):
            made[-1].append(one)
        else:
            made.append([one])
    return [
        _Object(
            getattr(parts[0], what),
            tuple(parts[::-1]),
            sum(_length(one, what) for one in parts),
            parts[0].accepted_at // _DAY_MS,
        )
        for parts in made
    ]


class _Parts(NamedTuple):
    """Objects of a deployment that are stored together now, as `digest`."""

    deployment: str
    objects: tuple[_Object, ...]
    digest: str


def _merged(
    house: Storing, deployment: str, merged: Sequence[_Object], *, what: What
) -> Iterator[_Parts]:
    """Store objects together, as far as their columns are alike."""
    owner = read.owner(deployment)
    tables = [_table(house, owner, one, what=what) for one in merged]
    for together in _alike(merged, tables):
        if len(together) > 1:
            target = io.BytesIO()
            table = pl.concat([table for _, table in together])
            table.write_parquet(target, compression="zstd", row_group_size=_GROUP_ROWS)
            blob = house.put_blob(owner, target.getvalue())
            yield _Parts(deployment, tuple(one for one, _ in together), blob.digest)


def _table(house: Storing, owner: str, one: _Object, *, what: What) -> pl.DataFrame:
    """Read what the segments of an object hold of it, which is all of it but by chance."""
    data = house.get_blob(owner, one.digest)
    start = _at(one.segments[0], what)
    table = pl.read_parquet(io.BytesIO(data)).slice(start, one.n_rows)
    if table.height != one.n_rows:
        raise errors.CorruptError(
            f"the object {one.digest} of {owner} holds {table.height} rows from {start} on; "
            f"its segments say {one.n_rows}",
            hint="restore it from a backup of the blob store",
        )
    return table


def _alike(
    merged: Sequence[_Object], tables: Sequence[pl.DataFrame]
) -> list[list[tuple[_Object, pl.DataFrame]]]:
    """Cut where columns or their types change: stacking those would change values."""
    groups: list[list[tuple[_Object, pl.DataFrame]]] = []
    for one, table in zip(merged, tables, strict=True):
        if groups and groups[-1][-1][1].schema == table.schema:
            groups[-1].append((one, table))
        else:
            groups.append([(one, table)])
    return groups


def _move(tx: Transaction, *, actor: access.Actor, what: What, parts: _Parts) -> None:
    """Let segments point to the object they lie in now, all of them or none."""
    deployment, digest = parts.deployment, parts.digest
    own = {"in_project": tx.project, "in_deployment": deployment}
    rows: list[dict[str, Any]] = []
    at = 0
    for part in parts.objects:
        for segment in part.segments:
            rows.append(
                {**own, "in_id": segment.id, "was": part.digest, "now": digest, "at": at}
            )
            at += _length(segment, what)
    move = records.MOVE_PREDICTIONS if what == "predictions" else records.MOVE_LABELS
    n_moved = sum(tx.execute(move, row).rowcount for row in rows)
    if n_moved != len(rows):
        raise errors.ConflictError(
            f"the log of {deployment!r} was compacted by somebody else meanwhile",
            hint="nothing was changed; it is done already",
        )
    for part in parts.objects:
        if part.digest != digest:
            tx.execute(records.UNRELEASE, {**own, "in_digest": part.digest})
            tx.execute(
                records.RELEASE,
                {
                    "project": tx.project,
                    "deployment": deployment,
                    "digest": part.digest,
                    "released_at": tx.at,
                },
            )
    first = parts.objects[0].segments[0]
    events.record(
        tx,
        actor,
        "log.compacted",
        subject=read.owner(deployment),
        facts={
            "what": what,
            "digest": digest,
            "first": first.first_row if what == "predictions" else first.first_label,
            "n": at,
            "n_segments": len(rows),
            "n_objects": len(parts.objects),
        },
    )


def _sweep(house: Storing, deployment: str) -> int:
    """Remove objects that no segment names any more, an hour after they were replaced."""

    def due(tx: Transaction) -> list[str]:
        own = {"in_project": tx.project, "in_deployment": deployment}
        rows = tx.execute(records.RELEASED, {**own, "before": tx.at - _GRACE_MS})
        found = [row.digest for row in rows]
        if not found:
            return []
        # Two segments of equal labels share one object: it goes when neither names it.
        named = tx.execute(records.STILL_NAMED, {**own, "in_digests": found})
        still = {digest for row in named for digest in row}
        return [one for one in found if one not in still]

    gone = house.read(due)
    for digest in gone:
        house.delete_blob(read.owner(deployment), digest)

    def forget(tx: Transaction) -> None:
        for digest in gone:
            own = {"in_project": tx.project, "in_deployment": deployment}
            tx.execute(records.UNRELEASE, {**own, "in_digest": digest})

    if gone:
        house.write(forget)
    return len(gone)


def _at(segment: Segment, what: What) -> int:
    return segment.predictions_at if what == "predictions" else segment.labels_at


def _length(segment: Segment, what: What) -> int:
    return segment.n_rows if what == "predictions" else segment.n_labels
