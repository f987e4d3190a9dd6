"""Where a run came from: git, and what is installed."""

from __future__ import annotations

import subprocess

import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.tracking import entities, filters, origin


@pytest.fixture
def repository(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=ada", "-c", "user.email=ada@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True)

    git("init", "-q")
    (tmp_path / "pipeline.py").write_text("x = 1\n")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_project_is_its_commit(repository):
    found = origin.of_project(str(repository))
    assert len(found.commit) == 40
    assert found.dirty == ""


def test_what_is_not_committed_has_a_digest_of_its_own(repository):
    seen = {origin.of_project(str(repository)).dirty}
    for text in ("x = 2\n", "x = 33\n"):
        (repository / "pipeline.py").write_text(text)
        seen.add(origin.of_project(str(repository)).dirty)
    (repository / "new.py").write_text("y = 1\n")
    seen.add(origin.of_project(str(repository)).dirty)
    assert len(seen) == 4


def test_a_folder_outside_any_repository_has_no_commit(tmp_path):
    assert origin.of_project(str(tmp_path)) == origin.CodeState()


def test_the_environment_is_listed_with_versions():
    found = origin.environment()
    assert found.packages[0].startswith("python==3.")
    assert any(line.startswith("polars==") for line in found.packages)
    assert origin.environment() is found


@pytest.mark.parametrize(
    ("text", "key", "comparator", "value"),
    [
        ("metric.val/auc >= 0.8", "val/auc", ">=", 0.8),
        ("param.a.b = 3", "a.b", "=", "3"),
        ("tag.by != 'ada'", "by", "!=", "ada"),
    ],
)
def test_conditions_are_read_as_written(text, key, comparator, value):
    found = filters.parse(text)
    assert (found.key, found.comparator, found.value) == (key, comparator, value)


@pytest.mark.parametrize("text", ["", "auc > 1", "metric.auc ~ 1", "metric.auc > x"])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(errors.InvalidInputError):
        filters.parse(text)


@pytest.mark.parametrize("number", [0.0, -1.5, float("nan"), float("inf"), float("-inf")])
def test_a_point_keeps_any_float(number):
    assert repr(entities.Metric.of("a", number).number) == repr(number)
