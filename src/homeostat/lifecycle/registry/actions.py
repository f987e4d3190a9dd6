"""What an actor may do with models: register versions, move aliases, approve."""

from __future__ import annotations

from typing import Final

from homeostat.foundation import access, errors, events, lineage
from homeostat.foundation.access import Kind
from homeostat.foundation.database import Transaction
from homeostat.lifecycle.data.entities import Schema
from homeostat.lifecycle.registry import adopted, approvals, names, records
from homeostat.lifecycle.registry import files as files_of_version
from homeostat.lifecycle.registry.entities import (
    AliasChange,
    Approval,
    File,
    Model,
    Tier,
    Version,
)

LARGEST_NUMBER: Final = 2**31 - 1


def create_model(
    tx: Transaction, actor: access.Actor, name: str, *, owner: str = "", tier: Tier = "medium"
) -> Model:
    """Add a model, or return it when it is there already.

    Parameters
    ----------
    tx, actor
        Needs ``model.register``.
    name
        Up to 256 characters, not ``/``, ``:`` or control characters.
    owner
        Person or team; the actor when empty.
    tier
        How much review its versions need; cannot be changed by creating it again.

    Raises
    ------
    InvalidInputError
        When the name is not a name.
    """
    access.require(actor, "model.register")
    names.check_model(name)
    found = records.find_model(tx, name)
    if found is not None:
        return found
    model = Model(
        name=name,
        owner=owner or actor.name,
        tier=tier,
        latest=0,
        created_at=tx.at,
        created_by=actor.name,
        updated_at=tx.at,
    )
    if not records.insert_model(tx, model):
        return records.find_model(tx, name) or model
    model = records.find_model(tx, name) or model
    facts = {"owner": model.owner, "tier": model.tier}
    events.record(tx, actor, "model.created", subject=f"model:{name}", facts=facts)
    return model


def register_version(  # noqa: PLR0913 - each is one fact of the version
    tx: Transaction,
    actor: access.Actor,
    model: str,
    *,
    files: tuple[File, ...],
    schema: Schema,
    baseline: str = "",
    run_id: str = "",
    report_id: str = "",
    trained_by: str = "",
    trained_rows: tuple[int, int] | None = None,
    purpose: str = "",
    snapshots: tuple[str, ...] = (),
    flavour: str = "sklearn",
    tier: Tier = "medium",
) -> Version:
    """Give the files of a candidate the next number of the model; nothing of it changes later.

    Parameters
    ----------
    tx, actor
        Needs ``model.register``.
    model
        Name; made with `tier` when it does not exist.
    files
        As `format.pack` made them, stored as blobs of ``model:<name>`` before.
    schema
        Of the features it takes.
    baseline
        Digest of the monitoring baseline among the model's blobs.
    run_id, snapshots
        What made it and what it learned from; become lineage.
    report_id
        Report of the gates on exactly these files.
    trained_by
        Who trained it; the actor when empty.
    trained_rows, purpose
        First row and row after the last; why it was fitted.
    flavour
        How to load it.

    Returns
    -------
    Version
        With the next number; two registers at once get two numbers.

    Raises
    ------
    InvalidInputError
        When there is no file, a path comes twice or is no plain relative path, or the report
        is about another model or other files.
    NotFoundError
        When there is no such report.
    """
    access.require(actor, "model.register")
    create_model(tx, actor, model, tier=tier)
    digest = files_of_version.tree_digest(files_of_version.checked(files))
    if report_id:
        approvals.need_fit(tx, actor, report_id, model=model, digest=digest)
    version = Version(
        model=model,
        number=_need_number(records.next_number(tx, model), model),
        digest=digest,
        flavour=flavour,
        files=tuple(sorted(files, key=lambda file: file.path)),
        schema=schema,
        baseline=baseline,
        run_id=run_id,
        report_id=report_id,
        trained_by=trained_by or actor.name,
        registered_by=actor.name,
        by_system=actor.kind is Kind.SYSTEM,
        trained_rows=trained_rows,
        purpose=purpose,
        snapshots=snapshots,
        status="registered",
        created_at=tx.at,
        updated_at=tx.at,
    )
    records.insert_version(tx, version)
    sources = [(f"run:{run_id}", "made")] if run_id else []
    sources += [(snapshot, "trained") for snapshot in snapshots]
    sources += [(f"report:{report_id}", "let-in")] if report_id else []
    for source, kind in sources:
        lineage.connect(tx, source=source, target=version.reference, kind=kind)
    facts = {
        "digest": digest,
        "run": run_id,
        "report": report_id,
        "trained_by": version.trained_by,
        "purpose": purpose,
        "size_bytes": version.size_bytes,
    }
    events.record(tx, actor, "version.registered", subject=version.reference, facts=facts)
    return version


