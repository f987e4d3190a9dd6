"""What is learned of a version after it was registered, beside it: judgements and trust.

A version never changes. One that MLflow's client logged comes without schema, baseline and
report; its adoption adds them, and the newest adoption counts. Tables, their nouns and the SQL
on them; called by `adoptions`, `actions` and whatever loads versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from homeostat.foundation.database import Transaction
from homeostat.foundation.database.metadata import metadata
from homeostat.lifecycle.data.entities import Schema
from homeostat.lifecycle.registry import mlmodel, own
from homeostat.lifecycle.registry.entities import File, Version


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """One judgement of a version that came without one.

    Attributes
    ----------
    place
        Counts the judgements of this version from 1.
    loader
        How its file is read; see `mlmodel.Loader`.
    description, baseline
        Digests of blobs of `owner`: the `Description` that serving needs, the monitoring
        baseline.
    owner
        Whose key seals them.
    schema
        Of the features it takes.
    report_id
        What the gates said.
    snapshot
        Reference of the rows it was judged on.
    """

    model: str
    number: int
    place: int
    loader: str
    description: str
    baseline: str
    owner: str
    schema: Schema
    report_id: str
    snapshot: str
    actor: str
    at: int

    @property
    def needs_trust(self) -> bool:
        """Whether loading the version can run any code."""
        return self.loader not in mlmodel.DATA_ONLY


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """One person's word that a version may run its code, or that it may not any more.

    Attributes
    ----------
    place
        Counts such words about this version from 1; the last one holds.
    """

    model: str
    number: int
    place: int
    is_trusted: bool
    actor: str
    at: int
    reason: str


class Loadable(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes of a version or candidate are, and whether its code may run.

    Attributes
    ----------
    owner, files
        Whose key seals the files.
    description, described_by
        Digest of the description that an adoption added, and whose key seals it; empty where
        it is among the files.
    needs_trust, is_trusted
        Whether loading it can run any code, and whether somebody said that it may.
    """

    owner: str
    files: tuple[File, ...]
    description: str = ""
    described_by: str = ""
    needs_trust: bool = False
    is_trusted: bool = False

    @property
    def key(self) -> str:
        """The same for the same bytes loaded in the same way."""
        parts = [file.digest for file in self.files]
        return "+".join([*parts, self.description, str(self.is_trusted)])


version_adoptions = sa.Table(
    "version_adoptions",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
)
version_trust = sa.Table(
    "version_trust",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("is_trusted", sa.Boolean, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

IN_PROJECT: sa.BindParameter[str] = sa.bindparam("in_project")
IN_MODEL: sa.BindParameter[str] = sa.bindparam("in_model")
IN_NUMBER: sa.BindParameter[int] = sa.bindparam("in_number")

INSERT_ADOPTION = sa.insert(version_adoptions)
INSERT_TRUST = sa.insert(version_trust)
ADOPTIONS = (
    sa.select(version_adoptions.c.model, version_adoptions.c.number, version_adoptions.c.body)
    .where(
        version_adoptions.c.project == IN_PROJECT,
        version_adoptions.c.model == IN_MODEL,
        version_adoptions.c.number.between(sa.bindparam("from_number"), IN_NUMBER),
    )
    .order_by(version_adoptions.c.number, version_adoptions.c.place)
)
ADOPTION = (
    sa.select(version_adoptions.c.model, version_adoptions.c.body)
    .where(
        version_adoptions.c.project == IN_PROJECT,
        version_adoptions.c.model == IN_MODEL,
        version_adoptions.c.number == IN_NUMBER,
    )
    .order_by(version_adoptions.c.place.desc())
    .limit(1)
)
TRUST = (
    sa.select(*(column for column in version_trust.c if column.name != "project"))
    .where(
        version_trust.c.project == IN_PROJECT,
        version_trust.c.model == IN_MODEL,
        version_trust.c.number == IN_NUMBER,
    )
    .order_by(version_trust.c.place.desc())
    .limit(sa.bindparam("in_limit"))
)


def insert(tx: Transaction, adoption: Adoption) -> None:
    """Add an adoption."""
    row = {
        "project": tx.project,
        "model": adoption.model,
        "number": adoption.number,
        "place": adoption.place,
        "body": msgspec.json.encode(adoption).decode(),
    }
    tx.execute(INSERT_ADOPTION, row)


def insert_trust(tx: Transaction, trust: Trust) -> None:
    """Add a word about trust."""
    tx.execute(INSERT_TRUST, {"project": tx.project, **msgspec.structs.asdict(trust)})


def find(tx: Transaction, model: str, number: int) -> Adoption | None:
    """Return the adoption of a version that counts, or None."""
    row = tx.execute(ADOPTION, _which(tx, model, number)).first()
    return None if row is None else _adoption(row)


def trust_history(
    tx: Transaction, model: str, number: int, *, limit: int = 1000
) -> list[Trust]:
    """Return all words about trust in a version, the newest first."""
    which = {**_which(tx, model, number), "in_limit": limit}
    return [Trust(**row) for row in tx.execute(TRUST, which).mappings()]


def is_trusted(tx: Transaction, model: str, number: int) -> bool:
    """Say whether a version may run its code now."""
    last = trust_history(tx, model, number, limit=1)
    return bool(last) and last[0].is_trusted


def completed(tx: Transaction, versions: Sequence[Version]) -> list[Version]:
    """Return versions of one model with what their adoptions added.

    Parameters
    ----------
    tx
        Any transaction.
    versions
        As registered; one that came with a report is returned as it is.
    """
    open_ones = [version.number for version in versions if not version.report_id]
    if not open_ones:
        return list(versions)
    which = {
        **_which(tx, versions[0].model, max(open_ones)),
        "from_number": min(open_ones),
    }
    newest = {row.number: _adoption(row) for row in tx.execute(ADOPTIONS, which)}
    return [
        version
        if version.report_id or version.number not in newest
        else msgspec.structs.replace(
            version,
            schema=newest[version.number].schema,
            baseline=newest[version.number].baseline,
            report_id=newest[version.number].report_id,
        )
        for version in versions
    ]


def loadable(tx: Transaction, version: Version) -> Loadable:
    """Return how a version is loaded: its files, and what its adoption added.

    Parameters
    ----------
    tx
        Any transaction.
    version
        As registered or completed.
    """
    adoption = find(tx, version.model, version.number)
    if adoption is None:
        needs_trust = own.is_own(file.path for file in version.files)
        return Loadable(
            owner=version.owner,
            files=version.files,
            needs_trust=needs_trust,
            is_trusted=needs_trust and is_trusted(tx, version.model, version.number),
        )
    return Loadable(
        owner=version.owner,
        files=version.files,
        description=adoption.description,
        described_by=adoption.owner,
        needs_trust=adoption.needs_trust,
        is_trusted=adoption.needs_trust and is_trusted(tx, version.model, version.number),
    )


def baseline_owner(tx: Transaction, version: Version) -> str:
    """Return whose key seals the monitoring baseline of a version.

    Parameters
    ----------
    tx
        Any transaction.
    version
        As `actions.get_version` returned it.
    """
    adoption = find(tx, version.model, version.number)
    is_adopted = adoption is not None and adoption.baseline == version.baseline
    return adoption.owner if adoption is not None and is_adopted else version.owner


def _which(tx: Transaction, model: str, number: int) -> dict[str, Any]:
    return {"in_project": tx.project, "in_model": model, "in_number": number}


def _adoption(row: Any) -> Adoption:
    adoption = msgspec.json.decode(row.body, type=Adoption)
    return msgspec.structs.replace(adoption, model=row.model)  # it may be renamed since
