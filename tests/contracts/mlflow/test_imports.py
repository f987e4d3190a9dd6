"""What MLflow has is here after an import, as MLflow's own protocol shows it."""

from __future__ import annotations

import collections
import contextlib
import math
import sqlite3

import pytest
import sqlalchemy as sa

import mlflow_file
from homeostat.doors.cli.imports import copying, database
from homeostat.doors.client import Client, transport
from homeostat.foundation import access, errors
from homeostat.lifecycle.importing import entities
from homeostat.lifecycle.tracking import actions

FIRST, SECOND, THIRD, LIVE, FAR = (f"{n:032x}" for n in range(0xA1, 0xA6))


@pytest.fixture
def file(tmp_path):
    """A small tracking database in which everything occurs."""
    folder = tmp_path / "mlflow"
    folder.mkdir()
    made = mlflow_file.MlflowFile(folder)
    made.experiment(1, "credit")
    made.experiment(2, "gone", stage="deleted")
    made.do("INSERT INTO experiment_tags VALUES ('team', 'risk', 1)")
    odd = [(math.nan, 5, -3), (mlflow_file.INFINITE, 6, 2**62), (-mlflow_file.INFINITE, 7, 0)]
    loss = [(1 / (n + 1), 1000 + n, n) for n in range(50)]
    made.run(
        FIRST,
        name="first",
        metrics={"loss": loss, "val/odd one": odd},
        params={"depth": "3", "long": "x" * 6000},
        files={"a/b.txt": b"hello", "ü ö%1.txt": b"\0\xff", "empty": b""},
    )
    made.run(SECOND, name="second", status="FAILED", stage="deleted")
    made.run(THIRD, experiment=2, name="third", stage="deleted")
    made.run(LIVE, name="live", status="RUNNING", metrics={"loss": [(0.5, 10, 1)]})
    made.run(FAR, name="far", address=f"s3://bucket/1/{FAR}/artifacts")
    made.dataset(FIRST)
    made.logged_model(FIRST, files={"MLmodel": b"flavors: {}\n", "data/w.bin": b"12345"})
    made.version("scorer", 1, f"models:/{mlflow_file.MODEL_ID}", run_id=FIRST)
    made.version("scorer", 3, f"mlflow-artifacts:/1/{FIRST}/artifacts/a", run_id=FIRST)
    made.do("INSERT INTO registered_model_aliases VALUES ('Champion', 3, 'scorer')")
    made.do("INSERT INTO model_version_tags VALUES ('ok', 'yes', 'scorer', 1)")
    made.do("INSERT INTO trace_info VALUES ('tr-1', 1)")
    return made


@pytest.fixture
def client(door):
    """The SDK over the same house as the door."""
    return Client(transport.Transport(door._carrier))


def take(file, client):
    """Import once and return the writer and the counts."""
    with contextlib.closing(database.Database(file.path, artifacts=file.artifacts)) as found:
        work = copying.Copying(found, client, lambda _kind, _n: None)
        work.everything()
    return work


def run_of(door, run_id):
    return door.get("runs/get", run_id=run_id)["run"]


def history(door, run_id, key):
    found = door.get("metrics/get-history", run_id=run_id, metric_key=key)["metrics"]
    return sorted((p["timestamp"], p.get("step", 0), str(p["value"])) for p in found)


def content(door, address, path=""):
    where = address.replace("mlflow-artifacts:/", "/api/2.0/mlflow-artifacts/artifacts/")
    status, _, body = door.call("GET", f"{where}/{path}" if path else where)
    assert status == 200, body
    return body


def everything(door):
    """All rows of all tables that an import writes, without when they were written."""
    kept = collections.defaultdict(list)
    with door.house.database.read(project="default") as tx:
        for table in ("runs", "metrics", "latest_metrics", "params", "tags", "imports"):
            rows = tx.execute(sa.text(f'SELECT * FROM "{table}"'))
            for row in rows.mappings():
                one = {key: value for key, value in row.items() if key != "fingerprint"}
                if table == "imports":
                    del one["at"]
                kept[table].append(tuple(sorted((k, str(v)) for k, v in one.items())))
    return {table: sorted(rows) for table, rows in kept.items()}


def test_runs_come_with_their_ids_times_and_texts(door, client, file):
    take(file, client)
    info = run_of(door, FIRST)["info"]
    assert (info["run_name"], info["user_id"], info["status"]) == ("first", "ann", "FINISHED")
    assert (info["start_time"], info["end_time"]) == (5000 + 0xA1, 9000)
    data = run_of(door, FIRST)["data"]
    assert {p["key"]: p["value"] for p in data["params"]} == {"depth": "3", "long": "x" * 6000}
    tags = {tag["key"]: tag["value"] for tag in data["tags"]}
    assert tags == {"mlflow.user": "ann", "mlflow.runName": "first", "note": "ä ' \" %"}
    assert run_of(door, LIVE)["info"]["status"] == "RUNNING"
    assert run_of(door, SECOND)["info"]["lifecycle_stage"] == "deleted"


