"""What an actor may do with label requests: draw rows, list them, answer one.

Part of the actions of predictions. An answer goes the ordinary way of a late label; what is
kept here beside it is with which chance the row was asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import blake3
import msgspec
import numpy as np
import polars as pl

from homeostat.foundation import access, errors, events, ids
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.predictions import (
    actions,
    frames,
    join,
    read,
    request_records,
    sampling,
)
from homeostat.lifecycle.predictions.entities import ABSTAINED, Sealed
from homeostat.lifecycle.predictions.requested import Ask, Estimate, LabelRequest, State

MOST = 10_000
EVERY: tuple[State, ...] = ("open", "answered", "known")
_COLUMNS = (
    *("row", "id", "key", "served_at", "answered", "score", "answer"),
    *("members", "member_scores"),
)


def candidates(
    house: read.Unsealing, tx: Transaction, actor: access.Actor, deployment: str, *, ask: Ask
) -> pl.DataFrame:
    """Return the latest answered rows that have no label.

    Parameters
    ----------
    house
        What returns stored bytes.
    tx, actor
        Needs ``label.request``.
    deployment
        Its name.
    ask
        Says how many rows back, and which column groups them.

    Returns
    -------
    polars.DataFrame
        In log order, each key once, with ``stratum``; for `request`.

    Raises
    ------
    NotFoundError
        When there is no such deployment.
    InvalidInputError
        When `ask` cannot be right.
    """
    access.require(actor, "label.request")
    if not 1 <= ask.budget <= MOST:
        raise errors.InvalidInputError(f"a budget is 1 to {MOST:,} labels; got {ask.budget}")
    if not 0.0 < ask.random_share <= 1.0:
        raise errors.InvalidInputError(
            f"the random share is above 0 and at most 1; got {ask.random_share:g}",
            hint="without it rows that look certain are never seen, and estimates are biased",
        )
    if ask.newest < 1:
        raise errors.InvalidInputError(f"draw from 1 row or more; got {ask.newest}")
    log = actions.get_log(tx, actor, deployment)
    asked = (*_COLUMNS, *([ask.stratum] if ask.stratum else []))
    first = max(log.n_rows - ask.newest, 0)
    rows = read.predictions(house, tx, deployment, first_row=first, columns=asked)
    if ask.stratum and ask.stratum not in rows.columns:
        raise errors.InvalidInputError(
            f"the log of {deployment!r} has no column {ask.stratum!r}",
            hint="features are x.NAME, context is c.NAME",
        )
    stratum = pl.col(ask.stratum).cast(pl.String) if ask.stratum else pl.lit("")
    # A row that was left to a person waits in the queue of reviews, and has no answer to judge.
    said = pl.col("answer").cast(pl.String)
    is_decided = pl.col("answered") & said.is_not_null() & (said != ABSTAINED)
    answered = rows.filter(is_decided).unique("key", keep="last", maintain_order=True)
    known = join.join(answered, read.labels(house, tx, deployment))
    return known.filter(pl.col("label").is_null()).with_columns(
        stratum.fill_null("").alias("stratum")
    )


def request(
    tx: Transaction, actor: access.Actor, deployment: str, *, ask: Ask, rows: pl.DataFrame
) -> list[LabelRequest]:
    """Draw rows and ask for their labels.

    Parameters
    ----------
    tx, actor
        Needs ``label.request``.
    deployment
        Its name.
    ask
        What to draw.
    rows
        From `candidates`; those that were asked for meanwhile are left out.

    Returns
    -------
    list of LabelRequest
        In log order; empty where every row has its label or was asked for.
    """
    access.require(actor, "label.request")
    rows = rows.filter(~pl.col("id").is_in(request_records.asked(tx, deployment)))
    if rows.is_empty():
        return []
    draw = ids.new_id()
    strata = rows["stratum"].to_list()
    value = _value(rows, ask)
    chance = sampling.chances(value, strata, budget=ask.budget, random_share=ask.random_share)
    # The draw's own id decides, so that anybody can draw again and get the same rows.
    start = int.from_bytes(blake3.blake3(draw.encode()).digest()[:6], "big") / 2**48
    drawn = sampling.draw(chance, strata, start=start)
    made = [
        LabelRequest(
            id=ids.new_id(),
            deployment=deployment,
            draw=draw,
            prediction=row["id"],
            key=row["key"],
            row=row["row"],
            served_at=row["served_at"],
            score=None if row["score"] is None or np.isnan(row["score"]) else row["score"],
            answer=None if row["answer"] is None else frames.label_text(row["answer"]),
            value=float(value[at]),
            by=ask.by,
            random_share=ask.random_share,
            stratum=row["stratum"],
            propensity=float(chance[at]),
            n_rows=rows.height,
            requested_at=tx.at,
            requested_by=actor.name,
        )
        for at, row in zip(drawn, rows[drawn].iter_rows(named=True), strict=True)
    ]
    request_records.insert(tx, made)
    facts = {"draw": draw, "n_requested": len(made), "n_rows": rows.height}
    told = {**facts, **msgspec.to_builtins(ask)}
    events.record(tx, actor, "labels.requested", subject=read.owner(deployment), facts=told)
    return made


def list_requests(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    *,
    states: Sequence[State] = ("open",),
    after: str = "",
    limit: int = 100,
) -> list[LabelRequest]:
    """Return label requests, oldest first.

    Parameters
    ----------
    tx, actor
        Needs ``prediction.read``.
    deployment
        Its name.
    states
        Only in these.
    after, limit
        Last id of the page before; at most this many.
    """
    access.require(actor, "prediction.read")
    actions.get_log(tx, actor, deployment)
    return request_records.listed(tx, deployment, states=states, after=after, limit=limit)


def get_request(
    tx: Transaction, actor: access.Actor, deployment: str, request_id: str
) -> LabelRequest:
    """Return one request; NotFoundError when there is none of that id."""
    access.require(actor, "prediction.read")
    found = request_records.one(tx, deployment, request_id)
    if found is None:
        raise errors.NotFoundError(
            f"deployment {deployment!r} has no label request {request_id[:80]!r}"
        )
    return found


def answer(
    tx: Transaction,
    actor: access.Actor,
    asked: LabelRequest,
    *,
    label: str,
    sealed: Sealed,
) -> LabelRequest:
    """Say what came true of a prediction; its label goes into the log.

    Parameters
    ----------
    tx, actor
        Needs ``label.write``.
    asked
        From `get_request`.
    label
        The class, as the model writes it.
    sealed
        The label as a segment, from `actions.seal_segment`.

    Returns
    -------
    LabelRequest
        Answered.

    Raises
    ------
    ConflictError
        When it is not open any more.
    """
    access.require(actor, "label.write")
    done = msgspec.structs.replace(
        asked, state="answered", answered_at=tx.at, answered_by=actor.name, label=label
    )
    if not request_records.close(tx, done):
        raise errors.ConflictError(f"label request {asked.id} has its label already")
    # Whoever may bring labels answered the request; the queue hands the label to the log.
    actions.accept_segment(tx, access.system("labels"), sealed)
    facts = {"request": done.id, "key": done.key, "draw": done.draw}
    events.record(tx, actor, "label.answered", subject=read.owner(done.deployment), facts=facts)
    return done


def settle(
    house: read.Unsealing, tx: Transaction, actor: access.Actor, deployment: str
) -> list[LabelRequest]:
    """Return the open requests whose label has come another way, as they are to be closed.

    Parameters
    ----------
    house, tx, actor
        Reading suffices; needs ``prediction.read``.
    deployment
        Its name.
    """
    waiting = list_requests(tx, actor, deployment, limit=MOST)
    if not waiting:
        return []
    last = join.last_known(read.labels(house, tx, deployment))
    known = dict(last.select("key", "label").iter_rows())
    at = dict(last.select("key", "known_at").iter_rows())
    return [
        msgspec.structs.replace(
            one,
            state="known",
            label=frames.label_text(known[one.key]),
            answered_at=int(at[one.key]),
        )
        for one in waiting
        if one.key in known
    ]


def close(tx: Transaction, actor: access.Actor, found: Sequence[LabelRequest]) -> int:
    """Close requests that `settle` found; return how many were still open."""
    access.require(actor, "label.request")
    return sum(request_records.close(tx, one) for one in found)


def estimates(tx: Transaction, actor: access.Actor, deployment: str) -> list[Estimate]:
    """Return what the labels of each draw say of all rows it chose from, the latest first.

    Parameters
    ----------
    tx, actor
        Needs ``prediction.read``.
    deployment
        Its name.
    """
    draws: dict[str, list[LabelRequest]] = defaultdict(list)
    for one in list_requests(tx, actor, deployment, states=EVERY, limit=MOST):
        draws[one.draw].append(one)
    return [_estimate(draw, draws[draw]) for draw in sorted(draws, reverse=True)]


def _estimate(draw: str, asked: Sequence[LabelRequest]) -> Estimate:
    labelled = [one for one in asked if one.label is not None]
    error = None
    # What a number is wrong by is no share of wrong answers.
    is_number = all(
        one.score is not None and one.answer == frames.label_text(one.score) for one in asked
    )
    if len(labelled) == len(asked) and not is_number:
        error = sampling.share(
            [float(one.answer != one.label) for one in labelled],
            [one.propensity for one in labelled],
            n_rows=asked[0].n_rows,
        )
    return Estimate(
        draw=draw,
        n_rows=asked[0].n_rows,
        n_requested=len(asked),
        n_answered=len(labelled),
        error=error,
    )


def _value(rows: pl.DataFrame, ask: Ask) -> sampling.Floats:
    scores = rows["score"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    is_number = rows["answer"].dtype.is_float()
    said = [one or [] for one in rows["member_scores"].to_list()]
    n_members = [len(one or []) for one in rows["members"].to_list()]
    if ask.by == "random" or (is_number and ask.by == "uncertainty"):
        return np.ones(rows.height)  # a number says nothing of how sure it is
    is_several = any(len(one) > n for one, n in zip(said, n_members, strict=True))
    near = (
        np.clip(2.0 * (1.0 - scores), 0.0, 1.0) if is_several else sampling.uncertainty(scores)
    )
    if ask.by == "uncertainty":
        return np.asarray(np.nan_to_num(near, nan=1.0), dtype=np.float64)
    if is_several or is_number:
        apart = sampling.apart(said, n_members)
    else:
        apart = sampling.disagreement(said)
    if ask.by == "disagreement" or is_number or not scores.size:
        return apart
    # Each counts by its own size: members that always agree leave it to the uncertainty.
    mixed = near / max(near.mean(), 1e-12) + apart / max(apart.mean(), 1e-12)
    return np.asarray(mixed / 2, dtype=np.float64)
