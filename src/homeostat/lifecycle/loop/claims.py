"""What is guaranteed of a loop under its policy, and what is only measured; for `standing`.

The proofs, their assumptions and the measurements are in the page on the loop of the docs.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from homeostat.lifecycle.loop import harm
from homeostat.lifecycle.policy.entities import Policy


class Claims(NamedTuple):
    """Sentences for people; what is guaranteed is told with its assumption."""

    guaranteed: tuple[str, ...]
    measured: tuple[str, ...]


def of(policy: Policy) -> Claims:
    """Return what may be said of a loop that follows a policy.

    Parameters
    ----------
    policy
        Its members, rollout, corrector and block.

    Examples
    --------
    >>> from homeostat.lifecycle.policy.entities import Model
    >>> told = of(Policy(model=Model(name="credit", target="defaulted")))
    >>> told.guaranteed[0].split(", if")[0]
    'Harm: on average at least 1,096 blocks (219,200 labelled rows) until a false alert'
    """
    return Claims(tuple(_guaranteed(policy)), tuple(_measured(policy)))


def _guaranteed(policy: Policy) -> list[str]:
    blocks, error = int(math.exp(harm.SETTINGS.log_threshold)), policy.rollout.error
    rows = blocks * policy.retraining.block
    calm = "answers are wrong no more often than accepted, and none more than others as sure"
    if policy.model.task == "regression":
        calm = "the mean loss, given the past, is at most the accepted one"
    harmed = (
        f"Harm: on average at least {blocks:,} blocks ({rows:,} labelled rows) until a false "
        f"alert, if {calm}; what is accepted, and how far rows err together, is estimated"
    )
    suspected = (
        "Suspicion, on which the loop looks and fits without telling anybody: the same rate, "
        "if rows err independently of each other"
    )
    found = [harmed, suspected]
    if policy.retraining.members > 1:
        found.append(
            "Members: the Brier score (of numbers: the squared error before it is cut off) of "
            "their mean is at most the weighted mean of theirs, on every row"
        )
    else:
        found.append(
            f"One model: challengers that are not better take over with chance at most "
            f"{error:g}, however often it is looked at, if differences of block losses are "
            f"symmetric given the past (how far neighbouring blocks depend on each other is "
            f"estimated); not while harm stands"
        )
    if policy.rollout.strategy != "blue-green":
        found.append(
            f"Canary: one that is worse by more than the tolerance goes on, and one that is as "
            f"good is rolled back, each with chance at most {error:g}, however often it is "
            f"looked at"
        )
    if policy.rollout.strategy != "blue-green" and policy.rollout.guards != "off":
        found.append(
            f"Guards: groups, slices and time together expel a canary that is worse in none by "
            f"more than the margin with chance at most {error:g}"
        )
    found.append("Each decision is computed again from its recorded inputs, bit for bit")
    return found


def _measured(policy: Policy) -> list[str]:
    found = [
        "How often harm is suspected where rows err together: up to ten times as often",
        "How much accuracy is regained after a change, and after how many rows",
        "That a stationary world is answered no worse than by the first model",
        "The weights of members, and the row at which a change is said to have begun",
        "The exam of one block before a model answers",
    ]
    if policy.retraining.corrector and policy.model.tier != "high":
        found.append("That the corrector pays while it answers: its switch is no test")
    if policy.rollout.strategy == "blue-green":
        found.append("That a new model is no worse: blue-green switches without a canary")
    return found
