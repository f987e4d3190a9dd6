"""How the loop of a deployment stands: what waits, what is spent, what it cannot know.

Called by the doors; it reads and decides nothing.
"""

from __future__ import annotations

import msgspec
import polars as pl

from homeostat.foundation import access
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.loop import (
    actions,
    asked,
    claims,
    cooling,
    corrected,
    entities,
    health,
    observing,
    stages,
)
from homeostat.lifecycle.monitoring import actions as monitoring
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.predictions import join, read
from homeostat.lifecycle.serving import actions as serving

NEWEST_ROWS = 20_000
FEW_ROWS = 50
"""Rows of an answer from which on its share of labels is spoken of."""
RARE = 0.2
"""Below this share of the labels another answer gets, an answer is called selected against."""
CLAIMS = {
    "harm": "whether the answers are still right: harm is seen in labels alone",
    "weights": "which member answers best: weights stand as they did",
    "fits": "when to fit: nothing is learned without labels, but for what a person asks",
}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A fit that was asked for and waits."""

    reason: asked.Reason
    n: int
    first_at: int
    last_at: int
    subject: str
    by: str
    why: str
    until: int | None


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Fits of the last 24 hours and the seconds they took; the most that the policy allows."""

    fits: int
    fits_per_day: int | None
    seconds: float
    seconds_per_day: float | None


