"""MLflow's door: a page of found runs shows each as it is shown alone, on both databases."""

from __future__ import annotations

from homeostat.foundation import access
from homeostat.lifecycle.tracking import actions


def everything(door, experiment_id, n):
    """Make a run that keeps and read something of every kind."""
    run_id = door.post(
        "runs/create", {"experiment_id": experiment_id, "start_time": n, "run_name": f'"é\\{n}'}
    )["run"]["info"]["run_id"]
    values = {"z": 0.1 + n, "B": "NaN", "a": "Infinity", "Z": 1e-300, "é": -0.0}
    points = [
        {"key": key, "value": value, "timestamp": n, "step": n} for key, value in values.items()
    ]
    texts = [{"key": key, "value": f"{key}\n\t\x01 '\"\\ 𝄞"} for key in ("q", "P", "a/b", "é")]
    door.post(
        "runs/log-batch",
        {"run_id": run_id, "metrics": points, "params": texts, "tags": texts[:2]},
    )
    data = {"name": "d", "digest": f"x{n}", "source_type": "local", "source": "{}"}
    read = [{"tags": [{"key": "mlflow.data.context", "value": "train"}], "dataset": data}]
    door.post("runs/log-inputs", {"run_id": run_id, "datasets": read})
    return run_id


def test_a_run_looks_the_same_found_and_alone(door, experiment_id):
    made = [everything(door, experiment_id, n) for n in range(1, 4)]
    empty = door.post("runs/create", {"experiment_id": experiment_id, "start_time": 9})
    shown = door.post("runs/search", {"experiment_ids": [experiment_id]})["runs"]
    ids = [run["info"]["run_id"] for run in shown]
    assert ids == [empty["run"]["info"]["run_id"], *reversed(made)]
    for run in shown:
        assert run == door.get("runs/get", run_id=run["info"]["run_id"])["run"]


def test_the_newest_are_read_page_by_page(door, experiment_id):
    for n in (1, 2, 2, 2, 3, 3, 1):
        door.post("runs/create", {"experiment_id": experiment_id, "start_time": n})
    asked = {"experiment_ids": [experiment_id], "max_results": 2}
    seen, token = [], ""
    while True:
        answer = door.post("runs/search", {**asked, "page_token": token})
        seen.extend(run["info"] for run in answer["runs"])
        token = answer.get("next_page_token", "")
        if not token:
            break
    assert [info["start_time"] for info in seen] == [3, 3, 2, 2, 2, 1, 1]
    assert len({info["run_id"] for info in seen}) == len(seen)


def test_a_run_that_was_shown_is_shown_as_others_changed_it(door, experiment_id):
    """What was shown last is kept, and forgotten when any other connection commits."""
    new = {"experiment_id": experiment_id, "start_time": 1}
    run_id = door.post("runs/create", new)["run"]["info"]["run_id"]
    owner = access.local_owner("ada")

    def shown():
        found = door.post("runs/search", {"experiment_ids": [experiment_id]})["runs"]
        alone = door.get("runs/get", run_id=run_id)["run"]
        assert found == [alone]
        return {tag["key"]: tag["value"] for tag in alone["data"]["tags"]}.get("stage")

    assert shown() is None
    for stage in ("one", "two"):
        with door.house.database.write() as tx:  # as another process would
            actions.set_tags(tx, owner, run_id, values={"stage": stage})
        assert shown() == shown() == stage
