"""Pages of runs: what was tried, on which data and code, and what came of it."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from homeostat.doors.web import charts, files, visit
from homeostat.foundation import lineage
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.tracking import actions as tracking
from homeostat.lifecycle.tracking import entities, search, search_runs

ROWS = 50
HERE = "/runs"
FEW = 6
CHARTS = 12
CHILDREN = 10
PARENT: Final = "mlflow.parentRunId"
SOURCE: Final = "mlflow.source.name"
COMMIT: Final = "mlflow.source.git.commit"


async def runs(call: visit.Visit) -> Response:
    """List the newest runs with their latest metrics: all, of an experiment, or below a run."""
    asked, below = visit.asked(call, "experiment"), visit.asked(call, "parent")

    def fetch(tx: Transaction) -> dict[str, Any]:
        parent = tracking.existing(tx, below) if below else None
        chosen = asked or (parent.experiment_id if parent else "")
        experiment = _experiment(tx, call, chosen) if chosen else None
        page = _page(tx, call, experiment, below)
        return {
            "page": page,
            "parent": parent,
            "experiment": experiment,
            "experiments": _experiments(tx, call, page),
            "parents": {} if parent else _parents(tx, call, page),
        }

    shown = await call.read(fetch)
    seen: dict[str, None] = {}
    for record in shown["page"].runs:
        seen.update(dict.fromkeys(metric.key for metric in record.metrics))
    same = {"experiment": asked, "parent": below, "after": shown["page"].next}
    return visit.show(
        call,
        "runs.html",
        here=HERE,
        columns=list(seen)[:FEW],
        values=_values,
        has_pipelines=any(record.run.pipeline for record in shown["page"].runs),
        following=urlencode({name: said for name, said in same.items() if said}),
        **shown,
    )


async def run(call: visit.Visit) -> Response:
    """Show one run: parameters, metrics with their history, inputs, outputs and files."""
    run_id = call.path_params["id"]

    def fetch(tx: Transaction) -> dict[str, Any]:
        record = tracking.get_run(tx, call.actor, run_id)
        experiment = _experiment(tx, call, record.run.experiment_id)
        tags = {one.key: one.value for one in record.tags}
        above = tags.get(PARENT, "")
        return {
            "record": record,
            "experiment": experiment,
            "source": tags.get(SOURCE, ""),
            "commit": record.run.commit or tags.get(COMMIT, ""),
            "above": above,
            "parent": tracking.find_run(tx, call.actor, above) if above else None,
            "children": _children(tx, call, experiment, run_id, limit=CHILDREN),
            "shelf": files.of_run(run_id, record.artifacts),
            "charts": _charts(tx, call, record),
            "made_of": lineage.ancestors(tx, f"run:{run_id}", limit=ROWS),
            "made": lineage.descendants(tx, f"run:{run_id}", limit=ROWS),
        }

    return visit.show(call, "run.html", here=HERE, **await call.read(fetch))


def _page(
    tx: Transaction, call: visit.Visit, experiment: entities.Experiment | None, below: str
) -> entities.Page:
    """Return the page of runs that was asked for; of a deleted experiment, its deleted runs."""
    after = visit.asked(call, "after")
    if experiment is None:
        return tracking.search_runs(tx, call.actor, limit=ROWS, after=after)
    if below:
        return _children(tx, call, experiment, below, limit=ROWS, after=after)
    if experiment.lifecycle_stage == "active":
        named = [experiment.name]
        return tracking.search_runs(tx, call.actor, experiments=named, limit=ROWS, after=after)
    ids, following = search_runs.find_runs(
        tx,
        call.actor,
        experiment_ids=[experiment.id],
        stages=search.ANY_STAGE,
        limit=ROWS,
        after=after,
    )
    found = (tracking.find_run(tx, call.actor, one) for one in ids)
    kept = search.with_values(tx, [one for one in found if one is not None])
    return entities.Page(runs=kept, next=following)


def _children(
    tx: Transaction,
    call: visit.Visit,
    experiment: entities.Experiment,
    run_id: str,
    *,
    limit: int,
    after: str = "",
) -> entities.Page:
    """Return the runs that name a run of the same experiment as their parent."""
    below = entities.Filter("tag", PARENT, "=", run_id)
    return tracking.search_runs(
        tx, call.actor, experiments=[experiment.name], where=[below], limit=limit, after=after
    )


def _experiment(tx: Transaction, call: visit.Visit, experiment_id: str) -> entities.Experiment:
    return tracking.get_experiment(tx, call.actor, experiment_id).experiment


def _experiments(tx: Transaction, call: visit.Visit, page: entities.Page) -> dict[str, str]:
    """Return the names of the experiments of some runs, by id."""
    ids = {record.run.experiment_id for record in page.runs}
    return {one: _experiment(tx, call, one).name for one in ids}


def _parents(
    tx: Transaction, call: visit.Visit, page: entities.Page
) -> dict[str, entities.Run]:
    """Return the parents of some runs, by the id of the child."""
    above = {
        record.run.id: tag.value
        for record in page.runs
        for tag in record.tags
        if tag.key == PARENT
    }
    found = {one: tracking.find_run(tx, call.actor, one) for one in set(above.values())}
    return {child: run for child, one in above.items() if (run := found[one]) is not None}


def _values(record: entities.RunRecord) -> dict[str, float]:
    return {metric.key: metric.number for metric in record.metrics}


def _charts(
    tx: Transaction, call: visit.Visit, record: entities.RunRecord
) -> list[tuple[str, charts.Line]]:
    drawn = []
    for metric in record.metrics[:CHARTS]:
        points = tracking.metric_history(tx, call.actor, record.run.id, key=metric.key)
        series = [(float(point.step), point.number) for point in points]
        chart = charts.line(series, name=metric.key)
        if chart is not None:
            drawn.append((metric.key, chart))
    return drawn


PAGES = (
    visit.Page("GET", "/runs", "run.read", runs),
    visit.Page("GET", "/runs/{id}", "run.read", run),
)
