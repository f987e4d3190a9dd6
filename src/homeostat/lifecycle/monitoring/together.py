"""Have rows moved as a whole, where no column alone has? Asked hourly by `loop.looking`."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.lifecycle.monitoring import baseline
from homeostat.lifecycle.monitoring.checks import Check, Number
from homeostat.measures import bins, multivariate

Floats = NDArray[np.float64]

NAME: Final = "multivariate drift"
ROWS: Final = 2000
NEWEST: Final = 1000
LEAST_AREA: Final = 0.55
_NAMED: Final = 3


def check(
    rows: pl.DataFrame, frozen: baseline.Baseline, *, level: float, deployment: str = ""
) -> Check:
    """Say whether a classifier can tell the newest rows from those of the training.

    Parameters
    ----------
    rows
        Features as plain columns, the newest last; the last 1,000 are asked about. A column
        that is not there is not, such as one that follows the clock.
    frozen
        Of the version that answers.
    level
        Chance of a false finding.
    deployment
        For the command.

    Returns
    -------
    Check
        Found when the area under the curve on rows that the classifier was not fitted on is
        0.55 or more and by chance no more often than `level`; unknown with fewer than 100 rows.

    Notes
    -----
    Columns are compared by the groups of the baseline, categories by their share at training.
    How much rows depend on each other in time is seen in the means of blocks (see
    `multivariate.separate`). Asked once an hour it costs about 0.1 s, whatever the traffic.
    """
    query = f"homeostat monitor show {deployment} --by hour --limit 24"
    used = [name for name in frozen.features if name in rows.columns and _varies(frozen, name)]
    places = [frozen.features.index(name) for name in used]
    if not used or not len(frozen.reference_codes):
        told = "the baseline keeps no rows to compare with"
        return Check(name=NAME, verdict="unknown", sentence=told, query=query)
    newest = rows[-NEWEST:]
    codes = [
        baseline.group(newest[name], frozen.profiles[name], frozen.bins.columns[name])
        for name in used
    ]
    reference = frozen.reference_codes[:, places]
    reference = reference[:: max(1, -(-len(reference) // ROWS))]
    before = np.column_stack(
        [_ordered(frozen, name, reference[:, i]) for i, name in enumerate(used)]
    )
    now = np.column_stack(
        [_ordered(frozen, name, part) for name, part in zip(used, codes, strict=True)]
    )
    found = multivariate.separate(before, now)
    if found is None:
        few = min(len(before), len(now))
        told = f"{few} rows are too few; {multivariate.LEAST_ROWS} are needed"
        return Check(name=NAME, verdict="unknown", sentence=told, query=query)
    error, chance = found.standard_error, found.p_value
    named = ", ".join(used[at] for at, _ in found.weights[:_NAMED])
    is_found = found.auc >= LEAST_AREA and chance <= level
    meant = "; that may be chance" if found.auc >= LEAST_AREA and not is_found else ""
    return Check(
        name=NAME,
        verdict="found" if is_found else "fine",
        sentence=f"{len(now):,} of the newest rows can be told from those at training with an "
        f"area of {found.auc:.2f} under the curve (0.5 when they are alike), most by {named}"
        f"{meant}",
        numbers={
            "area": Number(found.auc, found.auc - 1.96 * error, found.auc + 1.96 * error),
            "p": Number(chance),
        },
        query=query,
    )


def _varies(frozen: baseline.Baseline, name: str) -> bool:
    profile = frozen.profiles.get(name)
    return profile is not None and not profile.is_constant


def _ordered(frozen: baseline.Baseline, name: str, codes: baseline.Codes) -> Floats:
    """Return groups as numbers in an order that means something; NaN for missing values."""
    profile = frozen.profiles[name]
    grouped = np.array(profile.grouped, dtype=np.float64)
    values = np.arange(len(grouped), dtype=np.float64)
    if isinstance(frozen.bins.columns[name], bins.CategoryBins):
        values = grouped / max(1.0, grouped.sum())
    values[-1] = np.nan
    return np.asarray(values[codes.astype(np.intp)])