def test_points_come_exactly_with_nan_largest_numbers_and_any_step(door, client, file):
    take(file, client)
    assert history(door, FIRST, "val/odd one") == [
        (5, -3, "NaN"),
        (6, 2**62, str(mlflow_file.INFINITE)),
        (7, 0, str(-mlflow_file.INFINITE)),
    ]
    assert history(door, FIRST, "loss") == [(1000 + n, n, str(1 / (n + 1))) for n in range(50)]
    latest = {m["key"]: m["value"] for m in run_of(door, FIRST)["data"]["metrics"]}
    assert latest == {"loss": 0.02, "val/odd one": mlflow_file.INFINITE}


def test_experiments_are_matched_by_name_and_keep_stage_and_tags(door, client, file):
    mine = door.post("experiments/create", {"name": "credit"})["experiment_id"]
    take(file, client)
    found = door.get("experiments/get-by-name", experiment_name="credit")["experiment"]
    assert found["experiment_id"] == mine
    assert found["tags"] == [{"key": "team", "value": "risk"}]
    gone = door.get("experiments/get-by-name", experiment_name="gone")["experiment"]
    assert (gone["lifecycle_stage"], gone["creation_time"]) == ("deleted", 1002)
    assert run_of(door, FIRST)["info"]["experiment_id"] == mine
    assert run_of(door, THIRD)["info"]["experiment_id"] == gone["experiment_id"]


def test_artifacts_come_byte_for_byte(door, client, file):
    take(file, client)
    root = run_of(door, FIRST)["info"]["artifact_uri"]
    assert content(door, root, "a/b.txt") == b"hello"
    assert content(door, root, "%C3%BC%20%C3%B6%251.txt") == b"\0\xff"
    assert content(door, root, "empty") == b""
    model = door.get(f"logged-models/{mlflow_file.MODEL_ID}")["model"]["info"]
    assert content(door, model["artifact_uri"], "data/w.bin") == b"12345"


def test_artifacts_in_a_store_of_their_own_stay_there_and_are_told(door, client, file):
    work = take(file, client)
    assert run_of(door, FAR)["info"]["artifact_uri"] == f"s3://bucket/1/{FAR}/artifacts"
    assert work.writer.left == {"artifact": 1, "trace": 1}
    assert work.writer.missed == {}


def test_described_data_and_logged_models_come_with_what_was_measured(door, client, file):
    take(file, client)
    run = run_of(door, FIRST)
    (read,) = run["inputs"]["dataset_inputs"]
    assert (read["dataset"]["name"], read["dataset"]["schema"]) == ("loans", '{"a": 1}')
    assert read["tags"] == [{"key": "mlflow.data.context", "value": "training"}]
    assert run["outputs"]["model_outputs"] == [{"model_id": mlflow_file.MODEL_ID, "step": 3}]
    model = door.get(f"logged-models/{mlflow_file.MODEL_ID}")["model"]
    assert model["info"]["status"] == "LOGGED_MODEL_READY"
    assert model["info"]["creation_timestamp_ms"] == 6000
    assert model["data"]["params"] == [{"key": "C", "value": "1"}]
    (point,) = model["data"]["metrics"]
    assert (point["key"], point["value"], point["dataset_name"]) == ("auc", 0.75, "loans")


def test_versions_keep_their_numbers_stages_and_aliases(door, client, file):
    take(file, client)
    first = door.get("model-versions/get", name="scorer", version="1")["model_version"]
    assert (first["current_stage"], first["creation_timestamp"]) == ("Production", 300)
    assert (first["description"], first["run_id"]) == ("first", FIRST)
    assert first["tags"] == [{"key": "ok", "value": "yes"}]
    third = door.get("registered-models/alias", name="scorer", alias="Champion")
    assert third["model_version"]["version"] == "3"
    where = door.get("model-versions/get-download-uri", name="scorer", version="3")
    assert content(door, where["artifact_uri"], "b.txt") == b"hello"
    status, code, _ = door.refused("GET", "model-versions/get", name="scorer", version="2")
    assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_second_import_adds_nothing(door, client, file):
    take(file, client)
    before = everything(door)
    again = take(file, client)
    assert everything(door) == before
    assert again.counts["runs_unchanged"] == 4
    assert again.counts["logged_models_unchanged"] == 1


def test_a_later_import_brings_what_changed_since(door, client, file):
    take(file, client)
    file.points(LIVE, {"loss": [(0.4, 20, 2)], "acc": [(0.9, 20, 2)]})
    file.do("UPDATE runs SET status = 'FINISHED', end_time = 99 WHERE run_uuid = ?", (LIVE,))
    file.points(FIRST, {"loss": [(7.0, 1, -5)]})
    take(file, client)
    assert history(door, LIVE, "loss") == [(10, 1, "0.5"), (20, 2, "0.4")]
    info = run_of(door, LIVE)["info"]
    assert (info["status"], info["end_time"]) == ("FINISHED", 99)
    assert (1, -5, "7.0") in history(door, FIRST, "loss")


