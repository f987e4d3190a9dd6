"""What may change by itself, and reports on it that nobody can change afterwards."""

from __future__ import annotations

import msgspec
import pytest

from homeostat.foundation import errors, sealed
from homeostat.foundation.events import signing
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.loop import envelope
from homeostat.lifecycle.policy.limits import Envelope

KEY = signing.SigningKey(b"k" * 32)


def change(**facts):
    told = {"tier": "low", "n_rows": 1000, "parameters": {"depth": "4"}, "gain": 0.01}
    return envelope.Change(**{"before": {"depth": "3"}, "files": (), **told, **facts})


@pytest.mark.parametrize(
    ("drawn", "facts", "outside"),
    [
        ({"parameters": {"depth": (2.0, 8.0)}}, {}, []),
        ({"parameters": {"depth": (2.0, 3.0)}}, {}, ["parameter depth"]),
        ({"rows_at_least": 1}, {}, ["parameter depth"]),
        ({"tiers": ("low",)}, {"tier": "medium", "before": {"depth": "4"}}, ["tier"]),
        ({"rows_at_most": 999}, {"before": {"depth": "4"}}, ["data window"]),
        ({"gain_at_most": 0.005}, {"before": {"depth": "4"}}, ["metric delta"]),
        ({"gain_at_least": 0.0}, {"before": {"depth": "4"}, "gain": None}, ["metric delta"]),
        ({"code": False}, {"before": {"depth": "4"}, "files": ("pipeline.py",)}, ["code"]),
        ({"code": False}, {"before": {"depth": "4"}, "files": None}, ["code"]),
        ({"code": True}, {"before": {"depth": "4"}, "files": ("pipeline.py",)}, []),
    ],
)
def test_only_what_the_policy_names_may_change(drawn, facts, outside):
    items = envelope.judge(change(**facts), Envelope(**drawn))
    assert [item.name for item in items if not item.inside] == outside


def test_a_report_proves_who_signed_it_and_that_nobody_changed_it():
    items = envelope.judge(change(), Envelope(rows_at_least=1))
    report = envelope.Report(
        id="1",
        deployment="credit",
        model="credit",
        version=2,
        compared=1,
        items=items,
        inside=False,
        sentence=envelope.sentence(items),
        gate_report="r",
        policy_digest="p",
        actor="system:loop",
        at=1,
    )
    signed = sealed.seal(report, envelope.KIND, signer=KEY.sign, public_key=KEY.public_key)
    assert sealed.flaw(signed, envelope.KIND, public_key=KEY.public_key) == ""
    forged = msgspec.structs.replace(signed, inside=True)
    assert "its digest does not match" in sealed.flaw(forged, envelope.KIND)
    resigned = msgspec.structs.replace(forged, digest=sealed.digest(forged, envelope.KIND))
    assert "no valid signature" in sealed.flaw(resigned, envelope.KIND)
    other = signing.SigningKey(b"o" * 32)
    assert "another key" in sealed.flaw(signed, envelope.KIND, public_key=other.public_key)


def test_a_policy_without_an_envelope_keeps_its_digest_and_a_wrong_one_is_refused():
    text = '[model]\nname = "credit"\ntarget = "y"\n'
    bare = policies.parse(text)
    assert not bare.envelope.is_said
    assert policies.digest(bare) == (
        policies.digest(policies.parse(text + '[retraining]\ndebounce = "0s"\n'))
    )
    with pytest.raises(errors.InvalidInputError, match="smallest and largest"):
        policies.parse(text + "[envelope]\nparameters = { depth = [8, 2] }\n")
    with pytest.raises(errors.InvalidInputError, match="did you mean 'rows_at_most'"):
        policies.parse(text + "[envelope]\nrow_at_most = 5\n")
    with pytest.raises(errors.InvalidInputError, match="debounce needs a time"):
        policies.parse(text + '[retraining]\ndebounce = "20 rows"\n')
