"""The language of filters and orders: what it reads, and what it refuses in which words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.foundation import errors
from homeostat.lifecycle.tracking import language, search_experiments, search_runs

RUNS = search_runs.FIELDS
EXPERIMENTS = search_experiments.FIELDS


def read(text, fields=RUNS):
    return [(c.subject, c.key, c.comparator, c.value) for c in language.parse(text, fields)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.a > 1", ("metric", "a", ">", 1)),
        ("metric.a>=-1.5e-3", ("metric", "a", ">=", -0.0015)),
        ("metrics.a != .5", ("metric", "a", "!=", 0.5)),
        ("params.a = 'x'", ("param", "a", "=", "x")),
        ('parameter.a = "x"', ("param", "a", "=", "x")),
        ("param.a = ''", ("param", "a", "=", "")),
        ("parameters.a like 'X%'", ("param", "a", "LIKE", "X%")),
        ("tags.a ilike 'x%'", ("tag", "a", "ILIKE", "x%")),
        ("tag.mlflow.source.name = 'a'", ("tag", "mlflow.source.name", "=", "a")),
        ("tags.`a b` IS NULL", ("tag", "a b", "IS NULL", None)),
        ("tags.'a b' = 'x'", ("tag", "a b", "=", "x")),
        ("attributes.'run name' = 'x'", ("attribute", "run_name", "=", "x")),
        ('params."a.b" is not null', ("param", "a.b", "IS NOT NULL", None)),
        ("`metrics`.`a/b` < 2", ("metric", "a/b", "<", 2)),
        ("metrics.select < 2", ("metric", "select", "<", 2)),
        ("params.größe = 'ä'", ("param", "größe", "=", "ä")),
        ("params.a = 'it''s'", ("param", "a", "=", "it''s")),
        ('params.a = "it\'s"', ("param", "a", "=", "it's")),
        ("params.a = 'x AND y = 1'", ("param", "a", "=", "x AND y = 1")),
        ("status = 'RUNNING'", ("attribute", "status", "=", "RUNNING")),
        ("attr.created > 5", ("attribute", "start_time", ">", 5)),
        ("run.`Run name` = 'x'", ("attribute", "run_name", "=", "x")),
        ("\"run name\" = 'x'", ("attribute", "run_name", "=", "x")),
        ("run_id in ('a', \"b\")", ("attribute", "run_id", "IN", ("a", "b"))),
        ("run_id NOT IN ('a')", ("attribute", "run_id", "NOT IN", ("a",))),
        ("datasets.name IN ('a')", ("dataset", "name", "IN", ("a",))),
        ("dataset.context LIKE 'tr%'", ("dataset", "context", "LIKE", "tr%")),
    ],
    ids=str,
)
def test_a_comparison_is_read(text, expected):
    assert read(text) == [expected]


def test_comparisons_are_joined_by_and_in_any_letters():
    found = read("metrics.a > 1 AND params.b = 'and' and tags.c IS NULL And run_id = 'x'")
    assert [key for _, key, _, _ in found] == ["a", "b", "c", "run_id"]


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_nothing_is_no_condition(text):
    assert read(text) == []


REFUSED = {
    "metrics.a": "Invalid clause(s) in filter string",
    "metrics.a > 1 AND": "Invalid clause(s) in filter string",
    "AND metrics.a > 1": "Invalid clause(s) in filter string",
    "metrics.a > 1 OR metrics.a < 0": "Invalid clause(s) in filter string: 'OR'",
    "(metrics.a > 1)": "Invalid clause(s) in filter string",
    "metrics.a > 1 metrics.b > 2": "Invalid clause(s) in filter string",
    "metrics.a > 1 -- x": "Invalid clause(s) in filter string",
    "metrics.a > 1, metrics.b > 2": "Invalid clause(s) in filter string",
    "params.a = 'x": "Invalid clause(s) in filter string",
    "metrics.a between 1 and 2": "Invalid clause(s) in filter string",
    "metrics.a > 1; metrics.b > 2": "Search filter contained multiple expression",
    "1 = metrics.a": "Expected 'Identifier' found '1'",
    "metrics.a = 'x'": "Expected numeric value type for metric. Found 'x'",
    "metrics.a > nan": "Expected numeric value type for metric. Found nan",
    "metrics.a < 0x10": "Invalid clause(s) in filter string: '0x10'",
    "metrics.a IN (1)": "got different type in list",
    "metrics.a == 1": "Invalid comparator '=='",
    "metrics.a <> 1": "Invalid comparator '<>'",
    "metrics.a IS NULL": "IS NULL / IS NOT NULL is only supported for tags and params",
    "params.a = b": "Parameter value is either not quoted or unidentified quote types",
    "tags. = 'x'": "names no key behind its dot",
    "params.a = `b`": "Parameter value is either not quoted or unidentified quote types",
    "params.a = 1": "Expected a quoted string value for parameter (e.g. 'my-value')",
    "tags.a = 1": "Expected a quoted string value for tag (e.g. 'my-value')",
    "params.a > '1'": "Invalid comparator '>'",
    "params.a NOT LIKE '1'": "Invalid comparator 'NOT LIKE'",
    "params.a IN ('1')": "Expected a quoted string value for parameter",
    "status = 1": "Expected a quoted string value for attributes",
    "status IN ('RUNNING')": "Only ['run_id'] attributes support comparison with a list",
    "run_id IN ()": "expected a non-empty list of string values, but got empty list",
    "run_id IN (1)": "got different type in list",
    "run_id IN ('a' 'b')": "got ill-formed list",
    "run_id IN ('a'": "ill-formed list",
    "run_id IN 'a'": "followed by a list",
    "run_id = ('a')": "followed by one value",
    "start_time = '1'": "Expected numeric value type for numeric attribute: start_time",
    "lifecycle_stage = 'active'": "Invalid attribute key 'lifecycle_stage'",
    "experiment_id = '1'": "Invalid attribute key 'experiment_id'",
    "foo = 'x'": "Invalid attribute key 'foo' specified. Valid keys are",
    "blah.a = 1": "Invalid entity type 'blah'",
    "Metrics.a > 1": "Invalid entity type 'Metrics'",
    "datasets.uri = 'x'": "Invalid dataset key 'uri' specified",
    "params.a = 'x\0'": "a NUL character stands in",
    "params.a = '\ud800'": "no valid Unicode",
    " AND ".join(["metrics.a > 1"] * 101): "at most 100 conditions",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:40])
def test_what_is_not_in_the_grammar_is_refused_with_a_sentence(text):
    with pytest.raises(errors.InvalidInputError) as refused:
        language.parse(text, RUNS)
    assert REFUSED[text] in refused.value.message
    assert len(refused.value.message) < 500


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.a", ("metric", "a", True)),
        ("metrics.a DESC", ("metric", "a", False)),
        ("params.`a b` asc", ("param", "a b", True)),
        ('tags."x y"  desc', ("tag", "x y", False)),
        ("attribute.start_time DESC", ("attribute", "start_time", False)),
        ("Created", ("attribute", "start_time", True)),
        ("run_name", ("attribute", "run_name", True)),
    ],
)
def test_an_order_is_read(text, expected):
    (found,) = language.order([text], RUNS)
    assert (found.subject, found.key, found.ascending) == expected


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["metrics.a ACS"], "Invalid ordering key in order_by clause"),
        (["metrics.a DESC NULLS LAST"], "Could not be parsed"),
        (["`a"], "Could not be parsed"),
        ([""], "Could not be parsed"),
        (["metrics.a; DROP TABLE runs"], "Could not be parsed"),
        (["foo"], "Invalid attribute key 'foo'"),
        (["blah.a"], "Invalid entity type 'blah'"),
        (["datasets.name"], "Invalid order_by entity: dataset"),
        (["metrics.a", "metrics.a DESC"], "`order_by` contains duplicate fields"),
        ([f"metrics.m{n}" for n in range(21)], "at most 20 clauses"),
    ],
)
def test_an_order_that_cannot_be_is_refused(texts, sentence):
    with pytest.raises(errors.InvalidInputError, match=None) as refused:
        language.order(texts, RUNS)
    assert sentence in refused.value.message


def test_other_things_are_searched_by_fields_of_their_own():
    assert read("creation_time > '5'", EXPERIMENTS) == [("attribute", "creation_time", ">", 5)]
    found = read("experiment_id IN ('1', '2') AND tags.a IS NULL", EXPERIMENTS)
    assert [key for _, key, _, _ in found] == ["experiment_id", "a"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("metrics.a > 1", "Invalid entity type 'metric'"),
        ("datasets.name = 'a'", "Invalid entity type 'dataset'"),
        ("name IN ('a')", "Only ['experiment_id'] attributes support comparison with a list"),
        ("creation_time > 1.5", "Invalid value for numeric attribute 'creation_time'"),
        ("creation_time > 'soon'", "Invalid value for numeric attribute 'creation_time'"),
        ("experiment_id LIKE '1%'", "Invalid comparator 'LIKE'"),
        ("name IS NULL", "IS NULL / IS NOT NULL is only supported"),
    ],
)
def test_what_experiments_are_not_searched_by_is_refused(text, sentence):
    with pytest.raises(errors.InvalidInputError) as refused:
        language.parse(text, EXPERIMENTS)
    assert sentence in refused.value.message


pieces = st.sampled_from(
    [
        "metrics",
        ".",
        "a",
        "`",
        '"',
        "'",
        "=",
        ">",
        "(",
        ")",
        ",",
        " ",
        "AND",
        "IN",
        "NOT",
        "IS",
        "NULL",
        "LIKE",
        "1",
        "-",
        "\\",
        ";",
        "--",
        "run_id",
        "\x00",
        "é",
    ]
)


@given(st.one_of(st.text(), st.lists(pieces, max_size=20).map("".join)))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(errors.InvalidInputError):
        language.parse(text, RUNS)
    with contextlib.suppress(errors.InvalidInputError):
        language.order([text], RUNS)


@given(key=st.text(min_size=1), value=st.text())
def test_every_key_and_value_that_can_be_quoted_comes_back(key, value):
    marked = f"`{key}`" if "`" not in key else f'"{key}"'
    quote = "'" if "'" not in value else '"'
    can_be = ("`" not in key or '"' not in key) and not ("'" in value and '"' in value)
    if can_be and "\0" not in key + value and not value.endswith("\\"):
        found = read(f"params.{marked} = {quote}{value}{quote}")
        assert found == [("param", key, "=", value)]