def get_model(tx: Transaction, actor: access.Actor, name: str) -> Model:
    """Return a model.

    Parameters
    ----------
    tx, actor
        Needs ``model.read``.
    name
        Of the model.

    Raises
    ------
    NotFoundError
        When there is none of that name.
    InvalidInputError
        When there cannot be one.
    """
    access.require(actor, "model.read")
    found = records.find_model(tx, name)
    if found is None:
        names.check_asked(name)
        raise errors.NotFoundError(
            f"no model {name!r}", hint="see homeostat model list", model=name
        )
    return found


def list_models(
    tx: Transaction, actor: access.Actor, *, after: str = "", limit: int = 100
) -> list[Model]:
    """Return models by name, `limit` of them after the name `after`."""
    access.require(actor, "model.read")
    return records.list_models(tx, after=after, limit=limit)


def get_version(tx: Transaction, actor: access.Actor, model: str, number: int) -> Version:
    """Return a version with its newest judgement; NotFoundError without such a number."""
    access.require(actor, "model.read")
    is_possible = 0 < number <= LARGEST_NUMBER
    found = records.find_version(tx, model, number) if is_possible else None
    if found is None:
        get_model(tx, actor, model)
        raise errors.NotFoundError(
            f"no version {number} of model {model!r}",
            hint=f"see homeostat model show {model}",
            model=model,
            number=number,
        )
    return adopted.completed(tx, [found])[0]


def list_versions(
    tx: Transaction, actor: access.Actor, model: str, *, before: int = 0, limit: int = 100
) -> list[Version]:
    """Return versions, newest first; `before` is the last number of the page before."""
    get_model(tx, actor, model)
    found = records.list_versions(tx, model, before=before or records.LAST_NUMBER, limit=limit)
    return adopted.completed(tx, found)


def set_alias(
    tx: Transaction,
    actor: access.Actor,
    model: str,
    alias: str,
    *,
    number: int | None,
    reason: str = "",
) -> AliasChange:
    """Point an alias at a version from now on; its history stays.

    Parameters
    ----------
    tx, actor
        Needs ``model.write``.
    model, alias
        Such as ``credit`` and ``champion``.
    number
        Version; None takes the alias away.
    reason
        Why, for people.

    Returns
    -------
    AliasChange
        The move; the standing one when it points there already.

    Raises
    ------
    InvalidInputError
        When it is no alias: letters, digits, ``_`` and ``-``, neither ``latest`` nor
        ``v<number>``.
    NotFoundError
        When there is no such version, or no alias to take away.
    """
    access.require(actor, "model.write")
    names.check_alias(alias)
    if number is not None:
        get_version(tx, actor, model, number)
    before = records.alias_history(tx, model, alias, limit=1)
    standing = before[0].number if before else None
    if before and standing == number:
        return before[0]
    if number is None and standing is None:
        raise errors.NotFoundError(f"model {model!r} has no alias {alias!r}", alias=alias)
    change = AliasChange(
        model=model,
        alias=alias,
        place=before[0].place + 1 if before else 1,
        number=number,
        at=tx.at,
        actor=actor.name,
        reason=reason,
    )
    records.insert_alias(tx, change)
    facts = {"alias": alias, "from": standing, "to": number, "reason": reason}
    events.record(tx, actor, "alias.moved", subject=f"model:{model}", facts=facts)
    return change


