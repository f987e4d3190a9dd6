"""Addresses of artifacts, and names that are made up."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.foundation import errors
from homeostat.lifecycle.tracking import limits, names, places


@pytest.mark.parametrize(
    ("root", "run", "model"),
    [
        ("", "mlflow-artifacts:/7/r/artifacts", "mlflow-artifacts:/7/models/m/artifacts"),
        ("s3://b/a", "s3://b/a/r/artifacts", "s3://b/a/models/m/artifacts"),
        ("s3://b/a/", "s3://b/a/r/artifacts", "s3://b/a/models/m/artifacts"),
        ("/", "/r/artifacts", "/models/m/artifacts"),
    ],
)
def test_artifacts_lie_below_their_experiment(root, run, model):
    assert places.of_run(root, "7", "r") == run
    assert places.of_logged_model(root, "7", "m") == model


@pytest.mark.parametrize(
    "location", ["s3://b/a", "/abs/x", "file:///x", "mlflow-artifacts:/foo"]
)
def test_a_location_with_a_scheme_or_an_absolute_path_is_taken(location):
    assert places.check(location) == location


@given(st.integers(0, 3), st.sampled_from(["..", "a/..", "..\\x", "\0"]))
def test_a_location_never_leaves_its_folder_however_it_is_encoded(times, part):
    for _ in range(times):
        part = quote(part, safe="").replace(".", "%2E")
    with pytest.raises(errors.InvalidInputError):
        places.check(f"s3://bucket/{part}/x")


def test_a_location_that_is_encoded_without_end_is_refused():
    with pytest.raises(errors.InvalidInputError, match="percent-encoded more than"):
        places.check("s3://bucket/%" + "25" * 20 + "2e")


@pytest.mark.parametrize("location", ["http://[", "s3://b/a;x=1", "a", "https://h/x"])
def test_what_is_no_address_is_refused(location):
    with pytest.raises(errors.InvalidInputError, match="artifact_location"):
        places.check(location)


def test_made_up_names_are_an_adjective_a_noun_and_a_number():
    made = {names.new_name() for _ in range(200)}
    assert len(made) > 190
    assert all(re.fullmatch(r"[a-z]+-[a-z]+-\d{1,3}", name) for name in made)


@given(st.text(max_size=300))
def test_a_key_that_is_taken_is_a_plain_path_and_stays_itself(key):
    with contextlib.suppress(errors.InvalidInputError):
        limits.check_key("metric", key)
        assert 1 <= len(key) <= limits.LONGEST_KEY
        assert re.fullmatch(r"[/\w.\- :]+", key)
        assert not {"", ".", ".."} & set(key.split("/"))


def test_a_place_is_named_where_it_is_known():
    with pytest.raises(errors.InvalidInputError, match=r"parameter 'metrics\[0\]\.name'"):
        limits.check_key("metric", "a%", place="metrics[0].name")
    with pytest.raises(
        errors.InvalidInputError, match="'Param key' exceeds the maximum length"
    ):
        limits.check_key("parameter", "k" * 251)
    with pytest.raises(errors.InvalidInputError, match=r"^'tags\[1\]\.key' exceeds"):
        limits.check_key("tag", "k" * 251, place="tags[1].key")


def test_long_values_are_cut_as_mlflow_cuts_them():
    assert len(limits.cut_param("x" * 9000)) == 6000
    assert len(limits.cut_tag("x" * 9000)) == 8000
    assert limits.cut_param("short") == limits.cut_tag("short") == "short"


@pytest.mark.parametrize("model_id", ["", "../m", "m" * 300, "m 1", "-m"])
def test_what_is_no_id_of_a_logged_model_is_refused(model_id):
    with pytest.raises(errors.InvalidInputError, match="parameter 'model_id'"):
        limits.check_model_id(model_id)
