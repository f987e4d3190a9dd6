"""Labels that the answer selects: the chance with which each was revealed, and what fits do.

`drawn` is called where labelled rows are read (`observing`), `weighed` where a fit learns
(`lessons`). A row that was answered as the model said had its answer for certain; one that an
exploration answered has it with the share of that exploration.

References
----------
.. [1] Horvitz and Thompson, *A generalization of sampling without replacement from a finite
   universe*, JASA 47, 1952: weights of one over the chance.
.. [2] Ionides, *Truncated importance sampling*, JCGS 17, 2008: the largest weight.
.. [3] Crump, Hotz, Imbens and Mitnik, *Dealing with limited overlap in estimation of average
   treatment effects*, Biometrika 96, 2009: leaving out where the chance is too small.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.corrections import stored
from homeostat.lifecycle.corrections.entities import Explore
from homeostat.lifecycle.policy.limits import Selection

CHANCE = "answer_propensity"
MARKS = "corrections"
ANSWER = "answer"


class Weighed(NamedTuple):
    """Rows as a fit takes them, and in words what was done to them; empty where nothing was."""

    rows: pl.DataFrame
    told: str


def drawn(tx: Transaction, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the chance of their answer, as `CHANCE`; 1 where nothing was drawn.

    Parameters
    ----------
    tx
        Any transaction.
    rows
        Of the log, with the marks of the corrections that changed them.

    Returns
    -------
    polars.DataFrame
        With a column more, in (0, 1].
    """
    if MARKS not in rows.columns or not (rows[MARKS] != "").any():
        return rows.with_columns(pl.lit(1.0).alias(CHANCE))
    said = rows[MARKS].fill_null("")
    marks = {mark for text in said.unique().to_list() for mark in text.split(",") if mark}
    shares = _shares(tx, marks)
    chance = [
        min((shares.get(mark, 1.0) for mark in text.split(",")), default=1.0)
        for text in said.to_list()
    ]
    return rows.with_columns(pl.Series(CHANCE, chance, dtype=pl.Float64))


def _shares(tx: Transaction, marks: set[str]) -> Mapping[str, float]:
    """Return the share of each version that explores, by its mark."""
    found: dict[str, float] = {}
    for mark in marks:
        name, _, version = mark.partition("@")
        try:
            body = stored.one(tx, name, int(version)).body
        except (errors.NotFoundError, ValueError):
            continue
        if isinstance(body, Explore):
            found[mark] = body.share
    return found


def weighed(rows: pl.DataFrame, selection: Selection) -> Weighed:
    """Let rows count by the inverse of the chance that their label was revealed.

    A weight is a number of copies, so that any pipeline can learn from them: copies are dealt
    evenly along the log, and their number differs from the sum of the weights by less than one.

    Parameters
    ----------
    rows
        From `drawn`, labelled.
    selection
        Of the policy.

    Returns
    -------
    Weighed
        In log order.

    Examples
    --------
    >>> rows = pl.DataFrame({"answer": ["0", "0", "1"], CHANCE: [1.0, 0.25, 1.0]})
    >>> weighed(rows, Selection(revealing="0")).rows["answer"].to_list()
    ['0', '0', '0', '0', '0', '1']
    >>> weighed(rows, Selection(revealing="0", handling="exclude")).rows.height
    5
    """
    if selection.revealing is None or selection.handling == "none" or rows.is_empty():
        return Weighed(rows, "")
    is_known = (rows[ANSWER].cast(pl.String) == selection.revealing).fill_null(value=False)
    chance = rows[CHANCE].to_numpy()
    most = selection.weight_at_most
    weight = np.minimum(1.0 / chance, most)
    n_clipped = int(np.count_nonzero(is_known.to_numpy() & (1.0 / chance > most)))
    weight[~is_known.to_numpy()] = 1.0  # labelled although the answer hides labels
    if selection.handling == "exclude":
        weight[~is_known.to_numpy() | (1.0 / chance > most)] = 0.0
    ends = np.floor(np.cumsum(weight) + 0.5).astype(np.int64)
    copies = np.diff(ends, prepend=0)
    places = list(itertools.chain.from_iterable([at] * n for at, n in enumerate(copies)))
    n_explored = int(np.count_nonzero(chance < 1.0))
    n_unknown = int(np.count_nonzero(~is_known.to_numpy()))
    what = "left out" if selection.handling == "exclude" else "count once"
    cut = "left out" if selection.handling == "exclude" else f"cut to {most:g}"
    told = (
        f"labels are selected by the answer {selection.revealing!r}: {n_explored} of "
        f"{rows.height} rows were explored and count by the inverse of their chance "
        f"({n_clipped} {cut}); {n_unknown} without a known chance {what}"
    )
    return Weighed(rows[places], told)
