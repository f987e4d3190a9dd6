"""What a correction may say; called by `actions` before one is proposed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from homeostat.foundation import clock, errors
from homeostat.lifecycle.corrections.entities import (
    YEAR_MS,
    Abstain,
    Body,
    Clause,
    Explore,
    Fallback,
    GroupThreshold,
    Recalibration,
    Ruling,
    Threshold,
)
from homeostat.lifecycle.predictions.entities import ABSTAINED

_ORDERS = ("lt", "le", "gt", "ge")


class Place(NamedTuple):
    """What must be known of a deployment to correct it.

    Attributes
    ----------
    deployment
        Its name.
    tier
        The stricter of its policy's and its model's.
    columns
        Features and protected columns of requests; empty where nobody knows.
    classes
        Labels of the model; empty where nobody knows.
    is_class
        Whether scores are probabilities.
    """

    deployment: str
    tier: str
    columns: frozenset[str]
    classes: tuple[str, ...]
    is_class: bool


def check(body: Body, place: Place) -> None:
    """Refuse a correction that cannot mean anything for the deployment.

    Parameters
    ----------
    body
        As it was decoded: types and ranges of single fields hold.
    place
        Where it is to work.

    Raises
    ------
    InvalidInputError
        With one sentence on the first thing that is wrong.
    """
    match body:
        case Threshold() | GroupThreshold():
            _need_classes(body, place)
            if isinstance(body, GroupThreshold):
                _known_column(body.column, place)
        case Recalibration():
            _need_classes(body, place)
            _check_map(body)
        case Ruling():
            _check_rule(body, place)
        case Abstain():
            _check_abstain(body, place)
        case Explore():
            _need_classes(body, place)
            _check_exploring(body, place)
        case Fallback():
            if (body.version is None) == (body.score is None):
                raise _wrong("a fallback names a version or a score, and not both")
            _check_score("the fallback's score", body.score, place)
            _check_conditions(body.when, place)


def check_time(starts_at: int, expires_at: int, *, now_ms: int) -> None:
    """Refuse a correction that is over, never begins, or lasts longer than a year.

    Parameters
    ----------
    starts_at, expires_at, now_ms
        Milliseconds UTC.

    Raises
    ------
    InvalidInputError
        With the instants seen.
    """
    if expires_at <= now_ms:
        raise _wrong(f"it expires at {clock.iso(expires_at)}, which is over")
    if starts_at >= expires_at:
        raise _wrong(
            f"it starts at {clock.iso(starts_at)}, not before it expires at "
            f"{clock.iso(expires_at)}"
        )
    if expires_at - max(starts_at, now_ms) > YEAR_MS:
        raise _wrong(f"it lasts until {clock.iso(expires_at)}; a year is the most")


def _check_map(body: Recalibration) -> None:
    if body.method == "platt":
        if body.knots:
            raise _wrong("a platt recalibration has slope and intercept, no knots")
        if not (0 < body.slope < math.inf and math.isfinite(body.intercept)):
            raise _wrong(f"its slope must be above 0 and both finite; seen {body.slope}")
        return
    if len(body.knots) < 1:
        raise _wrong("an isotonic recalibration needs a knot or more")
    for (x, y), (after_x, after_y) in itertools.pairwise(body.knots):
        if not (x < after_x and y <= after_y):
            raise _wrong(
                f"its knots must ascend; ({x}, {y}) comes before ({after_x}, {after_y})"
            )


def _check_rule(body: Ruling, place: Place) -> None:
    if not body.when:
        raise _wrong("a rule needs a condition or more")
    if (body.answer is None) == (body.score is None):
        raise _wrong("a rule names an answer or a score, and not both")
    if body.answer is not None:
        if not place.is_class:
            raise _wrong("a rule of a regression sets a score, not an answer")
        if place.classes and body.answer not in place.classes:
            known = ", ".join(place.classes)[:400]
            raise _wrong(f"{body.answer!r} is no label of the model; it knows {known}")
    _check_score("the rule's score", body.score, place)
    _check_conditions(body.when, place)


def _check_abstain(body: Abstain, place: Place) -> None:
    if body.low is None and body.high is None and not body.when:
        raise _wrong("to abstain needs a range of scores or a condition")
    low = -math.inf if body.low is None else body.low
    high = math.inf if body.high is None else body.high
    if not low < high:
        raise _wrong(f"its scores lie in [low, high); seen [{body.low}, {body.high})")
    if ABSTAINED in place.classes:
        raise _wrong(f"the model has a label {ABSTAINED!r}, which would not be told apart")
    _check_conditions(body.when, place)


def _check_exploring(body: Explore, place: Place) -> None:
    if not body.low < body.high:
        raise _wrong(f"it explores scores in [low, high); seen [{body.low}, {body.high})")
    if place.classes and body.answer not in place.classes:
        known = ", ".join(place.classes)[:400]
        raise _wrong(f"{body.answer!r} is no label of the model; it knows {known}")


def _check_conditions(when: Sequence[Clause], place: Place) -> None:
    for at, one in enumerate(when):
        where = f"when[{at}]"
        _known_column(one.column, place, where=where)
        value = one.value
        if one.op == "is_null":
            if value is not None:
                raise _wrong(f"{where}: is_null takes no value; seen {value!r}")
        elif one.op == "in":
            if not isinstance(value, tuple) or not value:
                raise _wrong(f"{where}: in takes a list of values; seen {value!r}")
        elif value is None or isinstance(value, tuple):
            raise _wrong(f"{where}: {one.op} takes one value; seen {value!r}")
        elif one.op in _ORDERS and (isinstance(value, bool | str) or not math.isfinite(value)):
            raise _wrong(f"{where}: {one.op} takes a number; seen {value!r}")


def _known_column(column: str, place: Place, *, where: str = "column") -> None:
    if place.columns and column not in place.columns:
        known = ", ".join(sorted(place.columns))[:400]
        raise _wrong(
            f"{where}: {column!r} is no column of requests to {place.deployment!r}; "
            f"it knows {known}"
        )


def _check_score(what: str, score: float | None, place: Place) -> None:
    if score is None:
        return
    if not math.isfinite(score) or (place.is_class and not 0 <= score <= 1):
        needed = "0 to 1" if place.is_class else "finite"
        raise _wrong(f"{what} must be {needed}; seen {score}")


def _need_classes(body: Body, place: Place) -> None:
    if not place.is_class:
        kind = body.__struct_config__.tag
        raise _wrong(f"deployment {place.deployment!r} is a regression; it has no {kind}")


def _wrong(why: str) -> errors.InvalidInputError:
    return errors.InvalidInputError(f"this correction cannot be made: {why}")
