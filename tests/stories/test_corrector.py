"""A deployment whose world turns, lived once: the corrector learns, answers, and is told of."""

from __future__ import annotations

import dataclasses

import httpx
import numpy as np
import polars as pl
import pytest

import living
import processes
from homeostat.doors import local
from homeostat.doors.cli.demo import lender
from homeostat.foundation import events, house, lineage, settings
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import entities, history, looped, relearning, testbed
from homeostat.lifecycle.predictions import read
from homeostat.lifecycle.serving import actions as serving
from homeostat.lifecycle.serving import residuals
from homeostat.lifecycle.tracking import actions as tracking
from homeostat.measures import residual

BATCH = 200
TURNED_BACK = 2200
TURNED = dataclasses.replace(lender.STEADY_WORLD, base=-0.9, utilisation=0.2, history=0.4)


class Heard(living.Living):
    """A life that remembers who applied, for a backtest of the same rows."""

    applied: list[pl.DataFrame]

    def log(self, rows, *, score=None):
        self.applied = [*getattr(self, "applied", []), rows]
        super().log(rows, score=score)


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    place = tmp_path_factory.mktemp("corrector")
    told = settings.load(home=place / "home", code=place / "code")
    with house.open_house(told) as opened:
        lived = Heard(opened, on=(), delay_rows=BATCH)
        lived.train(n=2000)
        lived.deploy()
        lived.live(200)
        lived.live(2000, world=TURNED)
        lived.live(600)
        yield lived
        lived.bench.close()


class Asked:
    """A live version as a backtest asks a model."""

    def __init__(self, life):
        self.life = life

    def predict_proba(self, features):
        chances = self.life.scores(1, features)
        return np.column_stack([1 - chances, chances])


def _of_blocks(decisions):
    return [one for one in decisions if one.event == "block-labelled"]


def _backtest(life, policy):
    """Live the same rows in a backtest, with the same first model; return what was decided."""
    warmup = lender.Lender(7).applications(2000)
    whole = pl.concat([warmup, *life.applied], how="vertical").select(
        *lender.FEATURES, "defaulted"
    )
    share = warmup.height / whole.height
    rows = history.prepare(whole, target="defaulted", warmup=share)
    assert rows.warmup == warmup.height
    bed = testbed.Testbed(rows, batch=BATCH, label_delay=life.delay_rows, seed=0)
    bed._first = testbed.Member(bed, Asked(life))
    told = []

    class Noted(looped.Life):
        def happen(self, event, *, at):
            before = self.state
            super().happen(event, at=at)
            if isinstance(event, entities.BlockLabelled):
                _, verdicts = looped.decide.decide(before, event, self.policy)
                told.extend(verdicts)

    lived = Noted(bed, policy)
    for first, end in bed.batches():
        lived.take_labels(at=first)
        lived.answer(first, end)
    lived.take_labels(at=bed.n_rows)
    return told, rows.warmup


def _moved(acts, rows):
    """Return what corrector acts say, counted from the first row that was answered."""
    return [
        entities.FitCorrector(rows=tuple(row - rows for row in act.rows))
        if isinstance(act, entities.FitCorrector)
        else act
        for act in acts
    ]


def _answers(life):
    return life.house.read(lambda tx: read.predictions(life.house, tx, living.NAME))


def test_live_and_in_a_backtest_the_same_rows_lead_to_the_same_decisions(life):
    told, warmup = _backtest(life, serving.get_policy(life.deployment()))
    live = [one for one in life.decisions() if one.event == "block-labelled"]
    events_of = dict.fromkeys(
        one.inputs_digest for one in live
    )  # ids of one event are in any order
    places = {digest: at for at, digest in enumerate(events_of)}
    live.sort(key=lambda one: (places[one.inputs_digest], one.number))
    assert len(live) == len(told)
    assert any(isinstance(act, entities.SwitchCorrector) for one in live for act in one.acts)
    for one, again in zip(live, told, strict=True):
        assert (one.kind, list(one.acts)) == (again.kind, _moved(again.acts, warmup))
        if "evidence" in one.evidence:
            assert one.evidence["evidence"] == pytest.approx(again.evidence["evidence"])


def test_it_answers_while_it_pays_and_the_log_has_both_scores(life):
    rows = _answers(life)
    is_corrected = (rows["score"] != rows["served_score"]).to_numpy()
    plans = life.house.read(
        lambda tx: serving.plan_history(tx, life.owner, living.NAME, limit=1000)
    )
    on = {
        one.plan.generation
        for one in plans
        if one.plan.corrector and one.plan.corrector.answers
    }
    assert on
    assert set(rows["generation"].to_numpy()[is_corrected]) <= on
    assert is_corrected.sum() == rows["generation"].is_in(list(on)).sum()
    truth = pl.concat(life.applied)["defaulted"].to_numpy()
    brier = [(rows[name].to_numpy() - truth) ** 2 for name in ("score", "served_score")]
    turned = is_corrected & (rows["row"] < TURNED_BACK).to_numpy()
    assert brier[1][turned].mean() < brier[0][turned].mean() - 0.01
    said = rows["answer"].cast(pl.Int8).to_numpy()
    assert (said == (rows["served_score"].to_numpy() >= 0.5)).all()


