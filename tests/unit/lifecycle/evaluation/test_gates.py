"""Gates answer in three ways; reports cannot be changed."""

from __future__ import annotations

import blake3
import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from homeostat.foundation import errors, sealed
from homeostat.lifecycle.evaluation import exam, gates
from homeostat.lifecycle.evaluation.entities import REPORT, GateReport


class Rules(msgspec.Struct, frozen=True):
    metric: str = "roc_auc"
    at_least: float | None = None
    margin: float | None = None
    worst_slice_at_least: float | None = None
    disparate_impact_at_least: float | None = None
    latency_p99_ms: float | None = None
    size_mb: float | None = None
    slices: dict[str, float] | msgspec.UnsetType = msgspec.UNSET


def sit(n=2000, noise=0.15, **options):
    rng = np.random.default_rng(1)
    y = rng.random(n) < 0.5
    p = np.clip(0.3 + 0.4 * y + rng.normal(0, noise, n), 0, 1)
    return exam.sit(y, p, rows="rows 0-1999", **options)


@pytest.mark.parametrize(
    ("needed", "verdict"), [(0.90, "pass"), (0.972, "unknown"), (0.99, "fail")]
)
def test_a_bound_below_inside_and_above_the_interval(needed, verdict):
    judged = gates.judge(sit(), Rules(at_least=needed))
    gate = judged.gates[0]
    assert gate.verdict == verdict, gate
    assert f"{needed:.4g} or more is needed" in gate.sentence


def test_an_unknown_gate_lets_the_candidate_in_and_is_listed():
    judged = gates.judge(sit(), Rules(at_least=0.972, size_mb=1))
    assert judged.verdict == "unknown"
    assert judged.unknown == ("at_least", "size_mb")
    judged = gates.judge(exam.measured(sit(), size_bytes=10), Rules(at_least=0.972, size_mb=1))
    assert judged.verdict == "pass"
    assert judged.unknown == ("at_least",)


def test_one_failing_gate_keeps_the_candidate_out():
    taken = exam.measured(sit(), latency_p99_ms=30.0)
    judged = gates.judge(taken, Rules(at_least=0.9, latency_p99_ms=20.0))
    assert judged.verdict == "fail"
    assert "latency_p99_ms is 30 ms, at most 20 ms is allowed" in judged.sentence


def test_a_slice_with_a_name_has_a_bound_of_its_own_and_counts_among_the_worst():
    rng = np.random.default_rng(2)
    y, young = rng.random(2000) < 0.5, np.arange(2000) < 500
    p = np.clip(0.3 + 0.4 * y * ~young + rng.normal(0, 0.15, 2000), 0, 1)
    taken = exam.sit(y, p, rows="all", named={"young": young, "few": np.arange(2000) < 9})
    wanted = {"young": 0.7, "few": 0.7, "gone": 0.7}
    judged = gates.judge(taken, Rules(worst_slice_at_least=0.4, slices=wanted))
    told = {gate.name: gate.verdict for gate in judged.gates}
    assert told == {
        "worst_slice": "pass",
        "slice:young": "fail",
        "slice:few": "unknown",
        "slice:gone": "unknown",
    }
    assert "roc_auc for slice=young is 0.5" in judged.sentence
    assert gates.again(taken, judged.gates) == judged
    assert taken.rows_digest != exam.sit(y, p, rows="all", named={"young": ~young}).rows_digest


def test_a_worse_model_fails_the_margin_on_the_same_rows():
    rng = np.random.default_rng(1)
    y = rng.random(800) < 0.5
    good = np.clip(0.3 + 0.4 * y + rng.normal(0, 0.15, 800), 0, 1)
    poor = np.clip(good + rng.normal(0, 0.4, 800), 0, 1)
    rules = Rules(margin=0.005)
    worse = exam.sit(y, poor, champion=good, rows="r")
    better = exam.sit(y, good, champion=poor, rows="r")
    assert gates.judge(worse, rules).verdict == "fail"
    assert gates.judge(better, rules).verdict == "pass"


def test_without_a_champion_there_is_no_margin_to_judge():
    assert gates.judge(sit(), Rules(margin=0.0)).gates == ()


