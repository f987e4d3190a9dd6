"""Whether a version may answer, by the tier of its model; serving and the loop ask it."""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.registry import records
from homeostat.lifecycle.registry.entities import Approval, Version

TIERS = ("low", "medium", "high")


def may_serve(tx: Transaction, version: Version, policy: Policy) -> None:
    """Return when the version may answer; refuse with the reason when it may not.

    Parameters
    ----------
    tx
        Any transaction.
    version
        As read from the registry.
    policy
        Its tier counts, or the model's own where that is stricter. ``low``: the gates suffice.
        ``medium``: a person approved this version, or, for a version that the system made
        inside the policy's envelope, an earlier one. ``high``: a person other than its
        trainer approved exactly this version.

    Raises
    ------
    GateClosedError
        When it has no gate report, a gate failed, or an approval is missing.
    CorruptError
        When the report was changed after it was signed.
    """
    _need_report(tx, version)
    model = records.find_model(tx, version.model)
    tiers = [policy.model.tier, *([model.tier] if model else [])]
    tier = max(tiers, key=TIERS.index)
    if tier == "low":
        return
    given = records.list_approvals(tx, version.model)
    if tier == "medium" and _is_in_envelope(version, given):
        return
    own = [approval for approval in given if approval.number == version.number]
    if tier == "high":
        own = [approval for approval in own if approval.actor not in trainers(version)]
    if own:
        return
    who = "someone who did not train it" if tier == "high" else "a person"
    raise errors.GateClosedError(
        f"{version.reference} may not answer: tier {tier!r} needs the approval of {who}",
        hint=f"homeostat model approve {version.model} {version.number}",
        version=version.reference,
        tier=tier,
    )


def trainers(version: Version) -> tuple[str, str]:
    """Return who must not approve the version where four eyes are needed."""
    return version.trained_by, version.registered_by


def _need_report(tx: Transaction, version: Version) -> None:
    if not version.report_id:
        raise errors.GateClosedError(
            f"{version.reference} may not answer: no gate has judged it",
            hint="register it with the report of its gates, as `homeostat run` does",
            version=version.reference,
        )
    report = evaluation.verify_report(tx, access.system("registry"), version.report_id)
    if report.candidate != version.digest or report.model != version.model:
        raise errors.GateClosedError(
            f"{version.reference} may not answer: report:{report.id} is about other files",
            version=version.reference,
            report=report.id,
        )
    if report.verdict == "fail":
        raise errors.GateClosedError(
            f"{version.reference} may not answer: {report.judged.sentence}",
            hint=f"see report:{report.id}",
            version=version.reference,
            report=report.id,
        )


def _is_in_envelope(version: Version, given: Sequence[Approval]) -> bool:
    """Say whether the system made it after a person let an earlier version answer."""
    return version.by_system and any(item.number < version.number for item in given)
