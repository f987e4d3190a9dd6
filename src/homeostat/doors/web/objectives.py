"""What pages show of promises: objectives, numbers and checks; and the drift report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, get_args
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from homeostat.doors.web import charts, visit
from homeostat.foundation import errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import measuring, summarising
from homeostat.lifecycle.monitoring import measurements, report_bars, stored
from homeostat.lifecycle.monitoring.checks import Check
from homeostat.lifecycle.monitoring.measured import EVERYBODY, Measured
from homeostat.lifecycle.monitoring.objectives import Burn, Kept

HERE = "/deployments"
SEE_OTHER = 303
HOURS = 168
WINDOWS: Final[dict[stored.Grain, int]] = {"minute": 60, "hour": 24, "day": 30}
STANDINGS: Final = {
    "kept": ("kept", "good"),
    "burning-slow": ("burning slowly", "warn"),
    "burning-fast": ("burning fast", "bad"),
    "spent": ("budget used up", "warn"),
    "no-data": ("no data", "calm"),
}
VERDICTS: Final = {
    "found": ("look at this", "bad"),
    "failed": ("does not work", "warn"),
    "fine": ("fine", "good"),
    "told": ("told", "calm"),
    "unknown": ("not known", ""),
}
CHART_HEIGHT = 100


class Rate(NamedTuple):
    """One burn rate: over which time, how fast, and how it looks."""

    time: str
    rate: str
    tone: str
    words: str


class Objective(NamedTuple):
    """One objective as a card shows it; `left` of its budget, 0 to 1, is drawn as a bar."""

    stand: Kept
    word: str
    tone: str
    left: float
    rates: tuple[Rate, ...]


class Group(NamedTuple):
    """A metric or an indicator with its parts, and how it went by the hour."""

    whole: Measured
    parts: tuple[Measured, ...]
    chart: charts.Line | None
    word: str
    tone: str


class Bars(NamedTuple):
    """One column of a report: pairs of bars in an SVG of 100 by 100."""

    pairs: tuple[tuple[float, float, float, float, str], ...]
    width: float
    first: str
    last: str


def shown(tx: Transaction, call: visit.Visit, name: str) -> dict[str, Any]:
    """Return what was last measured of a deployment, as the page of it shows it."""
    return {
        "objectives": kept(tx, call, name),
        "groups": _groups(tx, call, name, measurements.latest(tx, call.actor, name)),
        "checks": checks(measurements.checks(tx, call.actor, name)),
        "verdicts": VERDICTS,
    }


def cards(found: Sequence[Kept]) -> list[Objective]:
    """Return objectives as cards show them, those that need a look first."""
    order = ("burning-fast", "burning-slow", "spent", "no-data", "kept")
    made = [
        Objective(
            one,
            *STANDINGS[one.standing],
            left=min(1.0, max(0.0, one.budget_left or 0.0)),
            rates=tuple(map(_rate, one.burns)),
        )
        for one in found
    ]
    return sorted(made, key=lambda one: order.index(one.stand.standing))


def kept(tx: Transaction, call: visit.Visit, name: str) -> list[Objective]:
    """Return how the objectives of a deployment stood when they were last counted."""
    return cards(measurements.objectives(tx, call.actor, name))


def checks(found: Sequence[Check]) -> list[Check]:
    """Return checks in the order a person wants them: what was found, told, fine, not known."""
    order = ("found", "told", "fine", "unknown")
    return sorted(found, key=lambda one: order.index(one.verdict))


def _rate(burn: Burn) -> Rate:
    time = measuring.rendered(burn.long_ms)
    if burn.long is None:
        return Rate(time, "-", "", f"nothing to count in the last {time}")
    tone = ("bad" if burn.is_fast else "warn") if burn.is_over else ""
    words = (
        f"the last {time} spent the budget {burn.long:.3g} times as fast as it may; "
        f"somebody is told from {burn.threshold:.3g} on"
    )
    return Rate(time, f"{burn.long:.2g} times", tone, words)


def _groups(
    tx: Transaction, call: visit.Visit, name: str, found: Sequence[Measured]
) -> list[Group]:
    groups = []
    for whole in (one for one in found if one.part == EVERYBODY):
        parts = [one for one in found if one.name == whole.name and one.part]
        order = ("found", "failed")
        bad = [one for one in (whole, *parts) if one.verdict in order]
        worst = min(bad, key=lambda one: order.index(one.verdict), default=whole)
        past = measurements.history(tx, call.actor, name, whole.name, limit=HOURS)
        series = [(float(one.at), one.value) for one in past[::-1] if one.value is not None]
        chart = charts.line(series, name=whole.name) if len(series) > 1 else None
        word, tone = VERDICTS[worst.verdict]
        groups.append(Group(whole, tuple(parts), chart, word, tone))
    return sorted(groups, key=lambda one: one.tone != "bad")


async def measure(call: visit.Visit) -> Response:
    """Have a deployment measured and checked by the worker, and go back to it."""
    name = str(call.path_params["name"])
    await call.write(lambda tx: measuring.ask(tx, call.actor, name))
    return RedirectResponse(f"/deployments/{quote(name)}#promises", status_code=SEE_OTHER)


async def drift(call: visit.Visit) -> Response:
    """Show the drift report of what was kept: training beside the last hours or days."""
    name = str(call.path_params["name"])
    said, part = visit.asked(call, "by") or "hour", visit.asked(call, "part")
    grain = next((one for one in get_args(stored.Grain) if one == said), None)
    if grain is None:
        raise errors.InvalidInputError(f"{said[:40]!r} is no length of a window")
    found = await call.work(
        lambda: summarising.report(
            call.house,
            call.actor,
            name,
            grain=grain,
            part=part,
            limit=WINDOWS[grain],
            project=call.project,
        )
    )
    columns = []
    if found is not None:
        ordered = sorted(found.columns, key=lambda one: (not one.is_drifted, -(one.score or 0)))
        columns = [(one, _bars(one.bars)) for one in ordered]
    return visit.show(
        call,
        "drift.html",
        here=HERE,
        name=name,
        grain=grain,
        part=part,
        windows=WINDOWS,
        report=found,
        columns=columns,
        drifted=[one.name for one, _ in columns if one.is_drifted],
        compared=[one.name for one, _ in columns if one.is_drifted or not one.note],
    )


def _bars(bars: Sequence[report_bars.Bar]) -> Bars | None:
    if not bars:
        return None
    top = max(max(bar.reference, bar.current) for bar in bars) or 1.0
    step = CHART_HEIGHT / len(bars)
    pairs = tuple(
        (
            round(place * step, 3),
            round((place + 0.48) * step, 3),
            round(CHART_HEIGHT * bar.reference / top, 3),
            round(CHART_HEIGHT * bar.current / top, 3),
            f"{bar.label}: training {bar.reference:.1%}, now {bar.current:.1%}",
        )
        for place, bar in enumerate(bars)
    )
    return Bars(pairs, round(0.44 * step, 3), bars[0].label[:24], bars[-1].label[:24])


PAGES = (
    visit.Page("POST", "/deployments/{name}/measure", "monitoring.write", measure),
    visit.Page("GET", "/deployments/{name}/drift", "monitoring.read", drift),
)
