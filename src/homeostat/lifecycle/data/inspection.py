"""Looks at a table before it becomes a snapshot: schema, checks, column summary; no database.

Called by `intake`, outside any transaction, because it takes as long as the table is large.
"""

from __future__ import annotations

import msgspec
import polars as pl

from homeostat.foundation import blobs
from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle.data import checks, tables
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.data.entities import Check, CheckResult, Schema
from homeostat.measures import bins, summary

_SHOWN = 3


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A table as somebody gives it.

    Attributes
    ----------
    data, format
        A whole file, and one of `tables.FORMATS`.
    source
        Where it came from, for messages and people; may be empty.
    key, time
        Columns that identify and order its rows; None where there are none.
    """

    data: bytes
    format: str
    source: str = ""
    key: str | None = None
    time: str | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot will say of its table; see `Snapshot` for the fields."""

    digest: str
    size_bytes: int
    format: str
    n_rows: int
    schema: Schema
    summary: str
    checks: tuple[CheckResult, ...]
    key: str | None
    time: str | None
    source: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen bins of every column, and what was counted on them."""

    bins: bins.TableBins
    columns: summary.TableSummary


class _Packed(msgspec.Struct, frozen=True):
    bins: bytes
    columns: bytes


def inspect(
    offer: Offer,
    *,
    before: Schema | None = None,
    more_checks: tuple[Check, ...] = (),
) -> tuple[Delivery, bytes]:
    """Read a table and say what is in it.

    Parameters
    ----------
    offer
        The table.
    before
        Schema whose checks are run; that of the table itself when None.
    more_checks
        Further things to look at.

    Returns
    -------
    tuple
        What a snapshot says, and the packed summary, a blob to store with it.

    Raises
    ------
    InvalidInputError
        When the table is bad (see `tables.decode`, `schema.infer`), key or time are not among
        its columns or have gaps, or a key comes twice.
    """
    key, time = offer.key, offer.time
    frame = tables.decode(offer.data, offer.format, where=offer.source or "the table")
    if key is not None:
        _refuse_key(frame[tables.need_column(frame.columns, key, role="key")])
    if time is not None:
        _refuse_time(frame[tables.need_column(frame.columns, time, role="time")])
    schema = schemas.infer(frame)
    asked = (*checks.derive(before or schema, key=key, time=time), *more_checks)
    packed = pack_summary(summarise(frame, key=key))
    delivery = Delivery(
        digest=blobs.digest_of(offer.data),
        size_bytes=len(offer.data),
        format=offer.format,
        n_rows=frame.height,
        schema=schema,
        summary=blobs.digest_of(packed),
        checks=checks.run(frame, before or schema, asked),
        key=key,
        time=time,
        source=offer.source,
    )
    return delivery, packed


def summarise(frame: pl.DataFrame, *, key: str | None = None) -> Summary:
    """Freeze bins on a table and count its columns on them; no examples of a key are kept."""
    frozen = bins.freeze_table(frame)
    seen = summary.summarise_table(frame, frozen)
    if key is not None and (kept := seen.columns[key].values) is not None:
        hidden = msgspec.structs.replace(kept, examples=())
        seen.columns[key] = msgspec.structs.replace(seen.columns[key], values=hidden)
    return Summary(bins=frozen, columns=seen)


def pack_summary(found: Summary) -> bytes:
    """Return a summary as bytes, the same for the same summary."""
    packed = _Packed(summary.encode(found.bins), summary.encode(found.columns))
    return msgspec.msgpack.encode(packed)


def unpack_summary(packed: bytes) -> Summary:
    """Return what `pack_summary` packed."""
    parts = msgspec.msgpack.decode(packed, type=_Packed)
    return Summary(
        bins=summary.decode_bins(parts.bins), columns=summary.decode_summary(parts.columns)
    )


def _refuse_key(values: pl.Series) -> None:
    absent = checks.missing(values)
    if absent.any():
        raise InvalidInputError(
            f"the key column {values.name!r} has no value in {absent.sum()} rows, "
            f"first in row {absent.arg_true()[0]}",
            hint="every row needs a key of its own",
            column=values.name,
        )
    twice = values.filter(values.is_duplicated())
    if len(twice):
        first = (values == twice[0]).arg_true()[:_SHOWN].to_list()
        raise InvalidInputError(
            f"the key column {values.name!r} has {twice.n_unique()} values that come more than "
            f"once, first {twice[0]!r} in rows {', '.join(map(str, first))}",
            hint="drop the repeated rows, or name another key",
            column=values.name,
        )


def _refuse_time(values: pl.Series) -> None:
    absent = checks.missing(values)
    if absent.any():
        raise InvalidInputError(
            f"the time column {values.name!r} has no value in {absent.sum()} rows, "
            f"first in row {absent.arg_true()[0]}",
            hint="every row needs a time",
            column=values.name,
        )
    if values.dtype in {pl.String, pl.Boolean}:
        raise InvalidInputError(
            f"the time column {values.name!r} holds {values.dtype}, which has no order in time",
            hint="give dates, times or numbers",
            column=values.name,
        )
