"""Evidence in nats: likelihood ratios and their means; `sequential` is built of them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def log_likelihood_ratio(
    error: float, *, n_rows: int, accepted: float, harmful: float, dispersion: float = 1.0
) -> float:
    """Return the log evidence of one block for a harmful against the accepted error rate.

    Parameters
    ----------
    error
        Error rate of the block, in 0 to 1.
    n_rows
        Rows in the block, 1 or more.
    accepted, harmful
        Rates inside (0, 1), ``accepted < harmful``.
    dispersion
        1 or more; the log is divided by it.

    Returns
    -------
    float
        In nats. Its exponential is an e-value for "the rate is at most `accepted`" when rows
        are exchangeable within the block; dividing by `dispersion` keeps it one (concavity).

    Raises
    ------
    ValueError
        When an argument is out of range.

    References
    ----------
    .. [1] J. Shin, A. Ramdas and A. Rinaldo, "E-detectors: a nonparametric framework for
       sequential change detection", NEJSDS, 2024.

    Examples
    --------
    >>> log_likelihood_ratio(0.1, n_rows=200, accepted=0.1, harmful=0.2) < 0
    True
    >>> log_likelihood_ratio(0.2, n_rows=200, accepted=0.1, harmful=0.2) > 7
    True
    """
    if not (0 < accepted < harmful < 1 and 0 <= error <= 1 and n_rows > 0 and dispersion >= 1):
        msg = (
            "need 0 < accepted < harmful < 1, error in 0 to 1, rows and dispersion >= 1; "
            f"got {accepted}, {harmful}, {error}, {n_rows}, {dispersion}"
        )
        raise ValueError(msg)
    rise = error * math.log(harmful / accepted)
    fall = (1 - error) * math.log((1 - harmful) / (1 - accepted))
    return n_rows * (rise + fall) / dispersion


def log_mean_exp(logs: Sequence[float], *, weights: Sequence[float] = ()) -> float:
    """Return ``ln(mean(exp(logs)))`` without overflow.

    Parameters
    ----------
    logs
        At least one value, in nats; ``-inf`` is allowed.
    weights
        Of the mean, positive, as many as values; all alike where there are none.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    ValueError
        When there is no value.

    Examples
    --------
    >>> log_mean_exp([1000.0, 1000.0])
    1000.0
    >>> round(log_mean_exp([0.0, 10.0], weights=[3.0, 1.0]), 2) == round(10 - math.log(4), 2)
    True
    """
    if not logs:
        msg = "the mean of no values is not defined"
        raise ValueError(msg)
    top = max(logs)
    if math.isinf(top):
        return top
    if weights:
        total = math.fsum(
            weight * math.exp(log - top) for log, weight in zip(logs, weights, strict=True)
        )
        return top + math.log(total / math.fsum(weights))
    return top + math.log(math.fsum(math.exp(x - top) for x in logs) / len(logs))
