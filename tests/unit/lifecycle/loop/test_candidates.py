"""Fits of a user's pipeline: what it does, it does in a process apart, for a limited time."""

from __future__ import annotations

import contextlib
import textwrap

import polars as pl
import psutil
import pytest

from homeostat.foundation import access, errors, house, settings
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data import inspection, intake, tables
from homeostat.lifecycle.loop import candidates, fitting, latency
from homeostat.lifecycle.registry import format as formats
from homeostat.lifecycle.tracking import actions as tracking

ACTOR = access.local_owner("ada")
POLICY = policies.parse('[model]\nname = "credit"\ntarget = "bad"\n', where="here")
ROWS = pl.DataFrame({"income": [float(i) for i in range(40)], "bad": [0, 1] * 20})
HEAD = "import homeostat as hs\n"
GOOD = """
from sklearn.linear_model import LogisticRegression
@hs.step
def learn(rows): return LogisticRegression().fit(rows.select("income").to_pandas(), rows["bad"])
@hs.pipeline
def pipeline(rows): return learn(rows)
"""
PLAIN = "@hs.pipeline\ndef pipeline(rows): return 5\n"


@pytest.fixture(scope="module", autouse=True)
def _rooms_end_with_the_tests():
    yield
    fitting.room().close()


@pytest.fixture
def opened(tmp_path, home):
    code = tmp_path / "code"
    code.mkdir()
    with house.open_house(settings.load(home=home, code=code)) as found:
        yield found


@pytest.fixture
def fit(opened):
    """Return a function that writes a pipeline and fits it."""
    offer = inspection.Offer(data=tables.encode(ROWS), format="parquet")
    snapshot = intake.add(opened, ACTOR, "loans", offer)

    def fitting_with(text, *, timeout_s=120.0):
        name = POLICY.model.pipeline.partition(":")[2]
        written = textwrap.dedent(text).replace("def pipeline(", f"def {name}(")
        (opened.settings.code / "pipeline.py").write_text(HEAD + written)
        shop = candidates.Workshop(opened, ACTOR, timeout_s=timeout_s)
        return shop.fit(POLICY, snapshot, ROWS)

    return fitting_with


def runs(opened):
    page = opened.read(lambda tx: tracking.search_runs(tx, ACTOR))
    return [(found.run.id, found.run.status) for found in page.runs]


def test_a_fit_comes_back_as_the_files_of_a_model_and_is_recorded(opened, fit):
    fitted = fit(GOOD)
    assert [c.name for c in formats.read(fitted.contents).schema.columns] == ["income"]
    assert runs(opened) == [(fitted.run_id, "finished")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise SystemExit(3)", r"importing pipeline .* SystemExit: 3"),
        ("import os; os._exit(3)", r"the pipeline failed.*its process ended: exit code 3"),
        (PLAIN.replace("return 5", "raise SystemExit(3)"), "SystemExit: 3"),
        (PLAIN, "returned int, which has no predict_proba"),
    ],
    ids=["exits at import", "leaves at import", "exits in its body", "returns no classifier"],
)
def test_a_pipeline_that_ends_its_process_costs_the_fit_only(fit, text, said):
    with pytest.raises(errors.UserCodeError, match=said):
        fit(text)


@pytest.mark.parametrize("place", ["import", "body"])
def test_a_pipeline_that_hangs_is_stopped_with_all_it_started(opened, fit, tmp_path, place):
    with pytest.raises(errors.UserCodeError, match="predict_proba"):
        fit(PLAIN)  # the process is warm now
    hang = f"""
    import pathlib, subprocess, sys
    def hang():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
        while True: pass
    """
    hang = textwrap.dedent(hang)
    text = {
        "import": hang + "hang()\n" + PLAIN,
        "body": hang + PLAIN.replace("return 5", "hang()"),
    }[place]
    for limit_s in (2.0, 15.0, 60.0):  # a busy machine may need more than the first
        said = f"did not finish within {limit_s:g} s"
        with pytest.raises(errors.UserCodeError, match=said) as caught:
            fit(text, timeout_s=limit_s)
        if (tmp_path / "pid").exists():
            break
    pid = int((tmp_path / "pid").read_text())
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=60)
    assert (caught.value.facts["run_id"], "failed") in runs(opened)


class Timed:
    """A predictor by a clock of its own: so many ms for each call, the last for all others."""

    def __init__(self, *took_ms):
        self.took_ms = took_ms
        self.n_calls = 0
        self.now_ms = 0.0

    def scores(self, _row):
        self.now_ms += self.took_ms[min(self.n_calls, len(self.took_ms) - 1)]
        self.n_calls += 1

    def perf_counter(self):
        return self.now_ms / 1000


@pytest.mark.parametrize(
    ("took_ms", "found_ms", "n_rounds"),
    [
        ((2.0,), 2.0, 1),
        ((*[80.0] * 4, 2.0), 2.0, 2),  # the machine did something else for a while
        ((*[2.0, 2.0, 2.0, 80.0] * 150,), 80.0, 3),  # some rows take long, each time
        ((80.0,), 80.0, 1),
    ],
)
def test_what_else_the_machine_did_is_not_the_latency_of_a_model(
    monkeypatch, took_ms, found_ms, n_rounds
):
    model = Timed(*took_ms)
    monkeypatch.setattr(latency, "time", model)
    assert latency.measured(model, ROWS) == pytest.approx(found_ms)
    assert model.n_calls == n_rounds * latency.CALLS
