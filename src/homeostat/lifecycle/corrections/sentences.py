"""What a correction does, in words; called by the pages and the command line."""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.lifecycle.corrections.entities import (
    Abstain,
    Body,
    Clause,
    Explore,
    Fallback,
    GroupThreshold,
    Recalibration,
    Ruling,
    Threshold,
)

_SIGNS = {"eq": "is", "ne": "is not", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_FEW = 6


def told(body: Body) -> str:
    """Say in one sentence what a correction does.

    Parameters
    ----------
    body
        Of any kind.

    Examples
    --------
    >>> told(Threshold(at=0.3))
    'answers the positive class from a score of 0.3'
    >>> told(Ruling(when=(Clause("age", "lt", 18), Clause("income", "is_null")), answer="no"))
    "answers 'no' where age < 18 and income is missing"
    >>> told(Abstain(low=0.4, high=0.6))
    'leaves scores from 0.4 to below 0.6 to a person, within 24 h'
    """
    match body:
        case Threshold(at=at):
            return f"answers the positive class from a score of {at:g}"
        case GroupThreshold(column=column, at=groups):
            some = [f"{at:g} for {group}" for group, at in list(groups.items())[:_FEW]]
            more = "" if len(groups) <= _FEW else f" and {len(groups) - _FEW} more"
            return f"answers the positive class by {column} from {', '.join(some)}{more}"
        case Recalibration():
            return _map(body)
        case Ruling(answer=answer, score=score, when=when):
            what = f"answers {answer!r}" if answer is not None else f"scores {score:g}"
            return f"{what} where {conditions(when)}"
        case Abstain():
            return _abstain(body)
        case Explore(share=share, answer=answer, low=low, high=high):
            band = f" with scores from {low:g} to below {min(high, 1.0):g}"
            return f"answers {answer!r} for {share:.1%} of the keys{band}, to see their labels"
        case Fallback(version=version, score=score, when=when):
            who = f"a score of {score:g}" if version is None else f"version {version}"
            also = f" and where {conditions(when)}" if when else ""
            return f"{who} answers where the model fails{also}"


def conditions(when: Sequence[Clause]) -> str:
    """Say what must hold.

    Parameters
    ----------
    when
        One or more.

    Examples
    --------
    >>> conditions([Clause("region", "in", ("east", "north"))])
    'region is east or north'
    """
    return " and ".join(_condition(one) for one in when)


def _condition(one: Clause) -> str:
    if one.op == "is_null":
        return f"{one.column} is missing"
    values = one.value if isinstance(one.value, tuple) else (one.value,)
    some = [str(value) for value in values[:_FEW]]
    more = [] if len(values) <= _FEW else [f"{len(values) - _FEW} others"]
    return f"{one.column} {_SIGNS.get(one.op, 'is')} {' or '.join([*some, *more])}"


def _map(body: Recalibration) -> str:
    if body.method == "platt":
        how = f"slope {body.slope:.4g} and intercept {body.intercept:.4g} on the logit"
    else:
        how = f"{len(body.knots)} knots"
    whose = f" of version {body.versions}" if body.versions else ""
    gain = ""
    if body.evidence is not None:
        found = body.evidence
        gain = f"; Brier score {found.brier_before:.4g} before, {found.brier_after:.4g} after"
    return f"maps the score{whose} by {how}{gain}"


def _abstain(body: Abstain) -> str:
    which = "scores"
    if body.low is not None:
        which += f" from {body.low:g}"
    if body.high is not None:
        which += f"{' to' if body.low is not None else ''} below {body.high:g}"
    if body.low is None and body.high is None:
        which = "rows"
    where = f" where {conditions(body.when)}" if body.when else ""
    return f"leaves {which} to a person{where}, within {body.due_h:g} h"
