"""Linear models explained exactly against the mean of their training rows.

Called by `contributions`. A contribution is the coefficient times the distance from the mean:
the Shapley value of a linear model whose inputs are taken as independent [1]_.

References
----------
.. [1] E. Štrumbelj and I. Kononenko, "Explaining prediction models and individual predictions
   with feature contributions", *Knowledge and Information Systems* 41, 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.explanations import told

Floats = NDArray[np.float64]


class Linear:
    """A fitted linear classifier of two classes whose log-odds are its decision function.

    Parameters
    ----------
    model
        With ``coef_``, ``intercept_`` and ``decision_function``.
    means
        Of its inputs over the training rows, shape ``(k,)``.
    """

    method = "linear"

    def __init__(self, model: Any, means: Floats) -> None:
        self._model = model
        self._means = means
        self._coefficients = np.ravel(np.asarray(model.coef_, dtype=np.float64))
        self._base = float(np.ravel(model.intercept_)[0] + self._coefficients @ means)

    def tell(self, rows: Any) -> told.Told:
        """Explain rows.

        Parameters
        ----------
        rows
            As the model takes them.
        """
        values = (np.asarray(rows, dtype=np.float64) - self._means) * self._coefficients
        margins = np.ravel(self._model.decision_function(rows)).astype(np.float64)
        return told.Told(self._base, values, margins)
