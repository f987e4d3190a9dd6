"""Several strategies on the same history, side by side; called by `homeostat backtest`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from homeostat.foundation.errors import InvalidInputError
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import backtest, history
from homeostat.lifecycle.policy import entities

Progress = Callable[[str, int, int], None]


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy to try, and the policy that a loop follows in it."""

    name: str
    strategy: str
    policy: entities.Policy


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one way came to.

    `regained` is ``(score - static) / (every-batch - static)``, None unless both were tried
    and differ; `fit_s` the seconds all its fits took; `policy` the digest of the policy that
    a loop followed, None for a clock.
    """

    name: str
    outcome: backtest.Outcome
    regained: float | None
    fits_share: float | None
    fit_s: float
    policy: str | None


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """All ways; the keys of ``--json`` with ``--compare``. `batches` are for a chart."""

    rows: tuple[Row, ...]
    lived: tuple[backtest.Lived, ...]


def compare(
    rows: history.History,
    ways: Sequence[Way],
    *,
    batch: int = 200,
    label_delay: int = 0,
    seed: int = 0,
    enters: bool = False,
    progress: Progress | None = None,
) -> Compared:
    """Try every way on the same history.

    Parameters
    ----------
    rows
        From `history.prepare`.
    ways
        At least one; each name once.
    batch, label_delay, seed, enters
        As in `backtest.live`.
    progress
        Is told the way's name, rows answered and rows to answer.

    Raises
    ------
    InvalidInputError
        When two ways have one name, or an option is out of range.
    """
    names = [way.name for way in ways]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"'{twice}' is to be compared with itself", hint="name it once")
    lived = {
        way.name: backtest.live(
            rows,
            way.policy,
            batch=batch,
            label_delay=label_delay,
            strategy=way.strategy,
            seed=seed,
            enters=enters,
            progress=_named(progress, way.name),
        )
        for way in ways
    }
    outcomes = [each.outcome for each in lived.values()]
    static = next((each.score for each in outcomes if each.strategy == "static"), None)
    oracle = next((each for each in outcomes if each.strategy == "every-batch"), None)

    def row(way: Way) -> Row:
        found = lived[way.name].outcome
        gap = oracle.score - static if oracle and static is not None else 0.0
        return Row(
            name=way.name,
            outcome=found,
            regained=(found.score - (static or 0.0)) / gap if gap else None,
            fits_share=found.fits / oracle.fits if oracle and oracle.fits else None,
            fit_s=lived[way.name].fit_s,
            policy=policies.digest(way.policy) if way.strategy in backtest.LOOPS else None,
        )

    return Compared(rows=tuple(row(way) for way in ways), lived=tuple(lived.values()))


def _named(progress: Progress | None, name: str) -> backtest.Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(name, done, total)
