"""Where artifacts of runs and logged models lie, as MLflow's clients spell it.

Called by the actions that make runs and logged models, and by the doors that show them.
"""

from __future__ import annotations

import posixpath
import re
from typing import Final
from urllib.parse import unquote, urlsplit

from homeostat.foundation import errors

SCHEME: Final = "mlflow-artifacts"
LONGEST: Final = 500
_MOST_LAYERS: Final = 8


def of_experiment(root: str, experiment_id: str) -> str:
    """Return the address under which everything of an experiment lies.

    Parameters
    ----------
    root
        `Experiment.artifact_root`; empty where the artifacts are kept here.
    experiment_id
        Decimal digits.

    Returns
    -------
    str
        Without a slash at its end.

    Examples
    --------
    >>> of_experiment("", "7"), of_experiment("s3://bucket/a/", "7")
    ('mlflow-artifacts:/7', 's3://bucket/a')
    """
    return (root.rstrip("/") or root) if root else f"{SCHEME}:/{experiment_id}"


def of_run(experiment_root: str, experiment_id: str, run_id: str) -> str:
    """Return the address of a run's artifacts.

    Parameters
    ----------
    experiment_root
        `Experiment.artifact_root`; empty where the artifacts are kept here.
    experiment_id
        Decimal digits.
    run_id
        32 hexadecimal digits.

    Returns
    -------
    str
        What a client reads and writes below.

    Examples
    --------
    >>> of_run("", "7", "ab"), of_run("s3://bucket/a", "7", "ab")
    ('mlflow-artifacts:/7/ab/artifacts', 's3://bucket/a/ab/artifacts')
    """
    return _joined(of_experiment(experiment_root, experiment_id), f"{run_id}/artifacts")


def of_logged_model(experiment_root: str, experiment_id: str, model_id: str) -> str:
    """Return the address of a logged model's files.

    Parameters
    ----------
    experiment_root
        `Experiment.artifact_root`; empty where the artifacts are kept here.
    experiment_id
        Decimal digits.
    model_id
        `m-` and 32 hexadecimal digits.

    Returns
    -------
    str
        What a client reads and writes below.

    Examples
    --------
    >>> of_logged_model("", "7", "m-ab")
    'mlflow-artifacts:/7/models/m-ab/artifacts'
    """
    root = of_experiment(experiment_root, experiment_id)
    return _joined(root, f"models/{model_id}/artifacts")


def check(location: str) -> str:
    """Return an experiment's own artifact location, or refuse one that cannot be right.

    Parameters
    ----------
    location
        As a client gave it; an address with a scheme, or an absolute path on the clients.

    Returns
    -------
    str
        The same.

    Raises
    ------
    InvalidInputError
        When it is too long, relative, names a run, has a fragment, parameters or a query, or
        leaves its folder by `..`, also when that is percent-encoded.
    """
    _check_parts(location)
    plain = location
    for _ in range(_MOST_LAYERS):
        if ".." in re.split(r"[/\\]", plain) or "\0" in plain:
            raise errors.InvalidInputError(
                f"'artifact_location' may not contain '..'; got {location[:200]!r}"
            )
        once = unquote(plain)
        if once == plain:
            break
        plain = once
    else:
        raise errors.InvalidInputError(
            f"'artifact_location' is percent-encoded more than {_MOST_LAYERS} times"
        )
    return location


def _check_parts(location: str) -> None:
    if len(location) > LONGEST:
        raise errors.InvalidInputError(
            "Invalid artifact path length. The length of the artifact path cannot be greater "
            f"than {LONGEST} characters; got {len(location)}."
        )
    try:
        parts = urlsplit(location)
    except ValueError as error:
        raise errors.InvalidInputError(
            f"'artifact_location' is no address: {location[:200]!r}"
        ) from error
    if parts.fragment or "#" in location or ";" in posixpath.basename(parts.path):
        raise errors.InvalidInputError(
            "'artifact_location' URL can't include fragments or params."
        )
    if parts.query or "?" in location:
        raise errors.InvalidInputError("'artifact_location' URL can't include a query.")
    if parts.scheme == "runs":
        raise errors.InvalidInputError(
            f"Artifact location cannot be a runs:/ URI. Given: '{location}'"
        )
    if parts.scheme in ("http", "https"):
        raise errors.InvalidInputError(
            f"'artifact_location' cannot use the '{parts.scheme}' scheme",
            hint="give an address such as s3://bucket/folder",
        )
    if not parts.scheme and not location.startswith("/"):
        raise errors.InvalidInputError(
            f"'artifact_location' is relative: {location[:200]!r}",
            hint="give an address such as s3://bucket/folder, or an absolute path",
        )


def _joined(root: str, rest: str) -> str:
    return f"{root}{rest}" if root.endswith("/") else f"{root}/{rest}"
