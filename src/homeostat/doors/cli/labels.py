"""`homeostat labels`: ask for the labels that tell most, list what is asked, answer."""

from __future__ import annotations

from typing import Any

import click

from homeostat.doors.cli import output, session


@click.group()
def labels() -> None:
    """Ask for the labels that tell most; answer them."""


@labels.command()
@click.argument("deployment")
@click.option(
    "--budget",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="At most so many.",
)
@click.option(
    "--by",
    type=click.Choice(["mixed", "uncertainty", "disagreement", "random"]),
    default="mixed",
    show_default=True,
    help="What makes a label worth asking for.",
)
@click.option(
    "--random-share",
    default=0.25,
    show_default=True,
    help="Share of the budget that goes by chance alone.",
)
@click.option(
    "--stratum", default="", metavar="COL", help="Groups that share it equally, such as c.sex."
)
@click.option("--newest", default=20_000, show_default=True, help="Of the latest so many rows.")
@output.option
def request(
    *,
    deployment: str,
    budget: int,
    by: Any,
    random_share: float,
    stratum: str,
    newest: int,
    as_json: bool,
) -> None:
    """Draw predictions of DEPLOYMENT whose labels tell most."""
    with session.client() as client:
        found = client.labels.request(
            deployment,
            budget=budget,
            by=by,
            random_share=random_share,
            stratum=stratum,
            newest=newest,
        )
    output.emit(found, as_json=as_json, show=lambda: _table(found))


@labels.command("list")
@click.argument("deployment")
@click.option("--all", "everything", is_flag=True, help="Answered ones too.")
@click.option("--limit", default=100, show_default=True, help="At most this many.")
@output.option
def list_requests(*, deployment: str, everything: bool, limit: int, as_json: bool) -> None:
    """List what is asked of DEPLOYMENT, the oldest first, and what full draws say."""
    with session.client() as client:
        estimates = client.labels.estimates(deployment)
        found = client.labels.list(deployment, limit=limit)
        if everything:
            done = client.labels.list(deployment, states=("answered", "known"), limit=limit)
            found = sorted([*found, *done], key=lambda one: one.id)
    told = {"requests": found, "estimates": estimates}
    output.emit(told, as_json=as_json, show=lambda: _listed(found, estimates))


@labels.command()
@click.argument("deployment")
@click.argument("request_id", metavar="ID")
@click.argument("label")
@output.option
def answer(*, deployment: str, request_id: str, label: str, as_json: bool) -> None:
    """Say what came true of the prediction of a request."""
    with session.client() as client:
        done = client.labels.answer(deployment, request_id, label)
    output.emit(done, as_json=as_json, show=lambda: f"{done.key} is {done.label}")


def _listed(found: list[Any], estimates: list[Any]) -> Any:
    from rich.console import Group

    full = [one for one in estimates if one.error is not None]
    said = [
        f"draw {one.draw}: {one.error:.2%} of {one.n_rows:,} answers were wrong, "
        f"estimated from {one.n_answered} labels"
        for one in full
    ]
    return Group(_table(found), *said)


def _table(found: list[Any]) -> Any:
    return output.table(
        ["key", "served (UTC)", "#score", "answer", "#chance", "state", "label", "id"],
        [
            (
                one.key,
                output.instant(one.served_at),
                None if one.score is None else f"{one.score:.4f}",
                one.answer,
                f"{one.propensity:.4f}",
                one.state,
                one.label,
                one.id,
            )
            for one in found
        ],
        empty="no label is asked for",
    )
