"""Reading a filter as people write it, such as `metric.auc >= 0.8`; called by the doors."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from homeostat.foundation import errors
from homeostat.lifecycle.tracking import entities

_FILTER: Final = re.compile(
    r"(metric|param|tag|run)\.(.+?)\s*(!=|<=|>=|=|<|>)\s*(.*)", re.DOTALL
)


def parse(text: str) -> entities.Filter:
    """Read one condition.

    Parameters
    ----------
    text
        `SUBJECT.KEY COMPARATOR VALUE`; the subject is metric, param, tag or run.

    Returns
    -------
    Filter
        Its value is a number for a metric, else text.

    Raises
    ------
    InvalidInputError
        When it is no condition.

    Examples
    --------
    >>> parse("metric.auc >= 0.8")
    Filter(subject='metric', key='auc', comparator='>=', value=0.8)
    """
    found = _FILTER.fullmatch(text.strip())
    if found is None:
        raise errors.InvalidInputError(
            f"{text[:80]!r} is no condition",
            hint="such as 'metric.auc >= 0.8' or 'tag.stage = a'",
        )
    subject, key, comparator, value = found.groups()
    plain: Any = value.strip("'\"")
    if subject == "metric":
        try:
            plain = float(plain)
        except ValueError:
            raise errors.InvalidInputError(
                f"metric {key!r} is compared with a number; got {value!r}"
            ) from None
    fields = {"subject": subject, "key": key, "comparator": comparator, "value": plain}
    return msgspec.convert(fields, entities.Filter)
