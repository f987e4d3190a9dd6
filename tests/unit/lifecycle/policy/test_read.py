"""A policy is understood whole or refused with its line."""

from __future__ import annotations

import msgspec
import pytest

from homeostat.foundation.errors import InvalidInputError, NotFoundError
from homeostat.lifecycle import policy

WHOLE = """
[model]
name = "credit"
pipeline = "pipeline:credit"
task = "classification"          # classification | regression
target = "defaulted"
key = "application_id"           # joins predictions with late labels
owner = "risk-models"
tier = "high"                    # low | medium | high: who must approve, how often to review

[data]
source = "data/*.parquet"        # files, a SQL query, or "predictions"
time = "applied_at"
label_delay = "30d"
protected = ["sex", "age_band"]  # never features unless said; used for fairness and slices

[gates]                          # a candidate becomes a version only if all hold
metric = "roc_auc"
at_least = 0.70
margin = 0.005                   # not worse than the champion by more than this
worst_slice_at_least = 0.60
disparate_impact_at_least = 0.80
latency_p99_ms = 20
size_mb = 200

[rollout]
strategy = "canary"              # canary | blue-green | shadow
steps = [0.05, 0.25, 1.0]
error = 0.05
minimum_labels = 200

[monitoring]
window = "1h"
false_alarms_per_year = 1
tolerance = 0.02

[retraining]
on = ["harm", "refresh", "new-data", "code", "schedule"]
budget = "normal"
members = 3
schedule = "0 3 * * 1"
new_rows = 10000
cooldown = "6h"
block = 200

[explain]
top = 4
groups = { payments = ["late_payments", "defaults"] }
changes = 2
minimum = { amount = 500 }
maximum = { amount = 20000.0 }
actionable = { amount = "down", income = "up", purpose = "any" }

[explain.texts]
payments = "Payments were missed"

[server]
port = 5000
"""
LEAST = '[model]\nname = "credit"\ntarget = "defaulted"\n'


def test_every_documented_key_is_understood():
    read = policy.parse(WHOLE)
    assert read.model.tier == "high"
    assert read.data.label_delay_span.seconds == 30 * 86400
    assert read.gates.latency_p99_ms == 20.0
    assert read.rollout.steps == (0.05, 0.25, 1.0)
    assert read.monitoring.window_span.seconds == 3600
    assert read.retraining.on[-1] == "schedule"
    assert read.retraining.cooldown_s == 6 * 3600
    assert read.explain.actionable["amount"] == "down"
    assert read.explain.texts == {"payments": "Payments were missed"}


def test_name_and_target_are_enough():
    read = policy.parse(LEAST)
    assert read.model.pipeline == "pipeline:credit"
    assert read.gates.metric == "roc_auc"
    assert read.monitoring.window_span.rows == 200
    assert read.retraining.on == ("harm", "refresh")


