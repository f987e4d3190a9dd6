"""How often monitoring cries wolf, and whether it sees and names planted changes: in full.

Run ``python benchmarks/alarms.py [RUNS] [calm|changes|harm|best ...]`` (1000 and all of them by
default, about forty minutes of CPU). The level of false findings is measured at two budgets:
5 % of the windows, and the default of one a year at a window an hour. Every run of streams has
a seed of its own and is kept in ``build/alarms.jsonl`` until the code changes, so what was
interrupted goes on. A few runs of it are in
`tests/unit/lifecycle/monitoring/test_false_alarms.py`.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import pathlib
import sys
import time
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import optimize, signal, special, stats

import homeostat
import machine
from homeostat.lifecycle.loop import harm as loop_harm
from homeostat.lifecycle.monitoring import baseline, blame, entities, judge
from homeostat.measures import sequential, sureness

Floats = NDArray[np.float64]

N_REFERENCE, N_WINDOW, N_WINDOWS = 3000, 500, 10
WIDE = judge.AlarmBudget(false_alarms=50, windows=1000)
YEARLY = judge.AlarmBudget()
MEMORIES = (0.0, 0.5, 0.8, 0.95)
BLOCK, N_CALM, N_BLOCKS, N_BEFORE = 200, 180, 100, 150
NEVER = 10**9
SETTINGS = {"suspected": loop_harm.SETTINGS, "proved": loop_harm.SURE_PROOF}
STATED = 1000 * np.exp(-loop_harm.SURE_PROOF.log_threshold)
WORLDS = {
    "told": "scores say how sure answers are, and rows are tied by their cases",
    "noise": "the same, but six in ten wrong answers are noise that no score tells",
    "shared": "scores say it, and rows err together beyond their cases",
    "none": "no score is known, and rows err together",
}
NOISE = 0.6
CLASS_GAPS = (1.6, 1.2, 0.9)
KEPT = pathlib.Path("build/alarms.jsonl")


def series(n: int, n_columns: int, rng: np.random.Generator, *, memory: float) -> Floats:
    """Draw standard normal columns, each row correlated with the one before."""
    steps = rng.normal(size=(n + 300, n_columns)) * np.sqrt(1 - memory**2)
    rows: Floats = signal.lfilter([1.0], [1.0, -memory], steps, axis=0)[300:]
    return rows


def stream(n: int, rng: np.random.Generator, *, memory: float) -> pl.DataFrame:
    """Draw cases of a stationary world: nine columns of every kind, score and label.

    The score is the true chance of the label; about one answer in twenty is wrong. Values of
    ``x3`` are missing in 2 % of the rows, together where rows depend on each other; ``city``
    has forty names, the rarest once in a thousand rows.
    """
    x = series(n, 9, rng, memory=memory)
    columns: dict[str, Floats | NDArray[np.generic]] = {f"x{j}": x[:, j] for j in range(3)}
    columns["x3"] = np.where(x[:, 7] < -2.05, np.nan, x[:, 3])
    columns["income"] = np.round(38_000 * np.exp(0.45 * x[:, 4]))
    columns["region"] = np.array(["n", "s", "e", "w"])[np.digitize(x[:, 5], [-0.7, 0, 0.7])]
    columns["member"] = x[:, 6] > 0.5
    shares = 1 / np.arange(1, 41) ** 1.4
    borders = [NormalDist().inv_cdf(each) for each in np.cumsum(shares)[:-1] / shares.sum()]
    columns["city"] = np.array([f"city {k}" for k in range(40)])[np.digitize(x[:, 8], borders)]
    frame = pl.DataFrame(columns).with_columns(pl.col("x3").fill_nan(None))
    return answered(frame, rng)


def answered(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Add the score, which is the chance of a positive label, and the label."""
    logit = 5.0 * (frame["x0"].to_numpy() + 0.8 * frame["x1"].to_numpy() - 1.3)
    score = 1 / (1 + np.exp(-logit))
    label = (rng.random(frame.height) < score).astype(np.int64)
    return frame.with_columns(pl.Series("score", score), pl.Series("label", label))


def two_classes(
    n: int, rng: np.random.Generator, *, memory: float, share: float
) -> pl.DataFrame:
    """Draw cases of two classes; the score was right when 3 % were positive."""
    label = rng.random(n) < share
    x = series(n, 5, rng, memory=memory)
    gaps = np.array([*CLASS_GAPS, 0.0, 0.0])
    x += label[:, None] * gaps
    logit = x @ gaps - gaps @ gaps / 2 + np.log(0.03 / 0.97)
    frame = pl.DataFrame({f"x{j}": x[:, j] for j in range(5)})
    return frame.with_columns(
        pl.Series("score", 1 / (1 + np.exp(-logit))), pl.Series("label", label.astype(np.int64))
    )


