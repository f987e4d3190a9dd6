"""What commands print: tables for people, JSON for programs, and errors for both."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from homeostat.foundation import clock, errors

NOTHING = "-"
PIPE_WIDTH = 160

Command = TypeVar("Command", bound=Callable[..., Any])


def option(command: Command) -> Command:
    """Add ``--json`` to a command; its function receives ``as_json``."""
    flag = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
    return flag(command)


def emit(value: Any, *, as_json: bool, show: Callable[[], object] | None = None) -> None:
    """Print `value` as JSON, or what `show` makes of it for people.

    Parameters
    ----------
    value
        Structs or plain data.
    as_json
        What the user asked for.
    show
        Returns text or something rich can print; None prints `value`'s own words.
    """
    if as_json:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2)
        click.echo(text.decode())
        return
    told = value if show is None else show()
    if isinstance(told, str):
        click.echo(told)
        return
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(told)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    empty: str = "nothing yet",
) -> Any:
    """Return a table for people; `emit` prints it.

    Parameters
    ----------
    columns
        Headings; one that begins with ``#`` is aligned right.
    rows
        Cells; None becomes `NOTHING`.
    empty
        Said instead of a table without rows.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in columns:
        # Whatever is copied from here has to be whole: words give way, ids last of all.
        made.add_column(
            name.lstrip("#"),
            justify="right" if name.startswith("#") else "left",
            no_wrap=name.partition(",")[0] == "id",
            overflow="fold",
        )
    count = 0
    for row in rows:
        made.add_row(*[Text(NOTHING if cell is None else str(cell)) for cell in row])
        count += 1
    return made if count else empty


def instant(at: int | None) -> str:
    """Return an instant for a table, such as ``2026-04-05 10:31:07``; UTC."""
    return NOTHING if at is None else clock.short(at)


def moment(text: str | None) -> int | None:
    """Read an instant that a person wrote, UTC unless it says otherwise; ms UTC.

    Raises
    ------
    InvalidInputError
        When it is no time.

    Examples
    --------
    >>> moment("1970-01-02"), moment("86400000")
    (86400000, 86400000)
    """
    import datetime as dt

    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    try:
        read = dt.datetime.fromisoformat(text)
    except ValueError:
        raise errors.InvalidInputError(
            f"{text!r} is no time", hint="write it such as 2026-04-05T10:31:07"
        ) from None
    known = read if read.tzinfo else read.replace(tzinfo=dt.UTC)
    return round(known.timestamp() * 1000)


def check_place(path: Path, *, option: str) -> None:
    """Refuse a file that cannot be written before the work, not after it.

    Parameters
    ----------
    path
        To be written; ``-`` is standard output.
    option
        That names it, for the hint.

    Raises
    ------
    InvalidInputError
        When it is a folder, its folder is not there, or one of them may not be written.
    """
    if path == Path("-"):
        return
    parent = path.absolute().parent
    if path.is_dir():
        said = "it is a folder"
    elif not parent.is_dir():
        said = f"there is no folder {parent}"
    elif not os.access(path if path.exists() else parent, os.W_OK):
        said = "you may not write there"
    else:
        return
    raise errors.InvalidInputError(
        f"{path} cannot be written: {said}", hint=f"name another file for {option}"
    )


def fail(error: errors.HomeostatError, *, as_json: bool) -> None:
    """Tell of an error on stderr: one sentence and what to do, or a problem as JSON."""
    if as_json:
        told = {
            "code": error.code,
            "detail": error.message,
            "hint": error.hint,
            "facts": error.facts,
        }
        click.echo(msgspec.json.encode(told).decode(), err=True)
        return
    click.secho(f"error: {error.message}", err=True, fg="red")
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)
