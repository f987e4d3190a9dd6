"""Histories whose changes are known, for `recovery.py`: made by a seed, the same everywhere.

Each is 35,000 rows with a target ``y`` of two classes. Where something changes, it changes
three times, near a quarter, a half and three quarters of the rows, moved a little by the seed,
so that no block and no schedule is met by design.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

ROWS = 35_000
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def sea(seed: int, *, n: int = ROWS) -> pl.DataFrame:
    """Small abrupt changes: two of three numbers add up to less than a level that moves [1].

    [1] W. N. Street and Y. Kim, "A streaming ensemble algorithm (SEA)", KDD 2001.
    """
    rng = np.random.default_rng([1, seed])
    x = rng.uniform(0, 10, (n, 3))
    first = [8.0, 9.0, 7.0, 9.5]
    levels = np.array(first)[np.argsort(rng.random(4))]
    y = x[:, 0] + x[:, 1] <= levels[_epoch(rng, n)]
    return _table(x, _flipped(rng, y, 0.10))


def rules(seed: int, *, n: int = ROWS) -> pl.DataFrame:
    """Large abrupt changes: another tree of rules parallel to the axes after each."""
    rng = np.random.default_rng([2, seed])
    x = rng.random((n, 6))
    concepts = [_tree(rng) for _ in range(4)]
    return _table(x, _flipped(rng, _by_epoch(concepts, x, _epoch(rng, n)), 0.05))


def recurring(seed: int, *, n: int = ROWS) -> pl.DataFrame:
    """Two trees of rules that take turns: A B A B."""
    rng = np.random.default_rng([3, seed])
    x = rng.random((n, 6))
    one, other = _tree(rng), _tree(rng)
    y = _by_epoch([one, other, one, other], x, _epoch(rng, n))
    return _table(x, _flipped(rng, y, 0.05))


def boxes(seed: int, *, n: int = ROWS) -> pl.DataFrame:
    """Large abrupt changes that are hard to learn: another union of boxes after each."""
    rng = np.random.default_rng([9, seed])
    x = rng.random((n, 8))
    concepts = [_boxes(rng) for _ in range(4)]
    return _table(x, _flipped(rng, _by_epoch(concepts, x, _epoch(rng, n)), 0.07))


def hyperplane(seed: int, *, n: int = ROWS) -> pl.DataFrame:
    """Make a gradual change: the direction that divides the classes turns once round [1].

    [1] G. Hulten, L. Spencer and P. Domingos, "Mining time-changing data streams", KDD 2001.
    """
    rng = np.random.default_rng([4, seed])
    x = rng.uniform(-1, 1, (n, 10))
    return _table(x, _flipped(rng, _turning(rng, x, turns=1.0), 0.05))


def slow(seed: int, *, n: int = ROWS) -> pl.DataFrame:
    """Make a slower gradual change: half a turn."""
    rng = np.random.default_rng([10, seed])
    x = rng.uniform(-1, 1, (n, 10))
    return _table(x, _flipped(rng, _turning(rng, x, turns=0.5), 0.05))


def prior(seed: int, *, n: int = ROWS) -> pl.DataFrame:
    """Move the share of one class; the looks of each class stay."""
    rng = np.random.default_rng([5, seed])
    shares = np.array([0.1, 0.5, 0.85, 0.3])
    y = rng.random(n) < shares[_epoch(rng, n)]
    return _table(rng.normal(size=(n, 6)) + 0.8 * y[:, None] * rng.uniform(0.5, 1.3, 6), y)


def covariate(seed: int, *, n: int = ROWS) -> pl.DataFrame:
    """Other cases arrive, the same cases keep their outcome."""
    rng = np.random.default_rng([6, seed])
    centres = np.vstack([np.zeros(5), rng.normal(0, 0.7, (3, 5))])
    x = rng.normal(size=(n, 5)) + centres[_epoch(rng, n)]
    y = np.sin(1.5 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] > 0
    return _table(x, _flipped(rng, y, 0.06))


def stationary(seed: int, *, n: int = ROWS) -> pl.DataFrame:
    """Nothing changes: boxes with 15 % noise for even seeds, sums with 10 % for odd ones."""
    rng = np.random.default_rng([7, seed])
    return stationary_rows(rng, concept=seed, n=n, noise=0.10 if seed % 2 else 0.15)


def stationary_rows(
    rng: np.random.Generator, *, concept: int, n: int, noise: float
) -> pl.DataFrame:
    """Draw rows of a concept that never changes."""
    world = np.random.default_rng([8, concept])
    if concept % 2:
        x = rng.uniform(0, 10, (n, 3))
        y = x[:, 0] + x[:, 1] <= world.uniform(7, 10)
    else:
        box = _boxes(world)
        x = rng.random((n, 8))
        y = box(x)
    return _table(x, _flipped(rng, y, noise))


STREAMS: dict[str, Callable[[int], pl.DataFrame]] = {
    "sea": sea,
    "rules": rules,
    "recurring": recurring,
    "hyperplane": hyperplane,
    "prior": prior,
    "covariate": covariate,
    "boxes": boxes,
    "slow": slow,
}


def _epoch(rng: np.random.Generator, n: int) -> NDArray[np.intp]:
    """Return which of four epochs each row is in."""
    ends = [int(n * (quarter / 4 + rng.uniform(-0.03, 0.03))) for quarter in (1, 2, 3)]
    return np.searchsorted(np.array(ends), np.arange(n), side="right")


def _boxes(rng: np.random.Generator) -> Callable[[Floats], Flags]:
    """Return a concept: inside one of six boxes; about half of the rows are."""
    while True:
        sides = [(rng.choice(8, 3, replace=False), rng.uniform(0, 0.5, 3)) for _ in range(6)]

        def inside(x: Floats, sides: list[tuple[NDArray[np.int64], Floats]] = sides) -> Flags:
            found = np.zeros(len(x), dtype=bool)
            for columns, low in sides:
                part = x[:, columns]
                found |= ((part > low) & (part < low + 0.6)).all(axis=1)
            return found

        if 0.4 < inside(rng.random((4000, 8))).mean() < 0.7:
            return inside


def _tree(rng: np.random.Generator, *, depth: int = 4) -> Callable[[Floats], Flags]:
    """Return a concept: a random tree over six columns; about half of the rows are in it."""
    n_inner = 2**depth - 1
    while True:
        columns = rng.integers(0, 6, n_inner)
        levels = rng.uniform(0.25, 0.75, n_inner)
        leaves = rng.permutation(np.arange(n_inner + 1) % 2).astype(bool)

        def inside(
            x: Floats,
            columns: NDArray[np.int64] = columns,
            levels: Floats = levels,
            leaves: Flags = leaves,
        ) -> Flags:
            node = np.zeros(len(x), dtype=np.intp)
            for _ in range(depth):
                right = x[np.arange(len(x)), columns[node]] > levels[node]
                node = 2 * node + 1 + right
            return leaves[node - n_inner]

        if 0.35 < inside(rng.random((4000, 6))).mean() < 0.65:
            return inside


def _turning(rng: np.random.Generator, x: Floats, *, turns: float) -> Flags:
    one, other = np.linalg.qr(rng.normal(size=(x.shape[1], 2)))[0].T
    angle = np.linspace(0, 2 * np.pi * turns, len(x))
    return (x @ one) * np.cos(angle) + (x @ other) * np.sin(angle) > 0


def _by_epoch(
    concepts: list[Callable[[Floats], Flags]], x: Floats, epoch: NDArray[np.intp]
) -> Flags:
    return np.choose(epoch, [concept(x) for concept in concepts]).astype(bool)


def _flipped(rng: np.random.Generator, y: Flags, noise: float) -> Flags:
    return y ^ (rng.random(len(y)) < noise)


def _table(x: Floats, y: Flags) -> pl.DataFrame:
    return pl.DataFrame({**{f"x{i}": x[:, i] for i in range(x.shape[1])}, "y": y})
