"""Any model explained by asking it: Shapley values over drawn orders.

Called by `contributions` for models without an exact way. Columns are taken over from the row
one by one, in a drawn order and in its reverse, starting from each row of the background; a
column's contribution is the mean change when it is taken over [1]_. The sum is right by
construction, a single value is an estimate. The draw is seeded: the same row has the same
explanation.

References
----------
.. [1] E. Štrumbelj and I. Kononenko, "Explaining prediction models and individual predictions
   with feature contributions", *Knowledge and Information Systems* 41, 2014.
.. [2] R. Mitchell et al., "Sampling permutations for Shapley value estimation", *JMLR* 23, 2022
   (an order and its reverse).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.explanations import entities, told

Floats = NDArray[np.float64]
Columns = Mapping[str, Sequence[Any]]

METHOD = "sampled"
ORDERS = 4
ROWS_AT_MOST = 4000
_LEAST = 1e-12


def log_odds(scores: Floats) -> Floats:
    """Return log-odds of probabilities, those of 0 and 1 bounded at 1e-12."""
    bounded = np.clip(scores, _LEAST, 1.0 - _LEAST)
    found: Floats = np.log(bounded) - np.log1p(-bounded)
    return found


def tell(
    ask: Callable[[Columns], Floats],
    rows: Columns,
    *,
    names: Sequence[str],
    background: Columns,
    space: entities.Space = "log-odds",
) -> told.Told:
    """Explain rows in log-odds of the positive class, or in the model's own numbers.

    Parameters
    ----------
    ask
        Scores columns of rows.
    rows
        To explain, 1 or more.
    names
        Columns of the model, in order.
    background
        Rows that stand for an unknown value, 1 or more; the first are used, as many as keep
        what is asked per row below 4,000.
    space
        ``log-odds`` of probabilities, or ``value`` for numbers as they are.

    Returns
    -------
    Told
        `values` has shape ``(rows, len(names))``.
    """

    def said(columns: Columns) -> Floats:
        scores = ask(columns)
        return (log_odds(scores) if space == "log-odds" else scores)[:, None]

    base, values, margins = walked(said, rows, names=names, background=background)
    return told.Told(float(base[0]), values[:, :, 0], margins[:, 0], space)


def walked(
    ask: Callable[[Columns], Floats],
    rows: Columns,
    *,
    names: Sequence[str],
    background: Columns,
) -> tuple[Floats, Floats, Floats]:
    """Explain every number that a model answers for a row.

    Parameters
    ----------
    ask
        Returns shape ``(n, m)`` for n rows.
    rows, names, background
        As for `tell`.

    Returns
    -------
    tuple
        Base, shape ``(m,)``; contributions, shape ``(rows, len(names), m)``; what the model
        says, shape ``(rows, m)``. Base and contributions add up to the latter.
    """
    n_rows = len(next(iter(rows.values())))
    k = len(names)
    n_around = max(1, min(len(next(iter(background.values()))), ROWS_AT_MOST // (4 * k + 4)))
    background = {name: values[:n_around] for name, values in background.items()}
    rng = np.random.default_rng(0)
    orders = [rng.permutation(k) for _ in range(ORDERS // 2)]
    orders += [order[::-1] for order in orders]
    # Step s of a walk has the first s columns of its order from the row.
    ranks = np.stack([np.argsort(order) for order in orders])
    taken = ranks[:, None, :] < np.arange(k + 1)[None, :, None]
    base = ask(background).mean(axis=0)
    margins = ask(rows)
    values = np.zeros((n_rows, k, margins.shape[1]))
    for row in range(n_rows):
        asked: dict[str, list[Any]] = {}
        for at, name in enumerate(names):
            own, others = rows[name][row], background[name]
            asked[name] = [
                own if is_own else other
                for other in others
                for is_own in taken[:, :, at].ravel().tolist()
            ]
        steps = ask(asked).reshape(n_around, len(orders), k + 1, margins.shape[1])
        changes = np.diff(steps, axis=2).mean(axis=0)
        for order, change in zip(orders, changes, strict=True):
            values[row, order] += change / len(orders)
    return base, values, margins
