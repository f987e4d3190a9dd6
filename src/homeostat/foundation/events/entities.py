"""What happened, and what was found when the log of it was checked."""

from __future__ import annotations

from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One change of state.

    Parameters
    ----------
    seq
        1, 2, 3 ... without gaps, per project.
    at
        Milliseconds UTC.
    actor
        Name of who did it.
    kind
        Such as ``"alias.moved"``: noun, dot, past participle.
    subject
        Reference of what it happened to, such as ``"model:credit@7"``.
    facts
        The rest; plain JSON, finite numbers.
    previous
        `digest` of the event before; 64 zeros for the first.
    digest
        BLAKE3 of the canonical JSON of all the other fields; 64 hexadecimal digits.
    project
        Namespace the chain belongs to.
    """

    seq: int
    at: int
    actor: str
    kind: str
    subject: str
    facts: dict[str, Any]
    previous: str
    digest: str
    project: str = "default"


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A signed statement of what the chain was up to one event.

    Parameters
    ----------
    seq, digest
        Of the event it vouches for.
    at
        When it was signed; milliseconds UTC.
    public_key, signature
        Ed25519, in hexadecimal: 64 and 128 digits.
    project
        Namespace of the chain.
    """

    seq: int
    at: int
    digest: str
    public_key: str
    signature: str
    project: str = "default"


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the log is what was written.

    Parameters
    ----------
    ok
        True when every event, checkpoint and the head of the chain agree.
    n_events
        Events that were read.
    n_checkpoints
        Checkpoints whose signature was checked.
    first_bad_seq
        The first event that does not fit; None when `ok`.
    reason
        One sentence on what does not fit; empty when `ok`.
    """

    ok: bool
    n_events: int
    n_checkpoints: int = 0
    first_bad_seq: int | None = None
    reason: str = ""
