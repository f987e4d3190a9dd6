"""What a summary says of a column's different values: how many, how surely, and a few of them.

Called by what shows summaries: profiles of snapshots and stored windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from homeostat.measures import distinct, summary


class Variety(NamedTuple):
    """How many different values there are.

    Attributes
    ----------
    n
        Missing and infinite values not counted.
    error
        Relative standard error of the count; 0 when it is exact.
    examples
        Up to five of them, each as likely whether frequent or not; always the same for the
        same values.
    """

    n: int
    error: float
    examples: tuple[str, ...] = ()


def told(n: int | None, error: float | None) -> str:
    """Write how many different values there are.

    Parameters
    ----------
    n, error
        As in `Variety`; None where they are not known.

    Returns
    -------
    str
        With one standard error where that is a whole value or more; empty when unknown.

    Examples
    --------
    >>> told(12, distinct.ERROR), told(2000, distinct.ERROR), told(2000, 0.0), told(None, None)
    ('12', '2,000 ± 65', '2,000', '')
    """
    if n is None:
        return ""
    spread = round(n * (error or 0.0))
    return f"{n:,} ± {spread:,}" if spread else f"{n:,}"


def listed(examples: Sequence[str]) -> str:
    """Write examples in one line.

    Parameters
    ----------
    examples
        Of a `Variety`.

    Returns
    -------
    str
        Long fractions to six digits; everything else as it is.

    Examples
    --------
    >>> listed(["1239.4393279763615", "2.5", "00123", "north"])
    '1239.44, 2.5, 00123, north'
    """
    return ", ".join(map(_short, examples))


def _short(text: str) -> str:
    try:
        is_number = "." in text and repr(float(text)) == text
    except ValueError:
        return text
    return f"{float(text):.6g}" if is_number else text


def of(seen: summary.ColumnSummary) -> Variety | None:
    """Return how many different values a column held.

    Parameters
    ----------
    seen
        Of any number of rows, added up or not.

    Returns
    -------
    Variety or None
        Exact for a categorical column whose every category was counted; None where it is not
        known: summaries kept before values were counted, and columns of lists.

    Examples
    --------
    >>> import polars as pl
    >>> from homeostat.measures import bins
    >>> flags = pl.Series([True, False, True, None])
    >>> of(summary.summarise_categories(flags, bins.freeze_categories(flags)))[:2]
    (2, 0.0)
    """
    sketch = seen.values
    examples = tuple(text for _, text in sketch.examples) if sketch else ()
    if isinstance(seen, summary.CategorySummary):
        if seen.others == sum(seen.unseen.values()):
            n = sum(count > 0 for count in seen.counts) + len(seen.unseen)
            return Variety(n, 0.0, examples)
        most = seen.n - seen.nulls
    else:
        most = seen.n_finite
    if sketch is None:
        return None
    return Variety(min(most, round(distinct.estimate(sketch))), distinct.ERROR, examples)
