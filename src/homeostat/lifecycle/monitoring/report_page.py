"""A drift report as one HTML page: style and charts inside, no script; called by `report`."""

from __future__ import annotations

import html
from collections.abc import Sequence

from homeostat.lifecycle.monitoring import report_bars, report_columns

_WIDTH, _HEIGHT, _BASE = 480, 136, 112

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --quiet: #5c6670; --line: #d9dee3;
  --page: #ffffff; --card: #f6f8fa; --was: #8a97a5; --now: #0b6bcb; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --quiet: #a0aab4;
  --line: #343b43; --page: #14171a; --card: #1d2226; --was: #6f7c8a; --now: #62b0ff;
  --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } p { color: var(--quiet); margin: .25rem 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child, .text { text-align: left; }
th { color: var(--quiet); font-weight: 600; } .wide { overflow-x: auto; }
.drifted { color: var(--bad); font-weight: 600; } a { color: inherit; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .8rem 1rem; } section h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr));
  gap: 1rem; } .legend { margin: 1.5rem 0 .6rem; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--quiet);
  font: 15px system-ui, sans-serif; } .was { fill: var(--was); } .now { fill: var(--now); }
.axis { stroke: var(--line); } .key { display: inline-block; width: .7em; height: .7em;
  border-radius: 2px; } .key.was { background: var(--was); }
.key.now { background: var(--now); }
"""


def render(
    columns: Sequence[report_columns.ColumnDrift],
    *,
    convention: str,
    rows: tuple[int, int],
) -> str:
    """Return the page of a report.

    Parameters
    ----------
    columns
        As the report holds them.
    convention
        Its name.
    rows
        Of the reference and of the current table.

    Returns
    -------
    str
        A whole HTML document.
    """
    drifted = sum(column.is_drifted for column in columns)
    told = (
        f"{drifted} of {len(columns)} columns have drifted. Reference {rows[0]:,} rows, "
        f"current {rows[1]:,} rows; convention {html.escape(convention)}."
    )
    cards = "".join(_card(i, column) for i, column in enumerate(columns))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Drift report</title><style>{_STYLE}</style></head><body>"
        f"<h1>Drift report</h1><p>{told}</p>{_overview(columns)}"
        '<p class="legend"><span class="key was"></span> reference '
        '<span class="key now"></span> current: share of the rows with a value</p>'
        f"<main>{cards}</main>"
        "</body></html>"
    )


def _overview(columns: Sequence[report_columns.ColumnDrift]) -> str:
    heads = "".join(
        f"<th>{name}</th>" for name in ("Column", "Drift", *report_columns.STATISTICS)
    )
    lines = []
    for i, column in enumerate(columns):
        verdict = (
            '<td class="drifted">drifted</td>' if column.is_drifted else "<td>&ndash;</td>"
        )
        numbers = "".join(f"<td>{_number(v)}</td>" for v in column.values.values())
        name = f'<td><a href="#c{i}">{html.escape(column.name)}</a></td>'
        lines.append(f"<tr>{name}{verdict}{numbers}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _number(value: float | None) -> str:
    return "&ndash;" if value is None or value != value else f"{value:.4g}"  # noqa: PLR0124 - NaN


def _card(place: int, column: report_columns.ColumnDrift) -> str:
    said = [html.escape(column.kind)]
    if column.test and column.score is not None and column.threshold is not None:
        test = html.escape(column.test)
        said.append(f"{test} {_number(column.score)}, border {column.threshold:g}")
    if column.note:
        said.append(html.escape(column.note))
    mark = ' <span class="drifted">drifted</span>' if column.is_drifted else ""
    chart = _chart(column) if column.bars else ""
    return (
        f'<section id="c{place}"><h2>{html.escape(column.name)}{mark}</h2>'
        f"<p>{' · '.join(said)}</p>{chart}</section>"
    )


def _chart(column: report_columns.ColumnDrift) -> str:
    """Draw pairs of bars: the reference in grey, the current rows in colour."""
    bars = column.bars
    top = max(max(bar.reference, bar.current) for bar in bars) or 1.0
    step = _WIDTH / len(bars)
    drawn = []
    for i, bar in enumerate(bars):
        sides = (("was", bar.reference, 0.08), ("now", bar.current, 0.5))
        drawn.append(f"<g><title>{_tip(bar)}</title>")
        for name, share, offset in sides:
            tall = (_BASE - 10) * share / top
            drawn.append(
                f'<rect class="{name}" x="{(i + offset) * step:.1f}" y="{_BASE - tall:.1f}" '
                f'width="{0.42 * step:.1f}" height="{tall:.1f}"/>'
            )
        drawn.append("</g>")
    first, last = html.escape(bars[0].label[:24]), html.escape(bars[-1].label[:24])
    label = html.escape(f"Shares of {column.name} in the reference and the current rows")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(drawn)}"
        f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{_BASE}" y2="{_BASE}"/>'
        f'<text x="0" y="{_HEIGHT - 6}">{first}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 6}" text-anchor="end">{last}</text></svg>'
    )


def _tip(bar: report_bars.Bar) -> str:
    return html.escape(f"{bar.label}: reference {bar.reference:.2%}, current {bar.current:.2%}")
