"""What an actor may do with data; called by doors and by the later subjects."""

from __future__ import annotations

from homeostat.foundation import access, events, ids, lineage
from homeostat.foundation.access import Actor
from homeostat.foundation.database import Transaction
from homeostat.foundation.errors import ConflictError, NotFoundError
from homeostat.lifecycle.data import entities, records
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.data.entities import Dataset, Difference, Snapshot
from homeostat.lifecycle.data.inspection import Delivery

PAGE = 100
_NO_NUMBER = 2**31 - 1


def add_snapshot(
    tx: Transaction,
    actor: Actor,
    name: str,
    delivery: Delivery,
    *,
    made_of: tuple[str, ...] = (),
    allow_schema_change: bool = False,
) -> Snapshot:
    """Add a version to a dataset; the first one makes the dataset.

    Parameters
    ----------
    tx, actor
        Opened for writing; may ``data.write``.
    name
        Of the dataset: letters, digits, ``.``, ``_``, ``-``.
    delivery
        What `inspection.inspect` found; its bytes and summary are stored already.
    made_of
        References it was derived from, for lineage.
    allow_schema_change
        Whether columns may go or change their kind.

    Returns
    -------
    Snapshot
        The one with these bytes that was there, or the new one.

    Raises
    ------
    NotAllowedError
        When the actor may not write data.
    InvalidInputError
        When the name cannot be one.
    ConflictError
        When the schema breaks with that of the snapshot before.
    """
    access.require(actor, "data.write")
    entities.check_name(name)
    which = {"in_project": tx.project, "in_dataset": name}
    same = tx.execute(records.FIND_BY_DIGEST, {**which, "in_digest": delivery.digest}).first()
    if same is not None:
        return records.snapshot_of(same)
    before = _newest(tx, name)
    differences = schemas.differences(before.schema, delivery.schema) if before else ()
    if before is not None and not allow_schema_change:
        _refuse_breaks(before, differences)
    number = _count_up(tx, actor, name)
    snapshot = Snapshot(
        id=ids.new_id(),
        dataset=name,
        number=number,
        differences=differences,
        created_at=tx.at,
        created_by=actor.name,
        **{field: getattr(delivery, field) for field in Delivery.__struct_fields__},
    )
    tx.execute(records.INSERT_SNAPSHOT, records.row_of(snapshot, project=tx.project))
    for source in made_of:
        lineage.connect(tx, source=source, target=snapshot.reference, kind="made-of")
    if before is not None:
        earlier = before.reference
        lineage.connect(tx, source=earlier, target=snapshot.reference, kind="followed-by")
    facts = _facts(snapshot)
    events.record(tx, actor, "snapshot.added", subject=snapshot.reference, facts=facts)
    return snapshot


def get_snapshot(
    tx: Transaction, actor: Actor, name: str, *, number: int | None = None
) -> Snapshot:
    """Return a version of a dataset, the newest unless said.

    Raises
    ------
    NotAllowedError
        When the actor may not read data.
    NotFoundError
        When there is no such dataset or number.
    """
    dataset = get_dataset(tx, actor, name)
    if number is None:
        number = dataset.n_snapshots
    which = {"in_project": tx.project, "in_dataset": name, "in_number": number}
    row = tx.execute(records.FIND_BY_NUMBER, which).first()
    if row is None:
        raise NotFoundError(
            f"dataset {name!r} has no snapshot {number}; it has 1 to {dataset.n_snapshots}",
            dataset=name,
            number=number,
        )
    return records.snapshot_of(row)


def find_snapshot(tx: Transaction, actor: Actor, snapshot_id: str) -> Snapshot:
    """Return a snapshot by its id, as in ``snapshot:<id>``.

    Raises
    ------
    NotAllowedError
        When the actor may not read data.
    NotFoundError
        When there is none.
    """
    access.require(actor, "data.read")
    which = {"in_project": tx.project, "in_id": snapshot_id.removeprefix("snapshot:")}
    row = tx.execute(records.FIND_BY_ID, which).first()
    if row is None:
        raise NotFoundError(f"there is no snapshot {snapshot_id!r}", snapshot=snapshot_id)
    return records.snapshot_of(row)


