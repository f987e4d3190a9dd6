"""Rank what may have caused harm, with evidence; called when the loss has risen.

The order of asking is the order of acting: a broken feed is quarantined, a new version rolled
back, a shift of the covariates reweighted; what none of them explains is a changed world.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from homeostat.lifecycle.monitoring import checks, entities, judge, region


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """How requests fared on the rows of the harm."""

    n_requests: int
    n_failed: int


class Corrected(msgspec.Struct, frozen=True, kw_only=True):
    """What corrections did to answers: of how many rows, changed, made wrong on balance.

    `marks` names those that fired, ``<id>@<version>``.
    """

    n_rows: int
    n_changed: int
    n_worse: int
    marks: tuple[str, ...] = ()


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the windows.

    Attributes
    ----------
    deployment
        For the commands that show the evidence; without it there are none.
    service, corrections
        Of the rows of the harm, where counted.
    skew
        The check of training-serving skew, as it was found last.
    region
        Where the loss has risen most, if that is known.
    """

    deployment: str = ""
    service: Service | None = None
    corrections: Corrected | None = None
    skew: checks.Check | None = None
    region: region.Region | None = None


SHOWN = {
    "feed": "homeostat monitor show {} --by minute",
    "schema": "homeostat monitor windows {}",
    "skew": "homeostat monitor check {}",
    "covariate-shift": "homeostat monitor show {} --by hour",
    "prior-shift": "homeostat monitor check {}",
    "concept-change": "homeostat predictions export {} log.parquet --labels",
    "new-version": "homeostat audit log --subject deployment:{} --kind plan.changed",
    "correction": "homeostat correction list {}",
    "infrastructure": "homeostat monitor check {}",
}
"""The command that shows the evidence of each cause, by deployment."""
Judged = entities.Judgement | entities.Window
_FAILING = 0.05
_PART = 0.5
_Z = 1.96  # one-sided, 97.5 %
_A_THIRD = 1 / 3
# What a shift leaves unexplained; two-sided 99 %, for its weights stand for whole groups.
_Z_REST = 2.58


def rank(
    judgements: Sequence[entities.Judgement | entities.Window],
    *,
    harm: entities.Harm | None = None,
    version_row: int | None = None,
    hints: Hints = Hints(),  # noqa: B008 - immutable
) -> tuple[entities.Cause, ...]:
    """Name the causes of harm, the likeliest first.

    Parameters
    ----------
    judgements
        Of the windows of the harm, fresh or as stored, in order; those that do not touch its
        rows are left out.
    harm
        The rise in loss (share of wrong answers); None ranks findings alone.
    version_row
        First row answered by a version newer than the accepted loss; None when there is none.
    hints
        What is known beside the windows.

    Returns
    -------
    tuple
        At least one cause when `harm` is given. Shares are parts of the rise that a cause
        explains, 0 to 1; a broken feed, a new version and failing requests come before what
        the data say, because they make the data untrustworthy.

    References
    ----------
    .. [1] J. Quiñonero-Candela et al. (eds.), *Dataset Shift in Machine Learning*, 2009: the
       loss moves because inputs move (covariate shift) or because outcomes do (concept).
    """
    touching = [
        j
        for j in judgements
        if harm is None or (j.first_row < harm.end_row and j.end_row > harm.first_row)
    ]
    causes = _of_the_feed(touching, harm)
    service, skewed = hints.service, hints.skew
    if service and service.n_requests and service.n_failed > _FAILING * service.n_requests:
        causes.append(_of_the_service(service))
    if skewed is not None and skewed.verdict == "found":
        causes.append(_of_the_skew(skewed))
    if harm is None:
        causes += _shifts(touching)
        return _ranked(causes, hints)
    if hints.corrections is not None and hints.corrections.n_worse > 0:
        causes.append(_of_the_corrections(hints.corrections, harm))
    if version_row is not None and harm.first_row <= version_row < harm.end_row:
        causes.append(_of_the_version(version_row, harm))
    left = max(0.0, 1.0 - max((cause.share for cause in causes), default=0.0))
    shift = _of_the_shift(touching, harm, left)
    if shift:
        causes.append(shift)
        left = max(0.0, left - shift.share)
    causes.append(_of_the_world(harm, left, shift, where=hints.region))
    return _ranked(causes, hints)


def _ranked(causes: Sequence[entities.Cause], hints: Hints) -> tuple[entities.Cause, ...]:
    """Order causes by what they explain; each with the command that shows its evidence."""
    ordered = sorted(causes, key=lambda cause: -cause.share)
    if not hints.deployment:
        return tuple(ordered)
    return tuple(
        msgspec.structs.replace(cause, query=SHOWN[cause.kind].format(hints.deployment))
        if cause.kind in SHOWN
        else cause
        for cause in ordered
    )


def _of_the_feed(
    judgements: Sequence[entities.Judgement | entities.Window], harm: entities.Harm | None
) -> list[entities.Cause]:
    """Each broken column once; its share is that of the rows it touches."""
    first = min((j.first_row for j in judgements), default=0)
    end = max((j.end_row for j in judgements), default=0)
    if harm:
        first, end = harm.first_row, harm.end_row
    found: dict[tuple[str, str | None], list[entities.Cause]] = {}
    for judgement in judgements:
        for cause in judgement.causes:
            if cause.kind in {"feed", "schema"}:
                found.setdefault((cause.kind, cause.column), []).append(cause)
    ranges = {r for j in judgements for r in j.broken or ()}
    broken = sum(max(0, min(end, b) - max(first, a)) for a, b in ranges)
    share = min(1.0, broken / max(1, end - first))
    causes = []
    for each in found.values():
        evidence = tuple(dict.fromkeys(line for cause in each for line in cause.evidence))
        causes.append(msgspec.structs.replace(each[0], share=share, evidence=evidence))
    return causes