def test_a_corrector_that_gains_no_more_is_expelled_and_the_plan_says_since_when(life):
    switches = [
        act.answers
        for one in life.decisions()
        for act in one.acts
        if isinstance(act, entities.SwitchCorrector)
    ]
    assert switches[:2] == [True, False]
    named = life.deployment().plan.corrector
    assert named.answers == switches[-1]
    assert (named.since > 0) == named.answers


def test_each_corrector_is_a_recorded_run_whose_file_the_plan_names(life):
    named = life.deployment().plan.corrector
    made = residuals.read(life.house, living.NAME, named.digest)
    assert [column.name for column in made.columns] == list(lender.FEATURES)
    run = life.house.read(lambda tx: tracking.find_run(tx, life.owner, named.run))
    assert (run.status, run.pipeline) == ("finished", "corrector")
    edges = life.house.read(
        lambda tx: lineage.ancestors(tx, f"corrector:{named.digest}", limit=9)
    )
    assert f"run:{run.id}" in {edge.source for edge in edges}


def test_every_decision_is_replayed_bit_for_bit(life):
    for one in life.decisions():
        again = life.house.read(
            lambda tx, which=one.id: loop.replay_decision(tx, life.owner, which)
        )
        assert again.identical, again.reason
    assert life.house.read(events.verify).ok


def test_rows_whose_corrector_is_gone_count_for_nobody(life):
    rows = _answers(life).head(50)
    truth = np.ones(50, dtype=bool)
    found = relearning.growth(
        life.house, living.NAME, rows, truth, {int(rows["generation"][0]): "0" * 64}
    )
    assert found == (0.0, 0.0, 0.0, 0.0)


@pytest.fixture
def stage(life):
    """The three processes of the home that was lived in."""
    (life.house.settings.home / "project").mkdir(exist_ok=True)
    with processes.Household(life.house.settings.home) as found:
        yield found.start()


def _ask(client, life, n):
    """Let applicants ask the prediction server and their labels come; return both."""
    rows = life.lender.applications(n, world=TURNED)
    told = rows.select("application_id", *lender.FEATURES, "sex").to_dicts()
    answer = client.deployments.predict(
        living.NAME, told, keys=rows["application_id"].to_list()
    )
    labels = list(zip(rows["application_id"], rows["defaulted"], strict=True))
    client.deployments.label(living.NAME, labels)
    return rows, answer


def test_real_servers_answer_corrected_log_both_scores_and_explain_them(life, stage, tmp_path):
    with local.open_client(stage.settings) as client, httpx.Client(trust_env=False) as http:
        for at in range(5):
            before = life.state().n_blocks
            _ask(client, life, 4 * BATCH)
            if at == 0:
                stage.worker.kill()  # in the middle of whatever it does
                stage.worker.start()
            processes.until(lambda n=before: life.state().n_blocks > n, told=stage.worker.tell)
            processes.until(lambda: stage.is_idle(life.house), told=stage.worker.tell)
            named = life.deployment().plan.corrector
            if named.answers:
                break
        generation = life.deployment().plan.generation
        processes.until(
            lambda: _ask(client, life, 2)[1].generation >= generation, told=stage.serve.tell
        )
        rows, answer = _ask(client, life, 40)
        made = residual.Applied(residuals.read(life.house, living.NAME, named.digest))
        processes.until(lambda: _logged(life, answer).height == 40, told=stage.serve.tell)
        logged = _logged(life, answer)
        columns = {name: rows[name].to_list() for name in lender.FEATURES}
        corrected = made.corrected(columns, logged["score"].to_numpy())
        assert logged["served_score"].to_list() == corrected.tolist() == answer.scores
        assert (logged["served_score"] != logged["score"]).all()
        given = rows.select(*lender.FEATURES, "sex").to_dicts()[:3]
        for why, score in zip(
            client.deployments.explain(living.NAME, given).explanations,
            answer.scores,
            strict=False,
        ):
            assert why.score == pytest.approx(score, abs=1e-9)
            assert why.base + sum(why.contributions.values()) == pytest.approx(why.margin)
            assert why.contributions["corrector"] != 0
        story = " ".join(one.sentence for one in client.lineage.why(answer.ids[0]).steps)
        assert "the corrector moved the members'" in story
        assert "the corrector was learned from labelled rows" in story
        standing = client.loops.status(living.NAME).corrector
        assert (standing.word, standing.since) == ("answers", named.since)
        page = http.get(f"{stage.url}/deployments/{living.NAME}").text
        assert "its answers are given" in page
        rows.write_parquet(tmp_path / "asked.parquet")
        client.scorings.score(
            living.NAME, tmp_path / "asked.parquet", tmp_path / "scored.parquet"
        )
        assert pl.read_parquet(tmp_path / "scored.parquet")["score"].to_list() == answer.scores
    test_every_decision_is_replayed_bit_for_bit(life)


def _logged(life, answer):
    """Rows of the log that were answered so, in the order of the answer."""
    return pl.DataFrame({"id": answer.ids}).join(
        _answers(life), on="id", how="inner", maintain_order="left"
    )