def test_a_regression_is_judged_by_r2_or_by_what_is_said_and_never_by_selection_rates():
    text = LEAST + 'task = "regression"\n[gates]\n'
    assert policy.parse(text).gates.metric == "r2"
    assert policy.parse(text + 'metric = "pinball@0.9"\n').gates.metric == "pinball@0.9"
    for wrong in ('metric = "pinball@1.5"', 'metric = "f1"', "disparate_impact_at_least = 0.8"):
        with pytest.raises(InvalidInputError, match="regression"):
            policy.parse(text + wrong + "\n")


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        (LEAST + "[gates]\nat_lest = 1\n", 5, ["unknown key 'at_lest'", "mean 'at_least'"]),
        (LEAST + "[gate]\nat_least = 1\n", 4, ["section [gate]", "did you mean 'gates'?"]),
        (LEAST + "[gates]\ntolerance = 1\n", 5, ["[monitoring] tolerance"]),
        (LEAST + "[gates]\nqqqq = 1\n", 5, ["known are metric"]),
        (LEAST + "[gates]\nslices = { young = 0.6 }\n", 5, ["young is held", "is no slice"]),
        (LEAST + "gates.at_lest = 1\n", 4, ["unknown key 'gates' in [model]"]),
        ("gates.at_lest = 1\n" + LEAST, 1, ["unknown key 'at_lest' in [gates]"]),
        (LEAST + '[gates]\nat_least = "x"\n', 5, ["at_least needs a number, got 'x'"]),
        (LEAST + "[rollout]\nerror = 2\n", 5, ["error needs a number between 0 and 1, got 2"]),
        (LEAST + "[rollout]\n\n# why\nsteps = [0.5, 0.1]\n", 7, ["grow and end with 1.0"]),
        (LEAST + "[rollout]\nsteps = []\n", 5, ["grow and end with 1.0"]),
        (LEAST + "[rollout]\nsteps = [0.0, 1.0]\n", 5, ["each a number above 0"]),
        (LEAST + '[retraining]\non = ["harms"]\n', 5, ["each one of harm, refresh"]),
        (LEAST + '[retraining]\non = ["schedule"]\n', 5, ["none is given"]),
        (LEAST + '[retraining]\nschedule = "never"\n', 5, ["is no cron expression"]),
        (LEAST + '[retraining]\ncooldown = "5 rows"\n', 5, ["needs a time"]),
        (LEAST + "[retraining]\nmembers = 1.5\n", 5, ["a whole number from 1 to 8"]),
        (LEAST + "[retraining]\nmembers = true\n", 5, ["a whole number from 1 to 8"]),
        (LEAST + '[monitoring]\nwindow = "soon"\n', 5, ["a span such as '200 rows'"]),
        (LEAST + '[monitoring]\nwindow = "0 rows"\n', 5, ["is empty"]),
        (LEAST + '[gates]\nmetric = "rocauc"\n', 5, ["did you mean 'roc_auc'?"]),
        (
            LEAST + '[explain]\ngroups = {a = ["x"], b = ["x"]}\n',
            5,
            ["named twice, in a and b"],
        ),
        (LEAST + "[explain]\ngroups = {a = []}\n", 5, ["group 'a' has no columns"]),
        (LEAST + '[explain]\nactionable = {x = "UP"}\n', 5, ["each one of up, down, any"]),
        (LEAST + '[explain.actionable]\ndefaulted = "up"\n', 4, ["which is the target"]),
        (LEAST + "[explain]\nminimum = {x = 1}\n", 5, ["'x', which is not actionable"]),
        (
            LEAST + '[explain]\nactionable = {x = "up"}\nminimum.x = 2\nmaximum.x = 1\n',
            7,
            ["'x' has maximum 1, minimum 2"],
        ),
        (
            LEAST + '[data]\nprotected = ["sex"]\n[explain]\ntexts = {sex = "no"}\n',
            7,
            ["texts names 'sex', which is protected"],
        ),
        (LEAST + 'tier = "highest"\n', 4, ["tier needs low, medium or high, got 'highest'"]),
        (LEAST + 'pipeline = "a b"\n', 4, ["module:function"]),
        (LEAST + 'key = "defaulted"\n', 4, ["which is the target"]),
        (LEAST + '[data]\nprotected = ["defaulted"]\n', 5, ["names the target"]),
        (LEAST + '[data]\nprotected = "sex"\n', 5, ["a list, each the name of a column"]),
        ('[model]\nname = "a/b"\ntarget = "y"\n', 2, ["a name of letters"]),
        ('[model]\nname = "a"\n', 1, ["[model] target is missing"]),
        ("", 0, ["[model] name is missing"]),
        ("model = 1\n", 1, ["model needs to be a table"]),
        (LEAST + "[gates\n", 4, ["this is not TOML"]),
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(text, line, parts):
    with pytest.raises(InvalidInputError) as refusal:
        policy.parse(text, where="homeostat.toml")
    place = f"homeostat.toml:{line}: " if line else "homeostat.toml: "
    assert str(refusal.value).startswith(place)
    for part in parts:
        assert part in str(refusal.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(NotFoundError, match="there is no"):
        policy.read(tmp_path / "homeostat.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "homeostat.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInputError, match="cannot be read as text"):
        policy.read(tmp_path / "homeostat.toml")


def test_the_digest_follows_meaning_not_layout(tmp_path):
    (tmp_path / "homeostat.toml").write_text(LEAST)
    first = policy.digest(policy.read(tmp_path / "homeostat.toml"))
    assert policy.digest(policy.parse('model = {target="defaulted", name="credit"}')) == first
    assert policy.digest(policy.parse(LEAST + 'tier = "low"\n')) != first
    assert policy.digest(policy.parse(LEAST + "[explain]\ntop = 4\n")) == first
    assert policy.digest(policy.parse(LEAST + "[explain]\ntop = 3\n")) != first
    assert first == "773e1bb51b18d5ace6969bebc2023a0cdc0faf148ae31aea9689d653c5361bea"


def test_a_policy_survives_json():
    read = policy.parse(WHOLE)
    assert msgspec.json.decode(msgspec.json.encode(read), type=policy.Policy) == read
