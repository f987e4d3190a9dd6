"""From the files of a version to a predictor; nothing is ever unpickled; serving calls it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from homeostat.lifecycle.registry import format as folder
from homeostat.lifecycle.registry import trust
from homeostat.lifecycle.registry.predictor import Predictor


def load(files: Mapping[str, bytes]) -> Predictor:
    """Return what answers for a version.

    Parameters
    ----------
    files
        Path to bytes, as `format.pack` made them and `files.fetch` returns them.

    Returns
    -------
    Predictor
        It has scored its own example and got the scores of its training.

    Raises
    ------
    InvalidInputError
        When a file is missing or is not what it should be.
    NotAllowedError
        When the model is pickled or holds a type that is not trusted.
    UserCodeError
        When it scores its example differently on this machine.
    """
    description = folder.read(files)
    with warnings.catch_warnings():
        # Another release of scikit-learn warns; whether it matters, the example proves.
        warnings.simplefilter("ignore")
        estimator = trust.loads(files[folder.MODEL], name=folder.MODEL)
    predictor = Predictor(estimator, description)
    predictor.prove()
    return predictor
