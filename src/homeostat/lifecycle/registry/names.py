"""What may name a model or an alias, in the words of MLflow where it has some; for actions."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.registry.entities import ModelName

LONGEST_ALIAS: Final = 255
_ALIAS: Final = re.compile(r"[\w-]+")
_LIKE_A_VERSION: Final = re.compile(r"[vV]\d+")


def check_model(name: str, *, field: str = "name") -> None:
    """Refuse what cannot name a model.

    Parameters
    ----------
    name
        Up to 256 characters, not ``/``, ``:`` or control characters.
    field
        Where it stood in the request.

    Raises
    ------
    InvalidInputError
        With the rule.
    """
    check_asked(name, field=field)
    try:
        msgspec.convert(name, ModelName)
    except msgspec.ValidationError:
        raise errors.InvalidInputError(
            f"{name[:256]!r} cannot be a model's name",
            hint="up to 256 characters, none of them a control character; not '.' or '..', and "
            "not ending like a version, in '@' and a number",
        ) from None


def check_asked(name: str, *, field: str = "name") -> None:
    """Refuse to look for a name that MLflow refuses to look for.

    Parameters
    ----------
    name
        Not blank, without ``/`` and ``:``.
    field
        Where it stood in the request.

    Raises
    ------
    InvalidInputError
        With the rule.
    """
    if not name.strip():
        raise errors.InvalidInputError(f"Missing value for required parameter '{field}'.")
    if "/" in name or ":" in name:
        raise errors.InvalidInputError(
            f"Invalid model name '{name[:256]}'. Names cannot contain '/' or ':'."
        )


def check_alias(alias: str) -> None:
    """Refuse what cannot be an alias.

    Parameters
    ----------
    alias
        Up to 255 letters, digits, ``_`` and ``-``; neither ``latest`` nor ``v<number>``.

    Raises
    ------
    InvalidInputError
        With the rule.
    """
    check_alias_asked(alias)
    if alias.lower() == "latest":
        raise errors.InvalidInputError("'latest' alias name (case insensitive) is reserved.")
    if _LIKE_A_VERSION.fullmatch(alias):
        raise errors.InvalidInputError(f"Version alias name '{alias}' is reserved.")


def check_alias_asked(alias: str) -> None:
    """Refuse to look for what never was an alias; reserved words may be asked for.

    Parameters
    ----------
    alias
        Up to 255 letters, digits, ``_`` and ``-``.

    Raises
    ------
    InvalidInputError
        With the rule.
    """
    if not alias:
        raise errors.InvalidInputError("Registered model alias name cannot be empty.")
    if not _ALIAS.fullmatch(alias):
        raise errors.InvalidInputError(
            f"Invalid alias name: {alias[:80]!r}. Names may only contain alphanumerics, "
            "underscores (_), and dashes (-)."
        )
    if len(alias) > LONGEST_ALIAS:
        raise errors.InvalidInputError(
            f"Registered model alias name has {len(alias)} characters; at most "
            f"{LONGEST_ALIAS} are kept"
        )
