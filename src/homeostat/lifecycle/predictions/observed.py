"""What another server answered, as a segment of the log; called by the door that is told.

Such rows are handed over, stored, joined with labels and judged like those of a prediction
server of our own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import blake3
import msgspec

from homeostat.foundation import clock, errors, ids
from homeostat.lifecycle.predictions import frames, labelling
from homeostat.lifecycle.predictions.entities import Instant, Key, Segment

MOST_ROWS = 10_000
MOST_COLUMNS = 2000
STABLE = "stable"
TWO = 2

Cell = str | int | float | bool | None
Chance = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Observation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer of a server elsewhere.

    Attributes
    ----------
    key
        What its label will be joined by; one of its own where rows have none.
    at
        When it was answered, milliseconds UTC; now when None.
    features, context
        What the model was given, and protected attributes that it was not.
    score
        Probability of the positive class, of several classes that of the answer, 0 to 1; of a
        regression the number itself.
    answer
        What was said; of two classes the one that the score speaks for when None, of a
        regression the number. Of several classes it has to be said.
    chances
        Of several classes: probability of each; where nothing is said, what the answer leaves
        is taken as even among the others.
    """

    features: dict[str, Cell]
    score: float
    key: Key | None = None
    at: Instant | None = None
    answer: str | int | float | bool | None = None
    context: dict[str, Cell] = {}
    chances: dict[str, Chance] = {}


class Taken(Segment, frozen=True, kw_only=True):
    """The part of the log that holds what was handed over, and what that lacked.

    Attributes
    ----------
    lacking
        Features and protected columns that no row had. A feature that is missing is a broken
        feed to those who watch.
    """

    lacking: tuple[str, ...] = ()


class Watched(NamedTuple):
    """What is known of the model that answered.

    Parameters
    ----------
    deployment, generation, version
        Whose log; the plan's generation and the version's number.
    kinds
        Of the features, by name, in the order of the schema.
    classes
        As text: negative and positive, or all of several; `labelling.A_NUMBER` of a
        regression.
    """

    deployment: str
    generation: int
    version: int
    kinds: Mapping[str, str]
    classes: tuple[str, ...]

    @property
    def several(self) -> tuple[str, ...]:
        """The classes where there are more than two; else none."""
        return self.classes if len(self.classes) > TWO else ()


def lacking(
    rows: Sequence[Observation], *, features: Sequence[str], protected: Sequence[str]
) -> tuple[str, ...]:
    """Return the columns that should be there and that no row has.

    Parameters
    ----------
    rows
        As handed over.
    features
        Of the model, as its reference has them.
    protected
        Columns that the policy protects; a row has them in its context or its features.

    Examples
    --------
    >>> row = Observation(features={"income": 1.5}, context={"sex": "f"}, score=0.7)
    >>> lacking([row], features=["income", "age"], protected=["sex"])
    ('age',)
    """
    seen = {name for row in rows for name in row.features}
    beside = seen.union(*(row.context for row in rows))
    lost = [name for name in features if name not in seen]
    return (*lost, *(name for name in protected if name not in beside))


def segment(
    watched: Watched, rows: Sequence[Observation], *, batch: str = ""
) -> tuple[str, bytes]:
    """Write observations as a segment of the log.

    Parameters
    ----------
    watched
        The model that answered.
    rows
        1 to 10,000, in the order they were answered.
    batch
        Name of this delivery: the same rows under the same name are taken once, however often
        they are sent. Every row then says when it was answered.

    Returns
    -------
    tuple
        Id and bytes, for `actions.seal_segment`.

    Raises
    ------
    InvalidInputError
        When there are none or too many rows or columns, a named batch has a row without its
        instant, a score is no probability where it has to be, or an answer of several classes
        is none of them.

    Examples
    --------
    >>> watched = Watched("credit", 1, 1, {"income": "number"}, ("0", "1"))
    >>> row = Observation(key="a", at=0, features={"income": 1.5}, score=0.7)
    >>> segment(watched, [row], batch="b") == segment(watched, [row], batch="b")
    True
    """
    if not 1 <= len(rows) <= MOST_ROWS:
        raise errors.InvalidInputError(f"send 1 to {MOST_ROWS:,} rows at once; got {len(rows)}")
    if batch and any(row.at is None for row in rows):
        raise errors.InvalidInputError(
            f"batch {batch[:80]!r} has a row that does not say when it was answered",
            hint="a named batch is taken once, so each of its rows must always be the same",
        )
    for place, row in enumerate(rows):
        _check(row, watched, where=f"rows[{place}]")
    now = clock.now_ms()
    times = [now if row.at is None else row.at for row in rows]
    seed = f"{watched.deployment}\n{batch}" if batch else ids.new_id()
    name = _named(seed, times[0])
    features = _columns([row.features for row in rows], known=tuple(watched.kinds))
    context = _columns([row.context for row in rows], known=())
    layout = frames.Layout(
        features,
        tuple(watched.kinds.get(column, "") for column in features),
        context,
        watched.several,
    )
    parts = [frames.encode(frames.Opened(name, watched.deployment, times[0]))]
    parts.append(frames.encode(layout))
    first = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or times[end] != times[first]:
            named = [_named(f"{seed}\n{place}", times[first]) for place in range(first, end)]
            batched = _batch(watched, rows[first:end], named, layout, served_at=times[first])
            parts.append(frames.encode(batched))
            first = end
    return name, b"".join(parts)


