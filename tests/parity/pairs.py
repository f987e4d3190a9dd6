"""Pairs of tables with everything that makes two libraries disagree; seeded."""

from __future__ import annotations

import numpy as np
import polars as pl

BIG = 2**53


def _with_gaps(values, rng, share):
    gone = rng.random(len(values)) < share
    return pl.Series(
        [None if lost else value for value, lost in zip(values, gone, strict=True)]
    )


def numbers(n, rng, shift):
    """Numeric columns: shapes, ties, outliers, gaps, infinities, constants, ids."""
    x = rng.normal(shift, 1 + shift, n)
    heavy = x.copy()
    heavy[: max(1, n // 50)] *= 1e6
    holed = x.copy()
    holed[:: max(2, n // 7)] = np.nan
    endless = x.copy()
    endless[:2], endless[-1] = np.inf, -np.inf
    return {
        "normal": x,
        "skewed": np.exp(x),
        "uniform": rng.random(n) + shift,
        "single_precision": x.astype(np.float32),
        "rounded": np.round(x, 1),
        "few_values": rng.integers(0, 15, n) / 4,
        "twenty_values": rng.permutation(np.arange(n) % 20) * (1 + shift),
        "twenty_one_values": (np.arange(n) % 21).astype(float),
        "two_values": (rng.random(n) < 0.3 + shift).astype(float),
        "three_values": rng.integers(0, 3, n).astype(float),
        "point_mass": np.where(rng.random(n) < 0.5, 0.0, x),
        "outliers": heavy,
        "tiny": x * 1e-300,
        "near_constant": 1e6 + x * 1e-6,
        "huge": x * 1e150,
        "ends_of_the_range": np.where(np.arange(n) == 0, 1.7e308, x),
        "wild": rng.standard_cauchy(n) * 1e10,
        "far_and_near": 1.2345e17 + rng.integers(0, 40, n) * 16.0,
        "far_constant": np.full(n, 1.2345e17),
        "constant": np.full(n, 3.5),
        "moving_constant": np.full(n, 0.1 + shift),
        "zeros": np.zeros(n) * (-1.0 if shift else 1.0),
        "nan": holed,
        "gaps": _with_gaps(x.tolist(), rng, 0.1 + shift / 4),
        "gaps_on_one_side": _with_gaps(x.tolist(), rng, 0.3 if shift else 0.0),
        "infinite": endless,
        "id": rng.permutation(np.arange(n) + int(shift * 10 * n)),
        "big_id": BIG + rng.permutation(np.arange(n)),
        "big_id_apart": BIG + rng.permutation(np.arange(n)) * 2 + (1 if shift else 0),
        "largest": 2**63 - 1 - rng.permutation(np.arange(n)),
        "count": rng.poisson(3 + shift * 4, n),
        "many_counts": rng.poisson(200 + shift * 20, n),
        "small_count": rng.integers(0, 4, n).astype(np.int8),
        "ten_counts": rng.permutation(np.arange(n) % 10),
        "eleven_counts": rng.permutation(np.arange(n) % 11),
        "counts_with_gaps": _with_gaps(rng.poisson(30, n).tolist(), rng, 0.1),
        "big_with_gaps": _with_gaps((BIG + rng.integers(0, 99, n)).tolist(), rng, 0.2),
        "gaps_in_counts_on_one_side": _with_gaps(
            rng.integers(0, 5, n).tolist(), rng, 0.2 if shift else 0.0
        ),
        "unsigned": rng.integers(0, 2**40, n).astype(np.uint64),
    }


def categories(n, rng, shift):
    """Columns of categories: rare, unseen, one-sided gaps, booleans, constants, ids."""
    letters = np.array(list("abcdefgh"))
    weights = np.arange(1, 9) ** (1 + shift)
    drawn = rng.choice(letters, n, p=weights / weights.sum())
    unseen = drawn.copy()
    if shift:
        unseen[:3] = "z"
    gone = drawn.copy()
    if shift:
        gone[gone == "h"] = "a"
    return {
        "letters": drawn,
        "same_shares": letters[np.arange(n) % 4],
        "unseen": unseen,
        "gone": gone,
        "one_letter": np.full(n, "x"),
        "another_letter": np.full(n, "y" if shift else "x"),
        "two_letters": np.where(rng.random(n) < 0.4 + shift / 5, "yes", "no"),
        "letters_with_gaps": _with_gaps(drawn.tolist(), rng, 0.2 + shift / 4),
        "letters_gaps_on_one_side": _with_gaps(drawn.tolist(), rng, 0.3 if shift else 0.0),
        "boolean": rng.random(n) < 0.5 + shift / 4,
        "boolean_with_gaps": _with_gaps((rng.random(n) < 0.5).tolist(), rng, 0.2),
        "coded": pl.Series(drawn, dtype=pl.Categorical),
        "text_id": np.array([f"id-{i:06d}" for i in rng.permutation(n) + int(shift * n)]),
        "many_categories": np.array([f"c{int(v)}" for v in rng.exponential(40, n)]),
    }


def table(n, *, seed, shift, kind):
    """Return one table; both of a pair have the same columns."""
    rng = np.random.default_rng(seed)
    made = numbers(n, rng, shift) if kind == "numbers" else categories(n, rng, shift)
    return pl.DataFrame({name: pl.Series(name, values) for name, values in made.items()})


SIZES = (
    (30, 20),
    (400, 400),
    (1000, 999),
    (1001, 300),
    (2500, 3096),
    (10_001, 500),
    (10_500, 12_000),
)
SLOW_TEXT = 3_000  # Evidently counts text value by value in Python
PRESET_SIZES = ((600, 700), (1500, 1200))
PRESET = {
    "numbers": [
        "normal",
        "skewed",
        "rounded",
        "few_values",
        "twenty_one_values",
        "two_values",
        "three_values",
        "gaps",
        "nan",
        "infinite",
        "constant",
        "id",
        "count",
        "ten_counts",
        "eleven_counts",
        "counts_with_gaps",
    ],
    "categories": [
        "letters",
        "same_shares",
        "unseen",
        "gone",
        "one_letter",
        "two_letters",
        "letters_with_gaps",
        "boolean",
        "coded",
        "many_categories",
    ],
}


def write(folder):
    """Write pairs of every size and kind, and pairs that the default preset can take."""
    for i, (n, m) in enumerate(SIZES):
        for kind in ("numbers", "categories"):
            _write(folder, f"{kind}-{n}-{m}", kind, rows=(n, m), seed=i)
    for i, (n, m) in enumerate(PRESET_SIZES):
        for kind, names in PRESET.items():
            _write(folder, f"preset-{kind}-{n}", kind, rows=(n, m), seed=50 + i, names=names)


def _write(folder, name, kind, *, rows, seed, names=None):
    shift = (1e-9, 0.3, 0.05)[seed % 3]
    for n, role, by in zip(rows, ("reference", "current"), (0.0, shift), strict=True):
        made = table(n, seed=2 * seed + (role == "current"), shift=by, kind=kind)
        if max(rows) > SLOW_TEXT and "text_id" in made.columns:
            made = made.drop("text_id")
        made.select(names or made.columns).write_parquet(folder / f"{name}.{role}.parquet")
