"""Importing a user's file: fresh, and with a sentence for what is wrong."""

from __future__ import annotations

import os
import sys

import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import load

MAIN = """
import features
@hs.pipeline
def main(): return features.VALUE
"""


def test_an_edited_module_is_imported_again(project):
    project.write(MAIN)
    # The same size at the same time: file systems count in steps of up to seconds.
    for value in ("1", "2", "3"):
        project.write(f"VALUE = {value}", name="features")
        os.utime(project.folder / "features.py", ns=(5, 5))
        assert project.load()() == int(value)


def test_two_projects_with_the_same_names_do_not_mix(project, tmp_path):
    project.write(MAIN)
    project.write("VALUE = 1", name="features")
    other = tmp_path / "other"
    other.mkdir()
    (other / "pipeline.py").write_text((project.folder / "pipeline.py").read_text())
    (other / "features.py").write_text("VALUE = 2")
    assert project.load()() == 1
    assert load.pipeline("pipeline:main", other)() == 2
    assert project.load()() == 1


def test_an_unchanged_project_is_not_imported_twice(project):
    project.write(MAIN)
    project.write("VALUE = object()", name="features")
    assert project.load()() is project.load()()


def test_modules_in_packages_of_the_project_are_found(project):
    inner = project.folder / "steps"
    inner.mkdir()
    (inner / "__init__.py").write_text("")
    (inner / "first.py").write_text("VALUE = 5")
    project.write(
        """
        from steps.first import VALUE
        @hs.pipeline
        def main(): return VALUE
        """
    )
    assert project.load()() == 5


def test_a_missing_file_is_named(project):
    with pytest.raises(errors.NotFoundError, match=r"there is no .*/pipeline\.py"):
        project.load()


def test_a_missing_name_comes_with_the_nearest_one(project):
    project.write("@hs.pipeline\ndef credit(): return 1")
    with pytest.raises(errors.NotFoundError, match="has no 'credits'") as caught:
        project.load("credits")
    assert caught.value.hint == "did you mean 'credit'?"


def test_a_plain_function_is_no_pipeline(project):
    project.write("def main(): return 1")
    with pytest.raises(errors.InvalidInputError, match="is a function, not a pipeline"):
        project.load()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_package", r"pipeline\.py:2: ModuleNotFoundError"),
        ("x = 1 / 0", r"pipeline\.py:2: ZeroDivisionError"),
        ("def main(:", r"pipeline\.py:2: SyntaxError"),
        ("raise SystemExit(3)", r"pipeline\.py:2: SystemExit: 3"),
        ("import argparse; argparse.ArgumentParser().parse_args(['x'])", "SystemExit: 2"),
    ],
    ids=["missing package", "raises", "syntax", "exits", "reads its arguments"],
)
def test_a_failing_import_says_where(project, text, said):
    project.write(text)
    with pytest.raises(errors.UserCodeError, match=said):
        project.load()


def test_a_failed_import_is_tried_again(project):
    project.write("x = 1 / 0")
    with pytest.raises(errors.UserCodeError):
        project.load()
    project.write("@hs.pipeline\ndef main(): return 1")
    assert project.load()() == 1


@pytest.mark.parametrize("target", ["pipeline", "pipeline:", "../pipeline:main", "a b:c"])
def test_a_malformed_target_is_refused(project, target):
    with pytest.raises(errors.InvalidInputError, match="MODULE:FUNCTION"):
        load.pipeline(target, project.folder)


def test_a_file_named_like_an_installed_module_is_refused(project):
    project.write("@hs.pipeline\ndef main(): return 1", name="json")
    with pytest.raises(errors.InvalidInputError, match="name of an installed module"):
        load.pipeline("json:main", project.folder)
    assert "site" in sys.modules