class Selected(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of an answer have their label, among those old enough to have one."""

    answer: str
    n_rows: int
    n_labels: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the loop of a deployment stands.

    Attributes
    ----------
    deployment, tone, word, sentence
        Its health, as `health.judge` gives it.
    causes
        What may ask for a fit by itself, as the policy names it.
    waiting, budget
        Requests that no fit has answered yet; what the day's fits took.
    blind_since, blind_since_row
        When the first answer was given that no block of labels speaks of, ms UTC, and its row;
        None while labels keep up.
    last_label_at
        When the newest label became known, ms UTC; None without one.
    labels
        For each answer how many rows have their label.
    unknown
        What the loop cannot know as things stand, in sentences; empty when it knows.
    corrector
        Whether answers are corrected, and since when.
    states
        Where the loop is in its state machine, as `stages.of` gives it.
    guaranteed, measured
        What may be said of a loop under this policy, in sentences.
    """

    deployment: str
    tone: str
    word: str
    sentence: str
    causes: tuple[str, ...]
    waiting: tuple[Request, ...]
    budget: Budget
    blind_since: int | None
    blind_since_row: int | None
    last_label_at: int | None
    labels: tuple[Selected, ...]
    unknown: tuple[str, ...]
    corrector: corrected.Corrector
    states: tuple[str, ...]
    guaranteed: tuple[str, ...]
    measured: tuple[str, ...]


def look(
    house: House, actor: access.Actor, deployment: str, *, project: str | None = None
) -> Standing:
    """Return how the loop of a deployment stands.

    Parameters
    ----------
    house, actor
        Needs ``decision.read`` and ``deployment.read``.
    deployment
        Its name.
    project
        Namespace.

    Raises
    ------
    NotFoundError
        When there is no such deployment, or it has no loop.
    """
    return house.read(lambda tx: _look(house, tx, actor, deployment), project=project)


def _look(house: House, tx: Transaction, actor: access.Actor, deployment: str) -> Standing:
    access.require(actor, "deployment.read")
    state = actions.get_state(tx, actor, deployment)
    found = serving.get_deployment(tx, actor, deployment)
    policy = serving.get_policy(found)
    part = access.system("loop")
    log = predictions.get_log(tx, part, deployment)
    alerts = monitoring.list_alerts(tx, part, deployment=deployment, limit=100)
    seen = health.judge(
        state, [one for one in alerts if one.state != "resolved"], n_rows=log.n_rows
    )
    labels = read.labels(house, tx, deployment, first_label=max(log.n_labels - 1, 0))
    sight = blind_row(state, n_rows=log.n_rows)
    selected = _by_answer(house, tx, deployment, n_rows=log.n_rows)
    said = claims.of(policy)
    return Standing(
        deployment=deployment,
        tone=seen.tone,
        word=seen.word,
        sentence=seen.sentence,
        causes=("person", *policy.retraining.on),
        waiting=_waiting(state, policy, at=tx.at),
        budget=_budget(state, policy, at=tx.at),
        blind_since=None if sight is None else _served_at(house, tx, deployment, sight),
        blind_since_row=sight,
        last_label_at=None if labels.is_empty() else int(labels["known_at"][-1]),
        labels=selected,
        unknown=_unknown(state, policy, selected, sight=sight),
        corrector=corrected.told(state, found.plan),
        states=stages.of(state),
        guaranteed=said.guaranteed,
        measured=said.measured,
    )


def blind_row(state: entities.LoopState, *, n_rows: int) -> int | None:
    """Return the first row that no block of labels speaks of, where too many follow it.

    Parameters
    ----------
    state
        What the loop remembers.
    n_rows
        Of the log.

    Returns
    -------
    int or None
        None while labels keep up with the answers, and before anything was answered.
    """
    last = state.history[-1] if state.history else None
    first = 0 if last is None else last.end_row
    size = 1 if last is None else health.BLIND_BLOCKS * last.n_rows
    return first if n_rows - first >= size else None


def _served_at(house: House, tx: Transaction, deployment: str, row: int) -> int | None:
    found = read.predictions(
        house, tx, deployment, first_row=row, end_row=row + 1, columns=("row", "served_at")
    )
    return None if found.is_empty() else int(found["served_at"][0])


def _waiting(state: entities.LoopState, policy: Policy, *, at: int) -> tuple[Request, ...]:
    found = []
    for one, hold in cooling.waits(state, policy, at=at):
        found.append(
            Request(
                reason=one.reason,
                n=one.n,
                first_at=one.first_at,
                last_at=one.last_at,
                subject=one.subject,
                by=one.by,
                why="its turn is now" if hold is None else hold.why,
                until=None if hold is None else hold.until,
            )
        )
    return tuple(found)


def _budget(state: entities.LoopState, policy: Policy, *, at: int) -> Budget:
    today = [one for one in cooling.pace(state).fits if one.at > at - cooling.DAY_MS]
    return Budget(
        fits=len(today),
        fits_per_day=policy.retraining.fits_per_day,
        seconds=round(sum(one.seconds or 0.0 for one in today), 3),
        seconds_per_day=policy.retraining.compute_per_day_s,
    )


def _by_answer(
    house: House, tx: Transaction, deployment: str, *, n_rows: int
) -> tuple[Selected, ...]:
    """Count labels by answer, up to the newest row that has one: later ones may be late."""
    rows = read.predictions(
        house,
        tx,
        deployment,
        first_row=max(0, n_rows - NEWEST_ROWS),
        columns=("row", "key", "answered", "answer"),
    ).filter(pl.col("answered"))
    known = join.join(rows, read.labels(house, tx, deployment))
    has_label = known[observing.LABEL].is_not_null()
    if not has_label.any():
        return ()
    newest = int(known.filter(has_label)["row"].max())  # type: ignore[arg-type]
    counted = (
        known.filter(pl.col("row") <= newest)
        .group_by(pl.col("answer").cast(pl.String))
        .agg(pl.len().alias("n"), pl.col(observing.LABEL).is_not_null().sum().alias("labels"))
        .sort("answer")
    )
    return tuple(
        Selected(answer=answer or "", n_rows=n, n_labels=labels)
        for answer, n, labels in counted.iter_rows()
    )


def unrevealed(labels: tuple[Selected, ...]) -> tuple[Selected, ...]:
    """Return the answers whose rows hardly get labels while those of others do.

    Examples
    --------
    >>> yes = Selected(answer="0", n_rows=900, n_labels=850)
    >>> no = Selected(answer="1", n_rows=300, n_labels=3)
    >>> [one.answer for one in unrevealed((yes, no))]
    ['1']
    """
    spoken = [one for one in labels if one.n_rows >= FEW_ROWS]
    best = max((one.n_labels / one.n_rows for one in spoken), default=0.0)
    return tuple(one for one in spoken if one.n_labels / one.n_rows < RARE * best)


def _unknown(
    state: entities.LoopState,
    policy: Policy,
    labels: tuple[Selected, ...],
    *,
    sight: int | None,
) -> tuple[str, ...]:
    found = list(CLAIMS.values()) if sight is not None or not state.n_blocks else []
    for one in unrevealed(labels):
        told = (
            f"labels are selected by the answer: {one.n_labels:,} of {one.n_rows:,} rows "
            f"answered {one.answer!r} have one; how often that answer is wrong is not known"
        )
        how = policy.selection
        if how.revealing is None:
            told += "; name what reveals labels in [selection], and explore"
        else:
            told += f"; fits {how.handling} by the recorded chances"
        found.append(told)
    return tuple(found)
