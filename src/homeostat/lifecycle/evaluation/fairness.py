"""How groups of people are treated, from counts that add up; called by `exam`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from homeostat.lifecycle.evaluation import scoring
from homeostat.lifecycle.evaluation.entities import Estimate, Fairness, Group, Rates
from homeostat.lifecycle.evaluation.slices import MINIMUM_ROWS, MISSING

_TRUE_NEGATIVE, _FALSE_POSITIVE, _FALSE_NEGATIVE, _TRUE_POSITIVE = range(4)
_MOST_WORDS = 3


def count(
    y: ArrayLike,
    decided: ArrayLike,
    values: Sequence[object] | NDArray[np.generic],
    *,
    column: str,
) -> tuple[Group, ...]:
    """Return the counts of every group of one protected column.

    Parameters
    ----------
    y, decided
        Shape ``(n,)``, True or 1 for positive; the truth and the decision.
    values
        Group of each row; a missing one is a group of its own.
    column
        Name of the protected column.

    Returns
    -------
    tuple of Group
        In order of their names.

    Raises
    ------
    ValueError
        When the three differ in length.

    Examples
    --------
    >>> count([1, 0, 1], [1, 1, 0], ["a", "a", "b"], column="sex")[0].n_selected
    2
    """
    truth, chosen = np.asarray(y, dtype=np.bool_), np.asarray(decided, dtype=np.bool_)
    if not len(truth) == len(chosen) == len(values):
        raise ValueError(
            f"{len(truth)} labels, {len(chosen)} decisions and {len(values)} groups"
        )
    # One code for truth and decision, so that rows are grouped once and only counted.
    cells = truth.view(np.uint8) * np.uint8(2) + chosen.view(np.uint8)
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        found = _of_text(values, cells)
    else:
        rows = pl.DataFrame({"group": _groups(values), "cell": cells})
        counted = rows.group_by("group", "cell").agg(pl.len())
        found = [(_name(value), cell, n) for value, cell, n in counted.iter_rows()]
    return add(
        Group(
            column=column,
            category=name,
            n_true_negative=n if cell == _TRUE_NEGATIVE else 0,
            n_false_positive=n if cell == _FALSE_POSITIVE else 0,
            n_false_negative=n if cell == _FALSE_NEGATIVE else 0,
            n_true_positive=n if cell == _TRUE_POSITIVE else 0,
        )
        for name, cell, n in found
    )


def _of_text(
    values: NDArray[np.generic], cells: NDArray[np.uint8]
) -> list[tuple[str, int, int]]:
    """Count by the bytes of numpy's fixed-width text, without a Python string for each row."""
    plain = np.ascontiguousarray(values)
    n_bytes = plain.dtype.itemsize
    word = np.dtype(np.uint64 if n_bytes % 8 == 0 else np.uint32)
    if not plain.dtype.isnative or not 0 < n_bytes <= _MOST_WORDS * word.itemsize:
        rows = pl.DataFrame({"group": pl.Series(plain.tolist()), "cell": cells})
        return list(rows.group_by("group", "cell").agg(pl.len()).iter_rows())
    words = plain.view(word).reshape(len(plain), -1)
    keys = {f"word{j}": np.ascontiguousarray(words[:, j]) for j in range(words.shape[1])}
    counted = pl.DataFrame({**keys, "cell": cells}).group_by(*keys, "cell").agg(pl.len())
    names = np.ascontiguousarray(counted.select(*keys).to_numpy()).view(plain.dtype)
    told = names.reshape(-1).tolist()
    return list(zip(told, counted["cell"].to_list(), counted["len"].to_list(), strict=True))


def _groups(values: Sequence[object] | NDArray[np.generic]) -> pl.Series:
    """Return the group of each row as Polars counts it fastest, or by name."""
    try:
        found = pl.Series(values)
    except (TypeError, ValueError, pl.exceptions.PolarsError):  # of several types
        return pl.Series([_name(value) for value in values], dtype=pl.String)
    return found.fill_nan(None) if found.dtype.is_float() else found


def _name(value: object) -> str:
    return MISSING if value is None or value != value else str(value)  # noqa: PLR0124 - NaN


def add(*parts: Iterable[Group]) -> tuple[Group, ...]:
    """Return the groups of several sets of rows as one.

    Parameters
    ----------
    *parts
        What `count` returned for each set of rows; rows must not be in two of them.

    Returns
    -------
    tuple of Group
        In order of column and category.
    """
    sums: dict[tuple[str, str], list[int]] = {}
    for group in (group for part in parts for group in part):
        cells = sums.setdefault((group.column, group.category), [0, 0, 0, 0])
        cells[0] += group.n_true_positive
        cells[1] += group.n_false_positive
        cells[2] += group.n_false_negative
        cells[3] += group.n_true_negative
    return tuple(
        Group(
            column=column,
            category=category,
            n_true_positive=cells[0],
            n_false_positive=cells[1],
            n_false_negative=cells[2],
            n_true_negative=cells[3],
        )
        for (column, category), cells in sorted(sums.items())
    )


