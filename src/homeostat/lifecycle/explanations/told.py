"""What an exact way of explaining says of an estimator's inputs; made by each of them."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.explanations import entities

Floats = NDArray[np.float64]


class Told(NamedTuple):
    """Contributions of the inputs of an estimator to `space` of its second class.

    `values` has shape ``(rows, inputs)``; `margins`, shape ``(rows,)``, is what the estimator
    itself says, so that ``base + values.sum(axis=1)`` can be compared with it.
    """

    base: float
    values: Floats
    margins: Floats
    space: entities.Space = "log-odds"


class Telling(Protocol):
    """An exact way of explaining one estimator."""

    method: str

    def tell(self, rows: Any) -> Told:
        """Explain rows as the estimator takes them."""
