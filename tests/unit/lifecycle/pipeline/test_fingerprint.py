"""What changes a step's key, and what does not."""

from __future__ import annotations

import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import fingerprint

FEATURES = '''
import dataclasses

CUT = 3
TABLE = {"a": 1}

def twice(x):
    """Double."""
    return helper(x) * 2

def helper(x: int) -> int:
    # adds the cut
    y: int = x + CUT
    return y

def other(x):
    return x

class Base:
    def value(self):
        return 1

class Scaler(Base):
    """Scales."""
    factor = 2

    def scale(self, x):
        return x * self.factor * self.value()

@dataclasses.dataclass
class Config:
    rate: float = 0.1

CONFIG = Config()

def make(n):
    def inner(x):
        return x + n
    return inner

ADD = make(1)
'''
PIPELINE = """
import features
from features import Scaler, CONFIG

def unused():
    return 0

@hs.step
def work(x):
    return features.twice(x) + Scaler().scale(x) + CONFIG.rate + features.ADD(x)

@hs.pipeline
def main(x):
    return work(x)
"""


def digest_of(project, *, features=FEATURES, pipeline=PIPELINE):
    project.write(features, name="features")
    project.write(pipeline)
    main = project.load()
    return fingerprint.reached(main.function.__globals__["work"].function).digest


CHANGES = {
    "helper of a helper": ("x + CUT", "x - CUT"),
    "constant": ("CUT = 3", "CUT = 4"),
    "method": ("x * self.factor", "x / self.factor"),
    "class attribute": ("factor = 2", "factor = 3"),
    "method of a base class": ("return 1", "return 2"),
    "field of a constant's class": ("rate: float = 0.1", "rate: float = 0.2"),
    "closure value": ("make(1)", "make(2)"),
    "code of a closure": ("return x + n", "return x - n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_in_what_is_reached_changes_the_digest(project, change):
    before = digest_of(project)
    assert digest_of(project, features=FEATURES.replace(*change)) != before


NO_CHANGES = {
    "docstring": ('"""Double."""', '"""Times two."""'),
    "class docstring": ('"""Scales."""', '"""Stretches."""'),
    "comment": ("# adds the cut", "# adds"),
    "annotation of a parameter": ("x: int) -> int", "x: float) -> float"),
    "annotation of a variable": ("y: int = ", "y = "),
    "layout": ("CUT = 3", "\n\n\nCUT = (3)"),
    "function that is not reached": (
        "def other(x):\n    return x",
        "def other(x):\n    return -x",
    ),
    "constant that is not reached": ('{"a": 1}', '{"a": 2}'),
    "constant written otherwise": ("CUT = 3", "CUT = 1 + 2"),
}


@pytest.mark.parametrize("change", NO_CHANGES.values(), ids=NO_CHANGES.keys())
def test_what_does_not_change_the_result_does_not_change_the_digest(project, change):
    before = digest_of(project)
    assert change[0] in FEATURES
    assert digest_of(project, features=FEATURES.replace(*change)) == before


def test_limits_of_a_step_do_not_change_its_digest(project):
    before = digest_of(project)
    changed = PIPELINE.replace("@hs.step", "@hs.step(retries=2, timeout_s=5)")
    assert digest_of(project, pipeline=changed) == before


def test_an_attribute_named_like_a_function_of_the_file_is_not_that_function(project):
    text = """
    def fit(x): return {}
    @hs.step
    def work(model): return model.fit(1)
    @hs.pipeline
    def main(model): return work(model)
    """
    found = []
    for body in ("1", "2"):
        project.write(text.format(body))
        main = project.load()
        found.append(fingerprint.reached(main.function.__globals__["work"].function).digest)
    assert found[0] == found[1]


def test_packages_count_by_version(project):
    project.write(
        """
        import polars as pl
        @hs.step
        def work(x): return pl.DataFrame({"x": [x]})
        @hs.pipeline
        def main(x): return work(x)
        """
    )
    main = project.load()
    parts = fingerprint.reached(main.function.__globals__["work"].function).parts
    assert [part.name.split()[0] for part in parts if part.kind == "package"] == ["polars"]


def test_a_constant_replaced_while_the_process_runs_is_noticed(project):
    digest_of(project)
    main = project.load()
    work = main.function.__globals__["work"].function
    features = main.function.__globals__["features"]
    before = fingerprint.reached(work).digest
    features.CUT = 9
    assert fingerprint.reached(work).digest != before


def test_a_list_changed_in_place_is_noticed(project):
    project.write(
        """
        WORDS = ["a"]
        @hs.step
        def work(x): return WORDS
        @hs.pipeline
        def main(x): return work(x)
        """
    )
    main = project.load()
    work = main.function.__globals__["work"].function
    before = fingerprint.reached(work).digest
    main.function.__globals__["WORDS"].append("b")
    assert fingerprint.reached(work).digest != before


def test_code_edited_after_the_import_does_not_count_until_it_is_imported(project):
    digest_of(project)
    main = project.load()
    work = main.function.__globals__["work"].function
    project.write(FEATURES.replace("x + CUT", "x * CUT"), name="features")
    stale = fingerprint.reached(work).digest
    fresh = fingerprint.reached(project.load().function.__globals__["work"].function).digest
    assert stale != fresh


def test_a_module_used_whole_counts_whole(project):
    pipeline = PIPELINE.replace("features.ADD(x)", "getattr(features, 'ADD')(x)")
    before = digest_of(project, pipeline=pipeline)
    after = digest_of(
        project,
        pipeline=pipeline,
        features=FEATURES.replace("    return x\n", "    return -x\n"),
    )
    assert before != after


def test_functions_that_call_each_other_end(project):
    project.write(
        """
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        @hs.step
        def work(x): return even(x)
        @hs.pipeline
        def main(x): return work(x)
        """
    )
    assert project.run(parameters={"x": 4}).result is True


def test_a_global_without_content_is_refused_in_one_sentence(project):
    project.write(
        """
        import threading
        LOCK = threading.Lock()
        @hs.step
        def work(x):
            with LOCK:
                return x
        @hs.pipeline
        def main(x): return work(x)
        """
    )
    with pytest.raises(errors.InvalidInputError, match=r"LOCK.*no content digest") as caught:
        project.run(parameters={"x": 4})
    assert "cache=False" in caught.value.hint