def frozen_of(rows: pl.DataFrame) -> baseline.Baseline:
    features = [name for name in rows.columns if name not in {"score", "label"}]
    return baseline.freeze(rows, features=features, score="score", label="label")


@functools.cache
def code() -> str:
    """Return what tells one state of the measured code from another."""
    root = pathlib.Path(homeostat.__file__).parent
    folders = (root / "measures", root / "lifecycle" / "monitoring")
    files = [pathlib.Path(__file__), *(f for each in folders for f in each.glob("*.py"))]
    return hashlib.sha256(b"".join(f.read_bytes() for f in sorted(files))).hexdigest()[:12]


def played(
    cell: str, runs: int, play: Callable[[np.random.Generator], tuple[int, ...]], *, seed: int
) -> list[int]:
    """Add up what each run counts; runs that were played by the same code are not repeated."""
    found = zip(*each_played(cell, runs, play, seed=seed), strict=True)
    return [sum(each) for each in found]


def each_played(
    cell: str, runs: int, play: Callable[[np.random.Generator], tuple[int, ...]], *, seed: int
) -> list[tuple[int, ...]]:
    """Return what each run counts, and keep it."""
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    done = {each["run"]: each["counts"] for each in kept if each["of"] == [code(), cell, seed]}
    KEPT.parent.mkdir(exist_ok=True)
    with KEPT.open("a") as file:
        for run in range(runs):
            if run not in done:
                done[run] = play(np.random.default_rng([seed, run]))
                line = {"of": [code(), cell, seed], "run": run, "counts": done[run]}
                print(json.dumps(line), file=file, flush=True)
    return [done[run] for run in range(runs)]


def calm(rng: np.random.Generator, *, memory: float) -> tuple[int, int]:
    """Count windows with any finding where nothing has changed, at the two budgets."""
    wide = yearly = 0
    rows = stream(N_REFERENCE + N_WINDOWS * N_WINDOW, rng, memory=memory)
    frozen = frozen_of(rows[:N_REFERENCE])
    for k in range(N_WINDOWS):
        window = rows.slice(N_REFERENCE + k * N_WINDOW, N_WINDOW)
        found = judge.window(window, frozen, first_row=0, budget=WIDE).findings
        wide += bool(found)
        # Adjusted p-values are the same at every budget; faults have none.
        yearly += any(f.p_value is None or f.p_value <= YEARLY.level for f in found)
    return wide, yearly


class Change(NamedTuple):
    """A planted change of 250 rows, and what it must be called."""

    plant: Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]
    cause: str
    column: str | None = None
    finding: str | None = None
    verdict: str | None = None


