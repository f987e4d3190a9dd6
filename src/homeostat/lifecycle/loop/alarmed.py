"""A harm alarm that was raised: what it holds, and what people read of it.

`harm` and `early` raise it, `learn` acts on it and tells of it.
"""

from __future__ import annotations

import msgspec

from homeostat.lifecycle.loop import entities
from homeostat.measures import sequential


class HarmAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """Harm was proved: how strongly, against what, and since which row.

    `shift` is the rise that fits best: of the share of wrong answers, or of a bounded loss
    in its standard deviations. `expected` is the share of wrong answers that was to be
    expected of a block of answers as sure as these, where that proved it.
    """

    change_block: int
    change_row: int
    shift: float
    accepted: float
    dispersion: float
    log_evidence: float
    expected: float | None = None


def raised(found: sequential.Alarm, row: int) -> HarmAlarm:
    """Return the alarm on a change that began with this row."""
    return HarmAlarm(
        change_block=found.change_block,
        change_row=row,
        shift=found.shift,
        accepted=found.accepted,
        dispersion=found.dispersion,
        log_evidence=found.log_evidence,
        expected=found.expected,
    )


def of_members(event: entities.BlockLabelled) -> float:
    """Return the share of answers that were wrong, or would have been without the corrector.

    That makes up for a part of what the members do not know yet, and would hide that there is
    something to learn. People are told of what was answered only.
    """
    told = event.uncorrected
    return event.error if told is msgspec.UNSET else sum(told.wrong) / sum(told.rows)


def told(
    event: entities.BlockLabelled, found: HarmAlarm, proved: HarmAlarm | None = None
) -> str:
    """Say what a block lost and what is accepted, and how wrong answers as sure are.

    Parameters
    ----------
    event
        The block.
    found
        The alarm that the loop acts on.
    proved
        The one that people are told of, where that was raised on this block.

    Returns
    -------
    str
        Without a full stop.
    """
    accepted = found.accepted
    if event.losses is not msgspec.UNSET:
        return f"the answers' mean loss is {event.error:.4f} where {accepted:.4f} is accepted"
    corrected = ""
    if event.uncorrected is not msgspec.UNSET:
        corrected = f", {of_members(event):.1%} without the corrector,"
    return (
        f"{event.error:.1%} of the answers are wrong{corrected} where {accepted:.1%} is "
        f"accepted{_as_sure(event, found, proved)}"
    )


def told_proof(event: entities.BlockLabelled, proved: HarmAlarm) -> entities.Verdict:
    """Return the verdict that tells people of harm that was suspected, and has lasted."""
    seen: entities.Evidence = {
        "error": event.error,
        "threshold": sequential.PATIENT.log_threshold,
    }
    wrong = f"{event.error:.1%} of the answers are wrong"
    return entities.Verdict(
        kind="none",
        sentence=f"harm is proved: {wrong}{_as_sure(event, proved, proved)}",
        evidence={**seen, **_expected(proved, proved)},
        acts=(entities.OpenAlert(alert="harm"),),
    )


def evidence(
    event: entities.BlockLabelled,
    found: HarmAlarm,
    proved: HarmAlarm | None = None,
    *,
    threshold: float,
) -> entities.Evidence:
    """Return the numbers behind what is `told`; `threshold` is that of the log evidence."""
    return {
        "log_e": found.log_evidence,
        "threshold": threshold,
        "error": event.error,
        "accepted": found.accepted,
        "shift": found.shift,
        "overdispersion": found.dispersion,
        "change_row": found.change_row,
        **_expected(found, proved),
    }


def _expected(found: HarmAlarm, proved: HarmAlarm | None) -> entities.Evidence:
    """Return how wrong answers as sure are, where that is what proved it."""
    known = found.expected if proved is None else proved.expected
    return {} if known is None else {"expected": known}


def _as_sure(event: entities.BlockLabelled, found: HarmAlarm, proved: HarmAlarm | None) -> str:
    """Say it in words; without proof it is the members who were watched, not the answers."""
    known = found.expected if proved is None else proved.expected
    if known is None:
        return ""
    error = event.error if proved is not None else of_members(event)
    n_wrong, n_expected = round(error * event.n_rows), known * event.n_rows
    return f"; {n_wrong} of {event.n_rows} were wrong, of answers as sure {n_expected:.0f} are"
