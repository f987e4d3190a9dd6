"""Traces: what decorated functions did, kept with their experiment."""

from __future__ import annotations

import contextlib

import mlflow
from asking import client, fresh, newest


@newest
def a_traced_call_is_kept_and_found():
    experiment = mlflow.set_experiment(fresh("traced")).experiment_id

    @mlflow.trace(name="inner", span_type="TOOL")
    def inner(x):
        return x * 2

    @mlflow.trace(name="outer", attributes={"part": "a"})
    def outer(x):
        return inner(x) + 1

    assert outer(4) == 9
    mlflow.flush_trace_async_logging()
    trace_id = mlflow.get_last_active_trace_id()
    found = mlflow.get_trace(trace_id)
    spans = {span.name: span for span in found.data.spans}
    assert set(spans) == {"outer", "inner"}
    assert spans["inner"].parent_id == spans["outer"].span_id
    assert (spans["inner"].inputs, spans["inner"].outputs) == ({"x": 4}, 8)
    assert found.info.state.value == "OK"
    [listed] = client().search_traces(locations=[experiment])
    assert listed.info.trace_id == trace_id
    client().set_trace_tag(trace_id, "seen", "yes")
    assert mlflow.get_trace(trace_id).info.tags["seen"] == "yes"


@newest
def a_traced_call_that_fails_says_so_and_belongs_to_its_run():
    mlflow.set_experiment(fresh("traced"))

    @mlflow.trace
    def breaking():
        raise ArithmeticError("of no use")

    with mlflow.start_run() as run, contextlib.suppress(ArithmeticError):
        breaking()
    mlflow.flush_trace_async_logging()
    found = mlflow.get_trace(mlflow.get_last_active_trace_id())
    assert found.info.state.value == "ERROR"
    table = mlflow.search_traces(run_id=run.info.run_id, return_type="list")
    assert [one.info.trace_id for one in table] == [found.info.trace_id]


def what_a_decorated_function_did_is_read_back_by_every_client():
    mlflow.set_experiment(fresh("traced"))

    @mlflow.trace(name="add")
    def add(x, y):
        return x + y

    assert add(2, 3) == 5
    mlflow.flush_trace_async_logging()
    found = mlflow.get_trace(mlflow.get_last_active_trace_id())
    [span] = found.data.spans
    assert (span.name, span.inputs, span.outputs) == ("add", {"x": 2, "y": 3}, 5)
    assert not mlflow.search_traces().empty