def _named(seed: str, at: int) -> str:
    """Return an id that begins with its instant, as those of predictions do."""
    return f"{at:012x}{blake3.blake3(seed.encode()).hexdigest()[:20]}"


def _columns(rows: Sequence[Mapping[str, Cell]], *, known: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that any row has: those known first, in their order."""
    seen = dict.fromkeys(name for row in rows for name in row)
    names = (*(name for name in known if name in seen), *(n for n in seen if n not in known))
    if len(names) > MOST_COLUMNS:
        raise errors.InvalidInputError(
            f"a row has at most {MOST_COLUMNS:,} columns; these have {len(names):,}"
        )
    return names


def _batch(
    watched: Watched,
    rows: Sequence[Observation],
    named: list[str],
    layout: frames.Layout,
    *,
    served_at: int,
) -> frames.Batch:
    scores = [row.score for row in rows]
    answers = [_answer(row, watched.classes) for row in rows]
    chances = [
        chance
        for row, answer in zip(rows, answers if watched.several else [], strict=False)
        for chance in _chances(row, str(answer), watched.several)
    ]
    return frames.Batch(
        served_at=served_at,
        generation=watched.generation,
        arm=STABLE,
        answered=True,
        version=str(watched.version),
        ids=named,
        keys=[row.key or name for row, name in zip(rows, named, strict=True)],
        features=[[row.features.get(name) for row in rows] for name in layout.features],
        context=[[row.context.get(name) for row in rows] for name in layout.context],
        scores=scores,
        answers=answers,
        members=[str(watched.version)],
        member_scores=[chances or scores],
        chances=chances,
    )


def _check(row: Observation, watched: Watched, *, where: str) -> None:
    is_number = watched.classes == labelling.A_NUMBER
    if not math.isfinite(row.score) or not (is_number or 0 <= row.score <= 1):
        needed = "a finite number" if is_number else "a probability from 0 to 1"
        raise errors.InvalidInputError(
            f"{where}: the score is {row.score}, {needed} is needed", path=f"{where}.score"
        )
    if not watched.several:
        return
    known = watched.several
    if row.answer is None or frames.label_text(row.answer) not in known:
        raise errors.InvalidInputError(
            f"{where}: the answer is {row.answer!r}; known classes are {', '.join(known[:10])}",
            path=f"{where}.answer",
        )
    strange = [name for name in row.chances if name not in known]
    if strange:
        raise errors.InvalidInputError(
            f"{where}: there is no class {strange[0]!r}; known are {', '.join(known[:10])}",
            path=f"{where}.chances",
        )


def _chances(row: Observation, answer: str, classes: tuple[str, ...]) -> list[float]:
    """Return a probability for each class, adding to what was said of them."""
    if row.chances:
        return [row.chances.get(name, 0.0) for name in classes]
    rest = (1.0 - row.score) / (len(classes) - 1)
    return [row.score if name == answer else rest for name in classes]


def _answer(row: Observation, classes: tuple[str, ...]) -> Any:
    if classes == labelling.A_NUMBER:
        return row.score if row.answer is None else row.answer
    if row.answer is None:
        return classes[row.score >= 0.5]  # noqa: PLR2004 - the even chance
    return frames.label_text(row.answer)
