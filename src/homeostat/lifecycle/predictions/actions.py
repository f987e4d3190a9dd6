"""What an actor may do with the prediction log; called by `serving.actions` and the doors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import blake3
import msgspec
import polars as pl

from homeostat.foundation import access, clock, errors, events, ids
from homeostat.foundation.blobs import Blob
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import (
    compaction,
    frames,
    index,
    join,
    labelling,
    read,
    records,
    segments,
)
from homeostat.lifecycle.predictions.entities import (
    Failed,
    LabelReport,
    LateLabel,
    Log,
    Sealed,
    Segment,
)


class Sealing(Protocol):
    """What stores bytes under their owner's key; the house does."""

    def put_blob(self, owner: str, data: bytes, *, project: str | None = None) -> Blob:
        """Store bytes and return their digest."""


def open_log(tx: Transaction, actor: access.Actor, deployment: str) -> Log:
    """Begin the log of a new deployment.

    Parameters
    ----------
    tx, actor
        Opened for writing; who may change deployments.
    deployment
        Its name.

    Returns
    -------
    Log
        Empty.

    Raises
    ------
    ConflictError
        When it has a log already.
    """
    access.require(actor, "deployment.change")
    log = Log(deployment=deployment, n_segments=0, n_rows=0, n_labels=0)
    tx.execute(records.INSERT_LOG, {"project": tx.project, **msgspec.structs.asdict(log)})
    return log


def seal_segment(
    house: Sealing,
    deployment: str,
    *,
    segment: str,
    raw: bytes,
    project: str | None = None,
) -> Sealed:
    """Verify a segment and store its tables; the blobs come before the row that names them.

    Parameters
    ----------
    house
        What stores bytes.
    deployment, segment
        Whose log and which part, as the caller claims.
    raw
        The segment as the spool closed it.
    project
        Namespace; that of the house when None.

    Returns
    -------
    Sealed
        For `accept_segment`.

    Raises
    ------
    CorruptError
        When a checksum fails.
    InvalidInputError
        When the bytes are of another segment or deployment.
    """
    contents = segments.decode(raw)
    if (contents.deployment, contents.segment) != (deployment, segment):
        raise errors.InvalidInputError(
            f"these bytes are segment {contents.segment} of deployment "
            f"{contents.deployment!r}, not {segment} of {deployment!r}"
        )
    whose = read.owner(deployment)
    size_bytes = 0
    stored = {}
    for name, table in (("predictions", contents.predictions), ("labels", contents.labels)):
        stored[name] = ""
        if len(table):
            blob = house.put_blob(whose, segments.encode(table), project=project)
            stored[name] = blob.digest
            size_bytes += blob.size_bytes
    served_at = contents.predictions["served_at"]
    return Sealed(
        id=segment,
        deployment=deployment,
        digest=blake3.blake3(raw).hexdigest(),
        n_rows=len(contents.predictions),
        n_labels=len(contents.labels),
        **stored,
        size_bytes=size_bytes,
        first_served_at=_integer(served_at.min()),
        last_served_at=_integer(served_at.max()),
        failures=tuple(
            msgspec.convert(one, Failed, from_attributes=True) for one in contents.failures
        ),
        touched=segments.touched(contents.predictions),
        members=index.members(contents.predictions),
        **index.bounds(contents.predictions),
    )


def accept_segment(
    tx: Transaction,
    actor: access.Actor,
    sealed: Sealed,
    *,
    then: Callable[[Segment], object] | None = None,
) -> Segment:
    """Give a segment its rows in the log; handing it over again changes nothing.

    Parameters
    ----------
    tx, actor
        Opened for writing; who may write predictions.
    sealed
        From `seal_segment`.
    then
        Called once, when it is accepted for the first time.

    Returns
    -------
    Segment
        With its place, now or as it was accepted before.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    ConflictError
        When a segment of that id was accepted with other bytes.
    """
    access.require(actor, "prediction.write")
    known = tx.execute(records.SEGMENT, {"in_project": tx.project, "in_id": sealed.id})
    if (row := known.mappings().first()) is not None:
        before = Segment(**row)
        if before.digest != sealed.digest:
            raise errors.ConflictError(
                f"segment {sealed.id} was accepted before with other bytes",
                hint="keep the file; two prediction servers may share one spool",
                digest=before.digest,
                seen=sealed.digest,
            )
        return before
    after = _grow(tx, sealed)
    segment = Segment(
        **{name: getattr(sealed, name) for name in _SHARED},
        number=after.n_segments - 1,
        first_row=after.n_rows - sealed.n_rows,
        first_label=after.n_labels - sealed.n_labels,
        n_failed_rows=sum(one.n_rows for one in sealed.failures),
        accepted_at=tx.at,
        accepted_by=actor.name,
    )
    tx.execute(
        records.INSERT_SEGMENT, {"project": tx.project, **msgspec.structs.asdict(segment)}
    )
    index.note(tx, segment, sealed)
    compaction.enqueue(tx, actor, segment)
    events.record(
        tx,
        actor,
        "segment.closed",
        subject=read.owner(sealed.deployment),
        facts={
            "segment": segment.id,
            "deployment": segment.deployment,
            "digest": segment.digest,
            "first_row": segment.first_row,
            "n_rows": segment.n_rows,
            "first_label": segment.first_label,
            "n_labels": segment.n_labels,
            "n_failed_rows": segment.n_failed_rows,
        },
    )
    if then is not None:
        then(segment)
    return segment


