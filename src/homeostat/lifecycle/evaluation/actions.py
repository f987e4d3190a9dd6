"""What an actor may do with gate reports: save, read, verify."""

from __future__ import annotations

from homeostat.foundation import access, errors, events, ids, sealed
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.evaluation import gates, records
from homeostat.lifecycle.evaluation.entities import REPORT, Exam, GateReport, Judged, MeasuredBy

AFTER_ALL = "~"


def save_report(
    tx: Transaction,
    actor: access.Actor,
    model: str,
    *,
    candidate: str,
    exam: Exam,
    judged: Judged,
    policy_digest: str,
    champion: str = "",
    measured_by: MeasuredBy = "client",
) -> GateReport:
    """Date, sign and keep what the gates said of a candidate.

    Parameters
    ----------
    tx, actor
        Needs ``report.write``; the transaction's signer signs.
    model
        Name of the model.
    candidate
        Digest of the candidate's files, so that the report holds for exactly these.
    exam, judged
        From `exam.sit` and `gates.judge`.
    policy_digest
        Of the policy whose gates were judged.
    champion
        Reference of the version it was compared with, such as ``model:credit@3``.
    measured_by
        ``system`` only where this program took the exam on rows it holds.

    Returns
    -------
    GateReport
        As stored.

    Raises
    ------
    InvalidInputError
        When what the gates say does not follow from the exam.
    UnavailableError
        When this installation has no signing key.
    """
    access.require(actor, "report.write")
    if judged != gates.again(exam, judged.gates):
        raise errors.InvalidInputError(
            f"the verdict {judged.verdict!r} does not follow from its exam and gates",
            hint="send what gates.judge returned for this exam",
        )
    if tx.signer is None:
        raise errors.UnavailableError("no report can be signed: no signing key was loaded")
    report = sealed.seal(
        GateReport(
            id=ids.new_id(),
            model=model,
            candidate=candidate,
            champion=champion,
            verdict=judged.verdict,
            judged=judged,
            exam=exam,
            policy_digest=policy_digest,
            actor=actor.name,
            at=tx.at,
            measured_by=measured_by,
        ),
        REPORT,
        signer=tx.signer.sign,
        public_key=tx.signer.public_key,
    )
    records.insert(tx, report)
    events.record(
        tx,
        actor,
        "report.saved",
        subject=f"report:{report.id}",
        facts={
            "model": model,
            "candidate": candidate,
            "verdict": judged.verdict,
            "unknown": list(judged.unknown),
            "sentence": judged.sentence,
            "measured_by": measured_by,
            "digest": report.digest,
        },
    )
    return report


def get_report(tx: Transaction, actor: access.Actor, report_id: str) -> GateReport:
    """Return a report.

    Raises
    ------
    NotFoundError
        When there is none of that id.
    """
    access.require(actor, "report.read")
    found = records.find(tx, report_id)
    if found is None:
        raise errors.NotFoundError(f"no report:{report_id}", report=report_id)
    return found


def list_reports(
    tx: Transaction, actor: access.Actor, model: str, *, before: str = "", limit: int = 100
) -> list[GateReport]:
    """Return reports of a model, newest first.

    Parameters
    ----------
    tx, actor, model
        Needs ``report.read``.
    before
        Id of the last report of the page before.
    limit
        At most this many.
    """
    access.require(actor, "report.read")
    return records.of_model(tx, model, before=before or AFTER_ALL, limit=limit)


def verify_report(tx: Transaction, actor: access.Actor, report_id: str) -> GateReport:
    """Return a report after proving that nobody changed it.

    Raises
    ------
    NotFoundError
        When there is none of that id.
    CorruptError
        When its digest or signature does not hold.
    """
    report = get_report(tx, actor, report_id)
    public_key = None if tx.signer is None else tx.signer.public_key
    if flaw := sealed.flaw(report, REPORT, public_key=public_key):
        raise errors.CorruptError(flaw, report=report_id)
    return report
