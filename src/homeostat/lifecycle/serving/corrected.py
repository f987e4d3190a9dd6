"""The corrections of one arm at work: between the members' scores and the answers.

Made by `served` where a plan document has corrections; `answering` asks it where it scores, on
the loop or in a thread, for a fallback may have to score rows by another version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from homeostat.foundation import clock
from homeostat.lifecycle.corrections import compiled, exploring
from homeostat.lifecycle.corrections.entities import Correction
from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.serving import composite, plan


class Version(Protocol):
    """A loaded version, as `served` has it."""

    @property
    def predictor(self) -> composite.Predictor:
        """What scores."""

    @property
    def classes(self) -> tuple[str, ...]:
        """All its labels."""

    @property
    def labels(self) -> tuple[str | None, str] | None:
        """What is answered below 0.5 and from there on; None for a regression."""


class Place(Protocol):
    """Where an arm stands, as `answering` says it."""

    @property
    def arm(self) -> str:
        """Its name."""

    @property
    def version(self) -> str:
        """What its rows are logged under."""

    @property
    def answered(self) -> bool:
        """Whether it answers anybody; a shadow does not."""

    @property
    def layout(self) -> frames.Layout:
        """Its columns."""


class Corrections:
    """What changes an arm's scores and answers.

    Parameters
    ----------
    applied
        Compiled for the arm.
    others
        Versions that a fallback may name, ready to score.
    context
        Names of context columns, in the order of a request's.
    """

    def __init__(
        self,
        applied: compiled.Applied,
        *,
        others: Mapping[int, composite.Predictor],
        context: Sequence[str],
    ) -> None:
        self._applied = applied
        self._others = others
        self._context = context

    @property
    def is_fast(self) -> bool:
        """Whether nothing slow is ever asked: no fallback, or one that is quick."""
        others = self._others
        return all(one in others and others[one].is_fast for one in self._applied.fallbacks)

    def score(
        self,
        work: Callable[[], composite.Scored],
        columns: composite.Columns,
        context: Sequence[Sequence[Any]],
        keys: Sequence[Sequence[str]] = (),
    ) -> composite.Scored:
        """Let the members score a batch, and correct what they said.

        Parameters
        ----------
        work
            Asks the members.
        columns
            Validated features by name.
        context
            Context columns.
        keys
            Of each request's rows; without them nothing is explored.

        Returns
        -------
        Scored
            With its outcome.
        """
        return self.amend(work(), columns, context, keys)

    def amend(
        self,
        scored: composite.Scored,
        columns: composite.Columns,
        context: Sequence[Sequence[Any]],
        keys: Sequence[Sequence[str]] = (),
    ) -> composite.Scored:
        """Correct what members said, or did not say.

        Parameters
        ----------
        scored
            NaN where they failed.
        columns, context, keys
            As for `score`.

        Returns
        -------
        Scored
            With its outcome.
        """
        applied, now = self._applied, clock.now_ms()
        seen = {**columns, **dict(zip(self._context, context, strict=True))}
        if keys and applied.explores:
            seen[exploring.KEY] = [one for part in keys for one in part]
        told = scored.scores if scored.corrected is None else scored.corrected
        scores: list[float] = told.tolist()
        outcome = applied.apply(scores, seen, now)
        if outcome.to_fallback:
            said = self._ask(outcome.to_fallback, columns)
            outcome = applied.apply(scores, seen, now, fallback=said)
        return scored._replace(outcome=outcome)

    def _ask(self, rows: list[int], columns: composite.Columns) -> dict[int, float]:
        """Score rows by the version of the fallback; NaN where that fails as well."""
        number = self._applied.fallback_version
        if number is None or number not in self._others:
            return dict.fromkeys(rows, float("nan"))
        part = {name: [values[at] for at in rows] for name, values in columns.items()}
        seat = composite.Seat(number, 1.0, self._others[number])
        found: list[float] = composite.score([seat], part, len(rows)).scores.tolist()
        return dict(zip(rows, found, strict=True))


def of_arm(
    corrections: Sequence[Correction],
    loaded: Mapping[int, Version],
    place: Place,
    *,
    first: int,
) -> Corrections | None:
    """Return what corrects an arm; None where nothing does, so that it costs nothing.

    Parameters
    ----------
    corrections
        Of the plan document.
    loaded
        Every version that it names.
    place
        The arm. A shadow is not corrected, nor are several classes, for which no correction
        can be made; an arm that is not the stable one is answered for
        by that where it fails, before any fallback.
    first
        The member whose labels the arm answers.
    """
    if not corrections or not place.answered or place.layout.classes:
        return None
    labels = loaded[first].labels
    applied = compiled.compile(
        corrections,
        classes=loaded[first].classes,
        positive=None if labels is None else labels[1],
        now_ms=clock.now_ms(),
        version=place.version,
        mends=place.arm == plan.STABLE,
    )
    if applied is None:
        return None
    others = {number: one.predictor for number, one in loaded.items()}
    return Corrections(applied, others=others, context=place.layout.context)
