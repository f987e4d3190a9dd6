"""Several members answering as one: the weighted mean of their probabilities, in one pass.

Called by `engine` in a thread. A member that fails does so for the rows it failed on only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from homeostat.foundation import errors
from homeostat.lifecycle.corrections import compiled

Columns = Mapping[str, Sequence[Any]]
_sum = np.add.reduce  # the method of an array goes through Python first
_TRIES = 40  # calls spent on telling bad rows from good ones in a batch that raised


class Predictor(Protocol):
    """A loaded version, as `registry.load` makes it."""

    @property
    def is_fast(self) -> bool:
        """Whether a call is short enough for an event loop, as far as is known."""

    def scores(self, rows: Columns) -> NDArray[np.float64]:
        """Return one finite number per row: the probability of the positive class."""


class Seat(NamedTuple):
    """A member in its place: which version, how much it counts, what answers for it."""

    version: int
    weight: float
    predictor: Predictor


class Fault(NamedTuple):
    """Why a member could not score a row; `kind` is raised, shape or not-finite."""

    version: int
    kind: str
    sentence: str


class Scored(NamedTuple):
    """Scores of a batch; a row with a fault has a score of NaN.

    `outcome` is what corrections made of them; None without any. `chances` has shape
    ``(n_rows, classes)`` where there are several, see `several`; else None.
    """

    scores: NDArray[np.float64]
    member_scores: NDArray[np.float64]
    faults: dict[int, Fault]
    outcome: compiled.Outcome | None = None
    corrected: NDArray[np.float64] | None = None
    chances: NDArray[np.float64] | None = None


def score(seats: Sequence[Seat], columns: Columns, n_rows: int) -> Scored:
    """Score rows by all members.

    Parameters
    ----------
    seats
        1 or more, weights adding up to 1.
    columns
        Validated features by name, each of `n_rows` values.
    n_rows
        1 or more.

    Returns
    -------
    Scored
        `scores` of shape ``(n_rows,)``, `member_scores` of shape ``(members, n_rows)``, and
        the fault of each row that a member could not score.
    """
    faults: dict[int, Fault] = {}
    given = [_call(seat, columns, (n_rows,)) for seat in seats]
    whole = [one for one in given if not isinstance(one, Fault)]
    if len(whole) == len(given):
        # A lone member's scores are the answer: nothing is copied and nothing is averaged.
        told = whole[0].reshape(1, n_rows) if len(whole) == 1 else np.array(whole)
        if math.isfinite(_sum(told, axis=None)):
            return Scored(mean(told, [seat.weight for seat in seats]), told, faults)
    told = np.full((len(seats), n_rows), np.nan)
    for seat, target, got in zip(seats, told, given, strict=True):
        _settle(seat, columns, target, faults, got)
    return Scored(mean(told, [seat.weight for seat in seats]), told, faults)


def failed(n_members: int, n_rows: int, fault: Fault) -> Scored:
    """Return the scores of a batch that nobody scored.

    Parameters
    ----------
    n_members, n_rows
        1 or more.
    fault
        Why; of every row.

    Returns
    -------
    Scored
        NaN throughout.
    """
    nothing = np.full((n_members, n_rows), np.nan)
    return Scored(nothing[0], nothing, dict.fromkeys(range(n_rows), fault))


def mean(member_scores: NDArray[np.float64], weights: Sequence[float]) -> NDArray[np.float64]:
    """Return the weighted mean over members; the same bits wherever it is computed.

    Parameters
    ----------
    member_scores
        Shape ``(members, n)``.
    weights
        One per member, above 0.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``. A single member's scores are returned as they are.
    """
    if len(weights) == 1:
        alone: NDArray[np.float64] = member_scores[0]
        return alone
    total: NDArray[np.float64] = weights[0] * member_scores[0]
    for weight, scores in zip(weights[1:], member_scores[1:], strict=True):
        total += weight * scores
    total /= sum(weights)
    return total


def fill(
    seat: Seat, columns: Columns, target: NDArray[np.float64], faults: dict[int, Fault]
) -> None:
    """Score all rows at once; after a failure halve, so that good rows keep their answer.

    Parameters
    ----------
    seat
        The member.
    columns
        As for `score`.
    target
        Gets its scores, shape ``(n_rows,)``, or ``(n_rows, classes)`` of several.
    faults
        Gets the fault of each row that it failed on.
    """
    _settle(seat, columns, target, faults, _call(seat, columns, target.shape))


def _settle(  # noqa: PLR0917 - as `fill`, and what it said first
    seat: Seat,
    columns: Columns,
    target: NDArray[np.float64],
    faults: dict[int, Fault],
    got: NDArray[np.float64] | Fault,
) -> None:
    """Take what a member said of all rows; where it raised, ask again for the halves."""
    todo = [(0, len(target))]
    tries = 0
    while todo:
        start, end = todo.pop()
        tries += 1
        if end - start < len(target):
            part = {name: values[start:end] for name, values in columns.items()}
            got = _call(seat, part, (end - start, *target.shape[1:]))
        if not isinstance(got, Fault):
            target[start:end] = got
            bad = ~np.isfinite(got)
            for row in np.flatnonzero(bad if bad.ndim == 1 else bad.any(axis=1)):
                sentence = f"version {seat.version} answered {got[row]} where a number is due"
                faults[start + int(row)] = Fault(seat.version, "not-finite", sentence)
        elif got.kind == "raised" and end - start > 1 and tries < _TRIES:
            middle = (start + end) // 2
            todo += [(middle, end), (start, middle)]
        else:
            faults.update(dict.fromkeys(range(start, end), got))


def _call(seat: Seat, columns: Columns, shape: tuple[int, ...]) -> NDArray[np.float64] | Fault:
    try:
        got = np.asarray(seat.predictor.scores(columns), dtype=np.float64)
    except errors.HomeostatError as error:
        return Fault(seat.version, "raised", f"version {seat.version}: {error.message}")
    except BaseException as error:  # noqa: BLE001 - a model is the user's code, SystemExit too
        kind = type(error).__name__
        return Fault(seat.version, "raised", f"version {seat.version} raised {kind}: {error}")
    if got.shape != shape:
        sentence = f"version {seat.version} answered shape {got.shape}, not {shape}"
        return Fault(seat.version, "shape", sentence)
    return got
