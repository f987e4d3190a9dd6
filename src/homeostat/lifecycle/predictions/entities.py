"""The nouns of the prediction log: rows, JSON and documentation at once."""

from __future__ import annotations

from typing import Annotated

import msgspec

LONGEST_KEY = 1000
"""Characters of what a label is joined by."""

LAST_MS = 253_402_300_799_999
"""The end of the year 9999; later instants have no date."""

ABSTAINED = "abstain"
"""What is answered where a correction leaves the decision to a person."""

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KEY)]
Instant = Annotated[int, msgspec.Meta(ge=0, le=LAST_MS)]
"""Milliseconds UTC."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a deployment's log that a prediction server handed over; never changes.

    Attributes
    ----------
    id, deployment, number
        Its reference is ``segment:<id>``; numbers count from 0 in order of acceptance.
    digest
        BLAKE3 of the bytes as handed over.
    first_row, n_rows
        Its predictions are rows [first_row, first_row + n_rows) of the deployment.
    first_label, n_labels
        The same for its labels, which are numbered apart.
    n_failed_rows
        Rows that a member could not score; told in full by `read.failures`.
    predictions, labels
        Digests of the sealed Parquet, owner ``deployment:<name>``; empty where there are none.
    size_bytes
        Of both.
    first_served_at, last_served_at
        Of its predictions; None without any.
    predictions_at, labels_at
        Where its rows begin in what the digests name: more than 0 once segments were stored
        together.
    first_id, last_id, first_key, last_key
        Least and greatest of its predictions, as text; None without any, and for segments of
        an earlier release.
    """

    id: str
    deployment: str
    number: int
    digest: str
    first_row: int
    n_rows: int
    first_label: int
    n_labels: int
    n_failed_rows: int
    predictions: str
    labels: str
    size_bytes: int
    first_served_at: int | None
    last_served_at: int | None
    accepted_at: int
    accepted_by: str
    predictions_at: int = 0
    labels_at: int = 0
    first_id: str | None = None
    last_id: str | None = None
    first_key: str | None = None
    last_key: str | None = None

    @property
    def reference(self) -> str:
        """How events and lineage name it."""
        return f"segment:{self.id}"


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """Answered rows of one hour, and how many of them each correction changed.

    Attributes
    ----------
    hour
        Hours since 1970-01-01 UTC.
    n_rows
        Answered in it.
    fired
        Rows by correction, ``<id>@<version>``.
    """

    hour: int
    n_rows: int
    fired: dict[str, int]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A row whose answer a correction left to a person; `place` counts within its segment."""

    id: str
    place: int
    score: float
    served_at: int
    fired: tuple[str, ...]


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """What corrections did to the answered rows of a segment; not stored with it."""

    hours: tuple[Hour, ...] = ()
    held: tuple[Held, ...] = ()


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A segment whose tables are stored, before the row that names them is written."""

    id: str
    deployment: str
    digest: str
    n_rows: int
    n_labels: int
    predictions: str
    labels: str
    size_bytes: int
    first_served_at: int | None
    last_served_at: int | None
    failures: tuple[Failed, ...]
    touched: Touched = Touched()
    first_id: str | None = None
    last_id: str | None = None
    first_key: str | None = None
    last_key: str | None = None
    members: tuple[Answered, ...] = ()


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows a member scored, alone or with others: for answers, or in the shadow."""

    member: str
    n_answered: int
    n_shadow: int
    first_served_at: int
    last_served_at: int


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that a member could not score; `kind` is raised, shape, not-finite or load."""

    at: int
    generation: int
    arm: str
    member: str
    n_rows: int
    kind: str
    sentence: str


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """How far a deployment's log has come."""

    deployment: str
    n_segments: int
    n_rows: int
    n_labels: int


class LateLabel(msgspec.Struct, frozen=True, kw_only=True):
    """What became known of a prediction; `event_at` is when it came true, milliseconds UTC."""

    key: Key
    label: str | int | float | bool
    event_at: Instant | None = None


class LabelReport(msgspec.Struct, frozen=True, kw_only=True):
    """How predictions and labels fit together; lists hold up to 100 keys.

    Attributes
    ----------
    n_predictions, n_labels
        Answered predictions and labels in the log.
    n_labelled
        Predictions whose key has a label.
    n_unknown, unknown_keys
        Labels whose key was never predicted; kept, for the prediction may still come.
    n_relabelled, relabelled_keys
        Keys with more than one label; the one known last counts, as of any instant.
    n_repeated, repeated_keys
        Keys predicted more than once; a label counts for each.
    """

    n_predictions: int
    n_labels: int
    n_labelled: int
    n_unknown: int
    unknown_keys: tuple[str, ...]
    n_relabelled: int
    relabelled_keys: tuple[str, ...]
    n_repeated: int
    repeated_keys: tuple[str, ...]
