"""How long names and texts of runs may be; asked by tracking's actions."""

from __future__ import annotations

import posixpath
from typing import Final

from homeostat.foundation import errors

LONGEST_KEY: Final = 250
LONGEST_VALUE: Final = 8000


def check_key(what: str, key: str) -> None:
    """Refuse a name that is empty or longer than 250 characters."""
    if not key or len(key) > LONGEST_KEY:
        raise errors.InvalidInputError(
            f"the name of a {what} has 1 to {LONGEST_KEY} characters; got {key[:60]!r}"
        )


def check_value(what: str, key: str, value: str) -> None:
    """Refuse a text longer than 8,000 characters."""
    if len(value) > LONGEST_VALUE:
        raise errors.InvalidInputError(
            f"{what} {key!r} has {len(value)} characters; at most {LONGEST_VALUE} are kept",
            hint="log long texts as artifacts",
        )


def check_path(path: str) -> str:
    """Return an artifact's path, or refuse one that leaves its folder.

    Parameters
    ----------
    path
        As a client gave it.

    Returns
    -------
    str
        The same.

    Raises
    ------
    InvalidInputError
        When it is empty, absolute, too long or not in its plainest form.
    """
    plain = posixpath.normpath(path)
    is_outside = plain.startswith(("/", "..")) or "\\" in path or "\0" in path
    if not path or plain != path or plain == "." or is_outside or len(path) > LONGEST_KEY:
        raise errors.InvalidInputError(
            f"{path[:80]!r} is no path of an artifact",
            hint="relative, with forward slashes, without . and ..",
        )
    return path
