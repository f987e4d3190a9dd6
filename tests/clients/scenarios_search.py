"""The search language of runs, as stock clients write it."""

from __future__ import annotations

import math

import mlflow
from asking import a_run, an_experiment, client, fresh, refused
from mlflow.entities import Metric, Param, RunTag, ViewType


def _six_runs(experiment):
    """Log six runs, each a second younger; return their ids."""
    made = []
    for i in range(6):
        run_id = a_run(experiment, run_name=f"Run-{i}", start_time=1000 * (i + 1))
        client().log_batch(
            run_id,
            metrics=[Metric("score", i / 4, 1, 0)],
            params=[Param("size", f"s{i}"), Param("kind", "odd" if i % 2 else "even")],
            tags=[RunTag("Owner", "ada" if i < 3 else "bo"), RunTag("with space", str(i))],
        )
        made.append(run_id)
    return made


def conditions_of_every_kind_find_what_they_say():
    experiment = an_experiment()
    ids = _six_runs(experiment)
    client().set_terminated(ids[2], "FAILED")

    def found(where, **how):
        runs = client().search_runs([experiment], where, **how)
        return [ids.index(run.info.run_id) for run in runs]

    for where, expected in {
        "": [5, 4, 3, 2, 1, 0],
        "metrics.score >= 0.75": [5, 4, 3],
        "metrics.score > 0.25 AND params.kind = 'even'": [4, 2],
        "metric.score < 0.5 and param.kind != 'even'": [1],
        "metrics.score != 0.5": [5, 4, 3, 1, 0],
        "params.size LIKE 's%' AND tags.Owner = 'ada'": [2, 1, 0],
        'tags."with space" = "4"': [4],
        "tags.`with space` = '3'": [3],
        "tag.Owner ILIKE 'A%'": [2, 1, 0],
        "attributes.status = 'FAILED'": [2],
        "status != 'RUNNING'": [2],
        "run_name = 'Run-1'": [1],
        "attributes.run_name ILIKE 'run-_'": [5, 4, 3, 2, 1, 0],
        "attributes.run_name LIKE 'run-_'": [],
        "start_time > 4000": [5, 4],
        "attribute.start_time <= 1000": [0],
        f"run_id IN ('{ids[5]}', '{ids[0]}')": [5, 0],
        f"run_id NOT IN ('{ids[5]}', '{ids[0]}')": [4, 3, 2, 1],
        f"run_id = '{ids[3]}'": [3],
        "params.never = 'x'": [],
        "params.never != 'x'": [],
        "metrics.never < 1e9": [],
    }.items():
        assert found(where) == expected, (where, found(where))


def orders_of_every_kind_put_what_is_missing_last():
    experiment = an_experiment()
    ids = _six_runs(experiment)
    client().log_metric(ids[1], "some", 2.0)
    client().log_metric(ids[4], "some", 1.0)
    client().log_metric(ids[2], "some", math.nan)

    def found(*order):
        runs = client().search_runs([experiment], order_by=list(order))
        return [ids.index(run.info.run_id) for run in runs]

    assert found("metrics.score ASC") == [0, 1, 2, 3, 4, 5]
    assert found("params.kind", "start_time ASC") == [0, 2, 4, 1, 3, 5]
    assert found("tags.Owner DESC", "metrics.score DESC") == [5, 4, 3, 2, 1, 0]
    assert found("attributes.start_time") == [0, 1, 2, 3, 4, 5]
    assert found("run_name DESC")[0] == 5
    assert found("metrics.some ASC")[:3] == [4, 1, 2]
    assert found("metrics.some DESC")[:3] == [1, 4, 2]
    assert found("metrics.some ASC")[3:] == [5, 3, 0]


def pages_follow_each_other_without_gap_or_repeat():
    experiment = an_experiment()
    ids = [a_run(experiment, start_time=1000 + i // 3) for i in range(11)]
    for order in (None, ["start_time ASC"], ["metrics.none DESC"]):
        seen, token = [], None
        while True:
            page = client().search_runs(
                [experiment], max_results=4, page_token=token, order_by=order
            )
            seen += [run.info.run_id for run in page]
            token = page.token
            if not token:
                break
        assert sorted(seen) == sorted(ids)
        whole = client().search_runs([experiment], order_by=order)
        assert [run.info.run_id for run in whole] == seen


def deleted_runs_are_seen_only_where_asked_for():
    experiment = an_experiment()
    kept, gone = a_run(experiment), a_run(experiment)
    client().delete_run(gone)
    for view, expected in (
        (ViewType.ACTIVE_ONLY, {kept}),
        (ViewType.DELETED_ONLY, {gone}),
        (ViewType.ALL, {kept, gone}),
    ):
        runs = client().search_runs([experiment], run_view_type=view)
        assert {run.info.run_id for run in runs} == expected


def several_experiments_are_searched_at_once():
    one, two = an_experiment(), an_experiment()
    made = {a_run(one), a_run(two), a_run(two)}
    assert {run.info.run_id for run in client().search_runs([one, two])} == made
    assert not client().search_runs([an_experiment()])


def a_data_frame_has_a_column_for_everything():
    name = fresh("frame")
    experiment = client().create_experiment(name)
    ids = _six_runs(experiment)
    table = mlflow.search_runs(experiment_names=[name], order_by=["start_time ASC"])
    assert list(table["run_id"]) == ids
    assert list(table["metrics.score"]) == [i / 4 for i in range(6)]
    assert list(table["params.size"]) == [f"s{i}" for i in range(6)]
    assert table["start_time"].dtype.kind == "M"
    runs = mlflow.search_runs([experiment], output_format="list", max_results=2)
    assert len(runs) == 2


def what_is_no_condition_is_refused_and_never_breaks_the_server():
    experiment = an_experiment()
    for where in (
        "nonsense ===",
        "metrics.m = 'text'",
        "params.p > 'x'",
        "metrics.a > 1 OR metrics.b > 1",
        "(metrics.a > 1)",
        "tags.t = unquoted",
        "attributes.nothing = 'x'",
        "params.p = 'x",
        "'; DROP TABLE runs; --",
    ):
        refused("INVALID_PARAMETER_VALUE", client().search_runs, [experiment], where)
    refused(
        "INVALID_PARAMETER_VALUE",
        client().search_runs,
        [experiment],
        order_by=["nothing.x ASC"],
    )
    refused("INVALID_PARAMETER_VALUE", client().search_runs, [experiment], max_results=50_001)
    refused("INVALID_PARAMETER_VALUE", client().search_runs, [experiment], page_token="!!")


def text_is_text_whatever_is_in_it():
    experiment = an_experiment()
    for text in ("100%", "a_b", "it's", 'say "so"', "päd", "back\\slash", "x; DROP TABLE runs"):
        run_id = a_run(experiment)
        client().log_param(run_id, "p", text)
        quote = '"' if "'" in text else "'"
        runs = client().search_runs([experiment], f"params.p = {quote}{text}{quote}")
        assert [run.info.run_id for run in runs] == [run_id], text
