"""The access key by which this home's prediction server calls its server; used by `up`."""

from __future__ import annotations

import os
from pathlib import Path

from homeostat.foundation import access, errors, house, keyring, settings

ACTOR = access.system("serving")
FILE_NAME = "serving.key"


def secret(told: settings.Settings) -> str:
    """Return the key, the one of the last time where it still opens.

    Parameters
    ----------
    told
        Whose home keeps it, readable by its owner alone.

    Raises
    ------
    UnavailableError
        When the database cannot be reached or the file not be written.
    """
    path = told.home / FILE_NAME
    with house.open_house(told) as opened:
        known = path.read_text(encoding="utf-8").strip() if path.exists() else ""
        made = opened.write(lambda tx: keyring.ensure(tx, ACTOR, secret=known))
    if made.secret != known:
        _write(path, made.secret)
    return made.secret


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        draft.replace(path)
    except OSError as error:
        raise errors.UnavailableError(
            f"{path} cannot be written: {error.strerror}", hint="free space there"
        ) from error
