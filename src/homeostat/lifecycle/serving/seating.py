"""Seats the members of an arm for online answers; called by `served` for each arm of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.serving import (
    answering,
    batcher,
    corrected,
    entities,
    plan,
    residuals,
    several,
)


class Version(several.Version, corrected.Version, Protocol):
    """A loaded version, as `served` has it."""


def arm(
    document: entities.PlanDocument,
    told: entities.Arm,
    *,
    layout: frames.Layout,
    loaded: Mapping[int, Version],
    post: answering.Post,
    turn: batcher.Turn | None = None,
) -> answering.AnsweringArm:
    """Return an arm, ready to answer.

    Parameters
    ----------
    document
        The plan and what belongs to it.
    told
        The arm as the plan has it, or what stands for a shadow.
    layout
        Columns of the log.
    loaded
        Every version of the plan.
    post
        The log, threads and counts of this process.
    turn
        Of the arms that answer; None for a shadow.
    """
    seats = several.seats(told.members, loaded, layout.classes)
    place = answering.Place(
        document.deployment,
        document.plan.generation,
        told.name,
        plan.label(told),
        told.name != plan.SHADOW,
        layout,
        told.share,
    )
    first = seats[0].version
    corrections = corrected.of_arm(document.corrections, loaded, place, first=first)
    return answering.AnsweringArm(
        place,
        seats,
        labels=loaded[first].labels,
        post=post,
        corrections=corrections,
        corrector=residuals.of_arm(document, told.name),
        turn=turn,
    )
