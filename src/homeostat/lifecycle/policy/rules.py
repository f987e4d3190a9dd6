"""What a policy must satisfy beyond the type of each key; called when one is read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import cronsim
import msgspec

from homeostat.lifecycle.policy import entities, limits, promised, spans
from homeostat.lifecycle.policy.entities import Policy

_ADDRESS = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")


# A quantile between 0 and 1, such as pinball@0.9.
_PINBALL = re.compile(r"pinball@0?\.(?!0+\Z)\d{1,6}")


class Problem(NamedTuple):
    """One thing that cannot be right."""

    section: str
    key: str
    sentence: str
    hint: str = ""


def problems(policy: Policy) -> Iterator[Problem]:
    """Yield what cannot be right, in the order of the file's sections.

    Parameters
    ----------
    policy
        With every default filled in.

    Yields
    ------
    Problem
        Section, key, sentence, hint.
    """
    yield from _about_columns(policy)
    yield from _about_spans(policy)
    yield from _about_gates(policy)
    yield from _about_rollout(policy)
    yield from _about_retraining(policy)
    yield from _about_explaining(policy)
    yield from _about_alerts(policy.alerts, policy.envelope.ask)
    yield from _about_promises(policy)
    yield from (Problem(*flaw) for flaw in limits.flaws(policy.envelope))


def _about_promises(policy: Policy) -> Iterator[Problem]:
    for found in (
        promised.flaws_of_slices(policy.slices),
        promised.flaws_of_measured("metrics", policy.metrics, policy.slices),
        promised.flaws_of_measured("kpis", policy.kpis, policy.slices),
        promised.flaws_of_objectives(policy.objectives, policy.slices),
    ):
        yield from (Problem(*flaw) for flaw in found)
    yield from _about_slices(policy)
    for name, one in policy.objectives.items():
        if one.of == "fairness" and one.column and one.column not in policy.data.protected:
            told = f"[objectives.{name}] column {one.column!r} is not protected"
            known = ", ".join(policy.data.protected) or "none"
            yield Problem("objectives", name, told, f"[data] protected names {known}")


def _about_slices(policy: Policy) -> Iterator[Problem]:
    wanted = {} if policy.gates.slices is msgspec.UNSET else policy.gates.slices
    for name in wanted:
        if name not in policy.slices:
            sentence = f"[gates.slices] {name} is held against a bound, but is no slice"
            known = ", ".join(policy.slices) or "none"
            yield Problem("gates", "slices", sentence, f"known under [slices] are {known}")


def _about_columns(policy: Policy) -> Iterator[Problem]:
    target = policy.model.target
    for section, key, used in (
        ("model", "key", policy.model.key),
        ("data", "time", policy.data.time),
    ):
        if used == target:
            yield Problem(section, key, f"[{section}] {key} is {target!r}, which is the target")
    if target in policy.data.protected:
        yield Problem("data", "protected", f"[data] protected names the target {target!r}")


def _about_spans(policy: Policy) -> Iterator[Problem]:
    for section, key, text in (
        ("data", "label_delay", policy.data.label_delay),
        ("monitoring", "window", policy.monitoring.window),
        ("retraining", "cooldown", policy.retraining.cooldown),
        ("retraining", "debounce", policy.retraining.debounce),
        ("retraining", "compute_per_day", policy.retraining.compute_per_day or "1h"),
    ):
        try:
            span = spans.parse(text)
        except ValueError:
            yield Problem(
                section, key, f"[{section}] {key} needs {spans.WRITTEN}, got {text!r}"
            )
            continue
        if key == "window" and not (span.rows or span.seconds):
            yield Problem(section, key, f"[monitoring] window {text!r} is empty")
        if section == "retraining" and span.seconds is None:
            yield Problem(section, key, f"[retraining] {key} needs a time, got {text!r}", "6h")


def _about_gates(policy: Policy) -> Iterator[Problem]:
    is_classification = policy.model.task == "classification"
    known = (
        entities.CLASSIFICATION_METRICS if is_classification else entities.REGRESSION_METRICS
    )
    metric = policy.gates.metric
    if metric not in known and (is_classification or not _PINBALL.fullmatch(metric)):
        near = difflib.get_close_matches(metric, known, n=1, cutoff=0.5)
        yield Problem(
            "gates",
            "metric",
            f"[gates] metric {metric!r} is not known for {policy.model.task}",
            f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}",
        )
    if not is_classification and policy.gates.disparate_impact_at_least is not None:
        yield Problem(
            "gates",
            "disparate_impact_at_least",
            "[gates] disparate_impact_at_least compares shares of two classes; the task is "
            "regression",
            "worst_slice_at_least holds a metric against a bound in each group",
        )


def _about_rollout(policy: Policy) -> Iterator[Problem]:
    steps = policy.rollout.steps
    if list(steps) != sorted(set(steps)) or not steps or steps[-1] != 1.0:
        yield Problem(
            "rollout",
            "steps",
            f"[rollout] steps needs shares that grow and end with 1.0, got {list(steps)}",
            "[0.05, 0.25, 1.0]",
        )


def _about_retraining(policy: Policy) -> Iterator[Problem]:
    retraining = policy.retraining
    if "schedule" in retraining.on and retraining.schedule is None:
        yield Problem(
            "retraining", "on", "[retraining] on names schedule, but none is given", "0 3 * * 1"
        )
    if retraining.schedule is not None:
        try:
            cronsim.CronSim(retraining.schedule, spans.EPOCH)
        except cronsim.CronSimError as error:
            yield Problem(
                "retraining",
                "schedule",
                f"[retraining] schedule {retraining.schedule!r} is no cron expression: {error}",
                "minute hour day month weekday, as 0 3 * * 1",
            )


def _about_explaining(policy: Policy) -> Iterator[Problem]:
    explain = policy.explain
    yield from _about_groups(explain.groups)
    never = {policy.model.target: "the target"}
    never.update(dict.fromkeys(policy.data.protected, "protected, so no person is told of it"))
    grouped = [column for columns in explain.groups.values() for column in columns]
    for key, named in (
        ("groups", grouped),
        ("texts", list(explain.texts)),
        ("actionable", list(explain.actionable)),
    ):
        for column in named:
            if column in never:
                yield _of_explain(key, f"{key} names {column!r}, which is {never[column]}")
    yield from _about_bounds(explain)


def _about_groups(groups: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name, columns in groups.items():
        if not columns:
            yield _of_explain("groups", f"group {name!r} has no columns")
        for column in columns:
            if column in seen:
                both = " and ".join(dict.fromkeys((seen[column], name)))
                yield _of_explain("groups", f"column {column!r} is named twice, in {both}")
            seen[column] = name


def _about_bounds(explain: entities.Explain) -> Iterator[Problem]:
    for key, bounds in (("minimum", explain.minimum), ("maximum", explain.maximum)):
        for column in bounds:
            if column not in explain.actionable:
                near = difflib.get_close_matches(column, explain.actionable, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else "name it under actionable too"
                yield _of_explain(key, f"{key} names {column!r}, which is not actionable", hint)
    for column, least in explain.minimum.items():
        most = explain.maximum.get(column, least)
        if most < least:
            yield _of_explain("maximum", f"{column!r} has maximum {most:g}, minimum {least:g}")


def _of_explain(key: str, sentence: str, hint: str = "") -> Problem:
    return Problem("explain", key, f"[explain] {sentence}", hint)


def _about_alerts(alerts: entities.Alerts, asked: Sequence[str]) -> Iterator[Problem]:
    named = [*alerts.webhooks, *alerts.slack, *alerts.email]
    for name in sorted({name for name in named if named.count(name) > 1}):
        yield Problem("alerts", "tell", f"[alerts] {name!r} names two receivers")
    for key, wanted in (("tell", alerts.tell), ("escalate", alerts.escalate), ("ask", asked)):
        for name in (name for name in wanted if name not in named):
            near = difflib.get_close_matches(name, named, n=1, cutoff=0.5)
            hint = (
                f"did you mean {near[0]!r}?" if near else "name it in webhooks, slack or email"
            )
            where = "envelope" if key == "ask" else "alerts"
            yield Problem(where, key, f"[{where}] {key}: nobody is named {name!r}", hint)
    yield from _about_addresses(alerts)
    yield from _about_times(alerts)


def _about_addresses(alerts: entities.Alerts) -> Iterator[Problem]:
    for name, url in alerts.webhooks.items():
        if not _is_web(url):
            said = f"[alerts] webhooks: {name} needs an address of the web, got {url!r}"
            yield Problem("alerts", "webhooks", said, "https://…, without user and password")
    for name, addresses in alerts.email.items():
        if not addresses or not all(_ADDRESS.fullmatch(one) for one in addresses):
            said = f"[alerts] email: {name} needs addresses, got {list(addresses)}"
            yield Problem("alerts", "email", said, '["ada@example.org"]')
    for reference in alerts.upstream:
        if not all(reference.partition(":")):
            said = f"[alerts] upstream needs kind and name, got {reference!r}"
            yield Problem("alerts", "upstream", said, "deployment:features")


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_there = parts.port is None or parts.port > 0  # which raises beyond the last one
    except ValueError:
        return False
    is_plain = url.isascii() and not any(map(str.isspace, url)) and parts.username is None
    return parts.scheme in {"https", "http"} and bool(parts.hostname) and is_there and is_plain


def _about_times(alerts: entities.Alerts) -> Iterator[Problem]:
    for key in ("escalate_after", "group", "no_data_after"):
        text = getattr(alerts, key)
        try:
            seconds = 1.0 if text is None else spans.parse(text).seconds
        except ValueError:
            seconds = None
        if seconds is None or (not seconds and key != "group"):
            yield Problem("alerts", key, f"[alerts] {key} needs a time, got {text!r}", "1h")
