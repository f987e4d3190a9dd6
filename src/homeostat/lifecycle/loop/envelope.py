"""Whether a change lies inside what the policy lets the loop change by itself. Pure.

`judge` compares; `enveloping` calls it and makes of its answer a dated report that nobody can
change afterwards. A pre-determined change control plan in the sense of [1]_: what may change is
said before, every change is reported, anything else asks a person.

References
----------
.. [1] FDA, *Marketing Submission Recommendations for a Predetermined Change Control Plan for
   Artificial Intelligence-Enabled Device Software Functions*, 2024.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from homeostat.foundation import sealed
from homeostat.lifecycle.policy.limits import Envelope

KIND: Final = sealed.Kind(b"homeostat envelope report 1\n", word="envelope")
"""What its reports are, to whoever seals or verifies them."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is other about a candidate than about the version it is compared with.

    Attributes
    ----------
    tier
        The stricter one of policy and model.
    n_rows
        Rows it learned from.
    parameters, before
        Hyper-parameters of its run and of the other's, as they were written.
    gain
        The gates' metric less that of what was served; None where nothing was compared.
    files
        Files of the code that differ; None where one of both kept no code.
    """

    tier: str
    n_rows: int
    parameters: dict[str, str]
    before: dict[str, str]
    gain: float | None
    files: tuple[str, ...] | None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that changed, or might have: what was seen, and what is allowed."""

    name: str
    seen: str
    allowed: str
    inside: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The dated, signed answer to whether a change may go on by itself.

    Attributes
    ----------
    id, deployment, model, version
        Of the report, and of whom it speaks; `compared` is the version it is compared with.
    items, inside, sentence
        What was seen; whether all of it is inside; in words.
    gate_report, policy_digest
        On what it rests.
    actor, at
        Who judged, and when, ms UTC.
    digest, signature, public_key
        BLAKE3 of all else; Ed25519 over it by the installation's key; hexadecimal.
    """

    id: str
    deployment: str
    model: str
    version: int
    compared: int | None
    items: tuple[Item, ...]
    inside: bool
    sentence: str
    gate_report: str
    policy_digest: str
    actor: str
    at: int
    digest: str = ""
    signature: str = ""
    public_key: str = ""


def judge(change: Change, envelope: Envelope) -> tuple[Item, ...]:
    """Say of each part of a change whether it is inside.

    Parameters
    ----------
    change
        As seen.
    envelope
        Of the policy.

    Returns
    -------
    tuple of Item
        Tier, data window, hyper-parameters that changed, metric, code.

    Examples
    --------
    >>> seen = Change(tier="low", n_rows=50, parameters={}, before={}, gain=0.0, files=())
    >>> [item.inside for item in judge(seen, Envelope(rows_at_least=100))]
    [True, False, True, True]
    """
    return (
        _tier(change, envelope),
        _between(
            "data window", float(change.n_rows), envelope.rows_at_least, envelope.rows_at_most
        ),
        *_parameters(change.before, change.parameters, envelope.parameters),
        _between("metric delta", change.gain, envelope.gain_at_least, envelope.gain_at_most),
        _code(change, envelope),
    )


def sentence(items: tuple[Item, ...]) -> str:
    """Return in words what lies outside; that all is inside where nothing does."""
    out = [
        f"{item.name} {item.seen}, allowed {item.allowed}" for item in items if not item.inside
    ]
    return f"outside of the envelope: {'; '.join(out)}" if out else "inside of the envelope"


def _tier(change: Change, envelope: Envelope) -> Item:
    allowed = envelope.tiers
    return Item(
        name="tier",
        seen=change.tier,
        allowed="any" if allowed is None else ", ".join(allowed) or "none",
        inside=allowed is None or change.tier in allowed,
    )


def _between(name: str, seen: float | None, low: float | None, high: float | None) -> Item:
    ends = [f"at least {low:g}"] if low is not None else []
    ends += [f"at most {high:g}"] if high is not None else []
    if seen is None:  # nobody knows, so nobody may go on by themselves where it matters
        return Item(
            name=name, seen="unknown", allowed=" and ".join(ends) or "any", inside=not ends
        )
    inside = (low is None or seen >= low) and (high is None or seen <= high)
    return Item(name=name, seen=f"{seen:g}", allowed=" and ".join(ends) or "any", inside=inside)


def _parameters(
    before: Mapping[str, str], now: Mapping[str, str], allowed: Mapping[str, tuple[float, ...]]
) -> Iterator[Item]:
    for name in sorted({*before, *now}):
        was, seen = before.get(name, "not set"), now.get(name, "not set")
        if was == seen:
            continue
        ends = allowed.get(name)
        yield Item(
            name=f"parameter {name}",
            seen=f"{was} to {seen}",
            allowed="no change" if ends is None else f"{ends[0]:g} to {ends[1]:g}",
            inside=ends is not None and _is_within(seen, ends),
        )


def _is_within(text: str, ends: tuple[float, ...]) -> bool:
    try:
        return ends[0] <= float(text) <= ends[1]
    except ValueError:
        return False


def _code(change: Change, envelope: Envelope) -> Item:
    may_change = envelope.code is not False
    seen = "unknown" if change.files is None else ", ".join(change.files) or "the same"
    return Item(
        name="code",
        seen=seen,
        allowed="any" if may_change else "the same",
        inside=may_change or change.files == (),
    )
