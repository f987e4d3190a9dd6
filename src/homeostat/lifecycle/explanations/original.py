"""The estimator that a version was registered with, opened to be explained; used by `explain`.

A twin answers in its place when it is the same to 1e-5; what is explained is the original.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.registry import columns, described, opening, predictor
from homeostat.lifecycle.registry.entities import Description

Floats = NDArray[np.float64]
Columns = Mapping[str, Sequence[Any]]


class Original:
    """A fitted model and what is known of it.

    Parameters
    ----------
    estimator
        With ``predict_proba``, or ``predict`` of a regression.
    description
        Of the version.
    """

    def __init__(self, estimator: Any, description: Description) -> None:
        self.estimator = estimator
        self.description = description
        steps = _steps(estimator)
        self.before = steps[:-1]
        self.last = steps[-1]
        self._predictor = predictor.Predictor(estimator, description)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that it takes, in order."""
        return self.description.schema.names

    @property
    def sign(self) -> float:
        """1 where the positive class is the second of two; -1 where it is the first."""
        is_two = self.description.task == "binary"
        return -1.0 if is_two and self.description.positive != 1 else 1.0

    def prove(self) -> None:
        """Score the example that came with the model; UserCodeError when that differs here."""
        self._predictor.prove()

    def table(self, rows: Columns) -> Any:
        """Return rows as the estimator was fitted on them."""
        schema = self.description.schema
        make = columns.table if self.description.by_name else columns.matrix
        return make(rows, schema)

    def inputs(self, rows: Columns) -> Any:
        """Return rows as the last step is given them."""
        made = self.table(rows)
        for step in self.before:
            if step is not None and not isinstance(step, str):
                made = step.transform(made)
        return made.toarray() if hasattr(made, "toarray") else made

    def scores(self, rows: Columns) -> Floats:
        """Return what the model says of rows.

        Parameters
        ----------
        rows
            Columns by name.

        Returns
        -------
        numpy.ndarray
            As `registry.predictor.Predictor.scores`.

        Raises
        ------
        UserCodeError
            When the model raises, or answers no probability.
        """
        return self._predictor.scores(rows)


def open_version(files: Mapping[str, bytes], *, is_trusted: bool = False) -> Original:
    """Open the original estimator of a version.

    Parameters
    ----------
    files
        Path to bytes.
    is_trusted
        Whether somebody who may has said that this version may run its code.

    Returns
    -------
    Original
        Ready for `contributions.Explainer`.

    Raises
    ------
    InvalidInputError
        When a file is missing or is not what it should be.
    NotAllowedError
        When the model is pickled and not trusted, or holds a type that is not trusted.
    UserCodeError
        When it scores its example differently on this machine.
    """
    description = described.read(files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # another release warns; the example proves
        estimator = opening.estimator(
            files,
            loader=description.loader,
            file=description.file,
            is_trusted=is_trusted,
            classes=description.classes,
            is_regression=description.task == "regression",
        )
    found = Original(estimator, description)
    found.prove()
    return found


def _steps(estimator: Any) -> list[Any]:
    """Return the steps of a pipeline, of pipelines in it too; of anything else itself."""
    inner = getattr(estimator, "steps", None)
    if inner is None or not hasattr(estimator, "named_steps"):
        return [estimator]
    steps = [step for _, step in inner]
    return [*steps[:-1], *_steps(steps[-1])]