def alias_history(
    tx: Transaction, actor: access.Actor, model: str, alias: str
) -> list[AliasChange]:
    """Return every move of an alias, newest first."""
    get_model(tx, actor, model)
    return records.alias_history(tx, model, alias)


def list_aliases(tx: Transaction, actor: access.Actor, model: str) -> list[AliasChange]:
    """Return where each alias of a model points now."""
    get_model(tx, actor, model)
    return records.standing_aliases(tx, model)


def version_at(
    tx: Transaction, actor: access.Actor, model: str, alias: str, *, at: int | None = None
) -> Version:
    """Return the version an alias pointed to at an instant.

    Parameters
    ----------
    tx, actor, model, alias
        Needs ``model.read``.
    at
        Milliseconds UTC; now when None.

    Raises
    ------
    NotFoundError
        When the alias pointed nowhere then.
    """
    get_model(tx, actor, model)
    until = records.FOREVER if at is None else at
    found = records.alias_history(tx, model, alias, until=until, limit=1)
    if not found or found[0].number is None:
        raise errors.NotFoundError(
            f"no version of model {model!r} was {alias!r} at that time", alias=alias
        )
    return get_version(tx, actor, model, found[0].number)


def approve(
    tx: Transaction, actor: access.Actor, model: str, number: int, *, note: str = ""
) -> Approval:
    """Say that a version may answer.

    Parameters
    ----------
    tx, actor
        Needs ``model.approve``; a person.
    model, number
        Which version.
    note
        Why, for people.

    Returns
    -------
    Approval
        One person's; more may follow.

    Raises
    ------
    NotFoundError
        When there is no such version.
    NotAllowedError
        When a part of the system, a program, or where the tier is ``high`` its trainer,
        approves.
    ConflictError
        When the same person approved it before.
    """
    access.require(actor, "model.approve")
    version = get_version(tx, actor, model, number)
    if not version.files:
        raise errors.InvalidInputError(
            f"{version.reference} cannot answer, so there is nothing to approve: it has no "
            f"files on this server, only the address {version.source!r}",
            hint="log the model's files with a run on this server, and register that",
            version=version.reference,
        )
    if actor.kind is not Kind.PERSON:
        raise errors.NotAllowedError(f"{actor.name} is no person and cannot approve")
    is_high = get_model(tx, actor, model).tier == "high"
    if is_high and actor.name in approvals.trainers(version):
        raise errors.NotAllowedError(
            f"{actor.name} trained {version.reference} and may not approve it: tier 'high' "
            "needs a second pair of eyes",
            hint="ask another reviewer",
            version=version.reference,
        )
    given = [item for item in records.list_approvals(tx, model) if item.number == number]
    if any(item.actor == actor.name for item in given):
        raise errors.ConflictError(f"{actor.name} has approved {version.reference} already")
    approval = Approval(model=model, number=number, actor=actor.name, at=tx.at, note=note)
    records.insert_approval(tx, approval)
    records.set_status(tx, version, "approved")
    facts = {"note": note, "digest": version.digest}
    events.record(tx, actor, "version.approved", subject=version.reference, facts=facts)
    return approval


def list_approvals(
    tx: Transaction, actor: access.Actor, model: str, number: int
) -> list[Approval]:
    """Return who approved a version, oldest first."""
    get_version(tx, actor, model, number)
    return [item for item in records.list_approvals(tx, model) if item.number == number]


def _need_number(number: int | None, model: str) -> int:
    """Return the number; the model was deleted in this very moment when there is none."""
    if number is None:
        raise errors.ConflictError(f"model {model!r} was deleted meanwhile", model=model)
    return number
