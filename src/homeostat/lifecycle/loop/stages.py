"""Where a deployment's loop is, in the words of its state machine; called by `standing`.

steady -> suspected -> quarantined | retraining -> gated -> awaiting approval -> shadow |
canary -> steady | rolled back. All of it is read from the one state that every decision writes,
so that whoever is killed finds it where it was. Several may hold at once: a fit goes on while a
canary does. *Rolled back* is a decision, after which the state is steady or suspected again.
"""

from __future__ import annotations

from homeostat.lifecycle.loop import harm
from homeostat.lifecycle.loop.entities import LoopState

STEADY = "steady"
SUSPECTED = "suspected"
QUARANTINED = "quarantined"
RETRAINING = "retraining"
GATED = "gated"
AWAITING = "awaiting approval"
SHADOW = "shadow"
"""Of a policy that wants a new member scored on live rows before it answers any."""
CANARY = "canary"


def of(state: LoopState) -> tuple[str, ...]:
    """Return where a loop is, in the order of the machine.

    Parameters
    ----------
    state
        As the latest decision left it.

    Examples
    --------
    >>> from homeostat.lifecycle.loop import decide
    >>> of(decide.begin("1", rows=(0, 0), origin_row=0))
    ('steady',)
    """
    standing = {member.standing for member in state.members}
    is_open = any(not one.judged for one in state.investigations)
    in_shadow = state.rollout is not None and state.rollout.share == 0
    is_rising = bool(harm.normal_blocks(state.harm)) and not harm.is_calm(state.harm)
    holds = {
        SUSPECTED: is_open or state.harm_alert or is_rising,
        QUARANTINED: bool(state.broken_columns),
        RETRAINING: bool(state.pending),
        GATED: bool(standing & {"exam", "gates"}),
        AWAITING: "approval" in standing,
        SHADOW: in_shadow,
        CANARY: state.rollout is not None and not in_shadow,
    }
    return tuple(word for word, is_so in holds.items() if is_so) or (STEADY,)
