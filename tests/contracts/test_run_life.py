"""The life of experiments and runs on both databases: deleted, restored, renamed, resumed."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import json
import sqlite3
import threading

import msgspec
import pytest

from homeostat.foundation import access, errors, events, lineage
from homeostat.foundation.database.writer import Writer
from homeostat.lifecycle.tracking import (
    actions,
    entities,
    input_records,
    limits,
    records,
    whole,
)

ADA = access.local_owner("ada")
BOB = access.Actor("bob")
Metric = entities.Metric
DATA = entities.LoggedDataset(
    name="rows", digest="ab", source_type="local", source="{}", schema="[]", profile="{}"
)


@pytest.fixture
def write(database):
    def writing(act, *args, actor=ADA, **options):
        with database.write() as tx:
            return act(tx, actor, *args, **options)

    return writing


@pytest.fixture
def experiment(write):
    return write(actions.create_experiment, "churn", tags={"team": "risk"})


@pytest.fixture
def run(write, experiment):
    return write(actions.start_run, experiment_id=experiment.id).run


def read(write, run_id):
    return write(whole.read_run, run_id)


def told(database, subject):
    with database.read() as tx:
        return [event.kind for event in events.read(tx, subject=subject)]


def test_the_default_experiment_is_there_before_anything_is_written(write):
    found = write(actions.get_experiment, "0").experiment
    assert (found.name, found.lifecycle_stage) == ("Default", "active")
    assert write(actions.get_experiment_by_name, "Default").experiment == found
    assert write(actions.get_experiment, "").experiment == found


def test_another_project_has_its_own_default_experiment(database):
    with database.write(project="other") as tx:
        assert actions.get_experiment(tx, ADA, "0").experiment.name == "Default"
        assert actions.get_experiment_by_name(tx, ADA, "Default").experiment.id == "0"
        actions.delete_experiment(tx, ADA, "0")
        assert actions.get_experiment(tx, ADA, "0").experiment.lifecycle_stage == "deleted"


def test_an_experiment_is_found_with_its_tags(write, experiment):
    write(actions.set_experiment_tag, experiment.id, key="team", value="credit")
    write(actions.set_experiment_tag, experiment.id, key="a", value="")
    found = write(actions.get_experiment_by_name, "churn")
    assert found.experiment == experiment
    assert found.tags == (entities.Tag("a", ""), entities.Tag("team", "credit"))
    write(actions.delete_experiment_tag, experiment.id, key="a")
    assert write(actions.get_experiment, experiment.id).tags == found.tags[1:]
    with pytest.raises(errors.NotFoundError, match=r"^No tag with name: a in experiment with"):
        write(actions.delete_experiment_tag, experiment.id, key="a")


@pytest.mark.parametrize(
    ("given", "kind", "reason"),
    [
        ("7777", errors.NotFoundError, "No Experiment with id=7777 exists"),
        ("-1", errors.NotFoundError, "No Experiment with id=-1 exists"),
        ("9" * 30, errors.NotFoundError, "No Experiment with id=9"),
        ("-" + "9" * 19, errors.NotFoundError, "No Experiment with id=-9"),
        ("abc", errors.InvalidInputError, "Invalid experiment ID 'abc'"),
        ("1; --", errors.InvalidInputError, "must be a valid integer"),
        ("\u0661", errors.InvalidInputError, "must be a valid integer"),
    ],
)
def test_what_is_no_id_of_an_experiment_is_refused(write, given, kind, reason):
    with pytest.raises(kind, match=reason):
        write(actions.get_experiment, given)
    with pytest.raises(kind, match=reason):
        write(actions.start_run, experiment_id=given)


def test_an_absent_name_of_an_experiment_is_told(write):
    with pytest.raises(errors.NotFoundError, match="Could not find experiment with name 'x'"):
        write(actions.get_experiment_by_name, "x")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": ""}, "Invalid experiment name: ''"),
        ({"name": "n" * 501}, "'name' exceeds the maximum length of 500 characters"),
        ({"tags": {"k%": "v"}}, "Names may only contain alphanumerics"),
        ({"tags": {"k" * 251: "v"}}, "'key' exceeds the maximum length of 250 characters"),
        ({"tags": {"k": "v" * 20_001}}, "'value' exceeds the maximum length of 20000"),
        ({"artifact_location": "s3://b/a#f"}, "can't include fragments or params"),
        ({"artifact_location": "s3://b/a?x=1"}, "can't include a query"),
        ({"artifact_location": "s3://b/../a"}, "may not contain '..'"),
        ({"artifact_location": "s3://b/%252e%252e/a"}, "may not contain '..'"),
        ({"artifact_location": "s3://b\\..\\a"}, "may not contain '..'"),
        ({"artifact_location": "rel/path"}, "is relative"),
        ({"artifact_location": "runs:/abc"}, "cannot be a runs:/ URI"),
        ({"artifact_location": "http://host/x"}, "cannot use the 'http' scheme"),
        ({"artifact_location": "s3://" + "x" * 600}, "Invalid artifact path length"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_an_experiment_that_cannot_be_right_is_refused(write, options, reason):
    with pytest.raises(errors.InvalidInputError, match=reason):
        write(actions.create_experiment, **{"name": "new", **options})


def test_an_experiment_is_renamed(write, experiment, database):
    assert write(actions.rename_experiment, experiment.id, name="loss").name == "loss"
    assert write(actions.get_experiment_by_name, "loss").experiment.id == experiment.id
    write(actions.rename_experiment, experiment.id, name="loss")
    with pytest.raises(
        errors.ConflictError, match=r"Experiment\(name=Default\) already exists"
    ):
        write(actions.rename_experiment, experiment.id, name="Default")
    assert told(database, f"experiment:{experiment.id}") == [
        "experiment.created",
        "experiment.renamed",
    ]


def test_a_deleted_experiment_takes_its_runs_along_and_brings_them_back(write, experiment, run):
    other = write(actions.start_run, experiment_id="0").run
    write(actions.delete_experiment, experiment.id)
    assert write(actions.get_experiment, experiment.id).experiment.lifecycle_stage == "deleted"
    kept = read(write, run.id).run
    assert (kept.lifecycle_stage, kept.deleted_at is None) == ("deleted", False)
    assert read(write, other.id).run.lifecycle_stage == "active"
    assert "churn" not in [found.name for found in write(actions.list_experiments)]
    write(actions.restore_experiment, experiment.id)
    assert read(write, run.id).run == run


def test_a_deleted_experiment_takes_no_writes_and_keeps_its_name(write, experiment):
    write(actions.delete_experiment, experiment.id)
    state = f"The experiment {experiment.id} must be in the 'active' state"
    with pytest.raises(errors.InvalidInputError, match=state):
        write(actions.start_run, experiment_id=experiment.id)
    with pytest.raises(errors.InvalidInputError, match=state):
        write(actions.create_run, experiment="churn")
    with pytest.raises(errors.InvalidInputError, match=state):
        write(actions.set_experiment_tag, experiment.id, key="a", value="b")
    with pytest.raises(errors.InvalidInputError, match=state):
        write(actions.delete_experiment_tag, experiment.id, key="team")
    with pytest.raises(errors.InvalidInputError, match="Cannot rename a non-active experiment"):
        write(actions.rename_experiment, experiment.id, name="loss")
    with pytest.raises(errors.ConflictError, match="already exists"):
        write(actions.create_experiment, "churn")


def test_only_what_is_active_is_deleted_and_what_is_deleted_restored(write, experiment):
    with pytest.raises(errors.NotFoundError, match="No Experiment with id=1 exists"):
        write(actions.restore_experiment, experiment.id)
    write(actions.delete_experiment, experiment.id)
    with pytest.raises(errors.NotFoundError, match="No Experiment with id=1 exists"):
        write(actions.delete_experiment, experiment.id)


def test_a_viewer_changes_nothing(write, experiment, run):
    for act, args, options in (
        (actions.create_experiment, ("x",), {}),
        (actions.rename_experiment, (experiment.id,), {"name": "x"}),
        (actions.delete_experiment, (experiment.id,), {}),
        (actions.set_experiment_tag, (experiment.id,), {"key": "a", "value": "b"}),
        (actions.delete_experiment_tag, (experiment.id,), {"key": "team"}),
        (actions.start_run, (), {"experiment_id": experiment.id}),
        (actions.update_run, (run.id,), {"status": "finished"}),
        (actions.delete_run, (run.id,), {}),
        (actions.restore_run, (run.id,), {}),
        (actions.delete_tag, (run.id,), {"key": "mlflow.runName"}),
        (actions.log_inputs, (run.id,), {}),
        (actions.log_outputs, (run.id,), {"models": []}),
    ):
        with pytest.raises(errors.NotAllowedError):
            write(act, *args, actor=BOB, **options)


def test_a_run_is_started_as_the_client_says(write, experiment):
    tags = [("mlflow.user", "eve"), ("mlflow.user", "ada"), ("q%", "x" * 9000)]
    made = write(
        actions.start_run,
        experiment_id=experiment.id,
        name="first",
        user="eve",
        started_at=5,
        tags=tags,
    )
    assert (made.run.name, made.run.user, made.run.started_at) == ("first", "eve", 5)
    assert (made.run.status, made.run.artifact_root) == ("running", f"run:{made.run.id}")
    kept = read(write, made.run.id)
    assert kept == made
    assert dict(kept.tags) == {
        "mlflow.user": "ada",
        "q%": "x" * limits.LONGEST_VALUE,
        "mlflow.runName": "first",
    }


def test_a_run_without_a_name_gets_one_that_its_tag_tells(write):
    made = write(actions.start_run)
    assert made.run.experiment_id == "0"
    assert made.run.user == "ada"
    assert len(made.run.name.split("-")) == 3
    assert dict(made.tags) == {"mlflow.runName": made.run.name}
    named = write(actions.start_run, tags=[("mlflow.runName", "of the tag")])
    assert named.run.name == "of the tag"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"name": "a", "tags": [("mlflow.runName", "b")]},
            r"\(run_name='a', mlflow.runName='b'\)",
        ),
        ({"name": "n" * 501}, "'run_name' exceeds the maximum length of 500 characters"),
        ({"tags": [("k" * 251, "v")]}, "'key' exceeds the maximum length of 250 characters"),
        ({"tags": [("", "v")]}, "for parameter 'key'"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_start_that_cannot_be_right_is_refused(write, options, reason):
    with pytest.raises(errors.InvalidInputError, match=reason):
        write(actions.start_run, **options)


def test_runs_of_an_experiment_with_a_place_of_its_own_keep_their_artifacts_there(write):
    made = write(actions.create_experiment, "far", artifact_location="s3://bucket/far/")
    run = write(actions.start_run, experiment_id=made.id).run
    assert run.artifact_root == f"s3://bucket/far/{run.id}/artifacts"


def test_a_run_ends_resumes_and_ends_again_each_time_with_what_it_kept(write, run, database):
    write(actions.log_metrics, run.id, points=[Metric("auc", 0.5, 1), Metric("auc", 0.6, 2, 1)])
    ended = write(actions.update_run, run.id, status="finished", ended_at=77)
    assert (ended.status, ended.ended_at) == ("finished", 77)
    resumed = write(actions.update_run, run.id, status="running")
    assert (resumed.status, resumed.ended_at) == ("running", None)
    write(actions.log_metrics, run.id, points=[Metric("auc", 0.7, 3, 2)])
    again = write(actions.update_run, run.id, status="failed")
    assert again.status == "failed"
    assert again.ended_at is not None
    with database.read() as tx:
        known = events.read(tx, subject=f"run:{run.id}")
    assert [event.kind for event in known] == [
        *("run.started", "run.finished", "run.resumed", "run.finished")
    ]
    ends = [event.facts for event in known if event.kind == "run.finished"]
    assert [end["n_metrics"] for end in ends] == [1, 1]
    assert ends[0]["metrics_digest"] != ends[1]["metrics_digest"]
    assert ends[0]["params_digest"] == ends[1]["params_digest"]


def test_what_is_logged_after_the_end_is_vouched_for_by_an_event_of_its_own(
    write, run, database
):
    write(actions.log_metrics, run.id, points=[Metric("auc", 0.5, 1)])
    write(actions.update_run, run.id, status="finished")
    write(actions.log_metrics, run.id, points=[Metric("auc", 0.7, 2, 1)])
    write(actions.log_params, run.id, values={"depth": "3"})
    write(actions.log_inputs, run.id, datasets=[described()])
    write(actions.update_run, run.id, status="finished")
    with database.read() as tx:
        known = events.read(tx, subject=f"run:{run.id}")
    kinds = ["run.started", "run.finished", *["run.changed"] * 3, "run.finished"]
    assert [event.kind for event in known] == kinds
    first, *_, changed, _, last = (event.facts for event in known[1:])
    assert first["metrics_digest"] != changed["metrics_digest"] == last["metrics_digest"]
    assert first["params_digest"] != changed["params_digest"] == last["params_digest"]


def test_the_end_of_a_long_run_reads_no_more_than_its_latest_points(write, run, database):
    points = [Metric("loss", float(n), n, n) for n in range(500)]
    write(actions.log_metrics, run.id, points=points)
    write(actions.update_run, run.id, status="finished")
    with database.read() as tx:
        last = events.read(tx, subject=f"run:{run.id}", newest_first=True)[0]
    assert last.facts["n_metrics"] == 1


def test_name_and_tag_of_a_run_are_equal_in_both_directions(write, run, database):
    write(actions.update_run, run.id, name="by update")
    kept = read(write, run.id)
    assert (kept.run.name, dict(kept.tags)["mlflow.runName"]) == ("by update", "by update")
    write(actions.set_tags, run.id, values={"mlflow.runName": "by tag"})
    kept = read(write, run.id)
    assert (kept.run.name, dict(kept.tags)["mlflow.runName"]) == ("by tag", "by tag")
    write(actions.update_run, run.id, name="")
    assert read(write, run.id).run.name == "by tag"
    assert "run.renamed" in told(database, f"run:{run.id}")
    with pytest.raises(errors.InvalidInputError, match="'run_name' exceeds"):
        write(actions.update_run, run.id, name="n" * 501)


def test_a_deleted_run_takes_no_writes_until_it_is_restored(write, run, database):
    for _ in range(2):
        write(actions.delete_run, run.id)
    assert read(write, run.id).run.deleted_at is not None
    state = f"The run {run.id} must be in the 'active' state. Current state is deleted."
    for act, options in (
        (actions.log_metrics, {"points": [Metric("a", 1.0)]}),
        (actions.log_params, {"values": {"a": "1"}}),
        (actions.set_tags, {"values": {"a": "1"}}),
        (actions.delete_tag, {"key": "mlflow.runName"}),
        (actions.update_run, {"status": "finished"}),
        (actions.finish_run, {}),
        (actions.log_inputs, {"datasets": [entities.DatasetInput(dataset=DATA)]}),
        (actions.log_outputs, {"models": [entities.ModelLink("output", "m-1")]}),
        (actions.add_inputs, {"read": [entities.Input("a", "", "b")]}),
    ):
        with pytest.raises(errors.InvalidInputError, match=state):
            write(act, run.id, **options)
    assert write(actions.search_runs).runs == ()
    for _ in range(2):
        write(actions.restore_run, run.id)
    assert read(write, run.id).run == run
    kinds = told(database, f"run:{run.id}")
    assert kinds == ["run.started", "run.deleted", "run.restored"]


@pytest.mark.parametrize(
    "act", [actions.update_run, actions.delete_run, actions.restore_run, actions.log_inputs]
)
def test_a_run_that_does_not_exist_is_told(write, act):
    with pytest.raises(errors.NotFoundError, match="Run with id=nope not found"):
        write(act, "nope")


def test_a_tag_is_taken_off_once(write, run):
    write(actions.set_tags, run.id, values={"stage": "a"})
    write(actions.delete_tag, run.id, key="stage")
    assert "stage" not in dict(read(write, run.id).tags)
    with pytest.raises(errors.NotFoundError, match="No tag with name: stage in run with id"):
        write(actions.delete_tag, run.id, key="stage")


def described(name="rows", digest="ab", **tags):
    dataset = msgspec.structs.replace(DATA, name=name, digest=digest)
    made = tuple(entities.Tag(key, value) for key, value in tags.items())
    return entities.DatasetInput(dataset=dataset, tags=made)


def test_described_data_is_kept_once_per_experiment_and_run(write, run, experiment, database):
    train = entities.DatasetInput(
        dataset=DATA, tags=(entities.Tag("mlflow.data.context", "training"),)
    )
    write(actions.log_inputs, run.id, datasets=[train, described(other="x")])
    write(actions.log_inputs, run.id, datasets=[described(), described(digest="cd")])
    second = write(actions.start_run, experiment_id=experiment.id).run
    write(actions.log_inputs, second.id, datasets=[described()])
    kept = write(actions.get_run, run.id)
    assert kept.datasets == (train, described(digest="cd"))
    with database.read() as tx:
        assert len(tx.execute(input_records.logged_datasets.select()).all()) == 2
        links = tx.execute(input_records.run_datasets.select()).all()
        sources = {edge.source for edge in lineage.ancestors(tx, f"run:{run.id}")}
    assert [link.context for link in links].count("training") == 1
    assert len(links) == 3
    assert sources == {"logged-dataset:rows@ab", "logged-dataset:rows@cd"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "n" * 501}, "'name' exceeds the maximum length of 500"),
        ({"digest": "n" * 37}, "'digest' exceeds the maximum length of 36"),
        ({"source": "n" * 65_536}, "'source' exceeds the maximum length of 65535"),
        ({"schema": "n" * 1_048_576}, "'schema' exceeds the maximum length of 1048575"),
        ({"profile": "n" * 16_777_216}, "'profile' exceeds the maximum length of 16777215"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_a_description_that_is_too_long_is_refused(write, run, change, reason):
    long = entities.DatasetInput(dataset=msgspec.structs.replace(DATA, **change))
    with pytest.raises(errors.InvalidInputError, match=reason):
        write(actions.log_inputs, run.id, datasets=[long])
    assert read(write, run.id).datasets == []


def test_tags_of_an_input_that_are_too_long_are_refused(write, run):
    for key, value in (("k" * 256, "v"), ("k", "v" * 501)):
        tagged = entities.DatasetInput(dataset=DATA, tags=(entities.Tag(key, value),))
        with pytest.raises(errors.InvalidInputError, match="exceeds the maximum length"):
            write(actions.log_inputs, run.id, datasets=[tagged])


def test_models_a_run_read_and_made_are_kept_once_and_become_lineage(write, run, database):
    for _ in range(2):
        write(actions.log_inputs, run.id, model_ids=["m-1"])
    outputs = [entities.ModelLink("output", "m-2", 3), entities.ModelLink("output", "m-3")]
    write(actions.log_outputs, run.id, models=outputs)
    write(actions.log_outputs, run.id, models=[entities.ModelLink("output", "m-2", 4)])
    links = {
        (link.role, link.model_id): link.step for link in write(actions.get_run, run.id).models
    }
    assert links == {("input", "m-1"): 0, ("output", "m-2"): 4, ("output", "m-3"): 0}
    with database.read() as tx:
        edges = lineage.ancestors(tx, "logged-model:m-2")
    assert {edge.source for edge in edges} == {f"run:{run.id}", "logged-model:m-1"}
    with pytest.raises(errors.InvalidInputError, match="for parameter 'model_id'"):
        write(actions.log_inputs, run.id, model_ids=["../m"])


LARGEST = 2**63 - 1


def test_times_and_steps_of_64_bits_are_kept(write, run):
    points = [Metric("a", 1.0, LARGEST, -LARGEST - 1), Metric("a", 2.0, 0, LARGEST)]
    write(actions.log_metrics, run.id, points=points)
    assert write(actions.metric_history, run.id, key="a") == points
    assert read(write, run.id).metrics == [("a", 2.0, 0, LARGEST, "finite")]
    ended = write(actions.update_run, run.id, status="finished", ended_at=LARGEST)
    assert read(write, run.id).run == ended
    link = entities.ModelLink("output", "m-1", LARGEST)
    write(actions.log_outputs, run.id, models=[link])
    assert write(actions.get_run, run.id).models == (link,)


def steps(found, run_id):
    return [point.step for of, point in found if of == run_id]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"most": 3}, [0, 7, 19]),
        ({"most": 1}, [19]),
        ({"most": 100}, list(range(20))),
        ({"first_step": 3, "last_step": 5, "most": 2}, [3, 5]),
        ({"first_step": 30, "last_step": 50}, []),
    ],
    ids=str,
)
def test_a_long_history_is_thinned_out_evenly_with_both_ends(write, run, options, expected):
    points = [Metric("loss", float(n), n, n) for n in range(20)]
    write(actions.log_metrics, run.id, points=points)
    found = write(actions.sample_metrics, ["absent", run.id], key="loss", **options)
    assert steps(found, run.id) == expected


def test_points_of_one_step_are_thinned_out_too(write, run):
    points = [Metric.of("loss", float("nan") if n == 9 else n, at=n) for n in range(10)]
    write(actions.log_metrics, run.id, points=points)
    found = write(actions.sample_metrics, [run.id], key="loss", most=3)
    assert [point.at for _, point in found] == [0, 4, 9]
    assert found[-1][1].kind == "nan"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"most": 0}, "max_results must be between 1 and 2500"),
        ({"most": 2501}, "max_results must be between 1 and 2500"),
        ({"first_step": 1}, "both must be specified"),
        ({"last_step": 1}, "both must be specified"),
        ({"first_step": 6, "last_step": 5}, "end_step must be greater than start_step"),
    ],
    ids=str,
)
def test_a_sample_that_cannot_be_right_is_refused(write, run, options, reason):
    with pytest.raises(errors.InvalidInputError, match=reason):
        write(actions.sample_metrics, [run.id], key="loss", **options)


def test_too_many_runs_are_not_sampled(write):
    with pytest.raises(errors.InvalidInputError, match=r"at most 100 run_ids\. Received 101"):
        write(actions.sample_metrics, ["x"] * 101, key="loss")


def raced(act, n=8):
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        waiting = [pool.submit(act, i) for i in range(n)]
        return [one.exception() or one.result() for one in waiting]


def test_of_many_who_create_one_experiment_one_succeeds(write):
    answers = raced(lambda _: write(actions.create_experiment, "raced"))
    made = [one for one in answers if isinstance(one, entities.Experiment)]
    assert len(made) == 1
    assert {type(one) for one in answers if one is not made[0]} == {errors.ConflictError}
    assert write(actions.get_experiment_by_name, "raced").experiment == made[0]


def test_experiments_created_at_once_have_different_ids(write):
    answers = raced(lambda n: write(actions.create_experiment, f"e{n}"))
    assert len({one.id for one in answers}) == 8


def test_data_described_at_once_is_kept_once(write, run, database):
    assert (
        raced(lambda _: write(actions.log_inputs, run.id, datasets=[described()])) == [None] * 8
    )
    assert len(write(actions.get_run, run.id).datasets) == 1


def test_a_run_survives_a_race_of_its_ends_and_deletions(write, run):
    acts = (
        lambda: write(actions.update_run, run.id, status="finished"),
        lambda: write(actions.delete_run, run.id),
        lambda: write(actions.restore_run, run.id),
        lambda: write(actions.update_run, run.id, name="other"),
    )
    answers = raced(lambda n: acts[n % 4](), n=16)
    assert {type(one) for one in answers} <= {
        entities.Run,
        type(None),
        errors.InvalidInputError,
    }
    write(actions.restore_run, run.id)
    kept = read(write, run.id)
    assert kept.run.name == dict(kept.tags)["mlflow.runName"]


def test_a_value_the_database_cannot_keep_fails_no_neighbour(database, write, run):
    gate = threading.Event()
    writer = Writer(database)
    try:
        waiting = [writer.submit(lambda _: gate.wait(10))]
        for key, value in (("a", "1"), ("b", "x\0y"), ("c", "3")):
            waiting.append(
                writer.submit(
                    functools.partial(
                        actions.set_tags, actor=ADA, run_id=run.id, values={key: value}
                    )
                )
            )
        gate.set()
        failed = [one.exception() for one in waiting]
    finally:
        writer.close()
    kept = dict(read(write, run.id).tags)
    assert (kept["a"], kept["c"]) == ("1", "3")
    assert [one is None for one in failed] == [True, True, database.is_sqlite, True]
    assert database.is_sqlite or isinstance(failed[2], errors.InvalidInputError)


def test_texts_of_clients_are_never_part_of_a_statement(write, experiment):
    odd = "x'); DROP TABLE runs; --"
    made = write(actions.start_run, experiment_id=experiment.id, name=odd, tags=[(odd, odd)])
    write(actions.rename_experiment, experiment.id, name=odd)
    write(actions.log_inputs, made.run.id, datasets=[described(name=odd)])
    write(actions.delete_tag, made.run.id, key=odd)
    assert write(actions.get_experiment_by_name, odd).experiment.id == experiment.id
    assert read(write, made.run.id).run.name == odd


def test_tables_whose_key_is_their_row_have_no_hidden_number_on_sqlite(migrated_file):
    with contextlib.closing(sqlite3.connect(migrated_file)) as opened:
        made = dict(opened.execute("SELECT name, sql FROM sqlite_master"))
    for table in (records.metrics, records.latest_metrics, records.params, records.tags):
        assert made[table.name].strip().endswith("WITHOUT ROWID")


def test_digests_of_an_end_do_not_depend_on_the_order_of_logging(write, database, experiment):
    ends = []
    for keys in ("ab", "ba"):
        made = write(actions.start_run, experiment_id=experiment.id).run
        for key in keys:
            write(actions.log_metrics, made.id, points=[Metric(key, 1.0, 5)])
            write(actions.log_params, made.id, values={key: "1"})
        write(actions.update_run, made.id, status="finished")
        with database.read() as tx:
            last = events.read(tx, subject=f"run:{made.id}", newest_first=True)[0]
        ends.append(json.dumps({k: v for k, v in last.facts.items() if "digest" in k}))
    assert ends[0] == ends[1]
