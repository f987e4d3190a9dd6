"""Which error rate counts as normal, and how much blocks of it vary; for `sequential`."""

from __future__ import annotations

import math
from collections.abc import Sequence

_NINETY_PERCENT = 1.2816  # one-sided normal quantile


def rate(
    baseline: Sequence[float],
    *,
    block_rows: int,
    standard_errors: float = 1.0,
    least_margin: float = 0.005,
) -> float:
    """Estimate the error rate that counts as normal, rounded up by its standard error.

    Parameters
    ----------
    baseline
        Error rates of blocks judged normal, each in 0 to 1, at least one.
    block_rows
        Rows in a block, 1 or more.
    standard_errors
        How many are added, 0 or more; 2 instead of 1 makes false alarms four times rarer
        and a rise of .045 is seen one to three blocks later (simulated, 153 blocks of 200).
    least_margin
        Added at least, 0 or more.

    Returns
    -------
    float
        ``p + max(least_margin, z sqrt(p (1 - p) / rows))`` with ``p`` the mean, at most .49
        before.

    Raises
    ------
    ValueError
        When there is no block or no row.

    Examples
    --------
    >>> round(rate([0.1] * 8, block_rows=200), 4)
    0.1075
    """
    if not baseline or block_rows < 1:
        msg = f"need a block and a row; got {len(baseline)} and {block_rows}"
        raise ValueError(msg)
    p = min(0.49, math.fsum(baseline) / len(baseline))
    noise = math.sqrt(p * (1 - p) / (block_rows * len(baseline)))
    return p + max(least_margin, standard_errors * noise)


def overdispersion(
    baseline: Sequence[float], rate: float, *, block_rows: int, is_cautious: bool = False
) -> float:
    """Estimate how much more block error rates vary than independent rows would let them.

    Parameters
    ----------
    baseline
        Error rates of blocks judged normal, at least one.
    rate
        Accepted rate, inside (0, 1).
    block_rows
        Rows in a block, 1 or more.
    is_cautious
        Return the upper end of the factor's interval (90 %, one-sided), where the blocks vary
        more than 90 % of independent ones would; else the factor itself.

    Returns
    -------
    float
        Variance over the binomial variance, 1 or more.

    Raises
    ------
    ValueError
        When there is no block, or `rate` or `block_rows` is out of range.

    Examples
    --------
    >>> overdispersion([0.1, 0.1], 0.1, block_rows=200)
    1.0
    """
    if not baseline or not 0 < rate < 1 or block_rows < 1:
        msg = (
            f"need blocks, rate inside (0, 1), rows; got {len(baseline)}, {rate}, {block_rows}"
        )
        raise ValueError(msg)
    mean = math.fsum(baseline) / len(baseline)
    squares = math.fsum((e - mean) ** 2 for e in baseline)
    squared = squares / (rate * (1 - rate) / block_rows)
    free = len(baseline) - 1
    if not is_cautious or not free:
        return max(1.0, squared / len(baseline))
    return factor(squared, free=free, is_cautious=True)


def factor(squares: float, *, free: int, is_cautious: bool) -> float:
    """Estimate a variance that should be 1, and is 1 or more.

    Parameters
    ----------
    squares
        Sum of squares, each of which should be 1 in the mean.
    free
        Degrees of freedom in them, 1 or more.
    is_cautious
        As for `overdispersion`.

    Returns
    -------
    float
        1 or more.

    Examples
    --------
    >>> factor(40.0, free=20, is_cautious=False), factor(25.0, free=20, is_cautious=True)
    (2.0, 1.25)
    """
    if not is_cautious or squares <= _chi_square_end(free, _NINETY_PERCENT):
        return max(1.0, squares / free)
    return max(1.0, squares / _chi_square_end(free, -_NINETY_PERCENT))


def _chi_square_end(free: int, z: float) -> float:
    """Quantile of the chi-square distribution at a normal one, by Wilson and Hilferty, 1931."""
    part = 2 / (9 * free)
    return free * max(0.05, 1 - part + z * math.sqrt(part)) ** 3