def _flipped(points: float) -> Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]:
    def plant(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        is_other = rng.random(rows.height) < points / 0.9  # of answers, a twentieth were wrong
        label = rows["label"].to_numpy()
        return rows.with_columns(pl.Series("label", np.where(is_other, 1 - label, label)))

    return plant


def _unit(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    del rng
    return rows.with_columns(pl.col("income") * 100)


def _nulls(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    del rng
    gone = pl.int_range(pl.len()).is_between(25, 224)
    return rows.with_columns(pl.when(gone).then(None).otherwise(pl.col("x2")).alias("x2"))


def _category(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    is_new = pl.Series(rng.random(rows.height) < 0.1)
    return rows.with_columns(
        pl.when(is_new).then(pl.lit("abroad")).otherwise(pl.col("region")).alias("region")
    )


def _harmless(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    del rng
    return rows.with_columns(pl.col("x2") + 1.5)


def _harmful(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    return answered(rows.with_columns(pl.col("x0") * 0.6 + 1.3), rng)


def _prior(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    del rng
    return rows  # drawn by `two_classes` with the other share


CHANGES = {
    "loss +5 points": Change(_flipped(0.05), "concept-change"),
    "loss +30 points": Change(_flipped(0.30), "concept-change"),
    "unit x100": Change(_unit, "feed", "income", "unit"),
    "new category, 10 %": Change(_category, "covariate-shift", "region", "new-category"),
    "nulls for 200 rows": Change(_nulls, "feed", "x2", "nulls"),
    "prior 3 % to 50 %": Change(_prior, "prior-shift"),
    "other cases, harm": Change(_harmful, "covariate-shift", "x0", "covariate-drift"),
    "other cases, no harm": Change(
        _harmless, "covariate-shift", "x2", "covariate-drift", "harmless"
    ),
}
LABELLED = ("loss", "prior", "other cases, harm")


def changed(
    rng: np.random.Generator, *, name: str, memory: float, n_rows: int
) -> tuple[int, int]:
    """Say whether a change is seen without labels in windows of 250 rows, and named first."""
    change = CHANGES[name]
    if name.startswith("prior"):
        before = two_classes(N_REFERENCE, rng, memory=memory, share=0.03)
        after = two_classes(n_rows, rng, memory=memory, share=0.5)
    else:
        rows = stream(N_REFERENCE + n_rows, rng, memory=memory)
        before, after = rows[:N_REFERENCE], change.plant(rows[N_REFERENCE:], rng)
    frozen = frozen_of(before)
    judged = [
        judge.window(after[first : first + 250], frozen, first_row=first, budget=YEARLY)
        for first in range(0, n_rows, 250)
    ]
    found = {(f.kind, f.column) for each in judged for f in each.findings}
    harmful = _harm(frozen, after) if name.startswith(LABELLED) else None
    causes = blame.rank(judged, harm=harmful)
    first = causes[0] if causes else None
    seen = bool(found) if change.finding is None else (change.finding, change.column) in found
    return int(seen), int(first is not None and _is_right(first, judged, change))


def _harm(frozen: baseline.Baseline, after: pl.DataFrame) -> entities.Harm:
    wrong = (after["score"] >= 0.5) != (after["label"] == 1)
    return entities.Harm(
        first_row=0,
        end_row=after.height,
        accepted=float(frozen.reference_wrong.mean()),
        realised=float(wrong.mean()),
        n_rows=after.height,
    )


def _is_right(first: entities.Cause, judged: list[entities.Judgement], change: Change) -> bool:
    is_named = first.kind == change.cause and change.column in {None, first.column}
    if change.verdict is None or not is_named:
        return is_named
    return all(each.shift is None or each.shift.verdict != "harmful" for each in judged)


def errors(n: int, rng: np.random.Generator, *, rate: Floats, memory: float) -> list[float]:
    """Draw error rates of blocks of rows that err together when they follow each other."""
    return [error for error, _ in blocks(n, rng, rate=rate, memory=memory, world="none")]


def blocks(
    n: int, rng: np.random.Generator, *, rate: Floats, memory: float, world: str
) -> list[tuple[float, sureness.Tally | None]]:
    """Draw blocks of answers: the share of wrong ones, and how sure they were.

    What lifts the rate turns outcomes round: sure and unsure answers alike, which is what a
    changed concept does. `rate` begins with what is normal.
    """
    base, size = float(rate[0]), n * BLOCK
    rates = np.repeat(rate, BLOCK)
    if world == "none":
        rows = series(size, 1, rng, memory=memory)[:, 0]
        border = np.array([NormalDist().inv_cdf(1 - each) for each in rate])
        wrong = rows > np.repeat(border, BLOCK)
        return [(float(each), None) for each in wrong.reshape(n, BLOCK).mean(axis=1)]
    noise = NOISE * base if world == "noise" else 0.0
    cases = 1.28 * series(size, 1, rng, memory=memory)[:, 0] - 1.3
    told = special.expit(-slope((base - noise) / (1 - 2 * noise)) * np.abs(cases))
    told += noise * (1 - 2 * told)
    chance = told + (rates - base) / (1 - 2 * base) * (1 - 2 * told)
    drawn = rng.random(size)
    if world == "shared":
        drawn = stats.norm.cdf(series(size, 1, rng, memory=memory)[:, 0])
    wrong = drawn < chance
    return [
        (
            float(wrong[at : at + BLOCK].mean()),
            sureness.tally(told[at : at + BLOCK], wrong[at : at + BLOCK]),
        )
        for at in range(0, size, BLOCK)
    ]


@functools.cache
def slope(error: float) -> float:
    """Return how steep the scores of `blocks` are when this share of the answers is wrong."""
    cases = np.abs(1.28 * stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000) - 1.3)
    return float(
        optimize.brentq(lambda steep: np.mean(special.expit(-steep * cases)) - error, 0.1, 200)
    )


class Cell(NamedTuple):
    """Blocks of one kind, and the alarm that looks at them."""

    settings: sequential.AlarmSettings
    memory: float
    world: str = "none"
    base: float = 0.1

    @property
    def told(self) -> str:
        name = next(name for name, each in SETTINGS.items() if each == self.settings)
        return f"harm, {self.world:6} {name:9} memory {self.memory:g} on top of {self.base:g}"


def calm_blocks(rng: np.random.Generator, *, cell: Cell) -> tuple[int]:
    """Count alarms where as many answers are wrong throughout."""
    rate = np.full(N_CALM, cell.base)
    drawn = blocks(N_CALM, rng, rate=rate, memory=cell.memory, world=cell.world)
    return (len(_alarms(drawn, cell.settings)),)


def rise_blocks(rng: np.random.Generator, *, cell: Cell, rise: float) -> tuple[int]:
    """Count rows from a rise until the first alarm after it; `NEVER` where there was none."""
    n = N_BEFORE + N_BLOCKS
    rate = np.where(np.arange(n) < N_BEFORE, cell.base, cell.base + rise)
    drawn = blocks(n, rng, rate=rate, memory=cell.memory, world=cell.world)
    after = [block for block in _alarms(drawn, cell.settings) if block >= N_BEFORE]
    return ((after[0] - N_BEFORE + 1) * BLOCK if after else NEVER,)


def _alarms(
    drawn: list[tuple[float, sureness.Tally | None]], settings: sequential.AlarmSettings
) -> list[int]:
    state, found = sequential.quiet_alarm(settings), []
    for block, (error, sure) in enumerate(drawn):
        state, alarm = sequential.observe_error(
            state, error, block=block, n_rows=BLOCK, settings=settings, sure=sure
        )
        found += [block] if alarm else []
    return found


def show_calm(runs: int) -> None:
    for memory in MEMORIES:
        play = functools.partial(calm, memory=memory)
        counts = played(f"calm, memory {memory:g}", runs, play, seed=31)
        wide, yearly = (each / (runs * N_WINDOWS) for each in counts)
        told = f"{wide:.2%} of windows loud at a budget of 5 %, {yearly:.3%} at"
        print(f"calm, memory {memory:g}: {told} {YEARLY.level:.3%}", flush=True)


def show_changes(runs: int) -> None:
    for name in CHANGES:
        for memory, n_rows in itertools.product((0.0, 0.8), (250, 1000)):
            play = functools.partial(changed, name=name, memory=memory, n_rows=n_rows)
            cell = f"{name}, memory {memory:g}, {n_rows} rows"
            seen, named = (each / runs for each in played(cell, runs, play, seed=32))
            told = f"seen without labels {seen:.1%}, named rightly {named:.1%}"
            print(f"{name:22} memory {memory:g}, {n_rows} rows: {told}", flush=True)


def show_harm(runs: int) -> None:
    proved, suspected = SETTINGS["proved"], SETTINGS["suspected"]
    for world, told in WORLDS.items():
        print(f"harm, {world}: {told}", flush=True)
        for memory in MEMORIES:
            _show_cell(runs, Cell(proved, memory, world), rises=(0.05, 0.3))
        for base in (0.05, 0.2):
            _show_cell(runs, Cell(proved, 0.0, world, base), rises=(0.05,))
    for memory in MEMORIES:
        _show_cell(runs, Cell(suspected, memory), rises=(0.05, 0.3))


def _show_cell(runs: int, cell: Cell, *, rises: tuple[float, ...]) -> None:
    play = functools.partial(calm_blocks, cell=cell)
    (n,) = played(f"{cell.told}, calm", runs, play, seed=33)
    per = 1000 / (runs * N_CALM)
    shown = [f"{n * per:.2f} false alarms in 1000 blocks ({n} of {STATED / per:.1f} stated)"]
    for rise in rises:
        drawn = functools.partial(rise_blocks, cell=cell, rise=rise)
        found = each_played(f"{cell.told}, +{rise:g}", max(1, runs // 5), drawn, seed=34)
        rows, limit = np.array(found)[:, 0], 250 if rise > 0.1 else 1000
        median = np.quantile(rows, 0.5, method="lower")
        shown.append(f"+{rise:g}: {np.mean(rows <= limit):.1%} in {limit}, median {median:g}")
    print(f"{cell.told}: {'; '.join(shown)}", flush=True)


def show_best(runs: int) -> None:
    """Show what the best of all tests of the number of wrong answers would find.

    It knows what is normal, how much that varies, the rise and where it begins, and is allowed
    as many false alarms in these rows as the alarm (Neyman and Pearson).
    """
    for memory, (rise, n) in itertools.product(MEMORIES, ((0.05, 5), (0.3, 1))):
        counts = []
        for seed, rate in ((35, 0.1), (36, 0.1 + rise)):
            rates, rng = np.full(200 * runs, rate), np.random.default_rng(seed)
            drawn = errors(len(rates), rng, rate=rates, memory=memory)
            counts.append(np.round(np.reshape(drawn, (-1, n)).sum(axis=1) * BLOCK))
        level, (calm_counts, harm_counts) = n * STATED / 1000, counts
        limit = np.quantile(calm_counts, 1 - level, method="higher")
        more = level - np.mean(calm_counts > limit)
        share = more / np.mean(calm_counts == limit)
        power = np.mean(harm_counts > limit) + share * np.mean(harm_counts == limit)
        print(
            f"best, memory {memory:g}, +{rise:g} in {n * BLOCK} rows: {power:.1%}", flush=True
        )


def main(runs: int, parts: list[str]) -> None:
    print(f"{time.strftime('%Y-%m-%d', time.gmtime())}; {machine.facts()}")
    shown = {"calm": show_calm, "changes": show_changes, "harm": show_harm, "best": show_best}
    for name in parts or shown:
        shown[name](max(1, runs // 5) if name in {"changes", "best"} else runs)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, sys.argv[2:])