def _of_the_service(service: Service) -> entities.Cause:
    share = service.n_failed / service.n_requests
    sentence = f"{service.n_failed} of {service.n_requests} requests failed"
    return entities.Cause(
        kind="infrastructure", share=share, sentence=sentence, evidence=(sentence,)
    )


def _of_the_skew(skewed: checks.Check) -> entities.Cause:
    """Name the column that differs in most rows; as much of the loss may come of it."""
    columns = {name: one.value for name, one in skewed.numbers.items() if name != "pairs"}
    column = max(columns, key=lambda name: columns[name], default=None)
    return entities.Cause(
        kind="skew",
        column=column,
        share=columns[column] if column is not None else 0.0,
        sentence=f"what is served is not what the data set has: {skewed.sentence}",
        evidence=(
            skewed.sentence,
            *([f"compared with: {skewed.query}"] if skewed.query else []),
        ),
    )


def _of_the_corrections(corrected: Corrected, harm: entities.Harm) -> entities.Cause:
    rise = max(harm.realised - harm.accepted, 1e-9)
    sentence = (
        f"corrections changed {corrected.n_changed} of {corrected.n_rows} answers, and "
        f"{corrected.n_worse} more of them are wrong than without"
    )
    named = [f"by {', '.join(corrected.marks[:5])}"] if corrected.marks else []
    return entities.Cause(
        kind="correction",
        share=min(1.0, corrected.n_worse / max(1, corrected.n_rows) / rise),
        sentence=sentence,
        evidence=(sentence, *named),
    )


def _of_the_version(row: int, harm: entities.Harm) -> entities.Cause:
    share = (harm.end_row - row) / max(1, harm.end_row - harm.first_row)
    sentence = f"a new version answers since row {row}, within the rows of the harm"
    return entities.Cause(
        kind="new-version",
        share=_PART * share,
        sentence=sentence,
        evidence=(sentence, f"the loss rose from row {harm.first_row} on"),
    )


def _shifts(judgements: Sequence[entities.Judgement | entities.Window]) -> list[entities.Cause]:
    """Return the shifted columns of all windows, each once, as last seen."""
    kinds = {"covariate-shift", "prior-shift"}
    last = {(c.kind, c.column): c for j in judgements for c in j.causes if c.kind in kinds}
    return list(last.values())


def _of_the_shift(
    judgements: Sequence[entities.Judgement | entities.Window], harm: entities.Harm, left: float
) -> entities.Cause | None:
    effects = [j.shift for j in judgements if j.shift is not None]
    if not effects:
        return None
    rise = max(harm.realised - harm.accepted, 1e-9)
    change = math.fsum(effect.change for effect in effects) / len(effects)
    share = min(left, max(0.0, change / rise))
    if share >= _A_THIRD and _is_noise(rise - change, effects[-1], harm):
        share = left  # the simplest account that the rows do not contradict
    priors = [effect for effect in effects if effect.prior is not None]
    if 2 * len(priors) > len(effects):
        return judge.of_prior(priors[-1], share=share)
    columns = tuple(dict.fromkeys(name for effect in effects for name in effect.columns))
    sentence = (
        f"other cases arrive ({', '.join(columns)}); weighting the reference like them "
        f"explains {share:.0%} of the rise in loss"
    )
    return entities.Cause(
        kind="covariate-shift",
        column=columns[0],
        share=share,
        sentence=sentence,
        evidence=(judge.tell(effects[-1]),),
    )


def _is_noise(rest: float, effect: entities.ShiftEffect, harm: entities.Harm) -> bool:
    """Say whether a shift surely costs, and leaves of the rise no more than noise."""
    if effect.change <= _Z * effect.standard_error:
        return False
    chance = harm.realised * (1 - harm.realised) / max(1, harm.n_rows)
    return rest <= _Z_REST * math.sqrt(chance + effect.standard_error**2)


def _of_the_world(
    harm: entities.Harm,
    share: float,
    shift: entities.Cause | None,
    *,
    where: region.Region | None,
) -> entities.Cause:
    rows = f"{harm.n_rows} rows since row {harm.first_row}"
    seen = (
        f"{harm.realised:.1%} of {rows} were answered wrongly, {harm.accepted:.1%} is accepted"
        if harm.is_share
        else f"the mean loss of {rows} is {harm.realised:.4g}, {harm.accepted:.4g} is accepted"
    )
    why = "no shift of the inputs explains it" if shift is None else f"after that, {share:.0%}"
    evidence = [seen, why if shift is None else f"{why} of the rise is left unexplained"]
    sentence = f"the same cases have other outcomes than at training: {seen}"
    if where is not None:
        told = (
            f"{where.excess:.0%} of the excess loss is where {where.column} is {where.where}, "
            f"{where.rows:.0%} of the rows"
        )
        evidence.append(told)
        sentence = f"{sentence}; {told}"
    return entities.Cause(
        kind="concept-change",
        share=share,
        sentence=sentence,
        evidence=tuple(evidence),
    )
