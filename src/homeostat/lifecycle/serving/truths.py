"""The answer to a label request as a label of the log; called by the doors."""

from __future__ import annotations

from homeostat.foundation.house import House
from homeostat.lifecycle.predictions import actions, labelling
from homeostat.lifecycle.predictions.entities import LateLabel, Sealed
from homeostat.lifecycle.predictions.requested import LabelRequest
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.serving import classes

Truth = str | int | float | bool


def sealed(
    house: House,
    asked: LabelRequest,
    truth: Truth,
    *,
    champion: Version,
    project: str,
) -> tuple[str, Sealed]:
    """Store what came true, before the row that names it is written.

    Parameters
    ----------
    house
        What stores bytes.
    asked
        The request.
    truth
        As a person writes it.
    champion
        From `classes.champion`; knows the labels.
    project
        Namespace.

    Returns
    -------
    tuple
        The label as the model writes it, and its segment; both for `requesting.answer`.

    Raises
    ------
    InvalidInputError
        When the model knows no such label.
    """
    name = asked.deployment
    known = classes.known(house, champion, project=project)
    (label,) = labelling.meant([truth], known, deployment=name)
    segment, raw = actions.labels_segment(
        name, [LateLabel(key=asked.key, label=label)], classes=known
    )
    return label, actions.seal_segment(house, name, segment=segment, raw=raw, project=project)
