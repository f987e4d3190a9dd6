"""A picture of a backtest: score over time, alarms, fits, promotions, labels, cost; own SVG.

Called by `homeostat backtest --chart`. The picture stands by itself: no script, no font, no
address; it reads in black and white (every line has its dash and its name) and says in words
what it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from homeostat.lifecycle.loop import backtest, comparing

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 960, 420, 64, 56, 96
Place = Callable[[float], float]
LEGENDS = 2
"""Ways in a line of the legend."""
SMOOTH = 5
"""Batches averaged for a point: single ones of 200 rows move by points from chance alone."""
COLOURS = ("#0b62a4", "#b3470b", "#3b7a2a", "#7a3b8f", "#555555", "#a8870d")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4", "1 5")


def svg(compared: comparing.Compared, *, title: str, first_row: int, batch: int) -> str:
    """Draw the score of each way over the rows.

    Parameters
    ----------
    compared
        From `comparing.compare`.
    title
        What was answered.
    first_row
        First row after the warm-up.
    batch
        Rows of a batch.

    Returns
    -------
    str
        A whole SVG document; alarms (triangles), fits (ticks) and promotions (dots) are those
        of the first way, counts and cost those of each.
    """
    lines = [_smoothed(each.batches) for each in compared.lived]
    values = [value for line in lines for value in line]
    low, high = min(values), max(values)
    room = max(high - low, 0.02)
    low, high = low - 0.05 * room, min(1.0, high + 0.05 * room)
    n = max(len(line) for line in lines)
    right, floor = WIDTH - 16, HEIGHT - BOTTOM
    height = HEIGHT + 18 * max(0, -(-len(lines) // LEGENDS) - 2)

    def x(place: float) -> float:
        return LEFT + (right - LEFT) * place / max(1, n - 1)

    def y(value: float) -> float:
        return floor - (floor - TOP) * (value - low) / (high - low)

    sentence = "; ".join(f"{row.name} {row.outcome.score:.2%}" for row in compared.rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
        f'font-family="sans-serif" font-size="13" aria-label="{escape(sentence, quote=True)}">',
        f"<title>{escape(title)}</title><desc>{escape(sentence)}</desc>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="16" fill="#111111">{escape(title)}</text>',
        f'<text x="{LEFT}" y="43" fill="#555555">score of {SMOOTH} batches of {batch} rows;',
        "below: fits (ticks), promotions (dots), alarms (triangles) of",
        f"{escape(compared.rows[0].name)}</text>",
    ]
    for step in range(5):
        value = low + (high - low) * step / 4
        parts.append(
            f'<line x1="{LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            f'stroke="#dddddd"/><text x="{LEFT - 8}" y="{y(value) + 4:.1f}" '
            f'text-anchor="end" fill="#333333">{value:.1%}</text>'
        )
        place = (n - 1) * step / 4
        parts.append(
            f'<text x="{x(place):.1f}" y="{floor + 44}" '
            f'text-anchor="{"end" if step == 4 else "middle"}" '  # noqa: PLR2004 - the last
            f'fill="#333333">row {first_row + round(place * batch):,}</text>'
        )
    for number, (line, row) in enumerate(zip(lines, compared.rows, strict=True)):
        parts.append(_line(line, x=x, y=y, number=number))
        cost = compared.lived[number].fit_s
        parts.append(_legend(row, number=number, floor=floor, fit_s=cost))
    parts += _marks(compared.lived[0], x=x, floor=floor, first_row=first_row, batch=batch)
    return "\n".join([*parts, "</svg>", ""])


def html(picture: str, *, title: str) -> str:
    """Return a page that holds a picture and nothing else."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title></head>\n"
        f'<body style="margin:2rem">{picture}</body></html>\n'
    )


def _smoothed(values: Sequence[float]) -> list[float]:
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    return [
        (sums[i + 1] - sums[max(0, i + 1 - SMOOTH)]) / min(i + 1, SMOOTH)
        for i in range(len(values))
    ]


def _line(line: list[float], *, x: Place, y: Place, number: int) -> str:
    points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(line))
    return (
        f'<polyline points="{points}" fill="none" stroke-width="1.8" '
        f'stroke="{COLOURS[number % len(COLOURS)]}" '
        f'stroke-dasharray="{DASHES[number % len(DASHES)]}"/>'
    )


def _legend(row: comparing.Row, *, number: int, floor: float, fit_s: float) -> str:
    left = LEFT + (WIDTH - LEFT) // LEGENDS * (number % LEGENDS)
    top = floor + 66 + 18 * (number // LEGENDS)
    seen = row.outcome
    counts = (len(seen.promotions), "promotions"), (seen.labels_used, "labels")
    told = "".join(
        f", {n:,} {what if n != 1 else what[:-1]}" for n, what in ((seen.fits, "fits"), *counts)
    )
    return (
        f'<line x1="{left}" x2="{left + 26}" y1="{top - 4}" y2="{top - 4}" stroke-width="2" '
        f'stroke="{COLOURS[number % len(COLOURS)]}" '
        f'stroke-dasharray="{DASHES[number % len(DASHES)]}"/>'
        f'<text x="{left + 32}" y="{top}" fill="#111111">{escape(row.name)} '
        f"{seen.score:.2%}{told}, {fit_s:.1f} s of fits</text>"
    )


def _marks(
    lived: backtest.Lived, *, x: Place, floor: float, first_row: int, batch: int
) -> list[str]:
    def at(row: int) -> float:
        return x((row - first_row) / batch)

    fits = [
        f'<line x1="{at(row):.1f}" x2="{at(row):.1f}" y1="{floor + 3}" y2="{floor + 13}" '
        f'stroke="#0b62a4"><title>fit before row {row}</title></line>'
        for row in lived.fit_rows
    ]
    alarms = [
        f'<path d="M{at(alarm.row):.1f} {floor + 16} l5 9 l-10 0 z" '
        f'fill="{"#b00020" if alarm.kind == "harm" else "#c79a00"}">'
        f"<title>{escape(alarm.kind)} alarm at row {alarm.row}</title></path>"
        for alarm in lived.outcome.alarms
    ]
    promotions = [
        f'<circle cx="{at(one.row):.1f}" cy="{floor + 8}" r="3.5" fill="#0b62a4">'
        f"<title>promotion at row {one.row}</title></circle>"
        for one in lived.outcome.promotions
    ]
    return [*fits, *promotions, *alarms]
