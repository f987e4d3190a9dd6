"""How much each member of the pool answers: Hedge over discounted Brier; `decide` calls it.

Every figure is a measured default, the same for every stream. Sums run in a fixed order
over plain floats, so the same state always gives the same bits.
"""

from __future__ import annotations

import math

import msgspec

from homeostat.lifecycle.loop import duels, entities

ETA = 25.0
"""Learning rate per block of mean Brier."""
GAMMA = 0.8
"""How much of a block's evidence the next block keeps."""
HORIZON = 30
"""Blocks looked back on."""
SMALLEST = 0.02
"""A smaller weight costs a prediction and changes nothing: it becomes zero."""
ARCHIVE_DECAY = 0.97
NEWEST = 8
ARCHIVED = 2


def composite(
    state: entities.LoopState, *, members: int, error: float = 0.05
) -> dict[str, float]:
    """Weigh the admitted members by what they did on rows they were not trained on.

    Parameters
    ----------
    state
        Its `history` ends with the newest labelled block.
    members
        The most members that may answer together, 1 or more. One alone is changed by proof
        only: see `duels.choose`.
    error
        Of that proof.

    Returns
    -------
    dict
        Version to weight in (0, 1], summing to 1, heaviest first. The initial model needs
        no record; any other needs one whole unseen labelled block (its exam).

    Notes
    -----
    ``ln w = -ETA * sum GAMMA ** age * (brier(member) - brier(what was served))`` over at
    most `HORIZON` blocks since the last change point; no record is a tie with what was
    served. Per block and with late entrants this is a heuristic in the family of
    Herbster and Warmuth (tracking the best expert, 1998), not plain Hedge.
    """
    logs: list[tuple[float, int, str]] = []
    for place, member in enumerate(state.members):
        if member.standing != "admitted":
            continue
        log_weight, n_blocks = _log_weight(state, member)
        if n_blocks or member.initial:
            logs.append((log_weight, place, member.version))
    logs.sort(key=lambda item: (-item[0], item[1]))
    if members == 1:
        alone = duels.choose(state, [version for _, _, version in logs], error=error)
        return {alone: 1.0} if alone else dict(state.weights)
    top = logs[:members]
    if not top:
        return dict(state.weights)
    shares = _normalised([math.exp(item[0] - top[0][0]) for item in top])
    kept = [share if share >= SMALLEST else 0.0 for share in shares]
    return {
        version: share
        for (_, _, version), share in zip(top, _normalised(kept), strict=True)
        if share > 0
    }


def without(weights: dict[str, float], versions: tuple[str, ...]) -> dict[str, float]:
    """Leave some members out of a composite and share their weight among the others.

    Parameters
    ----------
    weights
        Version to weight, summing to 1.
    versions
        Who is left out.

    Returns
    -------
    dict
        Empty when nobody is left.
    """
    rest = [(version, share) for version, share in weights.items() if version not in versions]
    shares = _normalised([share for _, share in rest])
    return {version: share for (version, _), share in zip(rest, shares, strict=True)}


def remember(state: entities.LoopState) -> tuple[entities.Member, ...]:
    """Return the pool with each member's archive score moved by its present weight."""
    return tuple(
        msgspec.structs.replace(
            member,
            archive=max(ARCHIVE_DECAY * member.archive, state.weights.get(member.version, 0.0)),
        )
        for member in state.members
    )


def prune(state: entities.LoopState) -> tuple[tuple[entities.Member, ...], tuple[str, ...]]:
    """Keep the newest members, the initial one and the best remembered; nobody who answers.

    Returns
    -------
    tuple
        The pool in its old order, and the versions that left it.
    """
    later = [member for member in state.members if not member.initial]
    if len(later) <= NEWEST + ARCHIVED:
        return state.members, ()
    newest = {member.version for member in later[-NEWEST:]}
    older = sorted(later[:-NEWEST], key=lambda member: -member.archive)
    kept = newest | {member.version for member in older[:ARCHIVED]} | set(state.weights)
    kept |= set(state.stable)
    stay = tuple(m for m in state.members if m.initial or m.version in kept)
    gone = tuple(m.version for m in state.members if not m.initial and m.version not in kept)
    return stay, gone


def n_unseen(state: entities.LoopState, version: str) -> int:
    """Count the blocks of the history that hold a score of this member."""
    return sum(version in block.members for block in state.history)


def _log_weight(state: entities.LoopState, member: entities.Member) -> tuple[float, int]:
    oldest = max(0, state.n_blocks - HORIZON, state.regime or 0)
    first = state.n_blocks - len(state.history)
    total, n_blocks = 0.0, 0
    for place, block in enumerate(state.history):
        index = first + place
        if index < oldest or member.version not in block.members:
            continue
        gain = block.members[member.version] - block.mixture
        total += GAMMA ** (state.n_blocks - 1 - index) * gain
        n_blocks += 1
    return -ETA * total, n_blocks


def _normalised(values: list[float]) -> list[float]:
    total = math.fsum(values)
    return [value / total for value in values] if total > 0 else values
