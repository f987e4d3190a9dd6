"""Reason codes: the factors against a person, grouped, in the policy's words; for `explain`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from homeostat.lifecycle.explanations import entities
from homeostat.lifecycle.policy import Explain

_NOTHING = 1e-12


class Factor(NamedTuple):
    """Columns that count as one."""

    code: str
    features: tuple[str, ...]
    contribution: float


def factors(
    contributions: Mapping[str, float],
    groups: Mapping[str, Sequence[str]],
    *,
    protected: Collection[str] = (),
) -> list[Factor]:
    """Sum contributions by group.

    Parameters
    ----------
    contributions
        By column.
    groups
        Columns by the name of their group; columns in none stand alone.
    protected
        Columns that are left out.

    Returns
    -------
    list of Factor
        In the order of `contributions`; their sum is the sum of what is not protected.

    Examples
    --------
    >>> found = factors({"a": 0.5, "b": 1.0, "c": -2.0}, {"both": ["a", "c"]})
    >>> [(one.code, one.contribution) for one in found]
    [('both', -1.5), ('b', 1.0)]
    """
    home = {column: name for name, columns in groups.items() for column in columns}
    members: dict[tuple[bool, str], list[str]] = {}
    for column in contributions:
        if column not in protected:
            members.setdefault((column in home, home.get(column, column)), []).append(column)
    return [
        Factor(code, tuple(columns), sum(contributions[column] for column in columns))
        for (_, code), columns in members.items()
    ]


def reasons(
    contributions: Mapping[str, float],
    rules: Explain,
    *,
    protected: Collection[str],
    favourable: bool,
    top: int | None = None,
) -> tuple[entities.Reason, ...]:
    """Name the factors that did most against a person.

    Parameters
    ----------
    contributions
        By column, towards the positive class.
    rules
        Groups, texts and how many.
    protected
        Columns that are never a reason, alone or in a group.
    favourable
        Whether the positive class is good for the person.
    top
        Instead of the policy's number.

    Returns
    -------
    tuple of Reason
        Most harmful first, of equal ones by code; only what did harm.
    """
    sign = -1.0 if favourable else 1.0
    found = factors(contributions, rules.groups, protected=protected)
    harmful = [one for one in found if sign * one.contribution > _NOTHING]
    harmful.sort(key=lambda one: (-sign * one.contribution, one.code, one.features))
    return tuple(
        entities.Reason(
            code=one.code,
            text=rules.texts.get(one.code, one.code),
            features=one.features,
            contribution=one.contribution,
        )
        for one in harmful[: top or rules.top]
    )
