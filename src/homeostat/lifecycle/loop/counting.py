"""Counts what the objectives of a deployment are about; called by `measuring`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import polars as pl

from homeostat.foundation import errors
from homeostat.lifecycle.evaluation import fairness
from homeostat.lifecycle.loop import answered, newest, observing
from homeostat.lifecycle.monitoring import objectives
from homeostat.lifecycle.monitoring.objectives import Kept
from homeostat.lifecycle.predictions.entities import ABSTAINED

LEAST_ROWS = 20
"""Of a group in an hour, for fairness."""
HOUR_MS = 3_600_000
TWO = 2


def kept(seen: newest.Seen) -> list[Kept]:
    """Say how the objectives of a deployment stand.

    Parameters
    ----------
    seen
        From `look`.

    Returns
    -------
    list of Kept
        In the order of the policy, then of the classes. One whose slice or column the rows do
        not have says so and has no data.
    """
    found = []
    for one in seen.promises:
        try:
            count, what = _COUNTS[one.wanted.of](seen, one)
        except errors.InvalidInputError as error:
            empty = objectives.of_slots([])
            judged = objectives.judge(
                one.name, one.wanted, empty, now=seen.at, model_class=one.model_class
            )
            found.append(_saying(judged, str(error)))
            continue
        found.append(
            objectives.judge(
                one.name,
                one.wanted,
                count,
                now=seen.at,
                model_class=one.model_class,
                what=what,
            )
        )
    return found


def _accuracy(seen: newest.Seen, one: newest.Promise) -> tuple[objectives.Count, str]:
    since = seen.at - one.wanted.window_ms
    labels = seen.labels.filter(pl.col("known_at") >= since)
    rows = newest.inside(_labelled(seen, labels), one.named.get(one.wanted.slice, ""))
    if seen.policy.model.task == "regression":
        answer, label = (
            rows[name].cast(pl.Float64, strict=False) for name in ("answer", observing.LABEL)
        )
        gap = answer - label
        good = (gap.abs() <= float(one.wanted.within or 0)).fill_null(value=False)
    else:
        said = observing.as_text(rows["answer"])
        rows = rows.filter(said.ne_missing(ABSTAINED))
        good = observing.as_text(rows["answer"]).eq_missing(rows[observing.LABEL])
    count = objectives.of_events(rows["known_at"].to_numpy(), good.to_numpy())
    return count, "labelled answers"


def _latency(seen: newest.Seen, one: newest.Promise) -> tuple[objectives.Count, str]:
    within = one.wanted.within_s
    slots = [(at, float(counts.good(within)), float(counts.total)) for at, counts in seen.slots]
    return objectives.of_slots(slots), "requests"


def _freshness(seen: newest.Seen, one: newest.Promise) -> tuple[objectives.Count, str]:
    within_ms = round(1000 * one.wanted.within_s)
    begin = seen.deployment.created_at
    if (
        seen.rows.height >= newest.MOST_ROWS
    ):  # what was before is not read, so it does not count
        begin = max(begin, int(seen.rows["served_at"][0]))
    at = seen.rows["served_at"].to_list()
    return objectives.of_silence(at, within_ms=within_ms, begin=begin), "moments"


def _fairness(seen: newest.Seen, one: newest.Promise) -> tuple[objectives.Count, str]:
    """Count hours, by the positive answers that groups got; it needs no label."""
    wanted = one.wanted
    if len(seen.classes) != TWO:
        raise errors.InvalidInputError(
            "which answer is good for a person is known of two classes only",
            hint=f"homeostat monitor check {seen.deployment.name} compares how rightly groups "
            f"are answered",
        )
    since = seen.at - wanted.window_ms
    rows = seen.rows.filter(pl.col("served_at") >= since)
    rows = newest.inside(rows, one.named.get(wanted.slice, ""))
    if wanted.column not in rows.columns:
        known = ", ".join(seen.policy.data.protected) or "none"
        raise errors.InvalidInputError(
            f"there is no column {wanted.column!r}", hint=f"protected are {known}"
        )
    length = round(1000 * wanted.within_s) or HOUR_MS
    slot = pl.col("served_at") // length * length
    slots = []
    for (at,), part in rows.group_by(slot, maintain_order=True):
        given, chosen = answered.told(part, seen.classes[1])
        values = part[wanted.column].cast(pl.String).fill_null("missing").filter(given)
        none = np.zeros(len(values))
        groups = fairness.count(none, chosen[given], values.to_list(), column=wanted.column)
        large = tuple(group for group in groups if group.n_rows >= LEAST_ROWS)
        if len(large) < TWO:
            continue
        judged = fairness.evaluate(large, favourable=seen.policy.model.favourable)
        impact = judged.disparate_impact
        if impact.value is not None:
            bad = impact.high is not None and impact.high < wanted.at_least
            slots.append((int(str(at)), float(not bad), 1.0))
    return objectives.of_slots(slots), "hours" if length == HOUR_MS else "times"


_COUNTS: dict[str, Callable[[newest.Seen, newest.Promise], tuple[objectives.Count, str]]] = {
    "accuracy": _accuracy,
    "latency": _latency,
    "freshness": _freshness,
    "fairness": _fairness,
}


def _labelled(seen: newest.Seen, labels: pl.DataFrame) -> pl.DataFrame:
    rows = seen.rows.drop([name for name in labels.columns if name != "key"], strict=False)
    return rows.join(labels, on="key", how="inner", maintain_order="left").filter(
        pl.col(observing.LABEL).is_not_null()
    )


def _saying(one: Kept, sentence: str) -> Kept:
    return msgspec.structs.replace(one, sentence=sentence)
