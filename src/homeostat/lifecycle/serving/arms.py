"""One arm of a plan at work on a batch of a table; `batched` deals rows to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from homeostat.foundation import clock
from homeostat.lifecycle.corrections import compiled
from homeostat.lifecycle.serving import (
    composite,
    corrected,
    entities,
    plan,
    residuals,
    served,
    several,
)
from homeostat.measures import residual


class Batch(NamedTuple):
    """Validated features and context by column, every list over the same rows."""

    features: dict[str, list[Any]]
    context: dict[str, list[Any]]


class Done(NamedTuple):
    """What an arm said; lists run over rows, but for `member_scores`: one list a member.

    `scores` are the mixture, `served` what corrector and corrections made of it; `faults` says
    in words why a row has neither. Of several classes `chances` has a number for each, and a
    member's list one such row after the other.
    """

    scores: list[float]
    served: list[float]
    answers: list[Any]
    fired: list[str]
    member_scores: list[list[float]]
    faults: dict[int, str]
    chances: list[list[float]] | None = None


class Arm(NamedTuple):
    """Members, labels, corrections and corrector of one arm; made by `prepare`."""

    arm: entities.Arm
    seats: list[composite.Seat]
    labels: tuple[str | None, str] | None
    corrections: corrected.Corrections | None
    classes: tuple[str, ...] = ()
    corrector: residual.Applied | None = None

    def score(self, batch: Batch, n_rows: int) -> Done:
        """Score rows, corrected as an answer would be.

        Parameters
        ----------
        batch
            Of the rows.
        n_rows
            1 or more.

        Returns
        -------
        Done
            A row that a member failed on has a fault.
        """
        if self.classes:
            return self._score_several(batch, n_rows)
        scored = composite.score(self.seats, batch.features, n_rows)
        scores: list[float] = scored.scores.tolist()
        served = scores
        if self.corrector is not None:
            told = self.corrector.corrected(batch.features, scored.scores)
            scored, served = scored._replace(corrected=told), told.tolist()
        members = scored.member_scores.tolist()
        faults = {at: why.sentence for at, why in scored.faults.items()}
        if self.corrections is None:
            said = [None if at in faults else self._label(one) for at, one in enumerate(served)]
            return Done(scores, served, said, [], members, faults)
        context = list(batch.context.values())
        outcome = self.corrections.amend(scored, batch.features, context).outcome
        if outcome is None:
            raise AssertionError("corrections leave an outcome")
        failed = {at: faults.get(at, "the fallback failed") for at in outcome.failed}
        return Done(scores, outcome.scores, outcome.answers, outcome.fired, members, failed)

    def _score_several(self, batch: Batch, n_rows: int) -> Done:
        scored = several.score(self.seats, batch.features, n_rows, n_classes=len(self.classes))
        assert scored.chances is not None, "several classes have chances"
        faults = {at: why.sentence for at, why in scored.faults.items()}
        said: list[Any] = several.answers(scored.chances, self.classes)
        scores: list[float] = scored.scores.tolist()
        members = scored.member_scores.tolist()
        chances = scored.chances.tolist()
        return Done(scores, scores, said, [], members, faults, chances)

    def _label(self, score: float) -> Any:
        return score if self.labels is None else self.labels[score >= compiled.EVEN]


def prepare(
    document: entities.PlanDocument,
    arm: entities.Arm,
    loaded: Mapping[int, served.Loaded],
) -> Arm:
    """Make an arm ready.

    Parameters
    ----------
    document
        With its corrections.
    arm
        Of its plan.
    loaded
        Every version that the plan names.

    Returns
    -------
    Arm
        Its members in the order of their numbers, as online.
    """
    classes = several.classes_of(loaded, first=plan.champion(document.plan))
    seats = several.seats(arm.members, loaded, classes)
    first = loaded[seats[0].version]
    if classes:
        return Arm(arm, seats, None, None, classes=classes)
    corrector = residuals.of_arm(document, arm.name)
    applied = compiled.compile(
        document.corrections,
        classes=first.classes,
        positive=first.labels[1] if first.labels else None,
        now_ms=clock.now_ms(),
        version=plan.label(arm),
    )
    if applied is None:
        return Arm(arm, seats, first.labels, None, corrector=corrector)
    others = {number: one.predictor for number, one in loaded.items()}
    features = {name for name, _ in first.columns}
    context = [name for name in document.protected if name not in features]
    changes = corrected.Corrections(applied, others=others, context=context)
    return Arm(arm, seats, first.labels, changes, corrector=corrector)
