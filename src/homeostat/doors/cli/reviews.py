"""`homeostat review`: predictions that a correction left to a person."""

from __future__ import annotations

import click

from homeostat.doors.cli import output, session


@click.group()
def review() -> None:
    """List, show and decide the predictions that were left to a person."""


@review.command("list")
@click.argument("deployment", default="")
@click.option("--all", "everything", is_flag=True, help="Decided ones too.")
@click.option("--limit", default=100, help="At most this many.", show_default=True)
@output.option
def list_cases(*, deployment: str, everything: bool, limit: int, as_json: bool) -> None:
    """List cases, the most urgent first; of one DEPLOYMENT or of all."""
    with session.client() as client:
        if everything:
            found = client.reviews.list(
                deployment=deployment, states=("open", "claimed", "decided"), limit=limit
            )
        else:
            found = client.reviews.list(deployment=deployment, limit=limit)
        if deployment and not found:
            client.deployments.get(deployment)
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["due (UTC)", "state", "deployment", "#score", "why", "who", "answer", "id"],
            [
                (
                    output.instant(one.due_at),
                    one.state,
                    one.deployment,
                    f"{one.score:.4g}",
                    one.reason,
                    one.decided_by or one.claimed_by or None,
                    one.answer or None,
                    one.id,
                )
                for one in found
            ],
            empty="no cases" if everything else "nothing waits for a person",
        ),
    )


@review.command()
@click.argument("case_id", metavar="ID")
@output.option
def show(*, case_id: str, as_json: bool) -> None:
    """Show a case with the features as they were served."""
    with session.client() as client:
        one = client.reviews.get(case_id)
    facts = [
        ("prediction", one.id),
        ("deployment", one.deployment),
        ("state", one.state),
        ("due (UTC)", output.instant(one.due_at)),
        ("score", f"{one.score:.6g}"),
        ("why it is here", f"{one.reason} (correction:{one.correction})"),
        ("claimed by", one.claimed_by or None),
        ("decided", f"{one.answer} by {one.decided_by}" if one.decided_by else None),
        ("note", one.note or None),
        ("key", one.key or None),
        *one.features.items(),
    ]
    output.emit(one, as_json=as_json, show=lambda: output.table(["", "what"], facts))


@review.command()
@click.argument("case_id", metavar="ID")
@output.option
def claim(*, case_id: str, as_json: bool) -> None:
    """Say that you are looking at a case, so that nobody else does."""
    with session.client() as client:
        one = client.reviews.claim(case_id)
    output.emit(one, as_json=as_json, show=lambda: f"case:{one.id} is {one.claimed_by}'s")


@review.command()
@click.argument("case_id", metavar="ID")
@click.argument("answer")
@click.option("--note", default="", help="Why, for whoever reads it later.")
@click.option("--label", "is_label", is_flag=True, help="It is also what came true.")
@output.option
def decide(*, case_id: str, answer: str, note: str, is_label: bool, as_json: bool) -> None:
    """Answer a case in the model's place."""
    with session.client() as client:
        one = client.reviews.decide(case_id, answer, note=note, is_label=is_label)
    output.emit(
        one,
        as_json=as_json,
        show=lambda: f"case:{one.id} is answered {one.answer} by {one.decided_by}",
    )
