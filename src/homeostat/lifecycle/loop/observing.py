"""Reads the log as the loop sees it: windows to judge, blocks to learn from; for `live`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.loop import entities, selecting
from homeostat.lifecycle.monitoring import baseline
from homeostat.lifecycle.monitoring import entities as monitored
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.predictions import join, read, segments

FEATURE = "x."
CONTEXT = "c."
LABEL = "label"
LONGEST_WINDOW_ROWS = 10_000
YEAR_S = 365 * 86_400.0
BY_WINDOW = 0.5
"""Of the yearly false alarms; the rest are of checks by the hour and of single decisions."""
DOUBTFUL_ROWS = 20
"""Rows beside a broken stretch that are kept out with it: its ends are exact to some rows."""
DOUBTFUL_TIMES = 4.0
"""Columns that changed places are seen after some rows; so many times as many are in doubt."""


def window(
    house: House, tx: Transaction, deployment: str, *, first_row: int, policy: Policy
) -> pl.DataFrame | None:
    """Return the rows of the next window once it is full, answered rows only.

    Parameters
    ----------
    house, tx
        Where the log is.
    deployment
        Whose.
    first_row
        First row that was not judged yet.
    policy
        Its window is a number of rows or a time; a window of time also ends at 10,000 rows.

    Returns
    -------
    polars.DataFrame or None
        None while the window is not full.
    """
    span = policy.monitoring.window_span
    most = span.rows or LONGEST_WINDOW_ROWS
    rows = _answered(house, tx, deployment, first_row=first_row, at_least=most)
    if rows.is_empty():
        return None
    if span.rows:
        return rows[:most] if rows.height >= most else None
    until = int(rows["served_at"][0] + (span.seconds or 0.0) * 1000)
    inside = rows.filter(pl.col("served_at") < until)[:most]
    is_over = inside.height < rows.height or tx.at >= until
    return inside if is_over else None


def _answered(
    house: House, tx: Transaction, deployment: str, *, first_row: int, at_least: int
) -> pl.DataFrame:
    """Read on until there are enough answered rows, or no more; shadows lie between."""
    asked = at_least
    while True:
        found = read.predictions(
            house, tx, deployment, first_row=first_row, end_row=first_row + asked
        )
        rows = found.filter(pl.col("answered"))
        if rows.height >= at_least or found.height < asked:
            return rows
        asked *= 2


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of the log with features as plain columns, beside ``score`` and ``row``.

    Of several classes what was answered stands beside them too.
    """
    names = {n: n.removeprefix(FEATURE) for n in rows.columns if n.startswith(FEATURE)}
    kept: list[str] = [name for name in ("row", "score") if name in rows.columns]
    if any(name.startswith(segments.CHANCE) for name in rows.columns):
        kept.append(baseline.ANSWER)
    if "served_score" in rows.columns:
        # Where the model failed, a fallback's score is what there is.
        rows = rows.with_columns(pl.col("score").fill_nan(pl.col("served_score")))
    return rows.select(
        *[pl.col(name) for name in kept if name not in names.values()],
        *[pl.col(old).alias(new) for old, new in names.items()],
    )


def contexts(rows: pl.DataFrame) -> dict[str, list[str]]:
    """Return the protected attributes of rows, as text, by name."""
    return {
        name.removeprefix(CONTEXT): rows[name].cast(pl.String).fill_null("missing").to_list()
        for name in rows.columns
        if name.startswith(CONTEXT)
    }