def labels_segment(
    deployment: str, labels: Sequence[LateLabel], *, classes: Sequence[str]
) -> tuple[str, bytes]:
    """Write labels as a segment of their own, for labels that come straight to the server.

    Parameters
    ----------
    deployment
        Whose predictions they belong to.
    labels
        1 to 100,000.
    classes
        What the model that answers knows; empty takes every label.

    Returns
    -------
    tuple
        Id and bytes, for `seal_segment`.

    Raises
    ------
    InvalidInputError
        When there are none or too many, or one is of no class.
    """
    values = labelling.meant([one.label for one in labels], classes, deployment=deployment)
    segment = ids.new_id()
    now = clock.now_ms()
    opened = frames.Opened(segment, deployment, now)
    known = frames.Labels(
        now,
        [one.key for one in labels],
        values,
        [one.event_at for one in labels],
    )
    return segment, frames.encode(opened) + frames.encode(known)


def get_log(tx: Transaction, actor: access.Actor, deployment: str) -> Log:
    """Return how far a deployment's log has come.

    Parameters
    ----------
    tx, actor
        Who may read deployments.
    deployment
        Its name.

    Returns
    -------
    Log
        Rows, labels and segments accepted so far.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    """
    access.require(actor, "deployment.read")
    return _log(tx, deployment)


def list_segments(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    *,
    before: int | None = None,
    limit: int = 100,
) -> list[Segment]:
    """List the segments of a deployment, the latest first.

    Parameters
    ----------
    tx, actor
        Who may read deployments.
    deployment
        Its name.
    before
        Only those with a lower number; for the next page.
    limit
        At most this many, 1 to 1,000.

    Returns
    -------
    list of Segment
        Empty for an unknown deployment.
    """
    access.require(actor, "deployment.read")
    found = tx.execute(
        records.LATEST_SEGMENTS,
        {
            "in_project": tx.project,
            "in_deployment": deployment,
            "before": read.END if before is None else before,
            "n": limit,
        },
    )
    return [Segment(**row) for row in found.mappings()]


def label_report(
    tx: Transaction,
    actor: access.Actor,
    house: read.Unsealing,
    *,
    deployment: str,
    as_of: int | None = None,
) -> LabelReport:
    """Count how predictions and labels fit together, and name what does not.

    Parameters
    ----------
    tx, actor
        Who may read predictions.
    house
        What returns stored bytes.
    deployment
        Its name.
    as_of
        Only what was known at that instant; milliseconds UTC, now when None.

    Returns
    -------
    LabelReport
        Over the whole log.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    """
    access.require(actor, "prediction.read")
    _log(tx, deployment)
    wanted = ("key", "answered", "served_at")
    rows = read.predictions(house, tx, deployment, as_of=as_of, columns=wanted)
    labels = read.labels(house, tx, deployment, as_of=as_of)
    return join.report(rows.filter(pl.col("answered")), labels)


_SHARED = tuple(name for name in Sealed.__struct_fields__ if name in Segment.__struct_fields__)


def _grow(tx: Transaction, sealed: Sealed) -> Log:
    which = {"in_project": tx.project, "in_deployment": sealed.deployment}
    tx.execute(
        records.GROW_LOG,
        {**which, "more_rows": sealed.n_rows, "more_labels": sealed.n_labels},
    )
    return _log(tx, sealed.deployment)


def _log(tx: Transaction, deployment: str) -> Log:
    which = {"in_project": tx.project, "in_deployment": deployment}
    row = tx.execute(records.LOG, which).mappings().first()
    if row is None:
        raise errors.NotFoundError(
            f"no deployment {deployment!r}", hint="see homeostat status", name=deployment
        )
    return Log(**row)


def _integer(value: Any) -> int | None:
    return None if value is None else int(value)
