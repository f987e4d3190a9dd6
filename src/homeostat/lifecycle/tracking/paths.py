"""Paths of artifacts: which ones a client may name; asked by tracking's actions and the doors.

A path is a name in a list, never a place on a disk. Clients write it to their own disks,
though, so what could leave a folder there is refused, percent-encoded several times or not.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn
from urllib.parse import unquote

from homeostat.foundation import errors

LONGEST_BYTES: Final = 1500
"""Of a path in UTF-8; PostgreSQL refuses longer rows of an index."""
_MOST_LAYERS: Final = 16
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_FORBIDDEN: Final = re.compile(r"[\x00\\#?\ud800-\udfff]")
_CONTROL: Final = re.compile(r"[\x01-\x1f\x7f]")


def check(path: str) -> str:
    """Return the path of a file, or refuse one that is not plain.

    Parameters
    ----------
    path
        As a client gave it, percent-decoded once.

    Returns
    -------
    str
        The same, control characters written as ``%09``: MLflow 2 names an image
        ``k%step%1%timestamp%17…``, sends that without encoding it, and lists and gets it so.

    Raises
    ------
    InvalidInputError
        When it is empty, absolute, too long, has an empty part, ``.`` or ``..``, a backslash,
        ``#``, ``?`` or NUL, or when any of this appears by decoding it again.

    Examples
    --------
    >>> check("sub/b c+%.bin"), check("timestamp" + chr(23))
    ('sub/b c+%.bin', 'timestamp%17')
    """
    path = _CONTROL.sub(lambda found: f"%{ord(found[0]):02x}", path)
    n_bytes = len(path.encode("utf-8", "replace"))
    if n_bytes > LONGEST_BYTES:
        _refuse(path, f"it has {n_bytes} bytes, at most {LONGEST_BYTES} are kept")
    seen = path
    for _ in range(_MOST_LAYERS):
        _check_plain(seen, path)
        again = unquote(seen)
        if again == seen:
            return path
        seen = again
    return _refuse(path, f"it is percent-encoded more than {_MOST_LAYERS} times")


def folder(path: str) -> str:
    """Return the path of a folder, ``""`` for the topmost; refuses as `check` does.

    Parameters
    ----------
    path
        As a client gave it; a slash at its end changes nothing.

    Returns
    -------
    str
        Without a slash at its end.

    Examples
    --------
    >>> folder("model/"), folder("."), folder("")
    ('model', '', '')
    """
    plain = path[:-1] if path.endswith("/") and path != "/" else path
    return "" if plain in {"", "."} else check(plain)


def _check_plain(seen: str, path: str) -> None:
    if _FORBIDDEN.search(seen) is not None:
        _refuse(path, "backslashes, NUL, # and ? have no place in it")
    if seen.startswith("/") or _DRIVE.match(seen) is not None:
        _refuse(path, "it must be relative")
    if any(part in {"", ".", ".."} for part in seen.split("/")):
        _refuse(path, "its parts may not be empty, . or ..")


def _refuse(path: str, why: str) -> NoReturn:
    shown = path[:80].encode("utf-8", "backslashreplace").decode()
    raise errors.InvalidInputError(
        f"Invalid path: {shown!r} is no path of an artifact; {why}",
        hint="give a relative one with forward slashes",
    )
