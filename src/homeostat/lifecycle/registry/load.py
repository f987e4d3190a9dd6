"""From the files of a version to a predictor; unpickled is only what is trusted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.registry import opening
from homeostat.lifecycle.registry.predictor import Predictor


def load(files: Mapping[str, bytes], *, is_trusted: bool = False) -> Predictor:
    """Return what answers for a version.

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
    description = folder.read(files)
    with warnings.catch_warnings():
        # Another release of scikit-learn warns; whether it matters, the example proves.
        warnings.simplefilter("ignore")
        estimator = opening.estimator(
            files,
            loader=description.loader,
            file=description.file,
            is_trusted=is_trusted,
            classes=description.classes,
        )
    predictor = Predictor(estimator, description)
    predictor.prove()
    return predictor
