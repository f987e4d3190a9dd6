"""What a person does first about an alert, and what its evidence says in words.

Said alike by messages, command line and pages, which call it; pure.
"""

from __future__ import annotations

import re

from homeostat.foundation import clock
from homeostat.lifecycle.monitoring.entities import Alert

_FEED = (
    "have whoever sends the rows mend them; nothing is learned from broken rows, and the loop "
    "goes on by itself once they are as before"
)
_DRIFT = (
    "see whether it harms: homeostat monitor performance {name}; rows that moved harm nobody "
    "until labels say so"
)
_BLAME = "see what causes it: homeostat monitor blame {name}"
_BUDGET = "see what spends it: homeostat objectives show {name}"
_SERVICE = "see the prediction server: homeostat doctor, its log, and the load of its machine"
_NUMBER = "see how it came: homeostat objectives measured {name}"
FIRST: dict[str, str] = {
    "harm": (
        f"{_BLAME}; the loop fits a challenger where that helps; to go back at once: "
        "homeostat deploy {name} --rollback"
    ),
    "feed": _FEED,
    "schema": _FEED,
    "duplicates": _FEED,
    "freshness": _FEED,
    "volume": "ask the callers whether they meant to send more or fewer rows than usual",
    "no-data": "see whether callers reach the prediction server: homeostat status",
    "covariate-drift": _DRIFT,
    "prediction-drift": _DRIFT,
    "multivariate-drift": _DRIFT,
    "attribution-drift": _DRIFT,
    "prior-shift": _DRIFT,
    "calibration": _BLAME,
    "performance": _BLAME,
    "fairness": "see by group: homeostat monitor check {name}",
    "staleness": "see why no newer model came: homeostat loop status {name}",
    "training-serving-skew": "compute the column in one way, in training and in service",
    "service-latency": _SERVICE,
    "service-errors": _SERVICE,
    "service-saturation": _SERVICE,
    "unexpected-decision": "look at the case: homeostat monitor unusual {name}",
    "budget-fast": f"look now: {_BUDGET}",
    "budget-slow": f"look this week: {_BUDGET}",
    "metric": _NUMBER,
    "kpi": _NUMBER,
    "metric-failed": "mend the function, then: homeostat objectives measure {name}",
    "approval": "read the report of the version and decide: homeostat model approve",
    "loop-stuck": "mend what the sentence names, then: homeostat loop ask {name}",
    "left-to-a-person": "do what it asks, then say that it is over; only then fits go on",
}
"""By kind of alert; what programs elsewhere report has kinds of its own."""
_ELSE = "see what stands: homeostat alerts list {name}"
_WHY = ("cause_sentence", "cause")
_AT = "_at"
_DIGEST, _SHORT = re.compile(r"[0-9a-f]{64}"), 12


def first(alert: Alert) -> str:
    """Return what to do first.

    Parameters
    ----------
    alert
        Of any kind.

    Examples
    --------
    >>> alert = Alert(id="1", deployment="credit", kind="budget-fast", cause="unknown",
    ...               column=None, state="open", opened_at=0, sentence="right burns")
    >>> first(alert)
    'look now: see what spends it: homeostat objectives show credit'
    """
    return FIRST.get(alert.kind, _ELSE).replace("{name}", alert.deployment)


def why(alert: Alert) -> str:
    """Return the cause in words: the kind that is blamed, and what its evidence says of it.

    Parameters
    ----------
    alert
        Any.
    """
    told = dict(_named(one) for one in alert.evidence)
    sentence = next((told[name] for name in _WHY if told.get(name)), "")
    if sentence in {"", "None", alert.sentence, alert.cause}:
        return alert.cause
    return sentence if alert.cause == "unknown" else f"{alert.cause}: {sentence}"


def facts(alert: Alert) -> list[str]:
    """Return the evidence for people: without what `why` says, instants as dates.

    Parameters
    ----------
    alert
        Any.

    Examples
    --------
    >>> alert = Alert(id="1", deployment="credit", kind="no-data", cause="unknown", column=None,
    ...               state="open", opened_at=0, sentence="nothing",
    ...               evidence=("last_served_at: 1795306006238", "run:7"))
    >>> facts(alert)
    ['last served at: 2026-11-22 00:06:46 UTC', 'run:7']
    """
    found = []
    for one in alert.evidence:
        name, value = _named(one)
        if not value:
            found.append(one)
        elif name not in _WHY and value != "None":
            found.append(f"{name.replace('_', ' ')}: {_instant(name, value)}")
    return found


def span(ms: int) -> str:
    """Return a length of time in its two largest units.

    Parameters
    ----------
    ms
        Milliseconds, 0 or more.

    Examples
    --------
    >>> span(200_000), span(90_061_000), span(900)
    ('3 min 20 s', '1 d 1 h', '0 s')
    """
    left = ms // 1000
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        n, left = divmod(left, size)
        if n or (unit == "s" and not parts):
            parts.append(f"{n} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def _named(one: str) -> tuple[str, str]:
    name, mark, value = one.partition(": ")
    return (name, value) if mark else ("", "")


def _instant(name: str, value: str) -> str:
    if name.endswith(_AT) and value.isdigit() and clock.has_date(int(value)):
        return f"{clock.short(int(value))} UTC"
    return f"{value[:_SHORT]}…" if _DIGEST.fullmatch(value) else value
