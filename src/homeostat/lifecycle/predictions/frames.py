"""What one append to the prediction log looks like in bytes, and how it is read back.

Written by `spool` in the prediction process, read by `segments` in the server. A frame is
``length, crc32, msgpack``; a file of frames is read up to the first frame that is not whole.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import msgspec

from homeostat.foundation import errors

FORMAT = 2
"""Written since corrections are part of a batch; format 1 is the same without them."""
READABLE = (1, 2)
_HEAD = struct.Struct("<II")


class Opened(msgspec.Struct, frozen=True, array_like=True, tag="opened"):
    """The first frame of every segment: whose log it is."""

    segment: str
    deployment: str
    opened_at: int
    format: int = FORMAT


class Layout(msgspec.Struct, frozen=True, array_like=True, tag="layout"):
    """The columns of the batches that follow; `kinds` are those of the model's schema.

    `classes` are those that `Batch.chances` are of; none for two classes, or a number.
    """

    features: tuple[str, ...]
    kinds: tuple[str, ...]
    context: tuple[str, ...]
    classes: tuple[str, ...] = ()


class Batch(msgspec.Struct, frozen=True, array_like=True, tag="batch"):
    """Rows scored together; every list runs over rows but for `features`, `context` (columns).

    `member_scores` holds one list per member, in the order of `members`. `scores` are the
    mixture as the members gave it; what a correction made of it is in `served`. Of several
    classes `scores` are the probabilities of the answers, and the lists of `member_scores` hold
    row after row a number for each class of the layout, as `chances` does.

    Attributes
    ----------
    served
        Scores after corrections, which `answers` were decided on; empty: the same as `scores`.
    fired
        Which corrections changed the row's score or answer, ``<id>@<version>``, several joined
        by commas, ``""`` for none; empty: none in the whole batch.
    propensities
        Chance with which the row came to this arm, 0 to 1; empty: 1 for all. 1 beside an arm
        of a smaller share: a rule of the plan or the caller sent the row there.
    chances
        Of several classes: row after row, what the mixture said of each class; else empty.
    """

    served_at: int
    generation: int
    arm: str
    answered: bool
    version: str
    ids: list[str]
    keys: list[str]
    features: list[list[Any]]
    context: list[list[Any]]
    scores: list[float]
    answers: list[Any]
    members: list[str]
    member_scores: list[list[float]]
    served: list[float] = []
    fired: list[str] = []
    propensities: list[float] = []
    chances: list[float] = []


class Labels(msgspec.Struct, frozen=True, array_like=True, tag="labels"):
    """What became known later, by key; `event_at` is when it happened, where that is known.

    Labels are text as `label_text` writes it, whatever type a request had for them.
    """

    known_at: int
    keys: list[str]
    labels: list[str]
    event_at: list[int | None]


class Failure(msgspec.Struct, frozen=True, array_like=True, tag="failure"):
    """Rows a member could not score; the judge of a rollout counts them."""

    at: int
    generation: int
    arm: str
    member: str
    n_rows: int
    kind: str
    sentence: str


Frame = Opened | Layout | Batch | Labels | Failure

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def label_text(value: str | float | bool) -> str:  # noqa: FBT001 - a label, not a switch
    """Write a label as the log keeps it, so that 1, 1.0 and "1" are one label.

    Parameters
    ----------
    value
        As a request had it.

    Returns
    -------
    str
        As a classifier's classes are written.

    Examples
    --------
    >>> [label_text(one) for one in (1, 1.0, "1", 0.5, True)]
    ['1', '1', '1', '0.5', 'True']
    """
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def plain(value: Any) -> Any:
    """Keep what a log can hold as context; anything else is text there."""
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def n_rows(frame: Frame) -> int:
    """Return how many rows of the log a frame carries: predictions or labels.

    Parameters
    ----------
    frame
        Any frame.

    Returns
    -------
    int
        0 for frames that only say something about others.
    """
    if isinstance(frame, Batch | Labels):
        return len(frame.keys)
    return 0


def encode(frame: Frame) -> bytes:
    """Write one frame.

    Parameters
    ----------
    frame
        Any frame; its values must be numbers, strings, booleans or None.

    Returns
    -------
    bytes
        8 bytes of length and crc32 (little-endian), then msgpack.
    """
    payload = _encoder.encode(frame)
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def whole(data: bytes) -> int:
    """Return how many leading bytes of `data` are whole frames.

    Parameters
    ----------
    data
        The bytes of a segment; its end may be torn.

    Returns
    -------
    int
        Offset of the first frame that is cut short or fails its checksum.

    Examples
    --------
    >>> frame = encode(Labels(known_at=0, keys=["a"], labels=[1], event_at=[None]))
    >>> whole(frame + frame[:-1]) == len(frame)
    True
    """
    offset = 0
    while True:
        end = _end(data, offset)
        if end is None:
            return offset
        offset = end


def decode(data: bytes) -> list[Frame]:
    """Read every frame of a closed segment.

    Parameters
    ----------
    data
        The bytes of a closed segment.

    Returns
    -------
    list
        The frames in the order they were written.

    Raises
    ------
    CorruptError
        When a frame is cut short, fails its checksum or is of no known form.
    """
    found: list[Frame] = []
    offset = 0
    view = memoryview(data)
    while offset < len(data):
        end = _end(data, offset)
        if end is None:
            raise errors.CorruptError(
                f"the frame at byte {offset} of {len(data)} does not match its checksum",
                hint="hand it over again from the prediction server's spool",
                offset=offset,
            )
        try:
            found.append(_decoder.decode(view[offset + _HEAD.size : end]))
        except msgspec.DecodeError as error:
            raise errors.CorruptError(
                f"the segment's frame at byte {offset} has no known form: {error}",
                hint="the prediction server may be newer than this server; update it",
                offset=offset,
            ) from None
        offset = end
    return found


def _end(data: bytes, offset: int) -> int | None:
    start = offset + _HEAD.size
    if start > len(data):
        return None
    length, checksum = _HEAD.unpack_from(data, offset)
    end: int = start + length
    if length == 0 or end > len(data):
        return None
    if zlib.crc32(memoryview(data)[start:end]) != checksum:
        return None
    return end
