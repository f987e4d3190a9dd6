"""What a person asks of the loop: train a model, and how far are you? Called by the doors."""

from __future__ import annotations

import msgspec

from homeostat.foundation import access, events, jobs
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.data import tables
from homeostat.lifecycle.loop import actions, places, triggers
from homeostat.lifecycle.predictions import actions as predictions
from homeostat.lifecycle.serving import actions as serving

TRAIN = "train"


class Train(msgspec.Struct, frozen=True, kw_only=True):
    """Train a model: the text of a homeostat.toml, and the snapshot to learn from."""

    policy: str
    snapshot: str


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: the report, and the version when the gates let it in."""

    model: str
    report: str
    verdict: str
    sentence: str
    version: int | None
    run: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the loop has come with a deployment.

    Attributes
    ----------
    n_rows, n_labels
        Of the log.
    judged_row
        Rows before it were judged in windows.
    n_blocks
        Blocks of labels that were taken in.
    n_waiting
        Jobs that wait or are being done, in the whole project.
    n_unseen
        Events that no worker has looked at yet.
    """

    deployment: str
    n_rows: int
    n_labels: int
    judged_row: int
    n_blocks: int
    n_waiting: int
    n_unseen: int


def train(tx: Transaction, actor: access.Actor, asked: Train) -> jobs.Job:
    """Ask a worker to train a model, judge it and register it.

    Parameters
    ----------
    tx, actor
        Needs ``model.register``.
    asked
        With what.

    Returns
    -------
    Job
        Its result will be a `Trained`.

    Raises
    ------
    InvalidInputError
        When the policy cannot be understood, or names a column the snapshot has not.
    NotFoundError
        When there is no such snapshot.
    """
    access.require(actor, "model.register")
    policy = policies.parse(asked.policy, where="the policy")
    columns = [one.name for one in data.find_snapshot(tx, actor, asked.snapshot).schema.columns]
    tables.need_column(columns, policy.model.target, role="target")
    for name in policy.data.protected:  # else fairness would go unjudged without a word
        tables.need_column(columns, name, role="protected")
    return jobs.enqueue(tx, actor, TRAIN, payload=msgspec.to_builtins(asked), max_attempts=2)


def progress(tx: Transaction, actor: access.Actor, deployment: str) -> Progress:
    """Return how far the loop has come.

    Parameters
    ----------
    tx, actor
        Needs ``deployment.read``.
    deployment
        Its name.

    Raises
    ------
    NotFoundError
        When there is none of that name.
    """
    serving.get_deployment(tx, actor, deployment)
    log = predictions.get_log(tx, actor, deployment)
    return Progress(
        deployment=deployment,
        n_rows=log.n_rows,
        n_labels=log.n_labels,
        judged_row=places.find(tx, deployment).judged_row,
        n_blocks=actions.state(tx, deployment).n_blocks,
        n_waiting=jobs.pending(tx),
        n_unseen=len(events.follow(tx, triggers.READER, kinds=tuple(triggers.TRIGGERS))),
    )
