"""When the loop fits without being asked, and on which rows; `learn` calls it. Pure.

Measured defaults, the same for every stream: docs/the-loop.md says what they came to.
"""

from __future__ import annotations

from homeostat.lifecycle.loop import entities

WINDOW_ROWS = 4000
"""A plain refresh learns from this many labelled rows where no change is known."""
REGIME_ROWS = 8000
"""After a change, at most as many of the rows since: they are of one world, as far as known."""
REFRESH_BLOCKS = {"normal": 15, "low": 30, "minimal": 45}
BURST = {"normal": (1, 4, 12, 30), "low": (1, 4, 16), "minimal": (1, 5, 18)}
"""Blocks after a change at which the data since the change are learned from."""
SOON_BLOCKS = 3
"""A plain refresh gives way to such a fit that comes within so many blocks."""

SHARE = {"normal": 0.08, "low": 0.065, "minimal": 0.05}
"""Fits that the loop makes of itself, for each block, in the long run."""
ADVANCE = {"normal": 3.0, "low": 1.5, "minimal": 1.9}
"""Fits that it may be ahead of that share."""


def affords(state: entities.LoopState, budget: str) -> bool:
    """Say whether one more fit keeps to the budget's share of blocks.

    However often the world changes, fits come to `SHARE` of the blocks and `ADVANCE` at most,
    and what the first fits after changes are above that: those wait for nothing.

    Parameters
    ----------
    state
        Its `own_fits`, and its blocks.
    budget
        The policy's.
    """
    return (state.own_fits or 0) + 1 <= SHARE[budget] * state.n_blocks + ADVANCE[budget]


def burst(budget: str, *, change_block: int, block: int) -> tuple[int, ...]:
    """Return the blocks after which the data since a change are learned from.

    Parameters
    ----------
    budget
        The policy's.
    change_block
        Where harm began.
    block
        The block that proved it; the first fit is then.

    Examples
    --------
    >>> burst("normal", change_block=20, block=21)
    (21, 23, 31, 49)
    """
    plan = (change_block + after - 1 for after in BURST[budget])
    return tuple(sorted({block, *(at for at in plan if at >= block)}))


def again(block: int, *, n_lost: int) -> int:
    """Return the block after which a lost fit on the data since the change is tried again.

    A fit that was lost by chance is back with the next block; one that cannot come to anything
    is tried ever more rarely, each time after twice as many blocks.

    Parameters
    ----------
    block
        The newest.
    n_lost
        Fits lost since the change, this one included; at least one.

    Examples
    --------
    >>> [again(40, n_lost=n) for n in (1, 2, 3, 4)]
    [41, 42, 44, 48]
    """
    return block + (1 << (n_lost - 1))


def window_first(state: entities.LoopState, end: int) -> int:
    """Walk back over so many labelled rows as a plain refresh learns, not beyond the change.

    Blocks say how many labelled rows lie where; before the first block that is remembered,
    every row that is not quarantined is taken for a labelled one.
    """
    oldest = max(state.origin_row, state.change_row or state.origin_row)
    wanted = WINDOW_ROWS if state.change_row is None else REGIME_ROWS
    cursor = end
    for block in reversed(state.history):
        if wanted < block.n_rows or block.end_row > cursor:
            break
        wanted -= block.n_rows
        cursor = block.first_row
    for first_out, end_out in reversed(state.quarantined):
        if first_out >= cursor:
            continue
        clean = cursor - min(end_out, cursor)
        if clean >= wanted:
            break
        wanted -= clean
        cursor = first_out
    return max(oldest, cursor - wanted)
