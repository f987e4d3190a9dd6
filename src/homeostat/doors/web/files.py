"""Files as links that download them, and pictures among them; called by pages that list files.

The addresses are those of MLflow's door, whose answers no browser shows as a page of this site.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote, urlencode

from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.tracking import places
from homeostat.lifecycle.tracking.logged_entities import LoggedModel

MOST: Final = 500
MOST_PICTURES: Final = 12
LARGEST_PICTURE: Final = 5_000_000
_PICTURES: Final = (".png", ".jpg", ".jpeg")
_SCHEME: Final = f"{places.SCHEME}:"
_PROXY: Final = "/api/2.0/mlflow-artifacts/artifacts/"


class Kept(Protocol):
    """A file of a run, a logged model or a version."""

    @property
    def path(self) -> str:
        """Relative, with forward slashes."""

    @property
    def digest(self) -> str:
        """Of its bytes."""

    @property
    def size_bytes(self) -> int:
        """Their number."""


class Shown(NamedTuple):
    """A file and where its bytes are."""

    path: str
    size_bytes: int
    digest: str
    address: str


class Shelf(NamedTuple):
    """Files of one holder, the first by path, and some pictures among them; `total` of all."""

    files: tuple[Shown, ...]
    pictures: tuple[Shown, ...]
    total: int
    size_bytes: int


def of_run(run_id: str, kept: Sequence[Kept]) -> Shelf:
    """Return the files of a run."""
    return _shelf(kept, "/get-artifact?" + urlencode({"run_id": run_id}) + "&path=")


def of_version(version: Version) -> Shelf:
    """Return the files of a version of a registered model."""
    which = urlencode({"name": version.model, "version": version.number})
    return _shelf(version.files, f"/model-versions/get-artifact?{which}&path=")


def of_logged_model(model: LoggedModel, kept: Sequence[Kept]) -> Shelf:
    """Return the files of a logged model."""
    root = model.artifact_root
    if not root.startswith(_SCHEME):
        root = places.of_logged_model("", model.experiment_id, model.id)
    below = root.removeprefix(_SCHEME).strip("/")
    return _shelf(kept, f"{_PROXY}{quote(below)}/")


def _shelf(kept: Sequence[Kept], address: str) -> Shelf:
    """Return files whose addresses are one text with their path behind it."""
    shown = tuple(
        Shown(one.path, one.size_bytes, one.digest, address + quote(one.path))
        for one in kept[:MOST]
    )
    pictures = [one for one in shown if _is_picture(one)]
    return Shelf(
        files=shown,
        pictures=tuple(pictures[:MOST_PICTURES]),
        total=len(kept),
        size_bytes=sum(one.size_bytes for one in kept),
    )


def _is_picture(one: Shown) -> bool:
    """Say whether a file is small and of a kind that a browser only ever paints."""
    return one.path.lower().endswith(_PICTURES) and one.size_bytes <= LARGEST_PICTURE
