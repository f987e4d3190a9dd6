"""Register, read and approve models from Python; one subject of the SDK."""

from __future__ import annotations

from collections.abc import Mapping

import blake3

from homeostat.doors.api.models import At, Move, NewModel, NewVersion, Note, Stored
from homeostat.doors.client import transport
from homeostat.foundation import errors
from homeostat.lifecycle.data.entities import Schema
from homeostat.lifecycle.registry.entities import (
    AliasChange,
    Approval,
    File,
    Model,
    Tier,
    Version,
)

ListOfModels = list[Model]
ListOfVersions = list[Version]
ListOfChanges = list[AliasChange]
ListOfApprovals = list[Approval]


class Models:
    """Models and their versions, which never change.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def create(self, name: str, *, owner: str = "", tier: Tier = "medium") -> Model:
        """Make a model, or return the one of that name.

        Parameters
        ----------
        name
            Letters, digits, ``.``, ``_``, ``-``.
        owner
            Person or team; whoever calls when empty.
        tier
            How much review its versions need: ``low``, ``medium``, ``high``.

        Returns
        -------
        Model
            As it is stored.

        Raises
        ------
        InvalidInputError
            When the name is no name.
        """
        body = NewModel(name=name, owner=owner, tier=tier)
        return self._transport.call("POST", "/api/models", answer=Model, body=body)

    def list(self, *, after: str = "", limit: int = 100) -> ListOfModels:
        """Return models by name.

        Parameters
        ----------
        after
            Last name of the page before.
        limit
            At most this many, 1 to 1000.
        """
        query: transport.Query = {"after": after, "limit": limit}
        return self._transport.call("GET", "/api/models", answer=ListOfModels, query=query)

    def get(self, name: str) -> Model:
        """Return one model; NotFoundError when there is none of that name."""
        return self._transport.call("GET", _model(name), answer=Model)

    def versions(self, name: str, *, before: int = 0, limit: int = 100) -> ListOfVersions:
        """Return versions of a model, the newest first.

        Parameters
        ----------
        name
            Of the model.
        before
            Last number of the page before.
        limit
            At most this many, 1 to 1000.

        Raises
        ------
        NotFoundError
            When there is no such model.
        """
        query: transport.Query = {"before": before, "limit": limit}
        path = f"{_model(name)}/versions"
        return self._transport.call("GET", path, answer=ListOfVersions, query=query)

    def version(self, name: str, number: int) -> Version:
        """Return one version; NotFoundError when the model has no such number.

        Parameters
        ----------
        name
            Of the model.
        number
            Of the version.
        """
        return self._transport.call("GET", _version(name, number), answer=Version)

    def register(  # noqa: PLR0913 - each is one fact of the version
        self,
        name: str,
        files: Mapping[str, bytes],
        *,
        schema: Schema,
        baseline: bytes = b"",
        run_id: str = "",
        report_id: str = "",
        trained_by: str = "",
        trained_rows: tuple[int, int] | None = None,
        purpose: str = "",
        snapshots: tuple[str, ...] = (),
        flavour: str = "sklearn",
        tier: Tier = "medium",
    ) -> Version:
        """Store files and register them as the next version of a model.

        Parameters
        ----------
        name
            Of the model; made with `tier` when it does not exist.
        files
            Path to bytes, as `registry.format.pack` makes them.
        schema
            Of the features the model takes.
        baseline
            Frozen monitoring baseline; empty when there is none.
        run_id, snapshots
            What made it and what it learned from.
        report_id
            Report of the gates on exactly these files.
        trained_by
            Who trained it; whoever calls when empty.
        trained_rows, purpose
            First row and row after the last; why it was fitted.
        flavour
            ``mlflow`` for a folder of MLflow's, which is to be judged afterwards.
        tier
            Of a model that is new.

        Returns
        -------
        Version
            With its number.

        Raises
        ------
        InvalidInputError
            When a path is no plain relative path, or the report is about other files.
        NotFoundError
            When there is no such report.
        """
        self.create(name, tier=tier)
        digests = {path: self._store(name, data) for path, data in files.items()}
        body = NewVersion(
            files=digests,
            schema=schema,
            baseline=self._store(name, baseline) if baseline else "",
            run_id=run_id,
            report_id=report_id,
            trained_by=trained_by,
            trained_rows=trained_rows,
            purpose=purpose,
            snapshots=snapshots,
            flavour=flavour,
            tier=tier,
        )
        path = f"{_model(name)}/versions"
        return self._transport.call("POST", path, answer=Version, body=body)

    def file(self, name: str, number: int, path: str) -> bytes:
        """Return one file of a version.

        Parameters
        ----------
        name
            Of the model.
        number
            Of the version.
        path
            Of the file in the version.

        Raises
        ------
        NotFoundError
            When the version has no such file.
        """
        rest = "/".join(transport.part(one) for one in path.split("/"))
        where = f"{_version(name, number)}/files/{rest}"
        return self._transport.call("GET", where, answer=bytes)

    def files(self, version: Version) -> dict[str, bytes]:
        """Return all files of a version, each proved by its digest.

        Parameters
        ----------
        version
            As read.

        Returns
        -------
        dict
            Path to bytes; `registry.load.load` takes it.

        Raises
        ------
        CorruptError
            When bytes arrived that are not those that were registered.
        """
        return {file.path: self._proved(version, file) for file in version.files}

    def baseline(self, name: str, number: int) -> bytes:
        """Return the monitoring baseline of a version; NotFoundError when it has none.

        Parameters
        ----------
        name
            Of the model.
        number
            Of the version.
        """
        return self._transport.call("GET", f"{_version(name, number)}/baseline", answer=bytes)

    def aliases(self, name: str) -> ListOfChanges:
        """Return where each alias of a model points now."""
        return self._transport.call("GET", f"{_model(name)}/aliases", answer=ListOfChanges)

    def set_alias(
        self, name: str, alias: str, number: int | None, *, reason: str = ""
    ) -> AliasChange:
        """Point an alias at a version from now on.

        Parameters
        ----------
        name, alias
            Such as ``credit`` and ``champion``.
        number
            Of the version; None takes the alias away.
        reason
            Why, for people.

        Returns
        -------
        AliasChange
            As it is recorded.

        Raises
        ------
        NotFoundError
            When there is no such version, or no alias to take away.
        """
        body = Move(number=number, reason=reason)
        return self._transport.call("PUT", _alias(name, alias), answer=AliasChange, body=body)

    def history(self, name: str, alias: str = "champion") -> ListOfChanges:
        """Return every move of an alias, the newest first.

        Parameters
        ----------
        name
            Of the model.
        alias
            Such as ``champion``.
        """
        path = f"{_alias(name, alias)}/history"
        return self._transport.call("GET", path, answer=ListOfChanges)

    def version_at(
        self, name: str, alias: str = "champion", *, at: int | None = None
    ) -> Version:
        """Return the version an alias pointed to at an instant.

        Parameters
        ----------
        name, alias
            Such as ``credit`` and ``champion``.
        at
            Milliseconds UTC; now when None.

        Raises
        ------
        NotFoundError
            When the alias pointed nowhere then.
        """
        query: transport.Query = {"at": At(at=at).at}
        return self._transport.call("GET", _alias(name, alias), answer=Version, query=query)

    def approve(self, name: str, number: int, *, note: str = "") -> Approval:
        """Say that a version may answer.

        Parameters
        ----------
        name
            Of the model.
        number
            Of the version.
        note
            Why, for the record.

        Raises
        ------
        NotAllowedError
            When the tier is ``high`` and whoever calls trained it.
        ConflictError
            When whoever calls approved it before.
        """
        path = f"{_version(name, number)}/approvals"
        return self._transport.call("POST", path, answer=Approval, body=Note(note=note))

    def approvals(self, name: str, number: int) -> ListOfApprovals:
        """Return who approved a version.

        Parameters
        ----------
        name
            Of the model.
        number
            Of the version.
        """
        path = f"{_version(name, number)}/approvals"
        return self._transport.call("GET", path, answer=ListOfApprovals)

    def _store(self, name: str, data: bytes) -> str:
        digest = blake3.blake3(data).hexdigest()
        path = f"{_model(name)}/files/{digest}"
        return self._transport.call("PUT", path, answer=Stored, body=data).digest

    def _proved(self, version: Version, file: File) -> bytes:
        data = self.file(version.model, version.number, file.path)
        if blake3.blake3(data).hexdigest() != file.digest:
            raise errors.CorruptError(
                f"{version.reference}: {file.path} arrived changed", path=file.path
            )
        return data


def _model(name: str) -> str:
    return f"/api/models/{transport.part(name)}"


def _version(name: str, number: int) -> str:
    return f"{_model(name)}/versions/{number}"


def _alias(name: str, alias: str) -> str:
    return f"{_model(name)}/aliases/{transport.part(alias)}"
