"""Addresses a client may name: their shape only, percent-encoded or not; asked by `sources`."""

from __future__ import annotations

import re
from typing import Final, NoReturn
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from homeostat.foundation import errors

LONGEST: Final = 2000
_MOST_LAYERS: Final = 16
_HOSTED: Final = ("http", "https")


def split(source: str) -> SplitResult:
    """Return the parts of an address; refuse one that is too long, or on a web server."""
    if len(source) > LONGEST:
        raise errors.InvalidInputError(
            f"a source has at most {LONGEST} characters; got {len(source)}"
        )
    try:
        parts = urlsplit(source)
    except ValueError:
        _refuse_path(source)
    if parts.scheme in _HOSTED or (len(parts.scheme) == 1 and parts.scheme.isalpha()):
        raise errors.InvalidInputError(
            f"Invalid source: '{source[:200]}'. Addresses with the scheme '{parts.scheme}' are "
            "not taken: this server would fetch from any host",
            hint="log the files with a run or model and register its address",
        )
    return parts


def check_plain(source: str) -> None:
    """Refuse an address that leaves its folder, however often it is percent-encoded."""
    seen = source
    for _ in range(_MOST_LAYERS):
        again = unquote_plus(seen)
        if again == seen:
            break
        seen = again
    else:
        _refuse_path(source)
    try:
        path = re.sub(r"/+", "/", urlsplit(seen).path.rstrip("/"))
    except ValueError:
        _refuse_path(source)
    is_folder = path.startswith("/") or not path
    steps = re.split(r"[/\\?#]", seen)
    if "\0" in seen or ".." in steps or "." in steps or not is_folder:
        _refuse_path(source)


def check_local(source: str) -> None:
    """Refuse a path on a disk that leaves its folder."""
    seen = source
    for _ in range(_MOST_LAYERS):
        if "\0" in seen or ".." in re.split(r"[/\\]", seen):
            _refuse_path(source)
        again = unquote(seen)
        if again == seen:
            return
        seen = again
    _refuse_path(source)


def steps_of(address: str) -> list[str]:
    """Return scheme with host, then the steps of the path, each percent-decoded to the end."""
    parts = urlsplit(address)
    steps = [f"{parts.scheme.lower()}://{parts.netloc.lower()}"]
    for step in parts.path.split("/"):
        seen = step
        while (again := unquote(seen)) != seen:
            seen = again
        if seen:
            steps.append(seen)
    return steps


def _refuse_path(source: str) -> NoReturn:
    raise errors.InvalidInputError(
        f"Invalid model version source: '{source[:200]}'. If supplying a source as an http, "
        "https, local file path, ftp, objectstore, or mlflow-artifacts uri, an absolute path "
        "must be provided without relative path references present. Please provide an absolute "
        "path."
    )
