"""The page of what was served: a map of which column moved in which window, and findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, get_args

from starlette.responses import Response

from homeostat.doors.web import visit
from homeostat.foundation import clock, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.loop import causes, summarising
from homeostat.lifecycle.monitoring import actions as monitoring
from homeostat.lifecycle.monitoring import column_windows, drift, stored
from homeostat.lifecycle.monitoring.entities import Window
from homeostat.measures import variety

HERE = "/deployments"
WINDOWS = 24
MOST_COLUMNS = 60
FOUND = 10
MOST_PARTS = 40
LEVELS: Final = (drift.LEAST_EFFECT, 2.5 * drift.LEAST_EFFECT, 10 * drift.LEAST_EFFECT)
"""Index above its noise: moderate, large by the usual 0.25, another world."""
MUCH_MISSING = 0.1
CERTAIN = 0.001


class Cell(NamedTuple):
    """One column in one window; `level` is 0 to 3, `words` say the same without colour."""

    level: int
    text: str
    words: str


class Row(NamedTuple):
    """One column over all windows."""

    name: str
    cells: tuple[Cell, ...]


class Column(NamedTuple):
    """What one column held in the newest window; `different` is empty where not known."""

    name: str
    seen: column_windows.ColumnWindow
    different: str
    examples: str
    moved: str


class Map(NamedTuple):
    """Columns by windows, those that moved most first; `hidden` columns are not drawn."""

    starts: tuple[str, ...]
    n_rows: tuple[int, ...]
    rows: tuple[Row, ...]
    hidden: int


async def page(call: visit.Visit) -> Response:
    """Show which columns moved when, and the latest findings in words."""
    name = str(call.path_params["name"])
    said = visit.asked(call, "by") or "hour"
    grain = next((one for one in get_args(stored.Grain) if one == said), None)
    if grain is None:
        raise errors.InvalidInputError(f"{said[:40]!r} is no length of a window")
    part = visit.asked(call, "part") or stored.EVERYBODY
    role = _role(visit.asked(call, "role") or stored.ROLES[0])
    windows = await call.work(
        lambda: summarising.show(
            call.house,
            call.actor,
            name,
            grain=grain,
            role=role,
            part=part,
            limit=WINDOWS,
            project=call.project,
        )
    )

    def fetch(tx: Transaction) -> tuple[list[Window], dict[stored.Role, list[str]]]:
        seen = monitoring.list_windows(tx, call.actor, name, with_findings=True, limit=FOUND)
        return seen, stored.parts(tx, call.actor, name)

    found, parts = await call.read(fetch)
    shown: dict[str, Any] = {
        "name": name,
        "grain": grain,
        "grains": get_args(stored.Grain),
        "map": heat(windows[::-1], grain),
        "columns": _columns(windows),
        "found": found,
        "role": role,
        "roles": list(parts),
        "part": part,
        "parts": parts.get(role, [])[:MOST_PARTS],
        "blamed": await call.work(
            lambda: causes.rank(call.house, call.actor, name, project=call.project)
        ),
        "levels": LEVELS,
    }
    return visit.show(call, "monitoring.html", here=HERE, **shown)


def _role(said: str) -> stored.Role:
    found = next((one for one in stored.ROLES if one == said), None)
    if found is None:
        raise errors.InvalidInputError(f"{said[:40]!r} is none of {', '.join(stored.ROLES)}")
    return found


def heat(windows: Sequence[stored.SummaryWindow], grain: stored.Grain) -> Map:
    """Lay columns out by windows.

    Parameters
    ----------
    windows
        The earliest first.
    grain
        How long they are, for how their begin is written.
    """
    latest = windows[-1].columns if windows else {}
    names = list(dict.fromkeys([*latest, *(name for w in windows for name in w.columns)]))
    rows = [Row(name, tuple(_cell(w.columns.get(name)) for w in windows)) for name in names]
    rows.sort(key=lambda row: -max((cell.level for cell in row.cells), default=0))
    several = len({window.version for window in windows}) > 1
    return Map(
        starts=tuple(_start(window, grain, several=several) for window in windows),
        n_rows=tuple(window.n_rows for window in windows),
        rows=tuple(rows[:MOST_COLUMNS]),
        hidden=max(0, len(rows) - MOST_COLUMNS),
    )


def _start(window: stored.SummaryWindow, grain: stored.Grain, *, several: bool) -> str:
    """Say when a window begins, and which version answered where there were several."""
    text = clock.short(window.starts_at)
    told = text[:10] if grain == "day" else text[5:16]
    return f"{told} v{window.version}" if several else told


def _columns(windows: Sequence[stored.SummaryWindow]) -> list[Column]:
    """Return the columns of the newest window, the first one."""
    newest = windows[0].columns if windows else {}
    return [
        Column(
            name,
            seen,
            variety.told(seen.n_different, seen.different_error),
            variety.listed(seen.examples),
            _cell(seen).words,
        )
        for name, seen in list(newest.items())[:MOST_COLUMNS]
    ]


def _cell(seen: column_windows.ColumnWindow | None) -> Cell:
    if seen is None or not seen.n_rows:
        return Cell(0, "", "no rows")
    if seen.missing - seen.missing_before > MUCH_MISSING:
        text = f"{seen.missing:.0%}"
        return Cell(
            3,
            f"{text} gone",
            f"{text} of the rows have no value, {seen.missing_before:.0%} at training",
        )
    if seen.lacking:
        return Cell(0, "?", seen.lacking)
    if seen.shift is None or seen.p_value is None:
        return Cell(0, "", "nothing to compare with")
    # A small window moves by chance: what is not certain is not coloured.
    is_real = seen.p_value < CERTAIN
    level = sum(seen.shift >= least for least in LEVELS) if is_real else 0
    written = f"{max(0.0, seen.shift):.2f}"
    words = f"index {written} above its noise" if level else "as at training"
    return Cell(level, written if level else "·", words)


PAGES = (visit.Page("GET", "/deployments/{name}/monitoring", "monitoring.read", page),)
