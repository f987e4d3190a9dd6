"""Blame names the planted cause first, and says what it leaves unexplained."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from homeostat.lifecycle.monitoring import baseline, blame, checks, entities, judge, region


def _world(n, *, seed, slope=6.0, shift=0.0):
    rng = np.random.default_rng(seed)
    debt = rng.normal(0.35 + shift, 0.16, n)
    scored = 1 / (1 + np.exp(-6.0 * (debt - 0.45)))
    true = 1 / (1 + np.exp(-slope * (debt - 0.45)))
    return pl.DataFrame(
        {
            "debt": debt,
            "income": np.exp(rng.normal(10, 0.4, n)),
            "score": scored,
            "label": (rng.random(n) < true).astype(int),
        }
    )


FROZEN = baseline.freeze(
    _world(4000, seed=0), features=["debt", "income"], score="score", label="label"
)


def _loss(frame):
    return float(((frame["score"] >= 0.5) != (frame["label"] == 1)).mean())


def _ranked(frame, **more):
    harm = entities.Harm(
        first_row=0,
        end_row=frame.height,
        accepted=float(FROZEN.reference_wrong.mean()),
        realised=_loss(frame),
        n_rows=frame.height,
    )
    seen = [
        judge.window(frame[i : i + 200], FROZEN, first_row=i, budget=judge.AlarmBudget())
        for i in range(0, frame.height, 200)
    ]
    return blame.rank(seen, harm=harm, **more)


def test_a_changed_world_is_a_concept_change():
    causes = _ranked(_world(400, seed=1, slope=-6.0))
    assert causes[0].kind == "concept-change"
    assert causes[0].share == pytest.approx(1)


def test_a_shift_that_explains_the_loss_is_named_with_its_share():
    causes = _ranked(_world(1000, seed=2, shift=0.12))
    assert causes[0].kind == "covariate-shift"
    assert causes[0].column == "debt"
    assert causes[0].share > 0.5
    assert "effective rows" in causes[0].evidence[0]


def test_a_broken_feed_comes_before_all():
    frame = _world(400, seed=3, slope=-6.0).with_columns(pl.col("income") * 100)
    causes = _ranked(frame, version_row=100)
    assert (causes[0].kind, causes[0].column) == ("feed", "income")
    assert causes[0].share == 1
    assert causes[-1].kind == "concept-change"
    assert causes[-1].share == 0


def test_a_new_version_and_failing_requests_are_named():
    frame = _world(400, seed=4, slope=-6.0)
    hints = blame.Hints(service=blame.Service(n_requests=100, n_failed=80))
    causes = _ranked(frame, version_row=0, hints=hints)
    assert causes[0].kind == "infrastructure"
    assert {c.kind for c in causes} == {"infrastructure", "new-version", "concept-change"}


def test_skew_and_corrections_are_named_with_the_command_that_shows_them():
    frame = _world(400, seed=4, slope=-6.0)
    skewed = checks.Check(
        name="training-serving skew",
        verdict="found",
        sentence="income in 90 %",
        numbers={"pairs": checks.Number(500.0), "income": checks.Number(0.9)},
    )
    causes = _ranked(frame, hints=blame.Hints(deployment="credit", skew=skewed))
    assert (causes[0].kind, causes[0].column, causes[0].share) == ("skew", "income", 0.9)
    assert causes[0].query == "homeostat monitor check credit"
    worse = blame.Corrected(n_rows=400, n_changed=300, n_worse=250, marks=("c1@1",))
    causes = _ranked(frame, hints=blame.Hints(deployment="credit", corrections=worse))
    assert causes[0].kind == "correction"
    assert causes[0].query == "homeostat correction list credit"
    where = region.Region(column="debt", where="below 0.2", rows=0.2, excess=0.9)
    causes = _ranked(frame, hints=blame.Hints(region=where))
    assert "90% of the excess loss is where debt is below 0.2" in causes[0].sentence


def test_the_error_of_a_weighted_loss_is_as_stated():
    """The truth lies within two errors about nineteen times in twenty."""
    truth = _loss(_world(200_000, seed=99, shift=0.1)) - _loss(_world(200_000, seed=98))
    hits = []
    for seed in range(60):
        frozen = baseline.freeze(
            _world(3000, seed=1000 + seed), features=["debt"], score="score", label="label"
        )
        shifted = _world(200, seed=seed, shift=0.1)
        seen = judge.window(shifted, frozen, first_row=0, budget=judge.AlarmBudget())
        if seen.shift is None:  # a window that does not show the shift
            continue
        hits.append(abs(seen.shift.change - truth) <= 2 * seen.shift.standard_error)
    assert len(hits) > 50
    assert np.mean(hits) >= 0.88


def _classes(n, rng, share):
    """Two classes that three columns tell apart, scored as if 3 % were positive."""
    label, gaps = rng.random(n) < share, np.array([1.6, 1.2, 0.9])
    x = rng.normal(size=(n, 3)) + label[:, None] * gaps
    logit = x @ gaps - gaps @ gaps / 2 + np.log(0.03 / 0.97)
    columns = {f"x{j}": x[:, j] for j in range(3)}
    return pl.DataFrame(
        {**columns, "score": 1 / (1 + np.exp(-logit)), "label": label.astype(int)}
    )


def test_positives_that_became_frequent_are_a_prior_shift_with_its_share():
    rng = np.random.default_rng(8)
    before, after = _classes(3000, rng, 0.03), _classes(250, rng, 0.5)
    frozen = baseline.freeze(before, features=["x0", "x1", "x2"], score="score", label="label")
    frozen = baseline.decode(baseline.encode(frozen))
    seen = judge.window(after, frozen, first_row=0, budget=judge.AlarmBudget())
    assert [cause.kind for cause in seen.causes] == ["prior-shift"]
    share = seen.shift.prior[1]
    assert share == pytest.approx(0.5, abs=0.12)
    harm = entities.Harm(
        first_row=0,
        end_row=250,
        accepted=float(frozen.reference_wrong.mean()),
        realised=_loss(after),
        n_rows=250,
    )
    assert blame.rank([seen], harm=harm)[0].kind == "prior-shift"
    assert seen.shift.loss_after == pytest.approx(_loss(after), abs=0.1)
    one = _classes(250, rng, 0.03).with_columns(pl.col("x1") + 1.2)
    seen = judge.window(one, frozen, first_row=0, budget=judge.AlarmBudget())
    assert [(c.kind, c.column) for c in seen.causes] == [("covariate-shift", "x1")]


def test_without_harm_findings_alone_are_ranked():
    frame = _world(200, seed=5, shift=0.2)
    seen = judge.window(frame, FROZEN, first_row=0, budget=judge.AlarmBudget())
    assert [c.kind for c in blame.rank([seen])] == ["covariate-shift"]
    assert blame.rank([]) == ()
