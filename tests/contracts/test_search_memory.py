"""Columns that searches keep in memory: what was written before a search is found by it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import searched
from homeostat.foundation import access
from homeostat.foundation.database import Database, migrate
from homeostat.foundation.database.writer import Writer
from homeostat.lifecycle.tracking import (
    actions,
    entities,
    language,
    search,
    search_columns,
    search_conditions,
    search_memory,
    search_plans,
    search_runs,
)
from homeostat.lifecycle.tracking.search_statement import Statement

ADA = access.local_owner("ada")
QUESTIONS = [
    ("metrics.a > 0.3 AND params.p = 'x'", ["metrics.b DESC"]),
    ("metrics.a <= 0.8 AND tags.t != 'old'", ["tags.t ASC", "metrics.a DESC"]),
    ("metrics.b < 0.9 AND tags.t IS NULL AND attributes.status = 'RUNNING'", ["params.p"]),
]


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setattr(search_memory, "MOST_WRITTEN", 3)
    monkeypatch.setattr(search_memory, "REST", 0)
    database = Database(f"sqlite:///{tmp_path / 'd.db'}")
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def writer(database):
    writer = Writer(database)
    yield writer
    writer.close()


def asked_for(condition, order, experiment):
    return search_plans.Question(
        experiments=(experiment,),
        stages=search.ACTIVE,
        needs=search_conditions.needs_of(language.parse(condition, search_runs.FIELDS)),
        orders=language.order(order, search_runs.FIELDS),
    )


def found(database, question, limit=100):
    with database.glance() as tx:
        rows = search_memory.first_runs(tx, question, place=None, limit=limit, may_read=True)
    return None if rows is None else [row[0] for row in rows]


def stored(database):
    """All runs as `searched` knows them, straight from the tables."""
    with database.read() as tx:
        made = Statement(tx)
        runs = {
            row[0]: {
                **dict(zip(("id", "experiment", "stage", "status", "start"), row, strict=True)),
                **{subject: {} for subject in ("metric", "param", "tag")},
            }
            for row in made.rows(
                "SELECT id, experiment_id, lifecycle_stage, status, started_at FROM runs"
            )
        }
        tables = {"metric": "latest_metrics", "param": "params", "tag": "tags"}
        for subject, table in tables.items():
            for run_id, key, value in made.rows(f"SELECT run_id, key, value FROM {table}"):
                runs[run_id][subject][key] = value
    for run in runs.values():
        run["name"] = run["user"] = ""
        run["end"] = None
    return list(runs.values())


def point(key, value, step=0):
    return entities.Metric(key, value, 1, step)


def start(tx, experiment, chance):
    run_id = actions.start_run(tx, ADA, experiment_id=experiment).run.id
    points = [point(key, float(chance.random())) for key in "ab" if chance.random() < 0.9]
    params = {"p": "xyz"[chance.integers(3)]}
    tags = {"t": "old"} if chance.random() < 0.3 else {}
    actions.log_batch(tx, ADA, run_id, points=points, params=params, tags=tags)
    return run_id


def change(tx, run, n, chance):
    """One of the ways in which a run changes."""
    run_id, kind = run["id"], chance.integers(6)
    if run["stage"] == "deleted":
        actions.restore_run(tx, ADA, run_id)
        return
    if kind == 0:
        actions.log_metrics(tx, ADA, run_id, points=[point("a", float(chance.random()), n)])
    elif kind == 1:
        actions.log_batch(tx, ADA, run_id, points=[point("b", float(chance.random()), n)])
    elif kind == 2:
        actions.set_tags(tx, ADA, run_id, values={"t": f"new{chance.integers(3)}"})
    elif kind == 3 and "t" in run["tag"]:
        actions.delete_tag(tx, ADA, run_id, key="t")
    elif kind == 4:
        actions.update_run(tx, ADA, run_id, status="finished")
    else:
        actions.delete_run(tx, ADA, run_id)


def test_each_search_sees_all_that_was_written_before_by_whomever(database, writer, tmp_path):
    chance = np.random.default_rng(3)
    experiment = writer.write(lambda tx: actions.create_experiment(tx, ADA, "e")).id
    for _ in range(30):
        writer.write(lambda tx: start(tx, experiment, chance))
    other = Database(f"sqlite:///{tmp_path / 'd.db'}")
    n_answered = 0
    for n in range(150):
        runs = stored(database)
        one = runs[chance.integers(len(runs))]
        way = chance.integers(12)
        if way < 3:
            writer.write(lambda tx: start(tx, experiment, chance))
        elif way < 9:
            writer.write(lambda tx, one=one, n=n: change(tx, one, n, chance))
        elif way < 11:
            with other.write() as tx:
                change(tx, one, n, chance)
                start(tx, experiment, chance)
        else:
            writer.write(lambda tx: actions.delete_experiment(tx, ADA, experiment))
            writer.write(lambda tx: actions.restore_experiment(tx, ADA, experiment))
        condition, order = QUESTIONS[n % 3]
        question = asked_for(condition, order, int(experiment))
        ids = found(database, question)
        n_answered += ids is not None
        runs = stored(database)
        wanted = searched.expected(
            runs,
            experiments=[int(experiment)],
            stages=search.ACTIVE,
            conditions=language.parse(condition, search_runs.FIELDS),
            orders=question.orders,
        )
        assert ids is None or ids == wanted
    other.close()
    assert n_answered > 100


def test_who_was_told_of_a_write_finds_it_while_others_write_on(database, writer, tmp_path):
    experiment = writer.write(lambda tx: actions.create_experiment(tx, ADA, "e")).id
    question = asked_for(
        "metrics.a > 0.5 AND params.p = 'x'", ["metrics.b ASC"], int(experiment)
    )
    is_over = threading.Event()

    def best(tx, value):
        run_id = actions.start_run(tx, ADA, experiment_id=experiment).run.id
        points = [point("a", 0.9), point("b", value)]
        actions.log_batch(tx, ADA, run_id, points=points, params={"p": "x"})
        return run_id

    def noise():
        chance = np.random.default_rng(5)
        while not is_over.is_set():
            writer.write(lambda tx: start(tx, experiment, chance))

    def others():
        chance = np.random.default_rng(6)
        other = Database(f"sqlite:///{tmp_path / 'd.db'}")
        while not is_over.wait(0.05):
            with other.write() as tx:
                start(tx, experiment, chance)
        other.close()

    threads = [threading.Thread(target=work) for work in (noise, others)]
    for thread in threads:
        thread.start()
    n_answered = 0
    try:
        for n in range(60):
            run_id = writer.write(lambda tx, n=n: best(tx, -1.0 - n))
            ids = found(database, question, limit=2)
            n_answered += ids is not None
            assert ids is None or ids[0] == run_id
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert n_answered > 5


def test_a_filter_by_many_different_texts_is_left_to_the_database(
    database, writer, monkeypatch
):
    monkeypatch.setattr(search_columns, "MOST_TEXTS", 2)
    chance = np.random.default_rng(7)
    experiment = writer.write(lambda tx: actions.create_experiment(tx, ADA, "e")).id
    for _ in range(60):
        writer.write(lambda tx: start(tx, experiment, chance))
    condition, order = QUESTIONS[0]
    question = asked_for(condition, order, int(experiment))
    assert found(database, question) == searched.expected(
        stored(database),
        experiments=[int(experiment)],
        stages=search.ACTIVE,
        conditions=language.parse(condition, search_runs.FIELDS),
        orders=question.orders,
    )
    assert (
        found(database, question._replace(orders=asked_for("", ["params.p"], 1).orders)) is None
    )


def test_columns_take_no_more_memory_than_they_may(database, writer, monkeypatch):
    chance = np.random.default_rng(4)
    numbers = []
    for name in "ef":
        made = writer.write(lambda tx, name=name: actions.create_experiment(tx, ADA, name)).id
        numbers.append(int(made))
        for _ in range(40):
            writer.write(lambda tx, made=made: start(tx, made, chance))
    monkeypatch.setattr(search_memory, "MOST_BYTES", 40 * (25 + 2 * 9))
    assert found(database, asked_for(*QUESTIONS[0], numbers[0])) is None
    one = asked_for("metrics.a > 0", ["metrics.b"], numbers[0])
    assert len(found(database, one)) > 20
    other = one._replace(experiments=(numbers[1],))
    assert len(found(database, other)) > 20
    with database.glance() as tx:
        rows = [
            search_memory.first_runs(tx, asked, place=None, limit=9, may_read=False)
            for asked in (one, other)
        ]
    assert rows[0] is None
    assert len(rows[1]) == 9
