"""A policy promises only what later subjects can do."""

from __future__ import annotations

import pytest

from homeostat.lifecycle.evaluation.entities import CLASS_METRICS, METRICS, NUMBER_METRICS
from homeostat.lifecycle.policy import entities, spans


def test_the_metrics_of_a_policy_are_those_that_are_measured():
    assert set(entities.CLASSIFICATION_METRICS) == {*METRICS, *CLASS_METRICS}
    assert entities.REGRESSION_METRICS == NUMBER_METRICS


@pytest.mark.parametrize(
    ("text", "rows", "seconds"),
    [
        ("200 rows", 200, None),
        ("1 row", 1, None),
        ("1h", None, 3600),
        ("1.5 m", None, 90),
        ("30d", None, 2_592_000),
        ("2w", None, 1_209_600),
        ("0s", None, 0),
    ],
)
def test_spans_are_read(text, rows, seconds):
    assert spans.parse(text) == spans.Span(rows=rows, seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "1 hour", "-1h", "1.5 rows", "1h 2m"])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(ValueError, match="is not a span"):
        spans.parse(text)


def test_names_with_signs_name_a_function():
    model = entities.Model(name="credit-v.2", target="y")
    assert model.pipeline == "pipeline:credit_v_2"
