"""Regressors explained exactly, in the number they answer; called by `contributions`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.explanations import boosted, forests, histogram, told

Floats = NDArray[np.float64]

_XGBOOST: Final = frozenset({"reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"})


class Valued:
    """A way of explaining whose margins are the answers themselves.

    Parameters
    ----------
    way
        Of the same library's classifiers.
    """

    def __init__(self, way: told.Telling) -> None:
        self._way = way
        self.method = way.method

    def tell(self, rows: Any) -> told.Told:
        """Explain rows as the estimator takes them."""
        found = self._way.tell(rows)
        return told.Told(found.base, found.values, found.margins, "value")


class Line:
    """A linear regressor: coefficients times distances from the mean of the training rows.

    Parameters
    ----------
    model
        With ``coef_`` of one dimension, and ``intercept_``.
    means
        Of its inputs, shape ``(k,)``.
    """

    method = "linear"

    def __init__(self, model: Any, means: Floats) -> None:
        self._model = model
        self._means = means
        self._coefficients = np.asarray(model.coef_, dtype=np.float64)
        self._base = float(np.ravel(model.intercept_)[0] + self._coefficients @ means)

    def tell(self, rows: Any) -> told.Told:
        """Explain rows as the estimator takes them."""
        values = (np.asarray(rows, dtype=np.float64) - self._means) * self._coefficients
        margins = np.asarray(self._model.predict(rows), dtype=np.float64)
        return told.Told(self._base, values, margins, "value")


def exact(last: Any, means: Floats) -> told.Telling | None:
    """Return the exact way of explaining a regressor, where there is one.

    Parameters
    ----------
    last
        The last step of the model.
    means
        Of what it is given, for linear ones.

    Returns
    -------
    Telling or None
        In ``value``; none where the answer is no plain sum, as behind a logarithm.
    """
    kind = type(last).__name__
    if kind == "HistGradientBoostingRegressor":
        is_sum = type(last._loss.link).__name__ == "IdentityLink"  # noqa: SLF001 - says it alone
        return Valued(histogram.Histogram(last)) if is_sum else None
    if kind in forests.REGRESSORS or kind == forests.BOOSTED_REGRESSOR:
        return forests.Forest(last)
    if kind == "LGBMRegressor":
        return Valued(boosted.LightGbm(last.predict))
    if kind == "XGBRegressor" and str(last.objective) in _XGBOOST:
        return Valued(boosted.XgBoost(last.get_booster(), missing=last.missing))
    if np.ndim(getattr(last, "coef_", 0.0)) == 1:
        return Line(last, means)
    return None
