"""Experiments and runs on both databases."""

from __future__ import annotations

import math
import time

import pytest

from homeostat.foundation import access, errors, events, lineage
from homeostat.lifecycle.pipeline import actions as pipelines
from homeostat.lifecycle.pipeline import entities as piped
from homeostat.lifecycle.tracking import actions, entities

Metric = entities.Metric
RUN = "0" * 31 + "1"


ADA = access.local_owner("ada")


@pytest.fixture
def write(database):
    def writing(act, *args, actor=ADA, project="default", **options):
        with database.write(project=project) as tx:
            return act(tx, actor, *args, **options)

    return writing


@pytest.fixture
def run(write):
    return write(actions.create_run)


def record(write, run):
    return write(actions.get_run, run.id)


def test_the_default_experiment_is_zero_and_others_count_up(write, run):
    assert run.experiment_id == "0"
    assert write(actions.create_experiment, "churn").id == "1"
    assert write(actions.create_run, experiment="fraud").experiment_id == "2"
    names = [found.name for found in write(actions.list_experiments)]
    assert names == ["Default", "churn", "fraud"]


def test_an_experiment_is_created_once(write):
    write(actions.create_experiment, "churn")
    with pytest.raises(errors.ConflictError, match=r"churn\) already exists"):
        write(actions.create_experiment, "churn")


def test_projects_do_not_see_each_other(write, run):
    with pytest.raises(errors.NotFoundError):
        write(actions.get_run, run.id, project="other")
    assert write(actions.search_runs, project="other").runs == ()


def test_a_run_id_is_used_once(write):
    write(actions.create_run, run_id=RUN)
    with pytest.raises(errors.ConflictError, match=RUN):
        write(actions.create_run, run_id=RUN)
    with pytest.raises(errors.InvalidInputError, match="hexadecimal"):
        write(actions.create_run, run_id="../x")


def test_a_viewer_may_read_but_not_write(write, run):
    viewer = access.Actor("bob")
    assert write(actions.get_run, run.id, actor=viewer).run == run
    with pytest.raises(errors.NotAllowedError):
        write(actions.create_run, actor=viewer)


NUMBERS = [0.5, math.nan, math.inf, -math.inf, 1e308]


def test_every_float_is_kept(write, run):
    points = [Metric.of("loss", x, at=5, step=n) for n, x in enumerate(NUMBERS)]
    write(actions.log_metrics, run.id, points=points)
    back = [p.number for p in write(actions.metric_history, run.id, key="loss")]
    assert [repr(x) for x in back] == [repr(x) for x in NUMBERS]


def test_the_latest_point_is_that_of_the_last_step(write, run):
    write(actions.log_metrics, run.id, points=[Metric("a", 1.0, 5, 2), Metric("a", 2.0, 9, 1)])
    assert record(write, run).metrics == (Metric("a", 1.0, 5, 2),)
    write(actions.log_metrics, run.id, points=[Metric("a", 3.0, 5, 1)])
    assert record(write, run).metrics == (Metric("a", 1.0, 5, 2),)
    write(actions.log_metrics, run.id, points=[Metric("a", 4.0, 6, 2)])
    assert record(write, run).metrics == (Metric("a", 4.0, 6, 2),)


def test_the_same_point_twice_counts_once(write, run):
    for _ in range(2):
        write(actions.log_metrics, run.id, points=[Metric("a", 1.0, 5, 2)] * 2)
    assert len(write(actions.metric_history, run.id, key="a")) == 1


def test_parameters_are_written_once(write, run):
    write(actions.log_params, run.id, values={"rate": "0.1"})
    write(actions.log_params, run.id, values={"rate": "0.1", "depth": "3"})
    with pytest.raises(errors.ConflictError, match="'rate'"):
        write(actions.log_params, run.id, values={"rate": "0.2"})
    assert {p.key: p.value for p in record(write, run).params} == {"rate": "0.1", "depth": "3"}


def test_the_last_tag_counts(write, run):
    write(actions.set_tags, run.id, values={"stage": "a"})
    write(actions.set_tags, run.id, values={"stage": "b", "long": "x" * 8000})
    assert {t.key: t.value[:1] for t in record(write, run).tags} == {"stage": "b", "long": "x"}


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "This name would resolve to '.'"),
        ("k" * 251, "maximum length of 250 characters"),
        ("a//b", "would resolve to 'a/b'"),
        ("../a", "would resolve to '../a'"),
        ("/a", "would resolve to '/a'"),
        ("a%b", "Names may only contain alphanumerics"),
        ("a\n", "Names may only contain alphanumerics"),
    ],
)
def test_keys_that_could_be_other_files_are_refused(write, run, key, reason):
    with pytest.raises(errors.InvalidInputError, match=reason):
        write(actions.log_metrics, run.id, points=[Metric(key, 1.0)])


def test_a_run_ends_once_and_its_event_vouches_for_its_points(write, run, database):
    write(actions.log_metrics, run.id, points=[Metric("a", 1.0, 5), Metric("b", 2.0, 5)])
    ended = write(actions.finish_run, run.id)
    assert ended.status == "finished"
    assert ended.ended_at is not None
    assert write(actions.finish_run, run.id).status == "finished"
    with pytest.raises(errors.ConflictError, match="ended as finished"):
        write(actions.finish_run, run.id, status="failed")
    with database.read() as tx:
        last = events.read(tx, subject=f"run:{run.id}", newest_first=True)[0]
    assert last.kind == "run.finished"
    assert (last.facts["n_metrics"], last.facts["n_params"]) == (2, 0)
    assert len(last.facts["metrics_digest"]) == 64


