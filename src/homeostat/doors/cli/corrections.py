"""`homeostat correction`: what changes a deployment's answers without a new model."""

from __future__ import annotations

import re
from typing import Any

import click

from homeostat.doors.cli import output, session
from homeostat.foundation import clock, errors

SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|min|h|d)")
SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
OPERATORS: tuple[tuple[str, Any], ...] = (
    ("<=", "le"),
    (">=", "ge"),
    ("!=", "ne"),
    ("<", "lt"),
    (">", "gt"),
    ("=", "eq"),
)


@click.group()
def correction() -> None:
    """Propose, approve and withdraw corrections: thresholds, rules, recalibration, fallback.

    They change what a deployment answers while its models stay as they are.
    """


@correction.command()
@click.argument("deployment")
@click.option("--threshold", type=float, help="Answer the positive class from this score on.")
@click.option("--group", metavar="COLUMN", help="Thresholds by the groups of this column.")
@click.option(
    "--group-threshold",
    "thresholds",
    multiple=True,
    metavar="GROUP=SCORE",
    help="A group's threshold, for --group; again for each.",
)
@click.option(
    "--when",
    multiple=True,
    metavar="CONDITION",
    help="age<18, region=east|north or income:null; again for all that must hold.",
)
@click.option("--block", metavar="LABEL", help="Answer this label where --when holds.")
@click.option("--override", type=float, help="Take this score where --when holds.")
@click.option("--abstain", metavar="LOW:HIGH", help="Leave scores in [LOW, HIGH) to a person.")
@click.option(
    "--explore", metavar="LABEL", help="Answer this label for a share of keys, to see theirs."
)
@click.option("--share", type=float, default=0.05, show_default=True, help="For --explore.")
@click.option("--band", metavar="LOW:HIGH", help="For --explore: scores in [LOW, HIGH) only.")
@click.option("--fallback", type=int, help="Version that answers where the model fails.")
@click.option("--fallback-score", type=float, help="Score that is taken where it fails.")
@click.option("--due-h", default=24.0, show_default=True, help="Hours until a case is due.")
@click.option("--reason", required=True, help="Why, for whoever reads it later.")
@click.option("--expires", default="90d", show_default=True, help="Such as 6h or 90d.")
@click.option("--changes", default="", metavar="ID", help="The correction that it changes.")
@output.option
def propose(
    *, deployment: str, reason: str, expires: str, changes: str, as_json: bool, **told: Any
) -> None:
    """Propose a correction of DEPLOYMENT; it works once it is approved."""
    body = _body(told)
    with session.client() as client:
        made = client.corrections.propose(
            deployment, body, reason=reason, expires_at=_instant(expires), changes=changes
        )
    output.emit(made, as_json=as_json, show=lambda: _proposed(made))


@correction.command()
@click.argument("deployment")
@click.option(
    "--method",
    type=click.Choice(["isotonic", "platt"]),
    default="isotonic",
    show_default=True,
    help="Any rising map, or a line on the logit.",
)
@click.option("--reason", required=True, help="Why, for whoever reads it later.")
@click.option("--expires", default="90d", show_default=True, help="Such as 6h or 90d.")
@click.option("--changes", default="", metavar="ID", help="The correction that it changes.")
@output.option
def fit(
    *, deployment: str, method: Any, reason: str, expires: str, changes: str, as_json: bool
) -> None:
    """Fit a recalibration of DEPLOYMENT to the labels in its log, and propose it."""
    with session.client() as client:
        made = client.corrections.fit(
            deployment,
            method=method,
            reason=reason,
            expires_at=_instant(expires),
            changes=changes,
        )
    output.emit(made, as_json=as_json, show=lambda: f"{_evidence(made)}\n{_proposed(made)}")


@correction.command("list")
@click.argument("deployment")
@click.option("--limit", default=100, help="At most this many.", show_default=True)
@output.option
def list_corrections(*, deployment: str, limit: int, as_json: bool) -> None:
    """List the corrections of DEPLOYMENT, every version, the latest first."""
    from homeostat.lifecycle.corrections import sentences

    with session.client() as client:
        found = client.corrections.list(deployment, limit=limit)
        if not found:
            client.deployments.get(deployment)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["id", "#version", "status", "what it does", "expires (UTC)", "why"],
            [
                (
                    one.id,
                    one.version,
                    one.status,
                    sentences.told(one.body),
                    output.instant(one.expires_at),
                    one.reason,
                )
                for one in found
            ],
            empty=f"deployment {deployment} has no corrections",
        ),
    )


@correction.command()
@click.argument("correction_id", metavar="ID")
@output.option
def show(*, correction_id: str, as_json: bool) -> None:
    """Show a correction, its versions, and how often it fires."""
    with session.client() as client:
        found = client.corrections.get(correction_id)
    output.emit(found, as_json=as_json, show=lambda: _told(found))


@correction.command()
@click.argument("correction_id", metavar="ID")
@click.option("--version", type=click.IntRange(1), help="The newest unless set.")
@click.option("--note", default="", help="Why; needed for thresholds by group.")
@output.option
def approve(*, correction_id: str, version: int | None, note: str, as_json: bool) -> None:
    """Let a proposed correction work, everywhere within a second."""
    with session.client() as client:
        made = client.corrections.approve(correction_id, version=version, note=note)
    until = output.instant(made.expires_at)
    output.emit(
        made,
        as_json=as_json,
        show=lambda: f"{made.reference} is {made.status} until {until} UTC",
    )


