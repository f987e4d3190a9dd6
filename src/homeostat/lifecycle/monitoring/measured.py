"""What metrics of users and indicators of the business came to; pure, also their JSON.

Made by `loop.measuring` and `kpis`, kept by `measurements`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from homeostat.lifecycle.policy import Kpi, Metric

Verdict = Literal["fine", "found", "told", "unknown", "failed"]
EVERYBODY = ""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One number of one part of the rows.

    Attributes
    ----------
    name, kind
        As in the policy: ``metric`` or ``kpi``.
    part
        ``slice=young``, ``version=3``; everybody when empty.
    value, low, high
        None where there is none; the interval where one is known.
    n_rows
        Rows it is of.
    unit, better, at_least, at_most
        As in the policy.
    verdict
        ``found`` is outside of its bounds, ``told`` has none; ``unknown`` had too few rows,
        ``failed`` is the user's function.
    sentence
        For people.
    code
        Digest of the code that the function reached; empty for an indicator.
    at
        Milliseconds UTC.
    """

    name: str
    kind: Literal["metric", "kpi"]
    part: str = EVERYBODY
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n_rows: int
    unit: str = ""
    better: Literal["higher", "lower", "neither"] = "higher"
    at_least: float | None = None
    at_most: float | None = None
    verdict: Verdict
    sentence: str
    code: str = ""
    at: int


def judge(
    name: str,
    promised: Metric | Kpi,
    numbers: tuple[float, float | None, float | None],
    *,
    n_rows: int,
    at: int,
    part: str = EVERYBODY,
    code: str = "",
) -> Measured:
    """Say whether a number is within its bounds.

    Parameters
    ----------
    name, promised
        As in the policy.
    numbers
        The value, and its interval where one is known.
    n_rows, at, part, code
        See `Measured`.

    Returns
    -------
    Measured
        Found where the whole interval is outside of a bound; without one, the value.

    Examples
    --------
    >>> wanted = Metric(function="metrics:share", at_least=0.5, unit="%")
    >>> judge("share", wanted, (0.4, 0.3, 0.6), n_rows=9, at=0).verdict
    'fine'
    >>> judge("share", wanted, (0.4, None, None), n_rows=9, at=0).sentence
    'share is 0.4 % over 9 rows; 0.5 % or more is wanted'
    """
    value, low, high = numbers
    least, most = promised.at_least, promised.at_most
    top, bottom = (value if high is None else high), (value if low is None else low)
    is_low = least is not None and top < least
    is_high = most is not None and bottom > most
    verdict: Verdict = "told" if least is None and most is None else "fine"
    unit = f" {promised.unit}" if promised.unit else ""
    told = f"{name}{_of(part)} is {value:.6g}{unit}"
    if low is not None and high is not None:
        told += f" ({low:.6g} to {high:.6g})"
    told += f" over {n_rows:,} rows"
    if is_low or is_high:
        verdict = "found"
        bound = f"{least:.6g}{unit} or more" if is_low else f"{most:.6g}{unit} or less"
        told += f"; {bound} is wanted"
    return Measured(
        value=value,
        low=low,
        high=high,
        verdict=verdict,
        sentence=told,
        code=code,
        **_named(name, promised, part=part, n_rows=n_rows, at=at),
    )


def without(
    name: str,
    promised: Metric | Kpi,
    sentence: str,
    *,
    at: int,
    part: str = EVERYBODY,
    n_rows: int = 0,
    verdict: Verdict = "unknown",
    code: str = "",
) -> Measured:
    """Return what is known where there is no number: why."""
    fields = _named(name, promised, part=part, n_rows=n_rows, at=at)
    return Measured(verdict=verdict, sentence=sentence, code=code, **fields)


def _named(
    name: str, promised: Metric | Kpi, *, part: str, n_rows: int, at: int
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "metric" if isinstance(promised, Metric) else "kpi",
        "part": part,
        "n_rows": n_rows,
        "unit": promised.unit,
        "better": promised.better,
        "at_least": promised.at_least,
        "at_most": promised.at_most,
        "at": at,
    }


def _of(part: str) -> str:
    kind, _, name = part.partition("=")
    return f" of {kind} {name}" if part else ""
