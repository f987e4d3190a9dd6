"""MLflow's door: searches for runs and experiments, in the words its clients know."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest


@pytest.fixture(scope="module")
def ask(module_server):
    """Return a function that calls a method of MLflow's API with a JSON body."""

    def asking(path, body=None):
        request = urllib.request.Request(
            f"{module_server.url}/api/2.0/mlflow/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.status, json.loads(refused.read())

    return asking


@pytest.fixture(scope="module")
def experiment(ask):
    """An experiment with three runs: auc of 0.1, 0.9 and not a number."""
    made = ask("experiments/create", {"name": "searched", "tags": [{"key": "t", "value": "x"}]})
    for n, value in enumerate((0.1, 0.9, "NaN")):
        new = {"experiment_id": made["experiment_id"], "start_time": n + 1, "run_name": f"r{n}"}
        run_id = ask("runs/create", new)["run"]["info"]["run_id"]
        point = {"key": "auc", "value": value, "timestamp": 1}
        params = [{"key": "n", "value": str(n)}]
        ask("runs/log-batch", {"run_id": run_id, "metrics": [point], "params": params})
    return made["experiment_id"]


def found(answer):
    return [run["info"]["run_name"] for run in answer.get("runs", [])]


def test_runs_are_searched_by_filter_and_order_page_by_page(ask, experiment):
    asked = {"experiment_ids": [experiment], "order_by": ["metrics.auc DESC"]}
    assert found(ask("runs/search", asked)) == ["r1", "r0", "r2"]
    first = ask("runs/search", {**asked, "max_results": 2})
    assert found(first) == ["r1", "r0"]
    behind = ask("runs/search", {**asked, "page_token": first["next_page_token"]})
    assert found(behind) == ["r2"]
    assert "next_page_token" not in behind
    assert behind["runs"][0]["data"]["metrics"][0]["value"] == "NaN"
    chosen = {**asked, "filter": "metrics.auc > 0.5 AND params.n = '1'"}
    assert found(ask("runs/search", chosen)) == ["r1"]


@pytest.mark.parametrize(("view", "n"), [("ACTIVE_ONLY", 3), ("DELETED_ONLY", 0), (3, 3)])
def test_views_are_named_or_numbered(ask, experiment, view, n):
    asked = {"experiment_ids": [experiment], "run_view_type": view}
    assert len(found(ask("runs/search", asked))) == n


def test_nothing_found_is_an_empty_object(ask):
    assert ask("runs/search", {"experiment_ids": []}) == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"max_results": 50_001}, "It must be at most 50000"),
        ({"max_results": 0}, "It must be a positive integer"),
        ({"filter": "metrics.auc = 'x'"}, "Expected numeric value type for metric"),
        ({"order_by": ["metrics.auc UP"]}, "Invalid ordering key in order_by clause"),
        ({"page_token": "x"}, "Invalid page token"),
        ({"run_view_type": "NONE"}, "run_view_type"),
        ({"experiment_ids": ["x"]}, "Invalid experiment ID 'x'"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_an_invalid_parameter(ask, body, words):
    status, told = ask("runs/search", body)
    assert (status, told["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert words in told["message"]


def test_experiments_are_searched_by_both_methods(ask, experiment):
    asked = {"max_results": 5, "filter": "tags.t = 'x'", "order_by": ["name ASC"]}
    (shown,) = ask("experiments/search", asked)["experiments"]
    assert shown["experiment_id"] == experiment
    assert shown["tags"] == [{"key": "t", "value": "x"}]
    by_query = ask("experiments/search?max_results=1&order_by=name&order_by=creation_time")
    assert [one["name"] for one in by_query["experiments"]] == ["Default"]
    assert by_query["next_page_token"]


def test_a_search_for_experiments_needs_a_size(ask):
    status, told = ask("experiments/search", {})
    assert (status, told["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "Invalid value 0 for parameter 'max_results'" in told["message"]
