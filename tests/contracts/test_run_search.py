"""Searching runs: filters, orders and pages give what plain Python gives, on both databases."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import searched
from homeostat.foundation.database import Database, migrate
from homeostat.lifecycle.tracking import (
    language,
    search,
    search_conditions,
    search_memory,
    search_planning,
    search_plans,
    search_runs,
    search_short,
    search_walk,
)

quoted = st.sampled_from([text for text in searched.TEXTS if "'" not in text])
patterns = st.one_of(
    quoted,
    st.sampled_from(
        ["%", "a%", "%b", "_", "a_b", "A%", "%[%", "a*%", "é%", "L%1", "%\\b", "__"]
    ),
)
numbers = st.sampled_from(
    ["0", "-1.5", "2.0", "1e300", "1.7", "-0.0", "1e999", "99999999999999999999"]
)
keys = st.sampled_from(searched.KEYS)


@st.composite
def clauses(draw):
    """One comparison as a client writes it."""
    subject = draw(st.sampled_from(["metrics", "params", "tags", "attribute", "dataset"]))
    sign = draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]))
    if subject == "metrics":
        return f"metrics.`{draw(keys)}` {sign} {draw(numbers)}"
    if subject in ("params", "tags"):
        field = f'{subject}."{draw(keys)}"'
        return f"{field} {draw(texts_compared())}"
    if subject == "dataset":
        return f"datasets.{draw(st.sampled_from(['name', 'digest', 'context']))} " + draw(
            st.sampled_from(["= 'd1'", "!= 'train'", "LIKE 'x%'", "IN ('d1', 'x0', 'eval')"])
        )
    if draw(st.booleans()):
        time = draw(st.sampled_from(["start_time", "end_time", "created"]))
        return f"attributes.{time} {sign} {draw(st.sampled_from(['1', '2', '5', '2.5']))}"
    field = draw(st.sampled_from(["run_name", "status", "user_id", "artifact_uri", "run_id"]))
    value = {
        "status": st.sampled_from(["= 'RUNNING'", "!= 'FAILED'", "LIKE 'F%'", "ilike 'fin%'"]),
        "artifact_uri": st.sampled_from(["LIKE 'mlflow-artifacts:/1/%'", "= 'x'"]),
        "run_id": st.sampled_from(["LIKE 'a%'", "IN ('a', 'b')", "NOT IN ('a')", "!= 'x'"]),
    }.get(field, texts_compared().filter(lambda words: "NULL" not in words))
    return f"{field} {draw(value)}"


@st.composite
def texts_compared(draw):
    sign = draw(st.sampled_from(["=", "!=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL"]))
    if "NULL" in sign:
        return sign
    return f"{sign} '{draw(patterns if 'LIKE' in sign else quoted)}'"


fields = st.one_of(
    st.sampled_from(["start_time", "end_time", "run_name", "status", "user_id", "run_id"]),
    st.tuples(st.sampled_from(["metrics", "params", "tags"]), keys).map(
        lambda both: f"{both[0]}.`{both[1]}`"
    ),
)
ways = st.sampled_from(["", " ASC", " desc"])
orders_of = st.lists(fields, max_size=3, unique=True).flatmap(
    lambda names: st.tuples(*(ways.map(lambda way, name=name: name + way) for name in names))
)


@pytest.mark.parametrize(
    "caps",
    [
        None,
        {},
        {"FEW": 1, "SHORT": 10_000},
        {"FEW": 4, "SHORT": 5, "PATIENCE": 5, "WORTH": 100},
        {"FEW": 2, "SHORT": 1, "PATIENCE": 9, "MOST_HELD": 20, "FEWER": 1},
        {"FEW": 2, "SHORT": 1, "PATIENCE": 1, "FEWER": 1},
    ],
    ids=["short", "sorted", "walked", "intersected", "far", "held"],
)
def test_pages_hold_what_plain_python_finds_in_its_order(database, monkeypatch, caps):
    if caps is not None:
        monkeypatch.setattr(search_short, "MOST", 1)
    for name, value in (caps or {}).items():
        monkeypatch.setattr(search_planning, name, value)
    monkeypatch.setattr(search_walk, "FIRST_STEP", 3)
    monkeypatch.setattr(search_walk, "TRIED", 4)
    runs = searched.made_runs(70, seed=7)
    with database.write() as tx:
        searched.store(tx, runs)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        written=st.lists(clauses(), max_size=3),
        ordered=orders_of,
        experiments=st.sampled_from([(0,), (1, 2), (0, 1, 2), (3,), ()]),
        stages=st.sampled_from([search.ACTIVE, search.DELETED, search.ANY_STAGE]),
        limit=st.integers(1, 9),
    )
    def check(*, written, ordered, experiments, stages, limit):
        conditions = language.parse(" AND ".join(written), search_runs.FIELDS)
        orders = language.order(ordered, search_runs.FIELDS)
        asked = {"experiments": experiments, "stages": stages}
        asked |= {"conditions": conditions, "orders": orders}
        wanted = searched.expected(runs, **asked)
        with database.read() as tx:
            seen, after = [], ""
            while True:
                page, after = search.find(tx, **asked, limit=limit, after=after)
                seen.extend(page)
                if not after:
                    break
                assert len(page) == limit
            assert seen == wanted, f"{written} {ordered} {experiments} {stages} {limit}"

    check()


def test_columns_in_memory_find_what_plain_python_finds_in_its_order(tmp_path, monkeypatch):
    monkeypatch.setattr(search_short, "MOST", 1)
    monkeypatch.setattr(search_memory, "MOST_CHECKED", 20)
    database = Database(f"sqlite:///{tmp_path / 'd.db'}")
    migrate.upgrade(database)
    runs = searched.made_runs(70, seed=8)
    with database.write() as tx:
        searched.store(tx, runs)
    answered = []

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        written=st.lists(clauses(), min_size=1, max_size=3),
        ordered=orders_of,
        experiments=st.sampled_from([(0,), (0, 1, 2)]),
        stages=st.sampled_from([search.ACTIVE, search.DELETED, search.ANY_STAGE]),
        limit=st.integers(1, 9),
    )
    def check(*, written, ordered, experiments, stages, limit):
        conditions = language.parse(" AND ".join(written), search_runs.FIELDS)
        orders = language.order(ordered, search_runs.FIELDS)
        wanted = searched.expected(
            runs,
            experiments=experiments,
            stages=stages,
            conditions=conditions,
            orders=orders,
        )
        needs = search_conditions.needs_of(conditions)
        asked = search_plans.Question(experiments, tuple(stages), needs, tuple(orders))
        with database.read() as tx:
            seen, place = [], None
            while True:
                rows = search_memory.first_runs(
                    tx, asked, place=place, limit=limit, may_read=True
                )
                if rows is None:
                    return
                seen.extend(row[0] for row in rows)
                if len(rows) < limit:
                    break
                place = rows[-1][1]
            answered.append(len(seen))
            assert seen == wanted, f"{written} {ordered} {experiments} {stages} {limit}"

    check()
    database.close()
    assert len(answered) > 60
