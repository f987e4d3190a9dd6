"""Members of several classes answering as one: the weighted mean of each class's probability.

Called by `served` and `arms` where a plan is put in place, and by their arms for every batch.
Members may know different classes, such as one that was fitted before a class was seen; what a
member does not know has probability 0 there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeostat.lifecycle.serving import composite, entities

Floats = NDArray[np.float64]


class Version(Protocol):
    """A loaded version, as `served` has it."""

    @property
    def predictor(self) -> composite.Predictor:
        """What scores."""

    @property
    def classes(self) -> tuple[str, ...]:
        """All its labels."""

    @property
    def is_several(self) -> bool:
        """Whether it scores each class."""


class Placed:
    """A member whose classes are put in the places of a plan's.

    Parameters
    ----------
    asked
        The member.
    places
        Of each of its classes among all.
    n_classes
        How many there are.
    """

    def __init__(
        self, asked: composite.Predictor, places: Sequence[int], n_classes: int
    ) -> None:
        self._asked = asked
        self._places = list(places)
        self._n_classes = n_classes

    @property
    def is_fast(self) -> bool:
        """As its own."""
        return self._asked.is_fast

    def scores(self, rows: composite.Columns) -> Floats:
        """Return a probability for each class of the plan, 0 for those it does not know."""
        given = self._asked.scores(rows)
        found = np.zeros((len(given), self._n_classes))
        found[:, self._places] = given
        return found


def classes_of(loaded: Mapping[int, Version], *, first: int) -> tuple[str, ...]:
    """Return the classes that a plan answers: those of its champion, then what others know.

    Parameters
    ----------
    loaded
        Every version of the plan.
    first
        The champion.

    Returns
    -------
    tuple of str
        None where it answers two classes, or a number.
    """
    if not loaded[first].is_several:
        return ()
    order = [first, *sorted(loaded)]
    return tuple(dict.fromkeys(name for one in order for name in loaded[one].classes))


def placed(
    asked: composite.Predictor, known: Sequence[str], classes: Sequence[str]
) -> composite.Predictor:
    """Return a member whose classes are in the places of a plan's.

    Parameters
    ----------
    asked
        The member.
    known
        Its classes.
    classes
        Of the plan, from `classes_of`; none for two classes, or a number.
    """
    if not classes or tuple(known) == tuple(classes):
        return asked
    return Placed(asked, [classes.index(name) for name in known], len(classes))


def seats(
    members: Sequence[entities.Member], loaded: Mapping[int, Version], classes: Sequence[str]
) -> list[composite.Seat]:
    """Return the members of an arm in their places, in the order of their numbers.

    Parameters
    ----------
    members
        1 or more.
    loaded
        Every version of the plan.
    classes
        Of the plan, from `classes_of`.
    """
    found = []
    for one in sorted(members, key=lambda member: member.version):
        version = loaded[one.version]
        asked = placed(version.predictor, version.classes, classes)
        found.append(composite.Seat(one.version, one.weight, asked))
    return found


def score(
    sitting: Sequence[composite.Seat],
    columns: composite.Columns,
    n_rows: int,
    *,
    n_classes: int,
) -> composite.Scored:
    """Score rows by all members.

    Parameters
    ----------
    sitting
        1 or more, weights adding up to 1; each answers `n_classes` numbers a row.
    columns, n_rows
        As for `composite.score`.
    n_classes
        Of the plan.

    Returns
    -------
    Scored
        `chances` are the mixture, `scores` the largest of each row, which is answered;
        `member_scores` of shape ``(members, n_rows * n_classes)``.
    """
    faults: dict[int, composite.Fault] = {}
    members = np.full((len(sitting), n_rows, n_classes), np.nan)
    for index, seat in enumerate(sitting):
        composite.fill(seat, columns, members[index], faults)
    flat = members.reshape(len(sitting), n_rows * n_classes)
    chances = composite.mean(flat, [seat.weight for seat in sitting]).reshape(n_rows, n_classes)
    return composite.Scored(chances.max(axis=1), flat, faults, chances=chances)


def answers(chances: Floats, classes: Sequence[str]) -> list[str]:
    """Return the class with the largest probability of each row; the first of equal ones.

    Parameters
    ----------
    chances
        Shape ``(n, classes)``.
    classes
        Their names.

    Examples
    --------
    >>> answers(np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]), ("a", "b", "c"))
    ['b', 'a']
    """
    return [classes[at] for at in chances.argmax(axis=1).tolist()]


def picked(chances: Floats, rows: Sequence[int] | None) -> list[float]:
    """Return chances as the log keeps them: row after row; only of `rows` where given."""
    kept = chances if rows is None else chances[list(rows)]
    found: list[float] = kept.ravel().tolist()
    return found
