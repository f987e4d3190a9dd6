"""What a user's code raised, as one sentence: who, where, what; used around user code."""

from __future__ import annotations

import pathlib
import re
import traceback

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import installed


def of(error: BaseException, *, what: str) -> errors.UserCodeError:
    """Describe an exception of the user's code.

    Parameters
    ----------
    error
        As it was raised.
    what
        `step 'fit'`, `pipeline 'credit'`, ….

    Returns
    -------
    UserCodeError
        Names the last line of the user's own code that was running.
    """
    kind, text = type(error).__name__, str(error).strip()
    place = _place(error)
    return sentence(what=what, place=place, kind=kind, text=text)


def sentence(
    *, what: str, place: tuple[str, int] | None, kind: str, text: str
) -> errors.UserCodeError:
    """Write the error from its parts, as they come back from another process.

    Parameters
    ----------
    what
        `step 'fit'`, ….
    place
        File and line of the user's code.
    kind
        Name of the exception's class.
    text
        What it said.

    Returns
    -------
    UserCodeError
        With file and line among its facts.
    """
    where = f" at {pathlib.Path(place[0]).name}:{place[1]}" if place else ""
    first_line = text.partition("\n")[0]  # the rest is in the user's own traceback
    said = f"{kind}: {first_line}" if text else kind
    path, line = place or ("", 0)
    return errors.UserCodeError(
        f"{what} failed{where}: {said}", file=path, line=line, exception=kind
    )


def parts(error: BaseException) -> tuple[tuple[str, int] | None, str, str]:
    """Take an exception apart so that it can cross a process boundary.

    Parameters
    ----------
    error
        As it was raised.

    Returns
    -------
    tuple
        Place, class name and text, as `sentence` takes them.
    """
    return _place(error), type(error).__name__, str(error).strip()


def fault_place(dump: str) -> tuple[str, int] | None:
    """Find the user's line in what the interpreter wrote when it crashed.

    Parameters
    ----------
    dump
        Text by `faulthandler`.

    Returns
    -------
    tuple or None
        File and line of the innermost frame that is the user's.
    """
    for path, line in re.findall(r'File "([^"]+)", line (\d+)', dump):
        if installed.is_project_path(path):
            return path, int(line)
    return None


def _place(error: BaseException) -> tuple[str, int] | None:
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if installed.is_project_path(f.filename)]
    found = own or list(frames)
    return (found[-1].filename, found[-1].lineno or 0) if found else None
