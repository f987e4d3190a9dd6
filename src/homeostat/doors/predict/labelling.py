"""Late labels as the prediction server takes them: one, or many; used by `app`."""

from __future__ import annotations

import msgspec

from homeostat.doors.predict import asked
from homeostat.foundation import errors
from homeostat.lifecycle.predictions.entities import Instant
from homeostat.lifecycle.serving import engine


class One(msgspec.Struct, forbid_unknown_fields=True):
    """A label of one prediction."""

    key: str | int
    label: str | int | float | bool
    event_at: Instant | None = None


class Labels(msgspec.Struct, forbid_unknown_fields=True):
    """Either ``labels``, or the fields of one."""

    labels: list[One] | None = None
    key: str | int | None = None
    label: str | int | float | bool | None = None
    event_at: Instant | None = None
    deployment: str = ""


_labels = msgspec.json.Decoder(Labels)


def read(body: bytes) -> tuple[str, list[engine.Label]]:
    """Read labels.

    Parameters
    ----------
    body
        JSON: ``{"key", "label"}`` or ``{"labels": [{"key", "label", "event_at"}]}``, with
        ``deployment`` where the path does not say it.

    Returns
    -------
    tuple
        Deployment, empty when not said, and the labels.

    Raises
    ------
    InvalidInputError
        When it is of another form.
    """
    given = asked.decode(_labels, body)
    many = given.labels
    if many is None:
        if given.key is None or given.label is None:
            raise errors.InvalidInputError(
                "the body needs key and label, or labels: a list of them"
            )
        many = [One(given.key, given.label, given.event_at)]
    return given.deployment, [
        engine.Label(
            asked.key_text(one.key, where=f"labels[{at}].key"), one.label, one.event_at
        )
        for at, one in enumerate(many)
    ]
