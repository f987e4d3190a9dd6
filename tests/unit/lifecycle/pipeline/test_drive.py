"""Runs of pipelines: what is cached, what is not, and what is said about it."""

from __future__ import annotations

import shutil
import threading
from concurrent import futures

import numpy as np
import polars as pl
import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import cache, drive, sources

CHAIN = """
import pathlib
import polars as pl

LOG = {log!r}

def note(text):
    with open(LOG, "a") as file:
        file.write(text + "\\n")

@hs.step
def prepare(rows: pl.DataFrame) -> pl.DataFrame:
    note("prepare")
    return rows.filter(pl.col("a") > 0)

@hs.step
def total(rows, scale: float = 1.0):
    note("total")
    return rows["a"].sum() * scale

@hs.pipeline
def main(rows, scale: float = 1.0):
    return total(prepare(rows), scale=scale)
"""
ROWS = pl.DataFrame({"a": [0, 1, 2]})


@pytest.fixture
def chain(project, tmp_path):
    log = tmp_path / "log"
    log.touch()
    project.write(CHAIN.format(log=str(log)))
    project.calls = lambda: log.read_text().split()
    return project


def states(outcome):
    return [(step.name, step.status) for step in outcome.steps]


def test_a_second_run_repeats_nothing(chain):
    first = chain.run(inputs={"rows": ROWS})
    second = chain.run(inputs={"rows": ROWS.clone()})
    assert first.result == second.result == 3
    assert states(second) == [("prepare", "hit"), ("total", "hit")]
    assert chain.calls() == ["prepare", "total"]
    assert {step.made_by for step in second.steps} == {first.run_id}


def test_another_parameter_repeats_only_what_takes_it(chain):
    chain.run(inputs={"rows": ROWS})
    outcome = chain.run(inputs={"rows": ROWS}, parameters={"scale": "2"})
    assert outcome.result == 6
    assert states(outcome) == [("prepare", "hit"), ("total", "ran")]
    assert outcome.steps[1].reason == "parameter scale 1.0 -> 2.0"


def test_an_equal_result_of_changed_code_is_not_worked_on_again(chain):
    chain.run(inputs={"rows": ROWS})
    text = (chain.folder / "pipeline.py").read_text()
    (chain.folder / "pipeline.py").write_text(text.replace("> 0)", ">= 1)"))
    outcome = chain.run(inputs={"rows": ROWS})
    assert states(outcome) == [("prepare", "ran"), ("total", "hit")]
    assert outcome.steps[0].reason == "function pipeline.prepare changed"


def test_other_data_says_so(chain):
    chain.run(inputs={"rows": ROWS})
    outcome = chain.run(inputs={"rows": ROWS.head(2)})
    assert [step.reason for step in outcome.steps] == ["input rows changed"] * 2


def test_a_chain_of_hits_reads_only_the_index(chain):
    chain.run(inputs={"rows": ROWS})

    def read():
        raise AssertionError("nobody needs the rows")

    known = sources.Source("snapshot:1", "ab" * 32, lambda: ROWS)
    chain.run(inputs={"rows": known})
    outcome = chain.run(inputs={"rows": sources.Source("snapshot:1", "ab" * 32, read)})
    assert outcome.result == 3


def test_a_lost_value_is_computed_again(chain):
    big = pl.DataFrame({"a": np.arange(20_000)})
    chain.run(inputs={"rows": big})
    shutil.rmtree(chain.cache.folder / "objects")
    (chain.cache.folder / "objects").mkdir()
    outcome = chain.run(inputs={"rows": big}, parameters={"scale": 2})
    assert outcome.result == big["a"].sum() * 2
    assert chain.calls() == ["prepare", "total", "prepare", "total"]


