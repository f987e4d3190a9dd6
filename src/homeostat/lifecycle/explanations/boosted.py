"""LightGBM and XGBoost explained by the contributions they compute themselves.

Called by `contributions`. Both follow the trees' paths as `paths` does [1]_. XGBoost adds in
single precision; what its rounding leaves over, some 1e-6, is shared out in proportion.

References
----------
.. [1] S. Lundberg et al., "From local explanations to global understanding with explainable AI
   for trees", *Nature Machine Intelligence* 2, 2020.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.explanations import told

Floats = NDArray[np.float64]

_ROUNDING = 1e-5


class LightGbm:
    """A LightGBM classifier of two classes, or its booster.

    Parameters
    ----------
    ask
        Its ``predict_proba`` or, of a booster, ``predict``.
    """

    method = "lightgbm"

    def __init__(self, ask: Any) -> None:
        self._ask = ask

    def tell(self, rows: Any) -> told.Told:
        """Explain rows.

        Parameters
        ----------
        rows
            As the model takes them.
        """
        found = np.asarray(self._ask(rows, pred_contrib=True), dtype=np.float64)
        margins = np.ravel(self._ask(rows, raw_score=True)).astype(np.float64)
        # The base is the same for every row.
        return told.Told(float(found[0, -1]), found[:, :-1], margins)


class XgBoost:
    """An XGBoost classifier of two classes, or its booster.

    Parameters
    ----------
    booster
        The booster.
    options
        How the classifier makes a ``DMatrix`` of rows.
    """

    method = "xgboost"

    def __init__(self, booster: Any, **options: Any) -> None:
        self._booster = booster
        self._options = options
        best = getattr(booster, "best_iteration", None) if _stopped(booster) else None
        self._rounds = (0, 0) if best is None else (0, int(best) + 1)

    def tell(self, rows: Any) -> told.Told:
        """Explain rows.

        Parameters
        ----------
        rows
            As the model takes them.
        """
        matrix = importlib.import_module("xgboost").DMatrix(rows, **self._options)
        ask, rounds = self._booster.predict, self._rounds
        found = np.asarray(ask(matrix, pred_contribs=True, iteration_range=rounds), np.float64)
        margins = np.ravel(ask(matrix, output_margin=True, iteration_range=rounds))
        margins = margins.astype(np.float64)
        base, values = float(found[0, -1]), found[:, :-1]
        return told.Told(base, _settled(base, values, margins), margins)


def _settled(base: float, values: Floats, margins: Floats) -> Floats:
    """Share out what rounding left over; a larger rest is left for the gap to show."""
    rest = margins - base - values.sum(axis=1)
    size = np.abs(values).sum(axis=1)
    is_rounding = (np.abs(rest) <= _ROUNDING * (1.0 + size)) & (size > 0)
    share = np.divide(rest, size, out=np.zeros_like(rest), where=is_rounding)
    settled: Floats = values + np.abs(values) * share[:, None]
    return settled


def _stopped(booster: Any) -> bool:
    """Say whether fitting stopped early, so that the best round is what answers."""
    return booster.attr("best_iteration") is not None
