"""Late labels as the prediction server takes them: one, many, or a CSV; called by `routes`."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec

from homeostat.doors.predict import asked, commas
from homeostat.foundation import errors
from homeostat.lifecycle.predictions.entities import Instant
from homeostat.lifecycle.predictions.labelling import LABELS_AT_MOST
from homeostat.lifecycle.serving import engine

CSV: Final = "text/csv"
TAKEN: Final = ("application/json", CSV)
MANY_BYTES: Final = 256 * 1024
"""A body larger than this is read in a thread, so that predictions do not wait for it."""
_COLUMNS: Final = frozenset({"key", "label", "event_at"})


class One(msgspec.Struct, forbid_unknown_fields=True):
    """A label of one prediction."""

    key: str | int
    label: str | int | float | bool
    event_at: Instant | None = None


class Labels(msgspec.Struct, forbid_unknown_fields=True):
    """Either ``labels``, or the fields of one."""

    labels: list[One] | None = None
    key: str | int | None = None
    label: str | int | float | bool | None = None
    event_at: Instant | None = None
    deployment: str = ""


_labels = msgspec.json.Decoder(Labels)


def read(body: bytes, *, media: str = TAKEN[0]) -> tuple[str, list[engine.Label]]:
    """Read labels.

    Parameters
    ----------
    body
        JSON: ``{"key", "label"}`` or ``{"labels": [{"key", "label", "event_at"}]}``, with
        ``deployment`` where the path does not say it; or CSV with the columns key, label and,
        if known, event_at (milliseconds UTC, or a time such as 2026-01-31T12:00:00Z).
    media
        One of `TAKEN`.

    Returns
    -------
    tuple
        Deployment, empty when not said, and the labels.

    Raises
    ------
    InvalidInputError
        When it is of another form.
    TooLargeError
        When there are more than 100,000.
    """
    if media == CSV:
        return "", _separated(body)
    given = asked.decode(_labels, body, most_objects=2 * LABELS_AT_MOST)
    many = given.labels
    if many is None:
        if given.key is None or given.label is None:
            raise errors.InvalidInputError(
                "the body needs key and label, or labels: a list of them"
            )
        many = [One(given.key, given.label, given.event_at)]
    if len(many) > LABELS_AT_MOST:
        raise errors.TooLargeError(
            f"one request brings up to {LABELS_AT_MOST} labels; seen {len(many)}",
            hint="send them in parts",
        )
    return given.deployment, [_label(at, one) for at, one in enumerate(many)]


def _label(at: int, one: One) -> engine.Label:
    key = asked.key_text(one.key, where=f"labels[{at}].key")
    return engine.Label(key, one.label, one.event_at)


def _separated(body: bytes) -> list[engine.Label]:
    names, rows = commas.table(body, most=LABELS_AT_MOST)
    if not {"key", "label"} <= set(names) <= _COLUMNS:
        raise errors.InvalidInputError(
            f"labels as CSV have the columns key, label and event_at; seen {', '.join(names)}"
        )
    found = []
    for at, fields in enumerate(rows):
        row: dict[str, Any] = dict(zip(names, fields, strict=True))
        event_at = _instant(row.get("event_at") or "", at)
        found.append(_label(at, One(row["key"], row["label"], event_at)))
    return found


def _instant(text: str, at: int) -> int | None:
    if not text:
        return None
    try:
        if text.lstrip("-").isdecimal():
            return msgspec.convert(int(text), Instant)
        moment = dt.datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return msgspec.convert(round(moment.timestamp() * 1000), Instant)
    except (ValueError, OverflowError, msgspec.ValidationError):
        raise errors.InvalidInputError(
            f"labels[{at}].event_at: {text[:40]!r} is neither milliseconds UTC nor a time"
        ) from None