def test_a_value_somebody_else_wrote_is_not_read(chain, tmp_path):
    big = pl.DataFrame({"a": np.arange(20_000)})
    chain.run(inputs={"rows": big})
    other = cache.Cache(tmp_path / "foreign")
    shutil.copyfile(other.folder / "key", chain.cache.folder / "key")
    stranger = cache.Cache(chain.cache.folder)
    outcome = drive.run(
        chain.load(), inputs={"rows": big}, parameters={"scale": 2}, cache=stranger
    )
    assert outcome.result == big["a"].sum() * 2
    assert chain.calls() == ["prepare", "total", "prepare", "total"]
    other.close()
    stranger.close()


def test_the_pipeline_may_look_at_what_a_step_returned(project):
    project.write(
        """
        import polars as pl
        @hs.step
        def split(rows): return rows.head(2), {"rest": rows.tail(1), "n": 2}
        @hs.step
        def count(rows): return len(rows)
        @hs.pipeline
        def main(rows):
            head, more = split(rows)
            assert isinstance(head, pl.DataFrame)
            assert more["n"] == 2
            both = pl.concat([head, more["rest"]])
            return count(both) + len(head) + head["a"].sum()
        """
    )
    for _ in range(2):
        outcome = project.run(inputs={"rows": ROWS})
        assert outcome.result == 3 + 2 + 1
    assert states(outcome) == [("split", "hit"), ("count", "hit")]


@pytest.mark.parametrize(
    "value",
    [1, 2**70, "text", None, [1, "a"], {"a": (1, 2.5)}, np.arange(3), {1, 2}, b"bytes"],
    ids=repr,
)
def test_results_come_back_as_they_were(project, value):
    project.write(
        """
        @hs.step
        def same(value): return value
        @hs.pipeline
        def main(value): return same(value)
        """
    )
    for _ in range(2):
        back = project.run(inputs={"value": value}).result
        assert type(back) is type(value)
        assert np.all(back == value)


def test_an_estimator_comes_back_and_predicts_the_same(project):
    project.write(
        """
        from sklearn.linear_model import LogisticRegression
        @hs.step
        def fit(rows): return LogisticRegression(C=0.5).fit(rows, [0, 0, 1])
        @hs.pipeline
        def main(rows): return fit(rows)
        """
    )
    rows = np.array([[0.0], [1.0], [2.0]])
    first, second = (project.run(inputs={"rows": rows}) for _ in range(2))
    assert states(second) == [("fit", "hit")]
    assert np.array_equal(first.result.predict_proba(rows), second.result.predict_proba(rows))


FAILS_ONCE = """
import pathlib
FLAG = {flag!r}
@hs.step
def before(x): return x + 1
@hs.step({options})
def fragile(x):
    flag = pathlib.Path(FLAG)
    if not flag.exists():
        flag.touch()
        raise ValueError("no luck")
    return x
@hs.pipeline
def main(x): return fragile(before(x))
"""


def test_a_failed_step_is_not_cached_and_what_finished_is_kept(project, tmp_path):
    project.write(FAILS_ONCE.format(flag=str(tmp_path / "flag"), options=""))
    with pytest.raises(errors.UserCodeError) as caught:
        project.run(parameters={"x": 1})
    assert "step 'fragile' failed at pipeline.py:12: ValueError: no luck" in str(caught.value)
    assert caught.value.facts["line"] == 12
    outcome = project.run(parameters={"x": 1})
    assert states(outcome) == [("before", "hit"), ("fragile", "ran")]


def test_a_step_is_tried_again(project, tmp_path):
    options = "retries=1, backoff_s=0"
    project.write(FAILS_ONCE.format(flag=str(tmp_path / "flag"), options=options))
    outcome = project.run(parameters={"x": 1})
    assert outcome.steps[1].attempts == 2


def test_a_step_that_is_never_cached_runs_each_time(project):
    project.write(
        """
        @hs.step(cache=False)
        def now(): return 1
        @hs.pipeline
        def main(): return now()
        """
    )
    for _ in range(2):
        assert states(project.run()) == [("now", "ran")]


def test_a_failing_pipeline_function_says_where(project):
    project.write("@hs.pipeline\ndef main(): return 1 / 0")
    with pytest.raises(errors.UserCodeError, match=r"pipeline 'main' failed at pipeline.py:3"):
        project.run()