def test_inputs_become_lineage(write, run, database):
    read = [entities.Input("rows", "snapshot:7", "ab"), entities.Input("more", "", "cd")]
    write(actions.add_inputs, run.id, read=read)
    write(actions.add_outputs, run.id, made=[entities.Output("model", "model:credit@1", "ef")])
    assert {item.name for item in record(write, run).inputs} == {"rows", "more"}
    with database.read() as tx:
        found = lineage.ancestors(tx, "model:credit@1")
    assert {edge.source for edge in found} == {"snapshot:7", f"run:{run.id}"}


@pytest.mark.parametrize("path", ["../x", "/x", "a/../b", "", "a//b", "a\\b", "."])
def test_an_artifact_stays_in_its_folder(write, run, path):
    with pytest.raises(errors.InvalidInputError, match="no path of an artifact"):
        write(actions.add_artifact, run.id, path=path, digest="ab", size_bytes=1)


@pytest.fixture
def several(write):
    """Five runs, oldest first, with a metric, a parameter and a tag."""
    made = []
    for n in range(5):
        time.sleep(0.002)  # ids of one millisecond are in no order
        run = write(actions.create_run, experiment="many", started_at=1000 + n // 2)
        write(actions.log_metrics, run.id, points=[Metric.of("auc", n / 10)])
        write(actions.log_params, run.id, values={"depth": str(n)})
        write(actions.set_tags, run.id, values={"even": str(n % 2 == 0)})
        made.append(run.id)
    return made


def found(page):
    return [item.run.id for item in page.runs]


def test_pages_hold_every_run_once_newest_first(write, several):
    seen, after = [], ""
    while True:
        page = write(actions.search_runs, experiments=["many"], limit=2, after=after)
        seen += found(page)
        after = page.next
        if not after:
            break
    assert seen == several[::-1]


@pytest.mark.parametrize(
    ("condition", "which"),
    [
        (entities.Filter("metric", "auc", ">=", 0.3), [4, 3]),
        (entities.Filter("metric", "auc", "<", 0.1), [0]),
        (entities.Filter("param", "depth", "=", "2"), [2]),
        (entities.Filter("param", "depth", "!=", "2"), [4, 3, 1, 0]),
        (entities.Filter("tag", "even", "=", "True"), [4, 2, 0]),
        (entities.Filter("run", "status", "=", "finished"), []),
        (entities.Filter("metric", "other", ">", 0), []),
    ],
    ids=str,
)
def test_filters_choose(write, several, condition, which):
    page = write(actions.search_runs, experiments=["many"], where=[condition])
    assert found(page) == [several[n] for n in which]


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0},
        {"limit": 1001},
        {"after": "x"},
        {"where": [entities.Filter("run", "colour", "=", "red")]},
        {"where": [entities.Filter("metric", "a", ">", "big")]},
    ],
    ids=str,
)
def test_a_search_that_cannot_be_right_is_refused(write, options):
    with pytest.raises(errors.InvalidInputError):
        write(actions.search_runs, **options)


STEP = piped.StepRecord(
    position=0, name="fit", status="ran", code="c0", arguments={"x": piped.Argument("d", "1")}
)
START = piped.RunStart(
    run_id=RUN,
    pipeline="credit",
    started_at=1000,
    parameters={"rate": "0.1"},
    inputs=(piped.RunInput(name="rows", reference="snapshot:7", digest="ab"),),
)
END = piped.RunEnd(
    status="finished",
    ended_at=2000,
    steps=(STEP, piped.StepRecord(position=1, name="test", status="hit", made_by="2" * 32)),
    codes=(piped.ReachedCode(digest="c0", parts=(("f", "function", "d0"),)),),
    commit="abc",
    environment="e0",
    packages=("python==3.11", "polars==1"),
    wall_s=1.5,
)


@pytest.mark.parametrize("is_begun", [True, False], ids=["begun", "at once"])
def test_a_pipeline_run_is_recorded_whole(write, database, is_begun):
    if is_begun:
        write(pipelines.begin_run, START)
    write(pipelines.finish_run, START, end=END)
    kept = write(actions.get_run, RUN)
    assert (kept.run.status, kept.run.started_at, kept.run.ended_at) == ("finished", 1000, 2000)
    assert (kept.run.commit, kept.run.environment, kept.run.wall_s) == ("abc", "e0", 1.5)
    assert kept.params == (entities.Param("rate", "0.1"),)
    assert write(pipelines.list_steps, RUN) == list(END.steps)
    assert write(pipelines.get_code, "c0") == END.codes[0]
    with database.read() as tx:
        sources = {edge.source for edge in lineage.ancestors(tx, f"run:{RUN}")}
    assert sources == {"snapshot:7", f"run:{'2' * 32}"}
    with pytest.raises(errors.ConflictError, match="ended as finished"):
        write(pipelines.finish_run, START, end=END)
