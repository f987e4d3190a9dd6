"""What the scores of a model must look like, by its task; for `predictor` and `twinned`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from homeostat.foundation import errors
from homeostat.lifecycle.registry.entities import Description

Floats = NDArray[np.float64]

ADD_UP_WITHIN = 1e-4
"""Probabilities of classes add up to 1 but for what single precision loses."""


def blank(description: Description) -> Floats:
    """Return the scores of no rows."""
    is_many = description.task == "multiclass"
    return np.empty((0, len(description.classes)) if is_many else 0)


def size(scores: Floats, description: Description) -> float:
    """Return how large scores are, which differences are measured by: 1 for probabilities."""
    if description.task != "regression":
        return 1.0
    return max(float(np.abs(scores).max(initial=0.0)), np.finfo(np.float64).tiny)


def check(found: Floats, n_rows: int, description: Description) -> None:
    """Refuse scores that are not what the task says.

    Parameters
    ----------
    found
        As a model answered.
    n_rows
        That it was asked about, 1 or more.
    description
        Of the model.

    Raises
    ------
    UserCodeError
        When the shape is wrong, a number is not finite or no probability, or the
        probabilities of the classes do not add up to 1.
    """
    many = description.task == "multiclass"
    if found.shape != ((n_rows, len(description.classes)) if many else (n_rows,)):
        raise errors.UserCodeError(
            f"the model answered with shape {found.shape} for {n_rows} rows"
        )
    if description.task == "regression":
        if not np.isfinite(found).all():
            raise errors.UserCodeError("the model answered with a number that is not finite")
        return
    # Written so that NaN fails it too.
    if not (found.min() >= 0.0 and found.max() <= 1.0):
        raise errors.UserCodeError("the model answered with numbers that are no probability")
    if many and not np.abs(found.sum(axis=1) - 1.0).max() <= ADD_UP_WITHIN:
        raise errors.UserCodeError("the model's probabilities of classes do not add up to 1")
