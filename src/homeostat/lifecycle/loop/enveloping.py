"""Judges and keeps whether a new version may answer without being asked for; read by the doors.

`judge` is called by `duties` in the transaction that registers a version.
"""

from __future__ import annotations

import msgspec

from homeostat.foundation import access, errors, events, ids, sealed
from homeostat.foundation.database import Transaction
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data import actions as data
from homeostat.lifecycle.evaluation.entities import Exam, GateReport
from homeostat.lifecycle.loop import envelope, recoded, records
from homeostat.lifecycle.pipeline import actions as pipelines
from homeostat.lifecycle.policy.entities import Policy
from homeostat.lifecycle.registry import actions as registry
from homeostat.lifecycle.registry import approvals
from homeostat.lifecycle.registry.entities import Version
from homeostat.lifecycle.tracking import look

LOOP = access.system("loop")
AFTER_ALL = "~"


def judge(
    tx: Transaction,
    deployment: str,
    version: Version,
    *,
    report: GateReport,
    policy: Policy,
) -> envelope.Report | None:
    """Judge a new version against the envelope, and keep the dated, signed report.

    Parameters
    ----------
    tx
        Opened for writing; its signer signs.
    deployment
        Where it is to answer.
    version
        As it was registered.
    report
        Of its gates.
    policy
        Its envelope.

    Returns
    -------
    Report or None
        None where the policy draws no envelope.

    Raises
    ------
    UnavailableError
        When this installation has no signing key.
    """
    if not policy.envelope.is_said:
        return None
    if tx.signer is None:
        raise errors.UnavailableError("no report can be signed: no signing key was loaded")
    compared = _compared(tx, version)
    items = envelope.judge(
        _change(tx, version, compared, exam=report.exam, policy=policy), policy.envelope
    )
    made = sealed.seal(
        envelope.Report(
            id=ids.new_id(),
            deployment=deployment,
            model=version.model,
            version=version.number,
            compared=None if compared is None else compared.number,
            items=items,
            inside=all(item.inside for item in items),
            sentence=envelope.sentence(items),
            gate_report=report.id,
            policy_digest=policies.digest(policy),
            actor=LOOP.name,
            at=tx.at,
        ),
        envelope.KIND,
        signer=tx.signer.sign,
        public_key=tx.signer.public_key,
    )
    row = {"project": tx.project, "id": made.id, "deployment": deployment}
    body = msgspec.json.encode(made).decode()
    tx.execute(records.INSERT_ENVELOPE, {**row, "version": version.number, "body": body})
    facts = {"version": version.reference, "inside": made.inside, "sentence": made.sentence}
    subject = f"envelope:{made.id}"
    told = {**facts, "deployment": deployment, "digest": made.digest}
    events.record(tx, LOOP, "envelope.judged", subject=subject, facts=told)
    return made


def get_report(tx: Transaction, actor: access.Actor, report_id: str) -> envelope.Report:
    """Return one report; needs ``report.read``.

    Raises
    ------
    NotFoundError
        When there is none of that id.
    """
    access.require(actor, "report.read")
    which = {"in_project": tx.project, "in_id": report_id.removeprefix("envelope:")}
    row = tx.execute(records.FIND_ENVELOPE, which).first()
    if row is None:
        raise errors.NotFoundError(
            f"no envelope:{report_id}", hint="see homeostat loop reports DEPLOYMENT"
        )
    return msgspec.json.decode(row.body, type=envelope.Report)


def list_reports(
    tx: Transaction,
    actor: access.Actor,
    deployment: str,
    *,
    before: str = "",
    limit: int = 100,
) -> list[envelope.Report]:
    """Return the reports of a deployment, newest first.

    Parameters
    ----------
    tx, actor, deployment
        Needs ``report.read``.
    before, limit
        Last id of the page before; at most this many.
    """
    access.require(actor, "report.read")
    which = {"in_project": tx.project, "in_deployment": deployment, "in_limit": limit}
    rows = tx.execute(records.LIST_ENVELOPES, {**which, "in_before": before or AFTER_ALL})
    return [msgspec.json.decode(row.body, type=envelope.Report) for row in rows]


def verify(tx: Transaction, actor: access.Actor, report_id: str) -> envelope.Report:
    """Return a report after proving that nobody changed it.

    Raises
    ------
    NotFoundError
        When there is none of that id.
    CorruptError
        When digest or signature do not hold, or another installation signed it.
    """
    found = get_report(tx, actor, report_id)
    key = None if tx.signer is None else tx.signer.public_key
    if wrong := sealed.flaw(found, envelope.KIND, public_key=key):
        raise errors.CorruptError(wrong, hint="restore the database from a backup")
    return found


def _compared(tx: Transaction, version: Version) -> Version | None:
    """Return the latest earlier version that a person let in; else the first one."""
    if version.number == 1:
        return None
    number = approvals.latest_approved(tx, version.model, before=version.number)
    for one in (number or 1, 1):
        try:
            return registry.get_version(tx, LOOP, version.model, one)
        except errors.NotFoundError:  # deleted since
            continue
    return None


def _change(
    tx: Transaction, version: Version, compared: Version | None, *, exam: Exam, policy: Policy
) -> envelope.Change:
    model = registry.get_model(tx, LOOP, version.model)
    gains = {one.metric: one.gain.value for one in exam.comparisons}
    now = _parameters(tx, version.run_id)
    return envelope.Change(
        tier=max(policy.model.tier, model.tier, key=approvals.TIERS.index),
        n_rows=_n_rows(tx, version),
        parameters=now,
        before=now if compared is None else _parameters(tx, compared.run_id),
        gain=gains.get(policy.gates.metric),
        files=() if compared is None else _files(tx, version, compared),
    )


def _n_rows(tx: Transaction, version: Version) -> int:
    found = [
        data.find_snapshot(tx, LOOP, reference.removeprefix("snapshot:"))
        for reference in version.snapshots
    ]
    return sum(one.n_rows for one in found)


def _parameters(tx: Transaction, run_id: str) -> dict[str, str]:
    if not run_id:
        return {}
    return {one.key: one.value for one in look.get_run(tx, LOOP, run_id).params}


def _files(tx: Transaction, version: Version, compared: Version) -> tuple[str, ...] | None:
    if not version.run_id or not compared.run_id:
        return None
    recipes = [pipelines.get_recipe(tx, LOOP, one.run_id) for one in (compared, version)]
    if not all(recipe.files for recipe in recipes):
        return None
    return recoded.differing(*recipes)
