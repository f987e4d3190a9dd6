"""Small line charts as SVG, drawn on the server; called by pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

WIDTH = 640
HEIGHT = 150
PAD = 8
MOST_POINTS = 1200
TICK_LINES = 2
LARGEST: Final = 1e300
"""Values beyond it, infinities among them, are not drawn: a scale with them has no room."""


class Mark(NamedTuple):
    """Something that happened at a position; `tone` is good, calm, warn or bad."""

    at: float
    tone: str
    word: str
    sentence: str = ""


class Span(NamedTuple):
    """Positions ``[first, end)`` that are shaded, and why."""

    first: float
    end: float
    sentence: str


class Tick(NamedTuple):
    """A mark in the picture: `x` in its units, `percent` of its width, on one of two lines."""

    x: float
    percent: float
    place: int
    mark: Mark


class Line(NamedTuple):
    """A chart as the template draws it.

    Parameters
    ----------
    points
        Of an SVG polyline.
    level
        Height of a reference line in the picture; None without one.
    low, high
        Values at the lower and upper edge.
    first, last
        Positions at the left and right edge.
    newest
        The last value.
    sentence
        The same in words, for those who cannot see it.
    ticks, shades
        Marks within the picture; shaded parts as (left edge, width).
    """

    points: str
    level: float | None
    low: float
    high: float
    first: float
    last: float
    newest: float
    sentence: str
    ticks: tuple[Tick, ...] = ()
    shades: tuple[tuple[float, float], ...] = ()
    width: int = WIDTH
    height: int = HEIGHT


def line(
    series: Sequence[tuple[float, float]],
    *,
    name: str,
    level: float | None = None,
    marks: Sequence[Mark] = (),
    spans: Sequence[Span] = (),
) -> Line | None:
    """Return the chart of a series, or None when there is nothing to draw.

    Parameters
    ----------
    series
        Pairs (position, value), in order of position; NaN and values beyond
        `LARGEST` are left out.
    name
        What the values are, for the sentence.
    level
        Value of a reference line.
    marks, spans
        What to show at which positions; those outside the series are left out.
    """
    finite = thin([(x, y) for x, y in series if abs(y) <= LARGEST])
    if len(finite) < 2:  # noqa: PLR2004 - a line has two ends
        return None
    values = [y for _, y in finite] + ([level] if level is not None else [])
    low, high = min(values), max(values)
    span = (high - low) or max(abs(high), 1.0) * 0.1
    low, high = low - 0.06 * span, high + 0.06 * span
    first, last = finite[0][0], finite[-1][0]
    wide = (last - first) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = PAD + (x - first) / wide * (WIDTH - 2 * PAD)
        return round(across, 1), round(HEIGHT * (high - y) / (high - low), 1)

    drawn = " ".join(f"{a},{b}" for a, b in (place(x, y) for x, y in finite))
    newest = finite[-1][1]
    low_seen, high_seen = min(y for _, y in finite), max(y for _, y in finite)
    shown = sorted(mark for mark in marks if first <= mark.at <= last)
    ticks = (place(mark.at, low)[0] for mark in shown)
    clipped = ((max(first, span.first), min(last, span.end)) for span in spans)
    edges = [(place(a, low)[0], place(b, low)[0]) for a, b in clipped if a < b]
    return Line(
        points=drawn,
        level=place(first, level)[1] if level is not None else None,
        low=low,
        high=high,
        first=first,
        last=last,
        newest=newest,
        sentence=f"{name}: {newest:.4g} now, between {low_seen:.4g} and {high_seen:.4g}",
        ticks=tuple(
            Tick(x, round(100 * x / WIDTH, 2), place_of % TICK_LINES, mark)
            for place_of, (x, mark) in enumerate(zip(ticks, shown, strict=True))
        ),
        shades=tuple((a, round(b - a, 1)) for a, b in edges),
    )


def thin(series: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most `MOST_POINTS` points that keep every peak: lowest and highest of each bin.

    Parameters
    ----------
    series
        Pairs (position, value), in order of position.
    """
    if len(series) <= MOST_POINTS:
        return list(series)
    n_bins = MOST_POINTS // 2
    kept: list[tuple[float, float]] = []
    for i in range(n_bins):
        part = series[i * len(series) // n_bins : (i + 1) * len(series) // n_bins]
        ends = {min(part, key=lambda one: one[1]), max(part, key=lambda one: one[1])}
        kept.extend(sorted(ends))
    return kept
