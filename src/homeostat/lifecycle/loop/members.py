"""The members of a deployment's pool, asked about logged rows; for `live` and `renewing`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.loop import (
    aims,
    candidates,
    early,
    entities,
    observing,
    places,
    scoring,
)
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import adopted
from homeostat.lifecycle.registry.adopted import Loadable
from homeostat.lifecycle.registry.entities import Description
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving.entities import Deployment


class Members:
    """Asks versions and candidates, by the label the loop knows them by.

    Parameters
    ----------
    house
        Open.
    actor
        A part of the system.
    scorer
        Keeps models in memory.
    """

    def __init__(self, house: House, actor: access.Actor, scorer: scoring.Scorer) -> None:
        self._house = house
        self._actor = actor
        self._scorer = scorer

    def scores(
        self, deployment: Deployment, label: str, rows: pl.DataFrame
    ) -> NDArray[np.float64]:
        """Return what a member says of rows of the log, as its predictor says it."""
        if deployment.kind == "watched":  # its only member is the one that answered
            told = self.described(deployment, label)
            if told.task == "multiclass":
                return aims.said(rows, aims.of([told]))
            return rows["score"].to_numpy()
        table = observing.features(rows)
        return self._scorer.scores(self._loadable(deployment, label), table)

    def described(self, deployment: Deployment, label: str) -> Description:
        """Return what a member says of itself, without opening its model."""
        return self._scorer.described(self._loadable(deployment, label))

    def aim(
        self, deployment: Deployment, labels: Sequence[str], rows: pl.DataFrame
    ) -> aims.Aim:
        """Return what members foretell, as the first of them was trained.

        Parameters
        ----------
        deployment
            Whose.
        labels
            Of members; of those after the first only the classes count.
        rows
            Of the log.
        """
        first = self._asked(deployment, labels[0])
        found = [first]
        for label in labels[1:] if first.task == "multiclass" else ():
            with contextlib.suppress(errors.UserCodeError, errors.NotAllowedError):
                found.append(self._asked(deployment, label))
        metric = serving.get_policy(deployment).gates.metric
        return aims.of(found, rows, metric=metric)

    def placed(
        self, deployment: Deployment, label: str, rows: pl.DataFrame, *, aim: aims.Aim
    ) -> NDArray[np.float64]:
        """Return `scores` with the member's classes in the places of all."""
        scores = self.scores(deployment, label, rows)
        if aim.task != "multiclass":
            return scores
        return aims.placed(scores, self._asked(deployment, label), aim)

    def _asked(self, deployment: Deployment, label: str) -> Description:
        """Return what a member says of itself, from the model that is kept in memory."""
        how = self._loadable(deployment, label)
        if deployment.kind == "watched":
            return self._scorer.described(how)
        return self._scorer.predictor(how).description

    def promised(
        self, deployment: Deployment, state: entities.LoopState
    ) -> float | msgspec.UnsetType:
        """Return how often the first member may err by its own exam, in the first blocks."""
        if not early.is_wanted(state) or deployment.kind == "watched":
            return msgspec.UNSET
        label = state.members[0].version

        def look(tx: Transaction) -> float | msgspec.UnsetType:
            version = registry.get_version(tx, self._actor, deployment.model, int(label))
            if not version.report_id:
                return msgspec.UNSET
            report = evaluation.get_report(tx, self._actor, version.report_id)
            return early.promised(report, serving.get_policy(deployment))

        return self._house.read(look)

    def positive(self, deployment: Deployment, label: str) -> str:
        """Return the positive class as text, as that member was trained."""
        how = self._loadable(deployment, label)
        if deployment.kind == "watched":
            return scoring.positive_of(self._scorer.described(how))
        return scoring.positive(self._scorer.predictor(how))

    def _loadable(self, deployment: Deployment, label: str) -> Loadable:
        """Return how a member is loaded: a version by number, a candidate by its label."""
        name, model = deployment.name, deployment.model
        if label.isdigit():

            def look(tx: Transaction) -> Loadable:
                version = registry.get_version(tx, self._actor, model, int(label))
                return adopted.loadable(tx, version)

            return self._house.read(look)
        candidate = self._house.read(lambda tx: places.candidate(tx, name, label))
        return candidates.loadable(model, candidate.packed)