@correction.command()
@click.argument("correction_id", metavar="ID")
@click.option("--reason", required=True, help="Why, for whoever reads it later.")
@output.option
def withdraw(*, correction_id: str, reason: str, as_json: bool) -> None:
    """End a correction now, or take a proposal back."""
    with session.client() as client:
        ended = client.corrections.withdraw(correction_id, reason=reason)
    output.emit(ended, as_json=as_json, show=lambda: f"{ended.reference} is withdrawn")


def _body(told: dict[str, Any]) -> Any:
    """Return the correction that the options mean; exactly one may be meant."""
    from homeostat.lifecycle.corrections import entities

    when = tuple(_condition(text) for text in told["when"])
    kinds = (
        *("threshold", "group", "block", "override", "abstain"),
        *("explore", "fallback", "fallback_score"),
    )
    chosen = [name for name in kinds if told[name] is not None]
    if len(chosen) != 1 and not (not chosen and when):
        raise errors.InvalidInputError(
            f"say one thing that it is to do; seen {', '.join(chosen) or 'none'}",
            hint="see homeostat correction propose --help",
        )
    kind = chosen[0] if chosen else "abstain"
    value = told[kind]
    if kind == "threshold":
        return entities.Threshold(at=value)
    if kind == "group":
        return entities.GroupThreshold(column=value, at=_groups(told["thresholds"]))
    if kind == "block":
        return entities.Ruling(when=when, answer=value)
    if kind == "override":
        return entities.Ruling(when=when, score=value)
    if kind == "abstain":
        low, high = _range(value)
        return entities.Abstain(low=low, high=high, when=when, due_h=told["due_h"])
    if kind == "explore":
        low, high = _range(told["band"])
        ends = {"low": low, "high": high}
        band = {name: end for name, end in ends.items() if end is not None}
        return entities.Explore(share=told["share"], answer=value, **band)
    version, score = (value, None) if kind == "fallback" else (None, value)
    return entities.Fallback(version=version, score=score, when=when)


def _condition(text: str) -> Any:
    from homeostat.lifecycle.corrections.entities import Clause

    column, _, nothing = text.rpartition(":")
    if nothing == "null" and column:
        return Clause(column, "is_null")
    for sign, op in OPERATORS:
        column, found, value = text.partition(sign)
        if not found or not column:
            continue
        if op in {"eq", "ne"}:
            values = tuple(value.split("|"))
            if len(values) == 1:
                return Clause(column, op, value)
            if op == "eq":
                return Clause(column, "in", values)
            break
        return Clause(column, op, _number(value, "--when"))
    raise errors.InvalidInputError(
        f"{text!r} is no condition", hint="use age<18, region=east|north or income:null"
    )


def _groups(told: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for one in told:
        group, sign, value = one.rpartition("=")
        if not sign or not group:
            raise errors.InvalidInputError(f"{one!r} is no GROUP=SCORE")
        found[group] = _number(value, "--group-threshold")
    if not found:
        raise errors.InvalidInputError("--group needs a --group-threshold GROUP=SCORE or more")
    return found


def _range(text: str | None) -> tuple[float | None, float | None]:
    if text is None:
        return None, None
    low, sign, high = text.partition(":")
    if not sign:
        raise errors.InvalidInputError(f"{text!r} is no LOW:HIGH", hint="such as 0.4:0.6")
    return (
        _number(low, "--abstain") if low else None,
        _number(high, "--abstain") if high else None,
    )


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise errors.InvalidInputError(f"{option} takes a number; seen {text!r}") from None


def _instant(text: str) -> int:
    found = SPAN.fullmatch(text)
    if found is None:
        raise errors.InvalidInputError(
            f"{text!r} is no length of time", hint="use a number and s, min, h or d, as 90d"
        )
    return clock.now_ms() + round(float(found[1]) * SECONDS[found[2]] * 1000)


def _proposed(made: Any) -> str:
    return (
        f"{made.reference} is proposed for deployment {made.deployment}; "
        f"to let it work: homeostat correction approve {made.id}"
    )


def _evidence(made: Any) -> str:
    found = made.body.evidence
    return (
        f"Brier score {found.brier_before:.4f} before, {found.brier_after:.4f} after, on "
        f"{found.n_rows} labelled predictions that each map had not seen "
        f"(gain {found.gain_low:.4f} to {found.gain_high:.4f})"
    )


def _told(found: Any) -> Any:
    from homeostat.lifecycle.corrections import sentences

    one, seen = found.correction, found.firing
    facts = [
        ("correction", one.reference),
        ("kind", one.kind),
        ("does", sentences.told(one.body)),
        ("deployment", one.deployment),
        ("status", one.status),
        ("why", one.reason),
        ("proposed by", f"{one.made_by}, {output.instant(one.made_at)} UTC"),
        (
            "approved by",
            f"{one.approved_by}, {output.instant(one.approved_at)} UTC"
            if one.approved_by
            else None,
        ),
        ("note", one.note or None),
        (
            "works",
            f"{output.instant(one.starts_at)} to {output.instant(one.expires_at)} UTC",
        ),
        (
            "fired",
            "; ".join(
                f"{n} of {total} predictions {when}"
                for n, total, when in (
                    (seen.n_fired_day, seen.n_rows_day, "in the last day"),
                    (seen.n_fired, seen.n_rows, "ever"),
                )
            ),
        ),
        ("versions", ", ".join(f"{v.version} {v.status}" for v in found.versions)),
    ]
    return output.table(["", "what"], facts)
