"""Planted incidents lived through by the loop, for `recovery.py`: seen, named, not learned.

Each history is made by a seed: 9,000 rows (18,000 for detection), the first 2,000 train,
batches of 200, labels at once. The change lies anywhere inside a batch. Nothing here was used
to choose a constant.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from msgspec import structs
from numpy.typing import NDArray

from homeostat.lifecycle.loop import (
    alarmed,
    backtest,
    decide,
    entities,
    estimators,
    harm,
    history,
    looped,
    observing,
    testbed,
)
from homeostat.lifecycle.monitoring import baseline, blame, judge
from homeostat.lifecycle.monitoring import entities as monitored

ROWS, LONG, WARMUP, BATCH = 9000, 18_000, 2000, 200
KNOWN = 2000
"""Rows after the warm-up that say how often answers are wrong while nothing has happened."""
BROKEN_ROWS = 2000
DROPS = (0.05, 0.15, 0.30)
NOISE = 0.08
HOWS: dict[str, dict[str, pl.Expr]] = {
    "x100 units": {"income": pl.col("income") * 100},
    "stuck column": {"amount": pl.lit(31.0)},
    "swapped columns": {"amount": pl.col("age"), "age": pl.col("amount")},
    "null burst": {"age": pl.lit(None, dtype=pl.Float64)},
}
CAUSES = {
    "another world": "concept-change",
    "another world, other cases of no account": "concept-change",
    "harder cases": "covariate-shift",
    "a unit": "feed",
    "a stuck column": "feed",
}


def loans(seed: int, *, n: int = ROWS) -> pl.DataFrame:
    """Draw loans whose outcome all four columns decide."""
    rng = np.random.default_rng([21, seed])
    amount, age = rng.gamma(2, 15, n), rng.normal(50, 10, n)
    share, income = rng.uniform(0, 1, n), rng.exponential(1000, n)
    z = amount / 30 - 1 + (age - 50) / 10 + 3 * (share - 0.5) + (income / 1000 - 1) / 2
    y = (z > 0) ^ (rng.random(n) < NOISE)
    columns = {"amount": amount, "age": age, "share": share, "income": income}
    return pl.DataFrame({**columns, "y": y})


def place(seed: int, *, n: int = ROWS) -> int:
    """Return where the incident begins: no batch begins there but by chance."""
    calm = KNOWN + 600 if n == ROWS else n // 2
    return int(np.random.default_rng([22, seed]).integers(WARMUP + calm, n - 3000))


def dropped(seed: int, *, drop: float, n: int = ROWS) -> pl.DataFrame:
    """Let the outcome of some cases turn round, so that accuracy falls by `drop`."""
    frame, first = loans(seed, n=n), place(seed, n=n)
    share = drop / (1 - 2 * NOISE)
    turned = (pl.int_range(pl.len()) >= first) & (pl.col("share") < share)
    return frame.with_columns(y=pl.col("y") ^ turned)


class Watched(looped.Life):
    """A life in which blame is asked for the cause of harm, as the live loop asks."""

    def __init__(self, bed: testbed.Testbed, *, learns: bool = True) -> None:
        told = backtest.policy_for("y")
        rollout = structs.replace(told.rollout, strategy="blue-green")
        on = told.retraining.on if learns else ("harm",)
        policy = structs.replace(
            told, rollout=rollout, retraining=structs.replace(told.retraining, on=on)
        )
        super().__init__(bed, policy, has_corrector=learns)
        self.named: list[str] = []
        self._scored: baseline.Baseline | None = None

    def _judged(self, block: NDArray[np.int64], *, at: int) -> entities.BlockLabelled:
        event = super()._judged(block, at=at)
        if not decide.raises_harm(self.state, event):
            return event
        if self._scored is None:
            known = np.arange(WARMUP, WARMUP + KNOWN)
            self._scored = baseline.freeze(
                self._shown(known),
                features=self.bed.rows.features.columns,
                score="score",
                label="label",
            )
        first, end = event.first_row, event.end_row
        seen = judge.window(
            self._shown(np.arange(first, end)),
            self._scored,
            first_row=first,
            budget=monitored.AlarmBudget(),
        )
        harmed = monitored.Harm(
            first_row=first,
            end_row=end,
            accepted=harm.accepted_rate(self.state.harm, n_rows=event.n_rows),
            realised=max(event.error, alarmed.of_members(event)),
            n_rows=event.n_rows,
        )
        causes = blame.rank([seen], harm=harmed)
        self.named.append(causes[0].kind)
        return structs.replace(event, cause=observing.seen_causes(causes[:1])[0])

    def _shown(self, rows: NDArray[np.int64]) -> pl.DataFrame:
        return self.bed.rows.features[rows].with_columns(
            score=pl.Series(self.chances[rows]), label=pl.Series(self.bed.rows.labels[rows])
        )


def lived(
    frame: pl.DataFrame,
    *,
    until: Callable[[Watched], bool] | None = None,
    learns: bool = True,
) -> Watched:
    """Live through a history, or as much as is asked; learn from harm alone if so told."""
    rows = history.prepare(frame, target="y", warmup=WARMUP / len(frame))
    bed = testbed.Testbed(rows, batch=BATCH, label_delay=0, seed=0)
    learned: list[NDArray[np.int64]] = []
    fit = bed.fit

    def noted(chosen: NDArray[np.int64]) -> testbed.Member | None:
        learned.append(chosen)
        return fit(chosen)

    bed.fit = noted  # type: ignore[method-assign]
    with estimators.one_thread():
        life = Watched(bed, learns=learns)
        for first, end in bed.batches():
            life.take_labels(at=first)
            life.answer(first, end)
            life.judge_window(first, end)
            if until is not None and until(life):
                break
    life.learned = np.concatenate([np.arange(0), *learned])  # type: ignore[attr-defined]
    return life


def detection(runs: int) -> list[str]:
    """Count rows from a change until the harm alarm, and false alarms before it.

    Once with a loop that otherwise stands still, so that the drop lasts; once with one that
    refreshes and corrects, and so may have made up for the drop before the alarm is sure.
    """
    return [_detected(drop, runs, learns=learns) for drop in DROPS for learns in (False, True)]


def _detected(drop: float, runs: int, *, learns: bool) -> str:
    rows, blocks, false = [], [], 0
    for seed in range(runs):
        first = place(seed, n=LONG)
        life = lived(
            dropped(seed, drop=drop, n=LONG),
            until=lambda life, first=first: _harmed(life, first),
            learns=learns,
        )
        at = [alarm.row for alarm in life.alarms if alarm.kind == "harm"]
        false += sum(row <= first for row in at)
        seen = next((row for row in at if row > first), None)
        rows.append(np.inf if seen is None else seen - first)
        whole = -(-(first - WARMUP) // BATCH) * BATCH + WARMUP
        blocks.append(np.inf if seen is None else max(1, (seen - whole) // BATCH))
    how = "refreshing and correcting" if learns else "waiting for harm"
    return (
        f"detection, {drop:.0%} drop, {how}, {runs} seeds: median {np.median(rows):.0f} rows "
        f"(worst {max(rows):.0f}), median {np.median(blocks):.0f} whole blocks (worst "
        f"{max(blocks):.0f}); no alarm in {np.isinf(rows).sum()}, false alarms {false}"
    )


def _harmed(life: Watched, first: int) -> bool:
    return any(alarm.kind == "harm" and alarm.row > first for alarm in life.alarms)


def feeds(runs: int) -> list[str]:
    """Break the feed for 2,000 rows; compare with the same history unbroken."""
    told = []
    whole = {seed: lived(loans(seed)) for seed in range(runs)}
    for how, changed in HOWS.items():
        learned, harms, lost, seen, strays = 0, 0, [], 0, 0
        for seed, unbroken in whole.items():
            first = place(seed)
            end = first + BROKEN_ROWS
            inside = pl.int_range(pl.len()).is_between(first, end, closed="left")
            life = lived(
                loans(seed).with_columns(
                    **{
                        name: pl.when(inside).then(to).otherwise(name)
                        for name, to in changed.items()
                    }
                )
            )
            learned += int(((life.learned >= first) & (life.learned < end)).sum())  # type: ignore[attr-defined]
            harms += sum(alarm.kind == "harm" for alarm in life.alarms)
            feed = [alarm.row for alarm in life.alarms if alarm.kind == "feed"]
            seen += any(first < row <= first + 2 * BATCH for row in feed)
            strays += sum(row <= first or row > end + BATCH for row in feed)
            truth = life.bed.rows.labels[end + 200 :]
            right = [
                float(np.mean((each.chances[end + 200 :] >= 0.5) == truth))
                for each in (unbroken, life)
            ]
            lost.append(right[0] - right[1])
        told.append(
            f"feed, {how}, {runs} seeds: seen within two batches in {seen}; rows learned "
            f"{learned}; harm alarms {harms}, feed alarms elsewhere {strays}; from 200 rows "
            f"after it accuracy is {np.mean(lost):+.2%} below an unbroken feed's (worst "
            f"{max(lost):+.2%})"
        )
    return told


def causes(runs: int) -> list[str]:
    """Plant one cause at a time; count how often the first alert names another."""
    told, wrong, n = [], 0, 0
    for planted, should in CAUSES.items():
        found: dict[str, int] = {}
        for seed in range(runs):
            first = place(seed)
            life = lived(
                _planted(seed, planted), until=lambda life, first=first: _alerted(life, first)
            )
            named = life.named[0] if life.named else _fed(life)
            found[named] = found.get(named, 0) + 1
        missed = found.get("nothing", 0)
        wrong += runs - missed - found.get(should, 0)
        n += runs - missed
        listed = ", ".join(f"{kind} {count}" for kind, count in found.items())
        told.append(f"cause, {planted}, {runs} seeds: {listed} (planted: {should})")
    return [*told, f"wrong causes: {wrong} of {n} named ({wrong / max(1, n):.1%})"]


def _alerted(life: Watched, first: int) -> bool:
    return bool(life.named) or any(a.kind == "feed" and a.row > first for a in life.alarms)


def _fed(life: Watched) -> str:
    return "feed" if any(alarm.kind == "feed" for alarm in life.alarms) else "nothing"


def _planted(seed: int, planted: str) -> pl.DataFrame:
    frame, first = loans(seed), place(seed)
    after = pl.int_range(pl.len()) >= first
    if planted == "harder cases":
        return _hard(seed, first)
    if planted == "a unit":
        return _after(frame, after, HOWS["x100 units"])
    if planted == "a stuck column":
        return _after(frame, after, HOWS["stuck column"])
    frame = dropped(seed, drop=0.15)
    if planted == "another world":
        return frame
    rng = np.random.default_rng([23, seed])
    other = pl.Series(rng.normal(size=ROWS) + np.where(np.arange(ROWS) >= first, 1.0, 0.0))
    return frame.with_columns(other=other).select("other", *frame.columns)


def _after(frame: pl.DataFrame, after: pl.Expr, changed: dict[str, pl.Expr]) -> pl.DataFrame:
    return frame.with_columns(
        **{name: pl.when(after).then(to).otherwise(name) for name, to in changed.items()}
    )


def _hard(seed: int, first: int) -> pl.DataFrame:
    """Let more cases come for which nobody can say how they end."""
    rng = np.random.default_rng([24, seed])
    debt = rng.normal(0.20, 0.16, ROWS) + np.where(np.arange(ROWS) >= first, 0.15, 0.0)
    chance = 1 / (1 + np.exp(-8 * (debt - 0.45)))
    return pl.DataFrame(
        {
            "debt": debt,
            "income": np.exp(rng.normal(10, 0.4, ROWS)),
            "y": rng.random(ROWS) < chance,
        }
    )
