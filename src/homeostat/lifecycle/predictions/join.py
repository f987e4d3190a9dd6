"""Joins predictions with what became known of them later, as of any instant; pure."""

from __future__ import annotations

import polars as pl

from homeostat.lifecycle.predictions.entities import LabelReport

LISTED = 100


def join(
    predictions: pl.DataFrame, labels: pl.DataFrame, *, as_of: int | None = None
) -> pl.DataFrame:
    """Put beside each prediction the label of its key.

    Parameters
    ----------
    predictions
        Rows of the log; needs ``key``.
    labels
        Labels of the log: key, label, event_at, known_at.
    as_of
        Only labels known then count; milliseconds UTC.

    Returns
    -------
    polars.DataFrame
        `predictions`, in the same order and number, with label, event_at and known_at; null
        where nothing is known. Of several labels of one key the one known last counts; of
        those known at once, the one that came last. A key predicted twice has its label twice.
    """
    return beside(predictions, last_known(labels, as_of=as_of))


def last_known(labels: pl.DataFrame, *, as_of: int | None = None) -> pl.DataFrame:
    """Return the label that counts for each key.

    Parameters
    ----------
    labels, as_of
        As for `join`.

    Returns
    -------
    polars.DataFrame
        As `labels`, each key once.
    """
    known = labels if as_of is None else labels.filter(pl.col("known_at") <= as_of)
    return (
        known.with_row_index("_order")
        .sort("known_at", "_order")
        .unique("key", keep="last", maintain_order=True)
        .drop("_order")
    )


def beside(predictions: pl.DataFrame, last: pl.DataFrame) -> pl.DataFrame:
    """Put beside each prediction the label of its key, found by `last_known` before."""
    return predictions.join(last, on="key", how="left", maintain_order="left")


def report(predictions: pl.DataFrame, labels: pl.DataFrame) -> LabelReport:
    """Count what fits together and name what does not.

    Parameters
    ----------
    predictions
        Answered rows; needs ``key``.
    labels
        As for `join`.

    Returns
    -------
    LabelReport
        Lists hold the first 100 keys, in the order of the log.
    """
    served, known = predictions["key"], labels["key"]
    unknown = known.filter(~known.is_in(served.unique().implode()))
    again, repeated = _more_than_once(known), _more_than_once(served)
    return LabelReport(
        n_predictions=len(served),
        n_labels=len(known),
        n_labelled=int(served.is_in(known.unique().implode()).sum()),
        n_unknown=len(unknown),
        unknown_keys=tuple(unknown.unique(maintain_order=True).head(LISTED).to_list()),
        n_relabelled=len(again),
        relabelled_keys=tuple(again.head(LISTED).to_list()),
        n_repeated=len(repeated),
        repeated_keys=tuple(repeated.head(LISTED).to_list()),
    )


def _more_than_once(keys: pl.Series) -> pl.Series:
    return keys.filter(keys.is_duplicated()).unique(maintain_order=True)