def evaluate(
    groups: Sequence[Group],
    *,
    favourable: bool = True,
    minimum_rows: int = MINIMUM_ROWS,
    confidence: float = 0.95,
) -> Fairness:
    """Return how differently the groups of one column are treated.

    Parameters
    ----------
    groups
        Counts of one protected column, at least one.
    favourable
        True where a positive decision is good for the person (a loan granted), False where
        it is bad (a default expected); only `disparate_impact` depends on it.
    minimum_rows
        Groups with fewer rows are left out and counted.
    confidence
        Of every interval, in (0, 1); that of the disparate impact is widened for the number
        of groups compared.

    Returns
    -------
    Fairness
        With undefined values as None when fewer than two groups are large enough.

    Raises
    ------
    ValueError
        When there is no group, or the groups belong to several columns.

    Notes
    -----
    Differences and ratios are fairlearn's [1]_. The interval of the disparate impact is
    that of a ratio of two shares on the log scale [2]_, with half a row added to each cell,
    at level ``1 - alpha / (k - 1)`` for k groups (Bonferroni).

    References
    ----------
    .. [1] fairlearn.metrics, demographic_parity_ratio and equalized_odds_difference, 0.12.
    .. [2] D. Katz et al., "Obtaining confidence intervals for the risk ratio in cohort
       studies", Biometrics 34, 1978.
    """
    columns = {group.column for group in groups}
    if len(columns) != 1:
        raise ValueError(f"groups of one column are needed; got {sorted(columns)}")
    large = [group for group in groups if group.n_rows >= minimum_rows]
    rates = tuple(_rates(group, confidence) for group in large)
    selection = [rate.selection_rate.value or 0.0 for rate in rates]
    spreads = [
        _spread([rate.true_positive_rate.value for rate in rates]),
        _spread([rate.false_positive_rate.value for rate in rates]),
    ]
    known = [spread for spread in spreads if spread is not None]
    impact, worst, best = _impact(large, favourable=favourable, confidence=confidence)
    top = max(selection, default=0.0)
    is_comparable = len(large) > 1
    return Fairness(
        column=columns.pop(),
        groups=rates,
        demographic_parity_difference=top - min(selection) if is_comparable else None,
        demographic_parity_ratio=min(selection) / top if is_comparable and top > 0 else None,
        equalized_odds_difference=max(known) if is_comparable and known else None,
        disparate_impact=impact,
        worst_category=worst,
        best_category=best,
        n_too_small=len(groups) - len(large),
    )


def _rates(group: Group, confidence: float) -> Rates:
    def share(hits: int, rows: int) -> Estimate:
        return scoring.share(hits, rows, confidence=confidence)

    n_negative = group.n_rows - group.n_positive
    return Rates(
        column=group.column,
        category=group.category,
        n_rows=group.n_rows,
        selection_rate=share(group.n_selected, group.n_rows),
        true_positive_rate=share(group.n_true_positive, group.n_positive),
        false_positive_rate=share(group.n_false_positive, n_negative),
        positive_predictive_value=share(group.n_true_positive, group.n_selected),
    )


def _spread(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) - min(known) if len(known) > 1 else None


def _impact(
    groups: Sequence[Group], *, favourable: bool, confidence: float
) -> tuple[Estimate, str | None, str | None]:
    n_rows = sum(group.n_rows for group in groups)
    nothing = Estimate(value=None, low=None, high=None, n_rows=n_rows, confidence=confidence)
    if len(groups) < 2:  # noqa: PLR2004 - nothing to compare
        return nothing, None, None

    def good(group: Group) -> int:
        return group.n_selected if favourable else group.n_rows - group.n_selected

    ordered = sorted(groups, key=lambda group: good(group) / group.n_rows)
    worst, best = ordered[0], ordered[-1]
    if good(best) == 0:
        return nothing, None, None
    ratio = (good(worst) / worst.n_rows) / (good(best) / best.n_rows)
    a, n = good(worst) + 0.5, worst.n_rows + 0.5
    b, m = good(best) + 0.5, best.n_rows + 0.5
    level = 1.0 - (1.0 - confidence) / (len(groups) - 1)
    # Both shares at 1 leave no variance at all; half a row keeps the interval honest.
    error = math.sqrt(max(1 / a - 1 / (n + 0.5) + 1 / b - 1 / (m + 0.5), 0.0))
    half = scoring.quantile(level) * error
    centre = math.log((a / n) / (b / m))
    found = Estimate(
        value=ratio,
        low=min(ratio, math.exp(centre - half)),
        high=max(ratio, math.exp(centre + half)),
        n_rows=n_rows,
        confidence=confidence,
    )
    return found, worst.category, best.category
