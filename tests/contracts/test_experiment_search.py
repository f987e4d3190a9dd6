"""Searching experiments, and texts in filters that would be harmful if they were not bound."""

from __future__ import annotations

import itertools

import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.tracking import (
    actions,
    records,
    search,
    search_experiments,
    search_runs,
)

NAMES = ["credit", "Credit-2", "churn", "fraud_a", "fraud%a", "last"]


@pytest.fixture
def several(database, actor):
    """Six experiments, of which the last is deleted; made at 1, 1, 2, 2, 3, 3."""
    with database.write() as tx:
        for n, name in enumerate(NAMES):
            tags = {"team": "risk" if n % 2 else "Ops"} if n < 4 else {}
            made = actions.create_experiment(tx, actor, name, tags=tags)
            when = {"created_at": n // 2 + 1, "updated_at": 10 - n}
            table = records.experiments
            tx.execute(table.update().where(table.c.id == int(made.id)).values(when))
        actions.delete_experiment(tx, actor, str(len(NAMES)))
        # The default one is not to be among them.
        tx.execute(records.experiments.delete().where(records.experiments.c.id == 0))
    return NAMES


@pytest.fixture
def find(database, actor, several):
    def finding(**asked):
        with database.read() as tx:
            return search_experiments.find_experiments(tx, actor, **asked)

    return finding


def names(page):
    return [one.experiment.name for one in page.experiments]


def test_the_newest_come_first_and_then_by_id(find):
    assert names(find()) == ["fraud%a", "churn", "fraud_a", "credit", "Credit-2"]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("name = 'credit'", {"credit"}),
        ("name != 'credit'", {"Credit-2", "churn", "fraud_a", "fraud%a"}),
        ("name LIKE 'c%'", {"credit", "churn"}),
        ("name ILIKE 'C%'", {"credit", "Credit-2", "churn"}),
        ("attribute.name LIKE 'fraud_a'", {"fraud_a", "fraud%a"}),
        ("tags.team = 'risk'", {"Credit-2", "fraud_a"}),
        ("tags.team != 'risk'", {"credit", "churn"}),
        ("tags.team LIKE 'o%'", set()),
        ("tag.team ILIKE 'o%'", {"credit", "churn"}),
        ("tags.team IS NULL", {"fraud%a"}),
        ("tags.team IS NOT NULL AND name ILIKE 'c%'", {"credit", "Credit-2", "churn"}),
        ("creation_time >= 2 AND creation_time < 3", {"churn", "fraud_a"}),
        ("last_update_time = '9'", {"Credit-2"}),
        ("experiment_id = '1'", {"credit"}),
        ("experiment_id IN ('1', '2', '77777777777777777777')", {"credit", "Credit-2"}),
        ("experiment_id NOT IN ('1', '2', '3')", {"fraud_a", "fraud%a"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-",
)
def test_a_filter_chooses(find, condition, found):
    assert set(names(find(condition=condition))) == found


@pytest.mark.parametrize(
    ("stages", "n"), [(search.ACTIVE, 5), (search.DELETED, 1), (search.ANY_STAGE, 6)]
)
def test_stages_are_chosen(find, stages, n):
    assert len(find(stages=stages).experiments) == n


@pytest.mark.parametrize(
    "order",
    [
        [],
        ["name"],
        ["name DESC"],
        ["creation_time ASC"],
        ["creation_time DESC", "name ASC"],
        ["last_update_time"],
        ["experiment_id desc"],
    ],
    ids=str,
)
def test_pages_follow_each_other_in_every_order(find, order):
    whole = find(order=order, stages=search.ANY_STAGE)
    assert whole.next == ""
    for limit in (1, 2, 3, 6):
        seen, after = [], ""
        for _ in range(len(NAMES)):
            page = find(order=order, stages=search.ANY_STAGE, limit=limit, after=after)
            seen.extend(names(page))
            after = page.next
            if not after:
                break
        assert seen == names(whole)


def test_ties_of_a_chosen_order_end_with_the_largest_id(find):
    assert names(find(order=["creation_time"]))[:4] == [
        "Credit-2",
        "credit",
        "fraud_a",
        "churn",
    ]


def test_tags_come_along(find):
    page = find(condition="name = 'churn'")
    assert [(tag.key, tag.value) for tag in page.experiments[0].tags] == [("team", "Ops")]


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": 0},
        {"limit": 50_001},
        {"after": "x"},
        {"condition": "experiment_id = 'x'"},
        {"condition": "metrics.a > 1"},
        {"order": ["tags.team"]},
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused(find, asked):
    with pytest.raises(errors.InvalidInputError):
        find(**asked)


def test_a_token_belongs_to_its_search(find):
    token = find(limit=2).next
    assert names(find(limit=1, after=token)) == ["fraud_a"]
    for other in (
        {"condition": "name != 'x'"},
        {"order": ["name"]},
        {"stages": search.DELETED},
    ):
        with pytest.raises(errors.InvalidInputError, match="Invalid page token"):
            find(after=token, **other)


HARMFUL = [
    "'; DROP TABLE runs; --",
    "' OR 1=1 --",
    ":project",
    "%(project)s",
    "%s",
    "?",
    "$1",
    "\\",
]


@pytest.mark.parametrize("text", HARMFUL)
@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_harmful_text_is_a_value_like_any_other(database, actor, text, quote):
    if quote in text:
        quote = '"'
    with database.write() as tx:
        run = actions.create_run(tx, actor)
        actions.set_tags(tx, actor, run.id, values={"a": text})
        actions.log_params(tx, actor, run.id, values={"a": text})
    found = {"a": ([run.id], ""), text: ([], "")}
    keys, subjects, signs = (list(found), ("tags", "params"), ("=", "LIKE", "ILIKE"))
    for key, subject, sign in itertools.product(keys, subjects, signs):
        condition = f"{subject}.`{key}` {sign} {quote}{text}{quote}"
        asked = {"condition": condition, "order": [f"{subject}.`{key}` DESC"]}
        with database.read() as tx:
            asked["experiment_ids"] = [run.experiment_id]
            assert search_runs.find_runs(tx, actor, **asked) == found[key]


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": 0},
        {"limit": 50_001},
        {"after": "eyJvZmZzZXQiOiAxfQ=="},
        {"condition": "metrics.a > 'x'"},
        {"order": ["metrics.a; DROP TABLE runs"]},
        {"experiment_ids": ["0; DROP TABLE runs"]},
        {"experiment_ids": [""]},
    ],
    ids=str,
)
def test_a_search_for_runs_that_cannot_be_is_refused(database, actor, asked):
    with database.read() as tx, pytest.raises(errors.InvalidInputError):
        search_runs.find_runs(tx, actor, **{"experiment_ids": ["0"], **asked})


def test_no_experiment_named_means_no_run_found(database, actor):
    with database.write() as tx:
        actions.create_run(tx, actor)
    with database.read() as tx:
        assert search_runs.find_runs(tx, actor, experiment_ids=[]) == ([], "")
        assert search_runs.find_runs(tx, actor, experiment_ids=["7", "9" * 30]) == ([], "")
