"""Whether the answers of a deployment are corrected, and since when, for people.

Called by `standing` and the doors; it decides nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from homeostat.lifecycle.loop import correcting, entities
from homeostat.lifecycle.serving.entities import Plan


class Corrector(msgspec.Struct, frozen=True, kw_only=True):
    """How the corrector of a deployment stands.

    Attributes
    ----------
    word
        ``answers``; ``judged`` on every block without answering; ``waits`` for its first rows;
        ``off`` where the policy, or the kind of model, wants none.
    sentence
        The same in words.
    since
        When it began to answer, ms UTC; None where it does not.
    evidence, needed
        In nats, discounted; above what is needed it answers.
    digest, run
        Its file, and the run that learned it; empty before the first.
    """

    word: Literal["answers", "judged", "waits", "off"]
    sentence: str
    since: int | None = None
    evidence: float = 0.0
    needed: float = correcting.ENTER
    digest: str = ""
    run: str = ""


def told(state: entities.LoopState, plan: Plan) -> Corrector:
    """Return how the corrector stands.

    Parameters
    ----------
    state
        What the loop remembers.
    plan
        In force.
    """
    known, named = state.correction, plan.corrector
    if known is msgspec.UNSET:
        waits = not state.n_blocks
        sentence = "no block has its labels yet" if waits else "no corrector may answer here"
        return Corrector(word="waits" if waits else "off", sentence=sentence)
    if named is None:
        sentence = "it learns as soon as enough blocks have their labels"
        return Corrector(word="waits", sentence=sentence, evidence=known.evidence)
    least = correcting.needed(known)
    judged = f"evidence {known.evidence:.2f} nats, {least:g} needed"
    answers = "its answers are given" if named.answers else "its answers are not given"
    return Corrector(
        word="answers" if named.answers else "judged",
        sentence=f"{answers}: {judged}",
        since=named.since if named.answers else None,
        evidence=known.evidence,
        needed=least,
        digest=named.digest,
        run=named.run,
    )
