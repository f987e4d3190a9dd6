"""The corrector of a live deployment: what it gained on a block, and how it is learned anew.

Called by `live` for each block and by `renewing` for the fits that are asked for. When it is
learned, and whether its answers are given, `correcting` decides, as in a backtest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation import access, errors, log
from homeostat.foundation.database import Transaction
from homeostat.foundation.house import House
from homeostat.lifecycle.data.entities import Schema
from homeostat.lifecycle.loop import aims, correcting, corrector, entities, observing
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import residuals
from homeostat.lifecycle.serving.entities import Deployment, PlanCorrector
from homeostat.measures import residual

_KINDS: Final[Mapping[str, residual.Kind]] = {
    "number": "number",
    "integer": "number",
    "boolean": "number",
    "category": "text",
    "timestamp": "time",
}


_log = log.get(__name__)


def may_correct(deployment: Deployment, policy: Policy) -> bool:
    """Say whether a corrector may answer: of two classes, served here, wanted by the policy."""
    is_of_classes = policy.model.task == "classification"
    return deployment.kind == "served" and is_of_classes and correcting.is_wanted(policy)


def judged(
    house: House,
    actor: access.Actor,
    deployment: Deployment,
    event: entities.BlockLabelled,
    *,
    rows: pl.DataFrame,
    truth: NDArray[np.bool_],
    aim: aims.Aim,
) -> entities.BlockLabelled:
    """Return a block with what its corrector gained, and what answers had been without it.

    Parameters
    ----------
    house, actor, deployment
        Whose corrector; it may correct.
    event, rows, truth, aim
        The block, its labelled rows, where their label is the positive class, what is foretold.
    """
    named = house.read(lambda tx: of_rows(tx, actor, deployment.name, rows))
    digests = {generation: one.digest for generation, one in named.items()}
    answering = [generation for generation, one in named.items() if one.answers]
    corrected = rows["generation"].is_in(answering).to_numpy()
    return msgspec.structs.replace(
        event,
        growth=growth(house, deployment.model, rows, truth, digests),
        uncorrected=aims.uncorrected(rows, truth, corrected, aim),
    )


def of_rows(
    tx: Transaction, actor: access.Actor, deployment: str, rows: pl.DataFrame
) -> dict[int, PlanCorrector]:
    """Return the corrector of the plan under which rows were answered, by generation."""
    found = {}
    for generation in rows["generation"].unique().to_list():
        plans = serving.plan_history(tx, actor, deployment, before=generation + 1, limit=1)
        named = plans[0].plan.corrector if plans else None
        if named is not None and plans[0].plan.generation == generation:
            found[generation] = named
    return found


def growth(  # noqa: PLR0917 - a block and who corrected it
    house: House,
    model: str,
    rows: pl.DataFrame,
    truth: NDArray[np.bool_],
    correctors: Mapping[int, str],
) -> tuple[float, ...]:
    """Return the log wealth of bets that a block's corrections were worth it.

    Parameters
    ----------
    house, model
        Where correctors are.
    rows
        From `observing.labelled`; each is judged by the corrector of the plan that answered it,
        whether or not that gave its answers.
    truth
        Where the label is the positive class.
    correctors
        Their digests, by generation; see `of_rows`.
    """
    before = rows["score"].to_numpy()
    after = before.copy()
    for generation, digest in correctors.items():
        chosen = (rows["generation"] == generation).to_numpy()
        try:
            applied = residual.Applied(residuals.read(house, model, digest))
        except errors.UnavailableError:
            raise
        except (errors.HomeostatError, msgspec.MsgspecError) as error:
            # Prediction servers answered without it, too; it has no record here.
            _log.warning("corrector is gone", corrector=digest, error=str(error))
            continue
        part = _features(rows.filter(pl.Series(chosen)))
        after[chosen] = applied.corrected(part, before[chosen])
    return corrector.growth(before, after, truth.astype(np.int8))


def columns(schema: Schema) -> tuple[residual.Column, ...]:
    """Return how the columns of a schema become numbers; free text says nothing to a corrector.

    Parameters
    ----------
    schema
        Of the first member of the pool, as a backtest encodes by its warm-up.
    """
    return tuple(
        residual.Column(column.name, _KINDS[column.kind], column.categories or ())
        for column in schema.columns
        if column.kind in _KINDS
    )


def learn(
    rows: pl.DataFrame, truth: NDArray[np.bool_], named: tuple[residual.Column, ...]
) -> residual.Corrector:
    """Learn a corrector from labelled rows of the log; the same from the same rows.

    Parameters
    ----------
    rows
        From `observing.labelled`, one or more.
    truth
        Where the label is the positive class.
    named
        From `columns`.
    """
    features = residual.matrix(named, _features(rows), rows.height)
    made = corrector.fit(features, rows["score"].to_numpy(), truth.astype(np.int8))
    return msgspec.structs.replace(made, columns=named)


def _features(rows: pl.DataFrame) -> dict[str, list[Any]]:
    prefix = observing.FEATURE
    names = [name for name in rows.columns if name.startswith(prefix)]
    return {name.removeprefix(prefix): rows[name].to_list() for name in names}