def sliceable(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of the log with features and protected columns by their plain names."""
    beside = [pl.Series(name, column) for name, column in contexts(rows).items()]
    return features(rows).with_columns(beside)


def labelled(
    house: House,
    tx: Transaction,
    deployment: str,
    *,
    rows: entities.RowRange,
    without: Sequence[entities.RowRange] = (),
    known: pl.DataFrame | None = None,
    at_most: int | None = None,
) -> pl.DataFrame:
    """Return the answered rows of a range that have a label and are not quarantined.

    Rows that the members could not score, and a fallback answered, say nothing of them and are
    left out. Keys are read first and features only of the rows that are wanted: most of a log
    may wait for its labels.

    Parameters
    ----------
    house, tx
        Where the log is.
    deployment
        Whose.
    rows
        First row and row after the last.
    without
        Ranges that are kept out.
    known
        All labels of the deployment; read when None.
    at_most
        Only so many, the first ones.

    Returns
    -------
    polars.DataFrame
        As `read.predictions`, with ``label``, in log order.
    """
    if known is None:
        known = read.labels(house, tx, deployment)
    keys = read.predictions(
        house,
        tx,
        deployment,
        first_row=rows[0],
        end_row=rows[1],
        columns=("row", "key", "answered", "score"),
    )
    keep = pl.col(LABEL).is_not_null() & pl.col("score").is_not_nan()
    for first, end in without:
        keep = keep & ~pl.col("row").is_between(first, end, closed="left")
    found = join.join(keys.filter(pl.col("answered")), known).filter(keep)
    found = found.select("row", LABEL).head(at_most if at_most is not None else found.height)
    if found.is_empty():
        span = (rows[0], rows[0])
    else:
        span = (int(found["row"][0]), int(found["row"][-1]) + 1)
    whole = read.predictions(house, tx, deployment, first_row=span[0], end_row=span[1])
    kept = whole.join(found, on="row", how="inner", maintain_order="left")
    return selecting.drawn(tx, kept)


def dealt(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that came to their arm by chance, where a plan dealt any so.

    A row that a rule of the plan or its caller sent to an arm stays there whatever the arms'
    shares become, so it has no say in whether they may change; and a caller may try an arm on
    whatever rows.

    Parameters
    ----------
    rows
        From `labelled`.

    Returns
    -------
    polars.DataFrame
        Without rows of propensity 1 under plans that dealt others with a smaller one; never
        empty, where `rows` is not.
    """
    by_chance = pl.col("propensity") < 1.0
    return rows.filter(by_chance | ~by_chance.any().over("generation"))


def training_table(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return logged rows as the pipeline knows them: features, protected columns, target.

    Parameters
    ----------
    rows
        From `labelled`.
    policy
        Names target and key.

    Returns
    -------
    polars.DataFrame
        In log order; the target is a whole number where all labels are, and a number of a
        regression.
    """
    names = [n for n in rows.columns if n.startswith((FEATURE, CONTEXT))]
    table = rows.select(
        *[pl.col(name).alias(name.split(".", 1)[1]) for name in names],
        pl.col(LABEL).alias(policy.model.target),
    )
    if policy.model.key and policy.model.key not in table.columns:
        table = table.with_columns(rows["key"].alias(policy.model.key))
    target = table[policy.model.target]
    if policy.model.task == "regression":
        return table.with_columns(target.cast(pl.Float64, strict=False))
    if target.dtype == pl.String:
        numbers = target.cast(pl.Int64, strict=False)
        if numbers.null_count() == target.null_count():
            table = table.with_columns(numbers.alias(policy.model.target))
    return table


def positives(rows: pl.DataFrame, positive: str) -> NDArray[np.bool_]:
    """Return where the label is the positive class, compared as text; shape ``(n,)``."""
    return as_text(rows[LABEL]).eq(positive).to_numpy()


def as_text(labels: pl.Series) -> pl.Series:
    """Return labels, or answers, as the text that labels are kept as."""
    if labels.dtype == pl.Boolean:
        return labels.cast(pl.Int8).cast(pl.String)
    if labels.dtype.is_float():
        whole = labels.cast(pl.Int64, strict=False)
        if whole.cast(pl.Float64).eq(labels).all():
            return whole.cast(pl.String)
    return labels.cast(pl.String)


def brier(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the mean squared error of probabilities, 0 to 1, summed in the order of rows."""
    total = 0.0
    for score, is_true in zip(scores.tolist(), truth.tolist(), strict=True):
        total += (score - is_true) ** 2
    return total / len(scores)


def budget(policy: Policy) -> monitored.AlarmBudget:
    """Return the budget of false alarms for one window; an hour where windows are of rows."""
    seconds = policy.monitoring.window_span.seconds or 3600.0
    return monitored.AlarmBudget(
        false_alarms=policy.monitoring.false_alarms_per_year * BY_WINDOW,
        windows=YEAR_S / seconds,
    )


def placed(judgement: monitored.Judgement, rows: NDArray[np.int64]) -> monitored.Judgement:
    """Return a judgement of positions 0, 1, ... as one of rows of the log.

    Parameters
    ----------
    judgement
        Judged with ``first_row=0``.
    rows
        Row of the log for each position; shadow rows lie between them.
    """
    end = int(rows[-1]) + 1

    def moved(first: int, last: int) -> entities.RowRange:
        return int(rows[first]), int(rows[last - 1]) + 1 if last else int(rows[0])

    findings = tuple(_told_at(f, moved(f.first_row, f.end_row)) for f in judgement.findings)
    told = {
        old.sentence: new.sentence
        for old, new in zip(judgement.findings, findings, strict=True)
    }
    broken = judgement.broken
    return msgspec.structs.replace(
        judgement,
        first_row=int(rows[0]),
        end_row=end,
        findings=findings,
        causes=tuple(_retold(cause, told) for cause in judgement.causes),
        broken=None if broken is None else tuple(moved(*part) for part in broken),
    )


def _told_at(found: monitored.Finding, span: entities.RowRange) -> monitored.Finding:
    """Return a finding of other rows, and its sentence with their numbers."""
    first, end = span
    sentence = found.sentence.replace(
        f"from row {found.first_row} to {found.end_row}", f"from row {first} to {end}"
    )
    if sentence == found.sentence:  # it tells where it begins only
        sentence = sentence.replace(f"from row {found.first_row}", f"from row {first}")
    return msgspec.structs.replace(found, first_row=first, end_row=end, sentence=sentence)


def _retold(cause: monitored.Cause, told: dict[str, str]) -> monitored.Cause:
    """Return a cause with the sentences of findings that it quotes as they are now."""
    sentence, evidence = cause.sentence, cause.evidence
    for old, new in told.items():
        sentence = sentence.replace(old, new)
        evidence = tuple(line.replace(old, new) for line in evidence)
    return msgspec.structs.replace(cause, sentence=sentence, evidence=evidence)


def window_event(judgement: monitored.Judgement) -> entities.WindowJudged:
    """Return a judgement as the event that live loop and backtest decide on.

    Parameters
    ----------
    judgement
        From `judge.window`, in rows of the log or of the table.
    """
    return entities.WindowJudged(
        first_row=judgement.first_row,
        end_row=judgement.end_row,
        findings=tuple((found.kind, found.column) for found in judgement.findings),
        causes=seen_causes(judgement.causes),
        broken=_widened(judgement),
    )


def _widened(judgement: monitored.Judgement) -> tuple[entities.RowRange, ...]:
    """Return the broken stretches with the doubtful rows beside them.

    Also across the ends of the window: a break that begins in its last rows, or ends in the
    first rows of the next one, may be too short to be seen there.
    """
    beside = _doubtful(judgement)
    return tuple(
        (max(0, first - beside), end + beside) for first, end in judgement.broken or ()
    )


def _doubtful(judgement: monitored.Judgement) -> int:
    """Return how many rows beside a break may belong to it unseen."""
    seen_after = [
        found.needed * (found.end_row - found.first_row) / found.value
        for found in judgement.findings
        if found.kind == "swapped"
    ]
    return max(DOUBTFUL_ROWS, math.ceil(DOUBTFUL_TIMES * max(seen_after, default=0.0)))


def seen_causes(causes: Sequence[monitored.Cause]) -> tuple[entities.SeenCause, ...]:
    """Return what blame named, as far as decisions need it."""
    return tuple(
        entities.SeenCause(
            kind=cause.kind,
            column=cause.column,
            factor=cause.factor,
            share=cause.share,
            sentence=cause.sentence,
        )
        for cause in causes
    )
