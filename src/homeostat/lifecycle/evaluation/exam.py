"""All that gates look at, over one stated set of rows; called by pipelines and the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import blake3
import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from homeostat.lifecycle.evaluation import compare, fairness, metrics, scoring, slices
from homeostat.lifecycle.evaluation.entities import Exam, Metric

Columns = Mapping[str, Sequence[object] | NDArray[np.generic]]


def sit(  # noqa: PLR0913 - arrays of the same rows, each with a name
    y: ArrayLike,
    score: ArrayLike,
    *,
    rows: str,
    champion: ArrayLike | None = None,
    protected: Columns | None = None,
    metric: Metric = "roc_auc",
    slice_needed: float | None = None,
    threshold: float = 0.5,
    favourable: bool = True,
    named: slices.Named | None = None,
) -> Exam:
    """Return how a candidate does on rows it was not trained on.

    Parameters
    ----------
    y
        Shape ``(n,)``, True or 1 for positive rows.
    score, champion
        Shape ``(n,)``, probabilities of the positive class by the candidate and by what is
        served now; no comparison is made without the latter.
    rows
        Which rows these are, for people.
    protected
        Name to n categories, for slices and fairness.
    metric
        Of the gates and slices; the comparison always has Brier, accuracy and AUC as well.
    slice_needed
        Value each slice is held against; the value on all rows when None.
    threshold
        Rows at or above it are decided positive.
    favourable
        Whether a positive decision is good for the person.
    named
        Name to n truth values, for slices that have a name.

    Returns
    -------
    Exam
        Pure: the same arrays give the same exam, bit for bit.

    Raises
    ------
    ValueError
        When arrays differ in length, are empty, not finite or not in range.
    """
    truth, chance = scoring.checked(y, score)
    old = None if champion is None else scoring.checked(y, champion)[1]
    columns = dict(protected or {})
    compared = tuple(dict.fromkeys((metric, *compare.PAIRED)))
    comparisons = (
        ()
        if old is None
        else tuple(
            compare.compare(truth, old, chance, metric=name, threshold=threshold)
            for name in compared
            if name in compare.ABLE
        )
    )
    groups = [
        fairness.count(truth, chance >= threshold, values, column=column)
        for column, values in columns.items()
    ]
    return Exam(
        rows=rows,
        rows_digest=rows_digest(
            truth, chance, champion=old, protected={**columns, **digested(named)}
        ),
        metric=metric,
        quality=metrics.estimate(metric, truth, chance, threshold=threshold),
        evaluation=metrics.evaluate(truth, chance, threshold=threshold),
        comparisons=comparisons,
        slices=slices.evaluate(
            truth,
            chance,
            columns,
            metric=metric,
            needed=slice_needed,
            threshold=threshold,
            named=named,
        ),
        fairness=tuple(fairness.evaluate(part, favourable=favourable) for part in groups),
    )


def measured(
    exam: Exam, *, latency_p99_ms: float | None = None, size_bytes: int | None = None
) -> Exam:
    """Return `exam` with what was measured apart from its rows.

    Parameters
    ----------
    exam
        As `sit` returned it.
    latency_p99_ms
        99th percentile of one answer, milliseconds.
    size_bytes
        Of all files of the candidate.

    Returns
    -------
    Exam
        A new one.
    """
    return msgspec.structs.replace(exam, latency_p99_ms=latency_p99_ms, size_bytes=size_bytes)


def digested(named: slices.Named | None) -> Columns:
    """Return named slices as columns of a digest: ``slice=name`` to truth values."""
    return {
        f"{slices.NAMED}={name}": [bool(one) for one in inside]
        for name, inside in (named or {}).items()
    }


def rows_digest(
    y: ArrayLike,
    score: ArrayLike,
    *,
    champion: ArrayLike | None = None,
    protected: Columns | None = None,
) -> str:
    """Return one digest of exactly what was judged.

    Parameters
    ----------
    y, score, champion, protected
        As for `sit`.

    Returns
    -------
    str
        BLAKE3, 64 hexadecimal digits; order of rows counts, order of columns does not.
    """
    hasher = blake3.blake3()
    hasher.update(np.asarray(y, dtype=np.uint8).tobytes())
    hasher.update(np.asarray(score, dtype="<f8").tobytes())
    if champion is not None:
        hasher.update(np.asarray(champion, dtype="<f8").tobytes())
    for column, values in sorted((protected or {}).items()):
        hasher.update(msgspec.json.encode([column, [str(value) for value in values]]))
    return hasher.hexdigest()
