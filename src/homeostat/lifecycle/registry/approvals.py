"""Whether a version may answer, by the tier of its model; serving and the loop ask it."""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.foundation import access, errors
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.evaluation import gates
from homeostat.lifecycle.evaluation.entities import GateReport
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.registry import adopted, records
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
        Its gates are judged anew on the exam of the version's report, so that a report under
        laxer gates, or under none, is no pass. Its tier counts, or the model's own where that
        is stricter. ``low``: the gates suffice. ``medium``: a person approved this version,
        or, for a version that the system made inside the policy's envelope, an earlier one.
        ``high``: a person other than its trainer approved exactly this version.

    Raises
    ------
    GateClosedError
        When it has no gate report, a gate of the policy or of the report fails, the exam says
        nothing of what the policy asks, an approval is missing, or it is pickled and nobody
        trusts it.
    CorruptError
        When the report was changed after it was signed.
    """
    report = _need_report(tx, version)
    _need_pass(report, version, policy)
    _need_trust(tx, version)
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
    word = f"; its exam is the word of {report.actor}" if _is_sent(report) else ""
    raise errors.GateClosedError(
        f"{version.reference} may not answer: tier {tier!r} needs the approval of {who}{word}",
        hint=f"homeostat model approve {version.model} {version.number}",
        version=version.reference,
        tier=tier,
    )


def need_fit(
    tx: Transaction, actor: access.Actor, report_id: str, *, model: str, digest: str
) -> None:
    """Refuse a report that is about another model or other files than those registered.

    Parameters
    ----------
    tx, actor
        Transaction to read in, and who asks.
    report_id
        Of a gate report.
    model, digest
        What is registered.

    Raises
    ------
    InvalidInputError
        When they differ.
    """
    report = evaluation.get_report(tx, actor, report_id)
    if report.model != model or report.candidate != digest:
        raise errors.InvalidInputError(
            f"report:{report_id} is about other files than those of this version",
            hint="judge the gates on exactly the files that are registered",
            report=report_id,
        )


def latest_approved(tx: Transaction, model: str, *, before: int) -> int | None:
    """Return the number of the newest version, older than `before`, that a person let in."""
    given = records.list_approvals(tx, model)
    return max((one.number for one in given if one.number < before), default=None)


def trainers(version: Version) -> tuple[str, str]:
    """Return who must not approve the version where four eyes are needed."""
    return version.trained_by, version.registered_by


def _need_report(tx: Transaction, version: Version) -> GateReport:
    if not version.files:
        raise _closed(
            version,
            f"it has no files on this server, only the address {version.source!r}",
            hint="log the model's files with a run on this server, and register that",
        )
    if not version.report_id:
        raise _closed(
            version,
            "no gate has judged it",
            hint=f"homeostat model judge {version.model} {version.number} --data TABLE",
        )
    report = evaluation.verify_report(tx, access.system("registry"), version.report_id)
    if report.candidate != version.digest or report.model not in version.names:
        raise _closed(version, f"report:{report.id} is about other files")
    if report.verdict == "fail":
        raise _closed(version, report.judged.sentence, hint=f"see report:{report.id}")
    return report


def _need_pass(report: GateReport, version: Version, policy: Policy) -> None:
    """Refuse a version whose exam does not pass the gates of this policy."""
    hint = f"train it under this policy with homeostat run; see report:{report.id}"
    try:
        judged = gates.judge(report.exam, policy.gates)
    except errors.InvalidInputError as error:
        raise _closed(version, str(error), hint=hint) from error
    if judged.verdict == "fail":
        raise _closed(version, judged.sentence, hint=hint)
    if not _is_sent(report):
        return
    needed = {
        "worst_slice": policy.gates.worst_slice_at_least,
        "disparate_impact": policy.gates.disparate_impact_at_least,
    }
    seen = {gate.name for gate in judged.gates}
    for name, bound in needed.items():
        if policy.data.protected and bound is not None and name not in seen:
            columns = ", ".join(policy.data.protected)
            raise _closed(version, f"its exam says nothing of {name} by {columns}", hint=hint)


def _need_trust(tx: Transaction, version: Version) -> None:
    """Refuse a version whose code nobody trusts, or trusts any more."""
    how = adopted.loadable(tx, version)
    if how.needs_trust and not how.is_trusted:
        raise _closed(
            version,
            "loading it can run any code, and nobody trusts it",
            hint=f"homeostat model trust {version.model} {version.number} --reason WHY",
        )


def _is_sent(report: GateReport) -> bool:
    """Say whether the exam was taken elsewhere, so that its numbers are somebody's word."""
    return report.measured_by != "system"


def _closed(version: Version, reason: str, *, hint: str = "") -> errors.GateClosedError:
    return errors.GateClosedError(
        f"{version.reference} may not answer: {reason}",
        hint=hint,
        version=version.reference,
        report=version.report_id,
    )


def _is_in_envelope(version: Version, given: Sequence[Approval]) -> bool:
    """Say whether the system made it after a person let an earlier version answer."""
    return version.by_system and any(item.number < version.number for item in given)