def newest_snapshot(tx: Transaction, actor: Actor, name: str) -> Snapshot | None:
    """Return the newest version, or None where there is no such dataset yet."""
    access.require(actor, "data.read")
    return _newest(tx, name)


def list_snapshots(
    tx: Transaction,
    actor: Actor,
    name: str,
    *,
    before: int | None = None,
    limit: int = PAGE,
) -> list[Snapshot]:
    """Return versions of a dataset, the newest first.

    Parameters
    ----------
    tx, actor
        May ``data.read``.
    name
        Of the dataset.
    before
        Only numbers below this one; the end of the page before.
    limit
        Largest number of versions, 1 or more.

    Raises
    ------
    NotAllowedError
        When the actor may not read data.
    NotFoundError
        When there is no such dataset.
    """
    get_dataset(tx, actor, name)
    which = {
        "in_project": tx.project,
        "in_dataset": name,
        "before": _NO_NUMBER if before is None else before,
        "up_to": limit,
    }
    return [records.snapshot_of(row) for row in tx.execute(records.LIST_SNAPSHOTS, which)]


def get_dataset(tx: Transaction, actor: Actor, name: str) -> Dataset:
    """Return a dataset.

    Raises
    ------
    NotAllowedError
        When the actor may not read data.
    NotFoundError
        When there is none of that name.
    """
    access.require(actor, "data.read")
    dataset = _dataset(tx, name)
    if dataset is None:
        raise NotFoundError(
            f"there is no dataset {name!r}", hint="see homeostat data list", dataset=name
        )
    return dataset


def list_datasets(
    tx: Transaction, actor: Actor, *, after: str = "", limit: int = PAGE
) -> list[Dataset]:
    """Return datasets by name; `after` is the last name of the page before.

    Raises
    ------
    NotAllowedError
        When the actor may not read data.
    """
    access.require(actor, "data.read")
    which = {"in_project": tx.project, "after": after, "up_to": limit}
    return [records.dataset_of(row) for row in tx.execute(records.LIST_DATASETS, which)]


def _refuse_breaks(before: Snapshot, differences: tuple[Difference, ...]) -> None:
    breaking = [difference.sentence for difference in differences if difference.breaks]
    if breaking:
        raise ConflictError(
            f"dataset {before.dataset!r} would change its schema: {'; '.join(breaking)} "
            f"(compared with snapshot {before.number})",
            hint="mend the table, allow the schema change, or use another name",
            dataset=before.dataset,
        )


def _newest(tx: Transaction, name: str) -> Snapshot | None:
    which = {"in_project": tx.project, "in_dataset": name}
    row = tx.execute(records.FIND_NEWEST, which).first()
    return None if row is None else records.snapshot_of(row)


def _dataset(tx: Transaction, name: str) -> Dataset | None:
    which = {"in_project": tx.project, "in_name": name}
    row = tx.execute(records.FIND_DATASET, which).first()
    return None if row is None else records.dataset_of(row)


def _count_up(tx: Transaction, actor: Actor, name: str) -> int:
    """Return the number of the next snapshot, making the dataset for the first."""
    dataset = _dataset(tx, name)
    if dataset is None:
        row = {
            "project": tx.project,
            "name": name,
            "n_snapshots": 1,
            "created_at": tx.at,
            "created_by": actor.name,
        }
        tx.execute(records.INSERT_DATASET, row)
        return 1
    number = dataset.n_snapshots + 1
    which = {"in_project": tx.project, "in_name": name, "to_number": number}
    tx.execute(records.COUNT_UP, which)
    return number


def _facts(snapshot: Snapshot) -> dict[str, object]:
    failed = [result.sentence for result in snapshot.checks if not result.passed]
    return {
        "dataset": snapshot.dataset,
        "number": snapshot.number,
        "digest": snapshot.digest,
        "n_rows": snapshot.n_rows,
        "size_bytes": snapshot.size_bytes,
        "source": snapshot.source,
        "failed_checks": failed,
        "differences": [difference.sentence for difference in snapshot.differences],
    }