@pytest.mark.parametrize("place", ["step", "pipeline"])
def test_user_code_that_exits_fails_its_run_only(project, place):
    names = {"step": ("work()", "exit(3)"), "pipeline": ("exit(3)", "1")}
    body, work = names[place]
    project.write(
        f"""
        from sys import exit
        @hs.step
        def work(): return {work}
        @hs.pipeline
        def main(): return {body}
        """
    )
    with pytest.raises(errors.UserCodeError, match=rf"^{place} .* SystemExit: 3"):
        project.run()


def test_an_argument_without_content_is_refused(project):
    project.write(
        """
        import threading
        @hs.step
        def work(lock): return 1
        @hs.pipeline
        def main(): return work(threading.Lock())
        """
    )
    said = "argument 'lock' of step 'work' cannot be cached"
    with pytest.raises(errors.InvalidInputError, match=said):
        project.run()


def test_a_step_that_changes_its_input_is_refused_where_it_would_matter(project):
    project.write(
        """
        import numpy as np
        @hs.step
        def make(): return np.zeros(2)
        @hs.step
        def spoil(values):
            values[0] = 1
            return 0
        @hs.step
        def use(values): return values.sum()
        @hs.pipeline
        def main():
            values = make()
            spoil(values)
            return use(values)
        """
    )
    with pytest.raises(errors.InvalidInputError, match="changed in place after step 'spoil'"):
        project.run()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"parameters": {"x": 1, "rat": 1}}, "has no parameter 'rat'"),
        ({}, "needs 'x'"),
        ({"parameters": {"x": "many"}}, r"main\(x=\) is a int; got 'many'"),
        ({"inputs": {"x": 1}, "parameters": {"x": 1}}, "both as input and as parameter"),
        ({"parameters": {"x": 1}, "executor": "cloud"}, "no executor 'cloud'"),
    ],
    ids=["unknown", "missing", "misfit", "twice", "executor"],
)
def test_what_does_not_fit_is_refused(project, options, said):
    project.write("@hs.pipeline\ndef main(x: int, rate: float = 0.1): return x")
    with pytest.raises(errors.InvalidInputError, match=said):
        project.run(**options)


def test_a_cancelled_run_stops(project):
    project.write(
        """
        @hs.step
        def work(x): return x
        @hs.pipeline
        def main(): return work(1)
        """
    )
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(errors.ConflictError, match="cancelled"):
        project.run(cancel=cancel)


def test_two_runs_on_one_key_compute_it_once(chain):
    pipeline = chain.load()

    def work(_):
        kept = cache.Cache(chain.cache.folder)
        outcome = drive.run(pipeline, inputs={"rows": ROWS}, parameters={}, cache=kept)
        kept.close()
        return outcome.result

    with futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [3] * 4
    assert sorted(chain.calls()) == ["prepare", "total"]


def test_outside_a_run_a_step_is_its_function(chain):
    pipeline = chain.load()
    assert pipeline(ROWS) == 3
    assert pipeline(ROWS) == 3
    assert chain.calls() == ["prepare", "total"] * 2


def test_a_step_called_by_a_step_is_its_function_too(project):
    project.write(
        """
        @hs.step
        def inner(x): return x + 1
        @hs.step
        def outer(x): return inner(x) * 2
        @hs.pipeline
        def main(x): return outer(x)
        """
    )
    outcome = project.run(parameters={"x": 1})
    assert outcome.result == 4
    assert states(outcome) == [("outer", "ran")]
    text = (project.folder / "pipeline.py").read_text()
    (project.folder / "pipeline.py").write_text(text.replace("x + 1", "x + 2"))
    assert project.run(parameters={"x": 1}).result == 6


def test_old_values_go_first_when_space_is_short(chain):
    for scale in range(3):
        chain.run(inputs={"rows": ROWS}, parameters={"scale": scale})
    assert chain.cache.prune(limit_bytes=10**9) == 0
    chain.cache.prune(limit_bytes=0)
    assert states(chain.run(inputs={"rows": ROWS}))[0] == ("prepare", "ran")
