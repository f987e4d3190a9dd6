"""From the files of a version to something that answers; called by the prediction server."""

from __future__ import annotations

from collections.abc import Mapping

from homeostat.lifecycle.data import rows
from homeostat.lifecycle.registry import load as registry_load
from homeostat.lifecycle.serving import served


def load(files: Mapping[str, bytes], *, is_trusted: bool = False) -> served.Loaded:
    """Load a version and prove it on its own example, which warms it too.

    Parameters
    ----------
    files
        Path to bytes, each equal to its digest.
    is_trusted
        Whether somebody who may has said that this version may run its code.

    Returns
    -------
    Loaded
        Ready for `engine.Engine.install`.

    Raises
    ------
    InvalidInputError
        When a file is missing or is not what it should be.
    NotAllowedError
        When the model is pickled and not trusted, or holds a type that is not trusted.
    UserCodeError
        When it scores its example differently on this machine.
    """
    predictor = registry_load.load(files, is_trusted=is_trusted)
    about = predictor.description
    classes = about.classes
    return served.Loaded(
        predictor=predictor,
        classes=classes,
        labels=_labels(classes, about.positive),
        columns=tuple((column.name, column.kind) for column in about.schema.columns),
        validate=rows.compile_row(about.schema),
        read=rows.compile_columns(about.schema),
        unseen=rows.compile_unseen(about.schema),
    )


def _labels(classes: tuple[str, ...], positive: int) -> tuple[str | None, str]:
    """Return what is answered below 0.5 and above; of several other classes none is meant."""
    others = [one for at, one in enumerate(classes) if at != positive]
    return (others[0] if len(others) == 1 else None), classes[positive]
