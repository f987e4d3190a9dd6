"""Spans as people write them, ``200 rows`` or ``1h``, in the policy."""

from __future__ import annotations

import datetime as dt
import re

import msgspec

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_ROWS = re.compile(r"(\d+) ?rows?")
_TIME = re.compile(r"(\d+(?:\.\d+)?) ?([smhdw])")
WRITTEN = "a span such as '200 rows', '30s', '15m', '1h' or '30d'"


class Span(msgspec.Struct, frozen=True):
    """A length in rows or in time, never both.

    Attributes
    ----------
    rows
        Whole number, or None when it is a time.
    seconds
        0 or more, or None when it is in rows.
    """

    rows: int | None = None
    seconds: float | None = None


def parse(text: str) -> Span:
    """Read a span.

    Parameters
    ----------
    text
        ``200 rows``, or a number with ``s``, ``m``, ``h``, ``d`` or ``w``.

    Returns
    -------
    Span
        In rows or in seconds.

    Raises
    ------
    ValueError
        When it is neither.

    Examples
    --------
    >>> parse("200 rows"), parse("30d").seconds
    (Span(rows=200, seconds=None), 2592000.0)
    """
    if found := _ROWS.fullmatch(text.strip()):
        return Span(rows=int(found[1]))
    if found := _TIME.fullmatch(text.strip()):
        return Span(seconds=float(found[1]) * _UNITS_S[found[2]])
    raise ValueError(f"{text!r} is not {WRITTEN}")
