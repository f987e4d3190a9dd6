"""What every executor promises: results, costs, and that a failing step fails only itself."""

from __future__ import annotations

import contextlib
import os
import textwrap
import threading
import time

import numpy as np
import polars as pl
import psutil
import pytest

from homeostat.foundation import errors
from homeostat.lifecycle.pipeline import cache, drive, executors, load

HEAD = "import homeostat as hs\n"


@pytest.fixture(scope="module", autouse=True)
def _workers_end_with_the_tests():
    yield
    executors.processes().close()
    executors.processes.cache_clear()


@pytest.fixture(params=["inline", "processes"])
def executor(request):
    return request.param


@pytest.fixture
def run(tmp_path):
    """Return a function that writes a pipeline and runs it."""
    kept = cache.Cache(tmp_path / "cache")

    def running(text, executor, **options):
        (tmp_path / "pipeline.py").write_text(HEAD + textwrap.dedent(text))
        pipeline = load.pipeline("pipeline:main", tmp_path)
        given = {"inputs": {}, "parameters": {}, **options}
        return drive.run(pipeline, cache=kept, executor=executor, **given)

    yield running
    kept.close()


def test_values_come_and_go_unchanged(run, executor):
    text = """
    import dataclasses
    @dataclasses.dataclass
    class Box:
        content: object
    @hs.step
    def wrap(rows, values): return Box(rows.with_columns(b=values * 2))
    @hs.step
    def unwrap(box): return box.content
    @hs.pipeline
    def main(rows, values): return unwrap(wrap(rows, values))
    """
    rows = pl.DataFrame({"a": [1, 2]})
    inputs = {"rows": rows, "values": np.array([1, 2])}
    outcome = run(text, executor, inputs=inputs)
    assert outcome.result.equals(rows.with_columns(b=pl.Series([2, 4])))


def test_costs_are_told(run, executor):
    text = """
    @hs.step
    def work(): return sum(i * i for i in range(300_000))
    @hs.pipeline
    def main(): return work()
    """
    step = run(text, executor).steps[0]
    assert step.cpu_s > 0
    assert step.max_rss_bytes > 10_000_000


def test_an_exception_names_step_line_and_text(run, executor):
    text = """
    def inner(): raise KeyError("no such column: income")
    @hs.step
    def prepare(): return inner()
    @hs.pipeline
    def main(): return prepare()
    """
    said = r"step 'prepare' failed at pipeline.py:3: KeyError: 'no such column: income'"
    with pytest.raises(errors.UserCodeError, match=said):
        run(text, executor)


def test_a_step_that_hangs_is_stopped(run, executor):
    text = """
    import time
    @hs.step(timeout_s=0.3)
    def hang(): time.sleep(600)
    @hs.pipeline
    def main(): return hang()
    """
    with pytest.raises(errors.UserCodeError, match=r"'hang' did not finish within 0.3 s"):
        run(text, executor)


def test_what_a_hanging_step_started_is_stopped_too(run, executor, tmp_path):
    text = f"""
    import pathlib, subprocess, sys
    @hs.step(timeout_s=LIMIT)
    def hang():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
        child.wait()
    @hs.pipeline
    def main(): return hang()
    """
    for limit in ("1.5", "10", "60"):  # a busy machine may need more than the first
        with pytest.raises(errors.UserCodeError, match="stopped"):
            run(text.replace("LIMIT", limit), executor)
        if (tmp_path / "pid").exists():
            break
    pid = int((tmp_path / "pid").read_text())
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=60)


def test_a_run_has_a_limit_too(run, executor):
    text = """
    import time
    @hs.step
    def hang(): time.sleep(600)
    @hs.pipeline
    def main(): return hang()
    """
    with pytest.raises(errors.UserCodeError, match="did not finish within"):
        run(text, executor, timeout_s=0.5)


def test_a_run_can_be_cancelled_while_a_step_works(run, tmp_path):
    text = f"""
    import pathlib, time
    @hs.step
    def hang():
        pathlib.Path({str(tmp_path / "began")!r}).touch()
        time.sleep(600)
    @hs.pipeline
    def main(): return hang()
    """
    cancel = threading.Event()

    def watch():
        while not (tmp_path / "began").exists():
            time.sleep(0.01)
        cancel.set()

    watching = threading.Thread(target=watch)
    watching.start()
    with pytest.raises(errors.ConflictError, match="cancelled"):
        run(text, "processes", cancel=cancel)
    watching.join()


def test_a_step_that_crashes_its_process_fails_alone(run):
    text = """
    import ctypes
    @hs.step
    def fine(): return 1
    @hs.step
    def crash(x):
        ctypes.string_at(0)
    @hs.pipeline
    def main(bad): return crash(fine()) if bad else fine()
    """
    with pytest.raises(errors.UserCodeError, match=r"'crash' failed at pipeline.py:8.*SIGSEGV"):
        run(text, "processes", parameters={"bad": True})
    assert run(text, "processes", parameters={"bad": False}).steps[0].status == "hit"


def test_a_step_that_leaves_python_fails_alone(run):
    text = """
    import os
    @hs.step
    def leave(): os._exit(3)
    @hs.pipeline
    def main(): return leave()
    """
    with pytest.raises(errors.UserCodeError, match="exit code 3"):
        run(text, "processes")


def test_workers_are_used_again(run):
    text = """
    import os
    @hs.step(cache=False)
    def where(): return os.getpid()
    @hs.pipeline
    def main(): return where(), where()
    """
    first, second = run(text, "processes").result
    assert first == second != os.getpid()


def test_a_worker_sees_edited_files(run):
    text = """
    @hs.step
    def work(): return {}
    @hs.pipeline
    def main(): return work()
    """
    assert [run(text.format(n), "processes").result for n in (1, 2)] == [1, 2]


def test_what_a_step_prints_stays_off_standard_output(run, capfd):
    text = """
    @hs.step
    def work():
        print("loud")
        return 1
    @hs.pipeline
    def main(): return work()
    """
    run(text, "processes")
    seen = capfd.readouterr()
    assert "loud" not in seen.out


def test_a_result_that_cannot_be_sent_back_says_so(run, executor):
    text = """
    import threading
    @hs.step
    def work(): return threading.Lock()
    @hs.pipeline
    def main(): return work()
    """
    with pytest.raises(errors.HomeostatError, match=r"'work'.*lock"):
        run(text, executor)