def test_a_run_of_the_same_id_that_is_here_already_is_told_and_left_alone(door, client, file):
    with door.house.database.write(project="default") as tx:
        actions.create_run(tx, access.local_owner("eve"), name="mine", run_id=FIRST)
    work = take(file, client)
    assert run_of(door, FIRST)["info"]["run_name"] == "mine"
    assert "metrics" not in run_of(door, FIRST)["data"]
    assert work.writer.missed == {"run": 1}
    (told,) = [one for one in work.writer.examples if one.kind == "run"]
    assert FIRST in told.reason


def test_a_version_whose_number_was_given_here_is_told_and_left_alone(door, client, file):
    door.post("registered-models/create", {"name": "scorer"})
    source = {"name": "scorer", "source": "s3://bucket/mine"}
    door.post("model-versions/create", source)
    work = take(file, client)
    kept = door.get("model-versions/get", name="scorer", version="1")["model_version"]
    assert kept["source"] == "s3://bucket/mine"
    assert work.writer.missed == {"version": 1}


def test_missing_files_are_told_and_come_when_they_are_found(door, client, file):
    hidden = file.artifacts.with_name("hidden")
    file.artifacts.joinpath("1/models").rename(hidden)
    work = take(file, client)
    assert work.writer.missed == {"artifact": 1}
    hidden.rename(file.artifacts / "1/models")
    assert take(file, client).writer.missed == {}
    model = door.get(f"logged-models/{mlflow_file.MODEL_ID}")["model"]["info"]
    assert content(door, model["artifact_uri"], "MLmodel") == b"flavors: {}\n"


def test_a_file_whose_name_is_none_here_is_told_and_stops_no_other(door, client, file):
    file.file(f"1/{FIRST}/artifacts/a#b.txt", b"x")
    work = take(file, client)
    assert work.writer.missed == {"artifact": 1}
    (told,) = [one for one in work.writer.examples if one.name.endswith("a#b.txt")]
    assert "is no path of an artifact" in told.reason
    assert content(door, run_of(door, FIRST)["info"]["artifact_uri"], "a/b.txt") == b"hello"


def test_what_is_imported_says_where_it_came_from(door, client, file):
    take(file, client)
    found = client.events.list(kinds=("run.imported",))
    assert {one.subject for one in found} >= {f"run:{FIRST}", f"run:{SECOND}"}
    assert {one.facts["source"] for one in found} == {f"sqlite:///{file.path}"}
    edges = client.lineage.ancestors(f"run:{FIRST}")
    assert f"import:sqlite:///{file.path}" in {edge.source for edge in edges}


def test_bad_things_of_a_batch_are_refused_one_by_one(door, client):
    batch = entities.Batch(
        source="http://x",
        experiments=(
            entities.Experiment(id="1", name="e"),
            entities.Experiment(id="2", name=""),
        ),
        runs=(
            entities.Run(id="nope", experiment_id="1"),
            entities.Run(id=FIRST, experiment_id="1"),
            entities.Run(id=SECOND, experiment_id="77"),
        ),
        points=(
            entities.Points(
                FIRST, (entities.Point("../x", 1.0, 1), entities.Point("m", 1.0, 1))
            ),
            entities.Points(SECOND, (entities.Point("m", 1.0, 1),)),
        ),
    )
    outcome = client.imports.take(batch)
    assert [one.kind for one in outcome.refused] == [
        *("experiment", "run", "run"),
        *("metric", "metric"),
    ]
    assert history(door, FIRST, "m") == [(1, 0, "1.0")]


def test_a_database_of_mlflow_2_has_fewer_tables_and_is_read_as_well(door, client, file):
    for table in ("logged_models", "logged_model_params", "logged_model_tags"):
        file.do(f"DROP TABLE {table}")
    file.do("DROP TABLE logged_model_metrics")
    file.do("DELETE FROM model_versions WHERE version = 1")
    file.do("DELETE FROM inputs WHERE source_type <> 'DATASET'")
    file.do("ALTER TABLE inputs DROP COLUMN step")
    work = take(file, client)
    assert work.writer.missed == {}
    assert run_of(door, FIRST)["inputs"]["dataset_inputs"]
    version = door.get("model-versions/get", name="scorer", version="3")["model_version"]
    assert version["run_id"] == FIRST


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no database of MLflow"),
        (b"no database at all, but long enough to be looked at" * 20, "no SQLite database"),
    ],
    ids=["empty", "text"],
)
def test_a_file_that_is_no_database_of_mlflow_is_refused(tmp_path, content, sentence):
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(errors.InvalidInputError, match=sentence):
        database.Database(path)


def test_an_old_schema_is_named_with_what_it_lacks(file):
    db = sqlite3.connect(file.path)
    db.execute("ALTER TABLE runs RENAME COLUMN artifact_uri TO was")
    db.commit()
    db.close()
    with pytest.raises(errors.InvalidInputError, match=r"dc11669786a5.*artifact_uri"):
        database.Database(file.path)
