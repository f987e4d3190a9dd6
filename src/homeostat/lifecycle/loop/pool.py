"""The pool of members, changed: how far one has come, what it is called, who leaves. Pure.

Called by `entrance` for everything that happens to a candidate and to a member.
"""

from __future__ import annotations

from msgspec import structs

from homeostat.lifecycle.loop import duels, entities


def stands(state: entities.LoopState, version: str, standing: entities.Standing) -> bool:
    """Say whether a member of this name has come this far."""
    return any(m.version == version and m.standing == standing for m in state.members)


def stand(
    state: entities.LoopState, version: str, standing: entities.Standing
) -> entities.LoopState:
    """Say how far a member has come."""
    members = tuple(
        structs.replace(member, standing=standing) if member.version == version else member
        for member in state.members
    )
    return structs.replace(state, members=members)


def renamed(state: entities.LoopState, label: str, version: str) -> entities.LoopState:
    """Know a candidate by its version number from now on, in its scores too."""
    if label == version:
        return state
    members = tuple(
        structs.replace(member, version=version) if member.version == label else member
        for member in state.members
    )
    history = tuple(
        structs.replace(
            block,
            members={version if v == label else v: b for v, b in block.members.items()},
        )
        for block in state.history
    )
    return duels.renamed(
        structs.replace(state, members=members, history=history), label, version
    )


def leave(state: entities.LoopState, versions: tuple[str, ...]) -> entities.LoopState:
    """Let members leave, with their scores."""
    members = tuple(member for member in state.members if member.version not in versions)
    return forget(structs.replace(state, members=members), versions)


def forget(state: entities.LoopState, versions: tuple[str, ...]) -> entities.LoopState:
    """Drop the scores of versions that left the pool."""
    if not versions:
        return state
    history = tuple(
        structs.replace(
            block,
            members={v: brier for v, brier in block.members.items() if v not in versions},
        )
        for block in state.history
    )
    return structs.replace(state, history=history)
