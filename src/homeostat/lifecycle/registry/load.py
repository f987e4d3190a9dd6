"""From the files of a version to what answers; unpickled is only what is trusted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from homeostat.foundation import errors, log
from homeostat.lifecycle.registry import described, opening, twinned
from homeostat.lifecycle.registry.entities import Description
from homeostat.lifecycle.registry.predictor import Predictor
from homeostat.lifecycle.registry.twinned import Twinned

_log = log.get(__name__)


def load(files: Mapping[str, bytes], *, is_trusted: bool = False) -> Predictor:
    """Return the original of a version, as pipelines and the loop ask it.

    Parameters
    ----------
    files
        Path to bytes, as `format.pack` made them and `files.fetch` returns them; for a
        version that MLflow's client logged, with the description of its adoption.
    is_trusted
        Whether somebody who may has said that this version may run its code.

    Returns
    -------
    Predictor
        It has scored its own example and got the scores of its training.

    Raises
    ------
    InvalidInputError
        When a file is missing or is not what it should be.
    NotAllowedError
        When the model is pickled and nobody trusts it, or holds a type that is not trusted.
    UserCodeError
        When it scores its example differently on this machine.
    """
    description = described.read(files)
    with warnings.catch_warnings():
        # Another release of scikit-learn warns; whether it matters, the example proves.
        warnings.simplefilter("ignore")
        estimator = opening.estimator(
            files,
            loader=description.loader,
            file=description.file,
            is_trusted=is_trusted,
            classes=description.classes,
            is_regression=description.task == "regression",
        )
    predictor = Predictor(estimator, description)
    predictor.prove()
    return predictor


def load_for_serving(
    files: Mapping[str, bytes], *, is_trusted: bool = False
) -> Predictor | Twinned:
    """Return the verified twin of a version where it has one that proves itself here.

    Parameters
    ----------
    files
        As for `load`; with a twin, the original's file is not asked for.
    is_trusted
        As for `load`.

    Returns
    -------
    Predictor or Twinned
        The original where there is no twin, onnxruntime is not installed, or the twin scores
        the example differently here; the log says which.

    Raises
    ------
    InvalidInputError, NotAllowedError, UserCodeError
        As `load`.
    """
    description = described.read(files)
    # Whoever takes trust back means the version, whatever answers for it.
    opening.need_trust(description.loader, description.file, is_trusted=is_trusted)
    if description.twin.file:
        try:
            return _twinned(files, description)
        except errors.HomeostatError as error:
            _log.warning("the twin is not used", why=error.message, hint=error.hint)
    return load(files, is_trusted=is_trusted)


def _twinned(files: Mapping[str, bytes], description: Description) -> Twinned:
    data = description.twin.data or files.get(description.twin.file)
    if not data:
        raise errors.InvalidInputError(f"the version has no file {description.twin.file}")
    found = twinned.opened(data, description)
    found.prove()
    return found
