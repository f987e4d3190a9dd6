"""What an actor may do with a version that came unjudged: trust its code, attach a judgement.

Called by the doors and, for judgements, by the worker that made them.
"""

from __future__ import annotations

import msgspec

from homeostat.foundation import access, errors, events, lineage
from homeostat.foundation.access import Kind
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.evaluation import actions as evaluation
from homeostat.lifecycle.registry import actions, adopted, approvals, mlmodel, own
from homeostat.lifecycle.registry.adopted import Adoption, Trust
from homeostat.lifecycle.registry.entities import Version


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned of a version after it was registered.

    Attributes
    ----------
    adoption
        The judgement that counts; None while there is none.
    trust
        Every word about trust in its code, the newest first.
    """

    adoption: Adoption | None
    trust: tuple[Trust, ...]

    @property
    def is_trusted(self) -> bool:
        """Whether its code may run now."""
        return bool(self.trust) and self.trust[0].is_trusted


def standing(tx: Transaction, actor: access.Actor, model: str, number: int) -> Standing:
    """Return what was learned of a version after it was registered.

    Parameters
    ----------
    tx, actor
        Needs ``model.read``.
    model, number
        Which version.

    Raises
    ------
    NotFoundError
        When there is no such version.
    """
    actions.get_version(tx, actor, model, number)
    return Standing(
        adoption=adopted.find(tx, model, number),
        trust=tuple(adopted.trust_history(tx, model, number)),
    )


def set_trust(
    tx: Transaction,
    actor: access.Actor,
    model: str,
    number: int,
    *,
    is_trusted: bool,
    reason: str,
) -> Trust:
    """Say that a version may run its own code where models are loaded, or take that back.

    Parameters
    ----------
    tx, actor
        Needs ``model.trust``; a person.
    model, number
        Which version. A pickle in it is opened in prediction and pipeline processes only.
    is_trusted
        False takes the word back: it enters no plan any more, and a server that does not
        hold it yet does not load it. Where it answers, it does until the plan is changed.
    reason
        Why; kept for good.

    Returns
    -------
    Trust
        The newest word; the standing one when it says the same already.

    Raises
    ------
    InvalidInputError
        When there is no reason.
    NotFoundError
        When there is no such version.
    NotAllowedError
        When a part of the system says so, or where the tier is ``high`` its trainer.
    """
    access.require(actor, "model.trust")
    version = actions.get_version(tx, actor, model, number)
    if not reason.strip():
        raise errors.InvalidInputError(
            f"to trust {version.reference}, or to stop, needs a reason",
            hint=f"homeostat model trust {model} {number} --reason WHY",
        )
    if is_trusted:
        _need_person(tx, actor, version)
    before = adopted.trust_history(tx, model, number, limit=1)
    if before and before[0].is_trusted == is_trusted:
        return before[0]
    place = before[0].place + 1 if before else 1
    return _say(tx, actor, version, place=place, is_trusted=is_trusted, reason=reason)


def trust_own(tx: Transaction, actor: access.Actor, version: Version) -> None:
    """Trust the code of a version that this installation made with its own project's pipeline.

    That code has run here already, whoever asked for the fit. A person may take the word back.

    Parameters
    ----------
    tx, actor
        A part of the system, in the transaction that registers the version.
    version
        Made by the caller; one without code of its own needs no word.
    """
    access.require(actor, "model.trust")
    if not own.is_own(file.path for file in version.files):
        return
    reason = f"made here by the project's own pipeline in run:{version.run_id}"
    _say(tx, actor, version, place=1, is_trusted=True, reason=reason)


def attach(tx: Transaction, actor: access.Actor, adoption: Adoption) -> Adoption:
    """Attach a judgement to a version that was registered without one.

    Parameters
    ----------
    tx, actor
        Needs ``model.register``.
    adoption
        Its blobs are stored, its report is saved; its place is given here.

    Returns
    -------
    Adoption
        It counts from now on; earlier ones stay.

    Raises
    ------
    NotFoundError
        When there is no such version or report.
    ConflictError
        When the version came with a report of its own, or was approved on one.
    InvalidInputError
        When the report is about other files.
    """
    access.require(actor, "model.register")
    before = adopted.find(tx, adoption.model, adoption.number)
    version = actions.get_version(tx, actor, adoption.model, adoption.number)
    need_open(version, before)
    report = evaluation.get_report(tx, actor, adoption.report_id)
    if report.model not in version.names or report.candidate != version.digest:
        raise errors.InvalidInputError(
            f"report:{report.id} is about other files than those of {version.reference}",
            report=report.id,
        )
    placed = msgspec.structs.replace(adoption, place=before.place + 1 if before else 1)
    adopted.insert(tx, placed)
    for source, kind in ((f"report:{report.id}", "let-in"), (adoption.snapshot, "judged")):
        lineage.connect(tx, source=source, target=version.reference, kind=kind)
    facts = {
        "report": report.id,
        "verdict": report.verdict,
        "snapshot": adoption.snapshot,
        "loader": adoption.loader,
        "digest": version.digest,
    }
    events.record(tx, actor, "version.judged", subject=version.reference, facts=facts)
    return placed


def need_open(version: Version, before: Adoption | None) -> None:
    """Refuse to judge a version that came with a report of its own, or was approved on one.

    Parameters
    ----------
    version
        As `actions.get_version` returned it.
    before
        Its standing adoption.

    Raises
    ------
    ConflictError
        When its report is not that of an adoption, or a person approved it on its report.
    """
    if version.report_id and before is None:
        raise errors.ConflictError(
            f"{version.reference} was judged when it was registered "
            f"(report:{version.report_id})",
            hint="train it again under the new policy with homeostat run",
        )
    if before is not None and version.status == "approved":
        raise errors.ConflictError(
            f"{version.reference} was approved as it was judged (report:{version.report_id})",
            hint="register the same files again to have them judged anew",
        )


def need_trust(
    tx: Transaction, actor: access.Actor, version: Version, *, told: bytes | None
) -> None:
    """Refuse to open a version that can run any code while nobody has said that it may.

    Parameters
    ----------
    tx, actor
        Needs ``model.read``.
    version
        Which one.
    told
        Its file `MLmodel`; None when it has none.

    Raises
    ------
    InvalidInputError
        When `MLmodel` cannot be understood, so that no process could load it.
    NotAllowedError
        When it is pickled and not trusted.
    """
    access.require(actor, "model.read")
    found = mlmodel.parse(told, paths=tuple(file.path for file in version.files))
    if not found.needs_trust or adopted.is_trusted(tx, version.model, version.number):
        return
    what = f"its file {found.file} is pickled" if found.file else "it is Python code"
    raise errors.NotAllowedError(
        f"{version.reference} is not loaded: {what}, which can run any code, and nobody has "
        "marked it as trusted",
        hint=f"homeostat model trust {version.model} {version.number} --reason WHY, by a "
        "reviewer; or log it with serialization_format='skops'",
        version=version.reference,
        file=found.file,
    )


def _say(
    tx: Transaction,
    actor: access.Actor,
    version: Version,
    *,
    place: int,
    is_trusted: bool,
    reason: str,
) -> Trust:
    word = Trust(
        model=version.model,
        number=version.number,
        place=place,
        is_trusted=is_trusted,
        actor=actor.name,
        at=tx.at,
        reason=reason,
    )
    adopted.insert_trust(tx, word)
    facts = {"reason": reason, "digest": version.digest}
    kind = "version.trusted" if is_trusted else "version.distrusted"
    events.record(tx, actor, kind, subject=version.reference, facts=facts)
    return word


def _need_person(tx: Transaction, actor: access.Actor, version: Version) -> None:
    if actor.kind is not Kind.PERSON:
        raise errors.NotAllowedError(f"{actor.name} is no person and cannot trust a version")
    is_high = actions.get_model(tx, actor, version.model).tier == "high"
    if is_high and actor.name in approvals.trainers(version):
        raise errors.NotAllowedError(
            f"{actor.name} trained {version.reference} and may not trust it: tier 'high' "
            "needs a second pair of eyes",
            hint="ask another reviewer",
            version=version.reference,
        )
