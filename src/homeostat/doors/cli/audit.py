"""`homeostat audit`: whether the event log is whole, and what it says."""

from __future__ import annotations

import click
import msgspec

from homeostat.doors.cli import output, session
from homeostat.foundation import errors


@click.group()
def audit() -> None:
    """Verify and read the audit log."""


@audit.command()
@output.option
def verify(*, as_json: bool) -> int:
    """Recompute the chain of digests; exit code 9 when a byte was changed."""
    with session.client() as client:
        found = client.audit.verify()
    if found.ok:
        output.emit(
            found,
            as_json=as_json,
            show=lambda: f"the log is whole: {found.n_events} events, every digest holds",
        )
        return 0
    if as_json:
        output.emit(found, as_json=True)
        return errors.CorruptError.exit_code
    raise errors.CorruptError(
        f"the log is broken at event {found.first_bad_seq}: {found.reason}",
        hint="restore the database from a backup, and find out who could write to it",
    )


@audit.command()
@click.option("--after", default=0, help="Only events behind this number.")
@click.option("--kind", "kinds", multiple=True, help="Only this kind; may be repeated.")
@click.option("--subject", help="Only about this reference, such as model:credit.")
@click.option("--limit", default=50, help="At most this many.", show_default=True)
@click.option("--follow", is_flag=True, help="Go on as events happen; Ctrl-C ends it.")
@output.option
def log(
    *,
    after: int,
    kinds: tuple[str, ...],
    subject: str | None,
    limit: int,
    follow: bool,
    as_json: bool,
) -> None:
    """List events, the latest first."""
    with session.client() as client:
        if follow:
            for event in client.events.follow(after=after, kinds=kinds, subject=subject):
                line = f"{event.seq:>7} {output.instant(event.at)} {event.actor} {event.kind}"
                told = msgspec.json.encode(event).decode() if as_json else line
                click.echo(f"{told} {event.subject}" if not as_json else told)
            return
        found = client.events.list(
            after=after, kinds=kinds, subject=subject, limit=limit, newest_first=True
        )
    output.emit(
        found,
        as_json=as_json,
        show=lambda: output.table(
            ["#seq", "at (UTC)", "actor", "kind", "subject"],
            [(e.seq, output.instant(e.at), e.actor, e.kind, e.subject) for e in found],
        ),
    )
