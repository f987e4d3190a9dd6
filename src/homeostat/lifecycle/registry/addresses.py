"""Addresses a client may name: their shape only, percent-encoded or not; asked by `sources`."""

from __future__ import annotations

import re
from typing import Final, NoReturn
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from homeostat.foundation import errors

LONGEST: Final = 2000
_MOST_LAYERS: Final = 16
_WEB: Final = ("http", "https")
HOSTED: Final = frozenset({"ftp", "sftp", "hdfs", "viewfs", "r2", "b2", "abfss"})
"""Schemes whose addresses name the host to ask: a version may lie there only below the folder
of the run or logged model it comes from."""


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
    if parts.scheme in _WEB or (len(parts.scheme) == 1 and parts.scheme.isalpha()):
        refuse_scheme(source, parts.scheme)
    return parts


def refuse_scheme(source: str, scheme: str) -> NoReturn:
    """Refuse an address that would have this server fetch from a host of the client's."""
    raise errors.InvalidInputError(
        f"Invalid source: '{source[:200]}'. Addresses with the scheme '{scheme}' are "
        "not taken: this server would fetch from any host",
        hint="log the files with a run or model and register its address",
    )


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
