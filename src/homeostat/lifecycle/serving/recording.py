"""What the log is told of a scored batch; called by `answering` before it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from homeostat.foundation import clock
from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.serving import composite, router, several


class Place(Protocol):
    """Where an arm stands, as `answering` says it."""

    @property
    def generation(self) -> int:
        """Of the plan."""

    @property
    def arm(self) -> str:
        """Its name."""

    @property
    def version(self) -> str:
        """Of its members."""

    @property
    def answered(self) -> bool:
        """Whether the caller got what it said."""

    @property
    def share(self) -> float:
        """Chance with which a key comes to it."""


class Rows(router.Dealt, Protocol):
    """Rows that are answered together, as `answering` has them."""

    ids: list[str]
    keys: list[str]
    context: list[list[Any]]


class Said(NamedTuple):
    """What the rows of a batch were answered; `chances` of several classes."""

    scores: list[float]
    answers: list[Any]
    chances: list[list[float]] | None = None


def context(batch: Sequence[Rows]) -> list[list[Any]]:
    """Return the context columns of a batch.

    Parameters
    ----------
    batch
        1 or more requests of one layout.

    Returns
    -------
    list of list
        One per column, over the rows.
    """
    return [
        [value for request in batch for value in request.context[at]]
        for at in range(len(batch[0].context))
    ]


def frame(  # noqa: PLR0917 - a batch as it is after scoring
    place: Place,
    batch: Sequence[Rows],
    table: list[list[Any]],
    scored: composite.Scored,
    said: Said,
    *,
    members: list[str],
    fired: list[str],
    rows: list[int] | None,
) -> frames.Batch:
    """Return the frame of a batch.

    Parameters
    ----------
    place
        Of the arm.
    batch
        The requests that are answered.
    table
        Their features, one list per column.
    scored, said
        What the members gave and what became of it, over the rows that were scored.
    members
        Who they are.
    fired
        Which corrections touched each of those rows; empty for none.
    rows
        Which of the rows that were scored are answered; None: all.
    """
    told = scored.member_scores
    is_mended = scored.outcome is not None or scored.corrected is not None
    scores, answers, chances = said.scores, said.answers, said.chances
    raw: list[float] = scored.scores.tolist() if is_mended else scores
    if rows is None:
        # What a lone member gave is what was answered, unless something changed that.
        is_same = len(told) == 1 and chances is None and not is_mended
        given: list[list[float]] = [scores] if is_same else told.tolist()
    else:
        if chances is None:
            given = [[column[at] for at in rows] for column in told.tolist()]
        else:
            shape = (len(raw), len(chances[0]))
            given = [several.picked(one.reshape(shape), rows) for one in told]
            chances = [chances[at] for at in rows]
        table = [[column[at] for at in rows] for column in table]
        scores, answers = [scores[at] for at in rows], [answers[at] for at in rows]
        raw = [raw[at] for at in rows]
        fired = [fired[at] for at in rows] if fired else fired
    return frames.Batch(
        served_at=clock.now_ms(),
        generation=place.generation,
        arm=place.arm,
        answered=place.answered,
        version=place.version,
        ids=[one for request in batch for one in request.ids],
        keys=[one for request in batch for one in request.keys],
        features=table,
        context=context(batch),
        scores=raw if is_mended else scores,
        answers=answers,
        members=members,
        member_scores=given,
        served=scores if is_mended else [],
        fired=fired,
        propensities=router.propensities(batch, share=place.share),
        chances=[] if chances is None else [one for row in chances for one in row],
    )
