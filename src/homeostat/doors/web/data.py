"""Pages of data: which snapshots there are, what each holds, and what was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from homeostat.doors.web import rendering, visit
from homeostat.foundation import errors, lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.data import actions, intake
from homeostat.lifecycle.data import profile as profiles
from homeostat.lifecycle.data.entities import Snapshot
from homeostat.measures import histogram, variety

ROWS = 50
HERE = "/data"
SEE_OTHER = 303
WIDTH, HEIGHT = 240, 40


class Bar(NamedTuple):
    """One bar of a small chart, in its units."""

    x: float
    y: float
    width: float
    height: float


class Shown(NamedTuple):
    """A column as the page shows it; `words` say what the bars do."""

    profile: profiles.ColumnProfile
    bars: tuple[Bar, ...]
    words: str
    different: str
    examples: str


async def datasets(call: visit.Visit) -> Response:
    """List data sets by name, each with its newest snapshot."""
    after = visit.asked(call, "after")

    def fetch(tx: Transaction) -> list[tuple[Any, Snapshot | None]]:
        found = actions.list_datasets(tx, call.actor, after=after, limit=ROWS)
        return [(one, actions.newest_snapshot(tx, call.actor, one.name)) for one in found]

    rows = await call.read(fetch)
    following = rows[-1][0].name if len(rows) == ROWS else ""
    return visit.show(call, "datasets.html", here=HERE, rows=rows, following=following)


async def newest(call: visit.Visit) -> Response:
    """Show the newest snapshot of a data set."""
    return await _show(call, None)


async def snapshot(call: visit.Visit) -> Response:
    """Show one snapshot of a data set."""
    return await _show(call, call.path_params["number"])


async def found(call: visit.Visit) -> Response:
    """Go to a snapshot that is known by its id, as lineage names it."""
    one = await call.read(
        lambda tx: actions.find_snapshot(tx, call.actor, call.path_params["id"])
    )
    return RedirectResponse(f"/data/{quote(one.dataset)}/{one.number}", status_code=SEE_OTHER)


async def _show(call: visit.Visit, number: int | None) -> Response:
    name = call.path_params["name"]
    before = visit.whole_number(call, "before") or None

    def fetch(tx: Transaction) -> dict[str, Any]:
        one = actions.get_snapshot(tx, call.actor, name, number=number)
        return {
            "dataset": actions.get_dataset(tx, call.actor, name),
            "snapshot": one,
            "snapshots": actions.list_snapshots(
                tx, call.actor, name, before=before, limit=ROWS
            ),
            "made_of": _made(lineage.ancestors(tx, one.reference, limit=ROWS)),
            "made": _made(lineage.descendants(tx, one.reference, limit=ROWS)),
        }

    shown = await call.read(fetch)
    columns, gone = await call.work(lambda: _columns(call, shown["snapshot"]))
    failed = [each for each in shown["snapshot"].checks if not each.passed]
    return visit.show(
        call,
        "snapshot.html",
        here=HERE,
        columns=columns,
        gone=gone,
        failed=failed,
        width=WIDTH,
        height=HEIGHT,
        following=shown["snapshots"][-1].number if len(shown["snapshots"]) == ROWS else None,
        **shown,
    )


def _made(edges: Sequence[lineage.Edge]) -> list[lineage.Edge]:
    """Leave out which snapshot followed which: that is a table of its own."""
    return [edge for edge in edges if edge.kind != "followed-by"]


def _columns(call: visit.Visit, one: Snapshot) -> tuple[tuple[Shown, ...], str]:
    """Return what the columns hold; or why that cannot be told, such as a damaged summary."""
    try:
        summed = intake.read_summary(call.house, one, project=call.project)
    except errors.HomeostatError as error:
        return (), str(error)
    return tuple(_shown(each) for each in profiles.profile(summed, one.schema)), ""


def _shown(told: profiles.ColumnProfile) -> Shown:
    heights, words = _heights(told)
    top, step = max(heights, default=0.0), WIDTH / max(1, len(heights))
    return Shown(
        profile=told,
        bars=tuple(
            Bar(
                x=round(i * step + 0.5, 2),
                y=round(HEIGHT * (1 - share / top), 2),
                width=round(step - 1, 2),
                height=round(HEIGHT * share / top, 2),
            )
            for i, share in enumerate(heights)
            if share > 0
        ),
        words=words,
        different=variety.told(told.n_different, told.different_error),
        examples=variety.listed(told.examples),
    )


def _heights(told: profiles.ColumnProfile) -> tuple[tuple[float, ...], str]:
    """Return the heights of a column's bars, and the same in words."""
    if told.histogram is not None:
        return told.histogram.counts, _told(told.histogram)
    if told.frequent and told.n_rows:
        parts = [f"{name} {rendering.share(n / told.n_rows)}" for name, n in told.frequent]
        return tuple(float(n) for _, n in told.frequent), ", ".join(parts)
    return (), ""


def _told(drawn: histogram.Histogram) -> str:
    ends = f"{rendering.number(drawn.low)} to {rendering.number(drawn.high)}"
    beside = round(drawn.n_below + drawn.n_above)
    return f"{ends}, {beside:,} beside" if beside else ends


PAGES = (
    visit.Page("GET", "/data", "data.read", datasets),
    visit.Page("GET", "/data/{name}", "data.read", newest),
    visit.Page("GET", "/data/{name}/{number:int}", "data.read", snapshot),
    visit.Page("GET", "/snapshots/{id}", "data.read", found),
)
