"""How names and texts of runs may look and how long they may be; asked by tracking's actions.

The rules and the sentences are those of MLflow, whose clients show them to people and compare
them in tests.
"""

from __future__ import annotations

import functools
import json
import posixpath
import re
from typing import Final

from homeostat.foundation import errors

LONGEST_KEY: Final = 250
LONGEST_VALUE: Final = 8000
LONGEST_PARAM: Final = 6000
LONGEST_NAME: Final = 500
LONGEST_EXPERIMENT_TAG: Final = 20_000

_KEY: Final = re.compile(r"[/\w.\- :]*")
_MODEL_ID: Final = re.compile(r"[a-zA-Z0-9][\w-]{0,255}")
_KEYS_REMEMBERED: Final = 4096
_PLACES: Final = {"metric": "name", "parameter": "key", "tag": "key"}
_LENGTHS: Final = {"metric": "Metric name", "parameter": "Param key"}


def check_key(what: str, key: str, *, place: str = "") -> None:
    """Refuse a key that is empty, too long, or would name another file as a path.

    Parameters
    ----------
    what
        metric, parameter or tag.
    key
        As a client gave it; up to 250 letters, digits, `_-. :/`, such as `val/loss`.
    place
        Where it stood in the request, such as ``metrics[0].name``.

    Raises
    ------
    InvalidInputError
        With the place and the rule.
    """
    # Only keys of a bounded length are remembered.
    complaint = _complaint(key) if len(key) <= LONGEST_KEY else _complaint.__wrapped__(key)
    if complaint:
        shown = json.dumps(key[:1000])
        where = place or _PLACES.get(what, "key")
        raise errors.InvalidInputError(
            f"Invalid value {shown} for parameter '{where}' supplied: {complaint}"
        )
    if len(key) > LONGEST_KEY:
        check_length(_LENGTHS.get(what, place or "key"), key, longest=LONGEST_KEY)


def check_length(what: str, text: str, *, longest: int) -> None:
    """Refuse a text that is too long.

    Parameters
    ----------
    what
        Its name in the sentence.
    text
        As a client gave it.
    longest
        Characters.

    Raises
    ------
    InvalidInputError
        When it is longer.
    """
    if len(text) > longest:
        raise errors.InvalidInputError(
            f"'{what}' exceeds the maximum length of {longest} characters; got {len(text)}"
        )


def check_experiment_name(name: str, *, place: str = "name") -> None:
    """Refuse an experiment's name that is empty or longer than 500 characters."""
    if not name:
        raise errors.InvalidInputError(f"Invalid experiment name: '{name}'")
    check_length(place, name, longest=LONGEST_NAME)


def check_run_name(name: str) -> None:
    """Refuse a run's name longer than 500 characters."""
    check_length("run_name", name, longest=LONGEST_NAME)


def check_model_id(model_id: str) -> str:
    """Return the id of a logged model, or refuse one that cannot be.

    Parameters
    ----------
    model_id
        As a client gave it; letters, digits, `_` and `-`.

    Returns
    -------
    str
        The same.

    Raises
    ------
    InvalidInputError
        When it is empty, too long or has other characters.
    """
    if not _MODEL_ID.fullmatch(model_id):
        raise errors.InvalidInputError(
            f"Invalid value {json.dumps(model_id[:200])} for parameter 'model_id' supplied."
        )
    return model_id


def cut_param(value: str) -> str:
    """Return a parameter's value cut to the 6,000 characters that MLflow keeps."""
    return value[:LONGEST_PARAM]


def cut_tag(value: str) -> str:
    """Return a tag's value cut to the 8,000 characters that MLflow keeps."""
    return value[:LONGEST_VALUE]


@functools.lru_cache(_KEYS_REMEMBERED)
def _complaint(key: str) -> str:
    """Say what is wrong with a key; empty when nothing is. A run repeats a few keys often."""
    if not _KEY.fullmatch(key):
        return (
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.),"
            " spaces ( ), colon(:) and slashes (/)."
        )
    plain = posixpath.normpath(key)
    if plain != key or plain == "." or plain.startswith(("..", "/")):
        return (
            "Names may be treated as files in certain cases, and must not resolve to other"
            f" names when treated as such. This name would resolve to {plain!r}"
        )
    return ""
