"""Files of runs through the server's proxy."""

from __future__ import annotations

import tempfile
from pathlib import Path

import mlflow
import numpy as np
from asking import a_run, ask, client, fresh, turned_away

SIZE = 5_000_000


def a_folder_goes_up_and_comes_back_byte_for_byte():
    mlflow.set_experiment(fresh("folder"))
    place = Path(tempfile.mkdtemp())
    data = np.random.default_rng(1).bytes(SIZE)
    for name in ("plain.txt", "in/deep/er.bin", "in/odd name+%&é.bin", "in/empty"):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name.endswith("empty") else data[: len(name) * 100_000])
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(place), "all")
        mlflow.log_artifact(str(place / "plain.txt"))
    got = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="all"))
    for path in place.rglob("*"):
        if path.is_file():
            assert (got / path.relative_to(place)).read_bytes() == path.read_bytes(), path


def lists_tell_folders_from_files_and_how_large_they_are():
    run_id = a_run()
    client().log_text(run_id, "hällo", "top.txt")
    client().log_text(run_id, "x", "a/b/c.txt")
    found = {one.path: (one.is_dir, one.file_size) for one in client().list_artifacts(run_id)}
    assert found["top.txt"] == (False, 6)
    assert found["a"][0]
    assert len(found) == 2
    assert [one.path for one in client().list_artifacts(run_id, "a/b")] == ["a/b/c.txt"]
    assert client().list_artifacts(run_id, "top.txt") == []
    assert client().list_artifacts(run_id, "never") == []


def text_and_dicts_are_read_back():
    mlflow.set_experiment(fresh("text"))
    with mlflow.start_run() as run:
        mlflow.log_text("words", "notes/words.txt")
        mlflow.log_dict({"a": [1, 2]}, "d.json")
        mlflow.log_dict({"a": {"b": 1}}, "d.yaml")
    root = f"runs:/{run.info.run_id}"
    assert mlflow.artifacts.load_text(f"{root}/notes/words.txt") == "words"
    assert mlflow.artifacts.load_dict(f"{root}/d.json") == {"a": [1, 2]}
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/words.txt") == "words"


def figures_images_and_tables_are_artifacts():
    import matplotlib.pyplot as plt  # noqa: PLC0415 - seconds

    mlflow.set_experiment(fresh("figures"))
    black = np.zeros((6, 6, 3), dtype=np.uint8)
    with mlflow.start_run() as run:
        figure, axes = plt.subplots()
        axes.plot([1, 3, 2])
        mlflow.log_figure(figure, "plots/line.png")
        plt.close(figure)
        mlflow.log_image(black, "black.png")
        for step in range(2):
            mlflow.log_image(black, key="frame", step=step)
        mlflow.log_table({"q": ["a", "b"], "n": [1, 2]}, "table.json")
        mlflow.log_table({"q": ["c"], "n": [3]}, "table.json")
    names = {one.path for one in client().list_artifacts(run.info.run_id)}
    assert {"plots", "black.png", "images", "table.json"} <= names
    assert len(client().list_artifacts(run.info.run_id, "images")) >= 2
    table = mlflow.load_table("table.json", run_ids=[run.info.run_id])
    assert list(table["n"]) == [1, 2, 3]


def an_artifact_can_be_replaced_and_deleted():
    run_id = a_run()
    client().log_text(run_id, "old", "one.txt")
    client().log_text(run_id, "newer", "one.txt")
    [found] = client().list_artifacts(run_id)
    assert found.file_size == 5
    path = client().get_run(run_id).info.artifact_uri.partition("mlflow-artifacts:/")[2]
    where = f"/api/2.0/mlflow-artifacts/artifacts/{path.lstrip('/')}/one.txt"
    assert ask("GET", where).text == "newer"
    assert ask("DELETE", where).status_code == 200
    assert ask("DELETE", where).status_code == 200
    assert client().list_artifacts(run_id) == []
    turned_away(ask("GET", where), 404, "RESOURCE_DOES_NOT_EXIST")


def nothing_outside_a_run_can_be_reached():
    run_id = a_run()
    client().log_text(run_id, "x", "a.txt")
    for path in ("../up", "/etc/passwd", "a/../../up", "%2e%2e/up", "..%2fup"):
        found = ask(
            "GET", "/api/2.0/mlflow/artifacts/list", params={"run_id": run_id, "path": path}
        )
        assert found.status_code == 400, (path, found.text[:200])
    for path in ("%2e%2e/%2e%2e/etc/passwd", "%252e%252e/x"):
        found = ask("GET", f"/api/2.0/mlflow-artifacts/artifacts/{path}")
        assert found.status_code == 400, (path, found.text[:200])
