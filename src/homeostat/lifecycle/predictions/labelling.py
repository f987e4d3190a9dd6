"""Which late labels a deployment takes: the one rule of every door that labels come through.

Called by `actions` for labels given to the server and by `serving.engine` for those given to a
prediction server.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from homeostat.foundation import errors
from homeostat.lifecycle.predictions import frames

LABELS_AT_MOST = 100_000
A_NUMBER: Final = ("",)
"""Instead of classes, for a regression: its labels are numbers."""

Value = str | int | float | bool


def meant(values: Sequence[Value], classes: Sequence[str], *, deployment: str) -> list[str]:
    """Return late labels as the classes of the model that answers.

    Parameters
    ----------
    values
        1 to 100,000, as the caller sent them.
    classes
        All labels that the model knows, as text; empty takes every label, `A_NUMBER` finite
        numbers.
    deployment
        Whose labels they are, for the message.

    Returns
    -------
    list of str
        The classes they mean: 1, 1.0 and "1" are one, upper and lower case too, and true and
        false are 1 and 0 where those are the classes.

    Raises
    ------
    InvalidInputError
        When there are none or too many, or one is of no class; names its place and the classes.
    """
    if not 1 <= len(values) <= LABELS_AT_MOST:
        raise errors.InvalidInputError(
            f"one request brings 1 to {LABELS_AT_MOST} labels; seen {len(values)}"
        )
    known: dict[tuple[type, Value], str] = {}
    found = []
    for at, value in enumerate(values):
        asked = (type(value), value)  # 1 and true are one key of a dict, but not one label
        if asked not in known:
            known[asked] = _class(value, classes, where=f"labels[{at}]", deployment=deployment)
        found.append(known[asked])
    return found


def _class(value: Value, classes: Sequence[str], *, where: str, deployment: str) -> str:
    text = frames.label_text(value)
    if classes == A_NUMBER:
        number = None if isinstance(value, bool) else _number(text)
        if number is not None and math.isfinite(number):
            return text
        raise errors.InvalidInputError(
            f"{where}: {repr(value)[:80]} is no number, and deployment {deployment!r} answers "
            "numbers",
            path=f"{where}.label",
        )
    if not classes or text in classes:
        return text
    number = float(value) if isinstance(value, bool) else _number(text)
    for one in classes:
        if one.lower() == text.lower() or _number(one) == number is not None:
            return one
    raise errors.InvalidInputError(
        f"{where}: {repr(value)[:80]} is no label of deployment {deployment!r}; "
        f"it knows {', '.join(classes)[:400]}",
        path=f"{where}.label",
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
