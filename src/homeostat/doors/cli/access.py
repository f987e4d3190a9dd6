"""`homeostat access`: who may come in where sign-in is configured."""

from __future__ import annotations

import click

from homeostat.doors.cli import output, session
from homeostat.foundation import clock, errors, keyring
from homeostat.foundation.access import Kind, Role
from homeostat.lifecycle.policy import spans


@click.group()
def access() -> None:
    """Make, list and revoke access keys."""


@access.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    required=True,
    help="What the key may do.",
)
@click.option(
    "--expires", metavar="SPAN", help="How long it opens, such as 90d; for ever unless set."
)
@click.option("--program", is_flag=True, help="For a program, which can approve nothing.")
@output.option
def create(name: str, role: str, expires: str | None, *, program: bool, as_json: bool) -> None:
    """Make a key for NAME, a person or a program; it is shown this once."""
    expires_at = None if expires is None else _end(expires)
    kind = Kind.TOKEN if program else Kind.PERSON
    with session.client() as client:
        made = client.access.create(name, role=role, kind=kind, expires_at=expires_at)
    output.emit(made, as_json=as_json, show=lambda: _told(made))


@access.command(name="list")
@output.option
def list_(*, as_json: bool) -> None:
    """List all keys, the newest first; their secrets are kept nowhere."""
    with session.client() as client:
        found = client.access.list()
    now = clock.now_ms()
    rows = [
        (
            one.id,
            one.name,
            one.role.value,
            one.kind.value,
            "revoked" if one.revoked_at else "opens" if one.opens_at(now) else "expired",
            output.instant(one.expires_at),
            output.instant(one.created_at),
            one.created_by,
        )
        for one in found
    ]
    columns = ["id", "name", "role", "kind", "", "expires (UTC)", "made (UTC)", "by"]
    output.emit(found, as_json=as_json, show=lambda: output.table(columns, rows))


@access.command()
@click.argument("key_id", metavar="ID")
@output.option
def revoke(key_id: str, *, as_json: bool) -> None:
    """Take a key back; within a second it opens nothing."""
    with session.client() as client:
        taken = client.access.revoke(key_id)
    output.emit(taken, as_json=as_json, show=lambda: f"revoked: {taken.id} of {taken.name}")


def _end(text: str) -> int:
    try:
        seconds = spans.parse(text).seconds
    except ValueError:
        seconds = None
    if not seconds:
        raise errors.InvalidInputError(
            f"--expires is {text!r}; it needs a length of time", hint="such as 12h or 90d"
        )
    return clock.now_ms() + round(seconds * 1000)


def _told(made: keyring.NewKey) -> str:
    told = session.load()
    lines = [
        made.secret,
        "",
        f"This is the key of {made.key.name}, {made.key.role.value}; it is not shown again.",
        "Send it as HOMEOSTAT_TOKEN or MLFLOW_TRACKING_TOKEN, or as the password in a browser.",
    ]
    if told.sign_in == "off":
        lines.append('Nobody is asked for it yet: set sign_in = "keys" in [server].')
    return "\n".join(lines)