def test_unfair_decisions_fail_and_name_the_groups():
    rng = np.random.default_rng(1)
    group = rng.choice(["f", "m"], 2000)
    y = rng.random(2000) < 0.5
    p = np.where(group == "f", 0.2, 0.8)
    taken = exam.sit(y, p, rows="r", protected={"sex": group}, metric="accuracy")
    judged = gates.judge(taken, Rules(metric="accuracy", disparate_impact_at_least=0.8))
    assert judged.verdict == "fail"
    assert judged.gates[0].evidence == ("fairness:sex",)
    assert "f against m" in judged.sentence


def test_worst_slice_is_named():
    rng = np.random.default_rng(1)
    group = rng.choice(["f", "m"], 2000)
    y = rng.random(2000) < 0.5
    p = np.where(group == "f", rng.random(2000), 0.2 + 0.6 * y)
    taken = exam.sit(y, p, rows="r", protected={"sex": group}, slice_needed=0.6)
    judged = gates.judge(taken, Rules(worst_slice_at_least=0.6))
    assert judged.verdict == "fail"
    assert judged.gates[0].evidence == ("slice:sex=f",)


def test_slices_that_are_all_too_small_are_unknown():
    taken = exam.sit(
        [0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8], rows="r", protected={"g": list("abcd")}
    )
    assert gates.judge(taken, Rules(worst_slice_at_least=0.6)).verdict == "unknown"


@pytest.mark.parametrize(("most", "verdict"), [(0.9, "pass"), (0.01, "fail")])
def test_a_loss_must_be_at_most_its_bound(most, verdict):
    judged = gates.judge(sit(metric="brier"), Rules(metric="brier", at_least=most))
    assert judged.gates[0].verdict == verdict
    assert f"{most:.4g} or less is needed" in judged.gates[0].sentence


def test_an_exam_in_another_metric_than_the_policy_is_refused():
    with pytest.raises(errors.InvalidInputError, match="exam was taken in 'roc_auc'"):
        gates.judge(sit(), Rules(metric="accuracy", at_least=0.2))


def test_rows_digest_changes_with_any_score():
    assert exam.rows_digest([0, 1], [0.1, 0.2]) != exam.rows_digest([0, 1], [0.1, 0.2000001])


@pytest.fixture
def key():
    return ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)


def public(key):
    return key.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )


def report(**changes):
    taken = sit(300)
    made = GateReport(
        id="1",
        model="credit",
        candidate="c" * 64,
        champion="",
        verdict="pass",
        judged=gates.judge(taken, Rules(at_least=0.5)),
        exam=taken,
        policy_digest="p" * 64,
        actor="owner",
        at=1,
    )
    return msgspec.structs.replace(made, **changes)


def test_a_signed_report_verifies_also_after_json(key):
    signed = sealed.seal(report(), REPORT, signer=key.sign, public_key=public(key))
    again = msgspec.json.decode(msgspec.json.encode(signed), type=GateReport)
    assert sealed.flaw(again, REPORT, public_key=public(key)) == ""


def test_a_report_signed_before_reports_told_who_measured_still_holds(key):
    made = report()
    said = msgspec.structs.asdict(made)
    gone = ("digest", "signature", "public_key", "measured_by")
    first = {name: value for name, value in said.items() if name not in gone}
    first |= {"digest": "", "signature": "", "public_key": ""}
    written = msgspec.json.encode(first, order="sorted")
    assert sealed.digest(made, REPORT) == blake3.blake3(written).hexdigest()
    assert sealed.digest(report(measured_by="client"), REPORT) != sealed.digest(made, REPORT)


@pytest.mark.parametrize("field", ["verdict", "actor", "at", "candidate", "policy_digest"])
def test_changing_anything_in_a_report_shows(key, field):
    signed = sealed.seal(report(), REPORT, signer=key.sign, public_key=public(key))
    changed = msgspec.structs.replace(signed, **{field: 2 if field == "at" else "fail"})
    assert "was changed" in sealed.flaw(changed, REPORT)


def test_a_report_signed_again_by_someone_else_shows(key):
    other = ed25519.Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    forged = sealed.seal(
        report(verdict="pass"), REPORT, signer=other.sign, public_key=public(other)
    )
    assert sealed.flaw(forged, REPORT) == ""
    assert "another key" in sealed.flaw(forged, REPORT, public_key=public(key))
    broken = msgspec.structs.replace(forged, signature="00" * 64)
    assert "no valid signature" in sealed.flaw(broken, REPORT)
