"""Why rows are answered as they are: ``/explain`` of the prediction server; routed by `app`.

A request is one to infer or an invocation; what is asked for stands in its ``parameters`` or
``params``. It is explained in a process of its own: predictions go on meanwhile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from homeostat.doors.predict import answers, asked, invocations, v2
from homeostat.foundation import clock, errors
from homeostat.lifecycle.corrections import decisive
from homeostat.lifecycle.corrections.entities import Correction
from homeostat.lifecycle.explanations import entities, orders, room
from homeostat.lifecycle.registry import described
from homeostat.lifecycle.serving import plan
from homeostat.lifecycle.serving.entities import Arm, PlanDocument, VersionFiles

_WORDS = ("kind", "kinds", "top", "threshold")


class Peek(msgspec.Struct):
    """As much of a request as tells its form and what it asks for."""

    inputs: Any = None
    parameters: dict[str, Any] | None = None
    params: dict[str, Any] | None = None


_peek = msgspec.json.Decoder(Peek)


class Explaining:
    """What answers ``/explain`` in one process.

    Parameters
    ----------
    files
        Folder where files of versions lie, each under its digest.
    """

    def __init__(self, files: Path) -> None:
        self._files = files
        self._room = room.Room()

    async def answer(self, call: asked.Call) -> answers.Reply:
        """Explain the rows of a request.

        Parameters
        ----------
        call
            In any form of either protocol.

        Returns
        -------
        Reply
            ``explanations``, one per row, each of the members that answer that row.

        Raises
        ------
        InvalidInputError
            When the request cannot be read, or a row does not fit the schema.
        TooLargeError
            When it has more than 64 rows.
        UnavailableError
            When too many rows wait already.
        UserCodeError
            When the model raises, hangs or crashes.
        """
        document = call.now.document
        options, is_v2 = _asked_for(call)
        request = v2.read(call)[0] if is_v2 else invocations.read(call)
        if request.n_rows > entities.ROWS_AT_MOST:
            raise errors.TooLargeError(
                f"one request explains up to {entities.ROWS_AT_MOST} rows; "
                f"seen {request.n_rows}",
                hint="send them in parts",
            )
        admitted = asked.admitted(call, request)
        dealt = call.now.route(admitted)
        if isinstance(dealt, int):
            dealt = {dealt: list(range(request.n_rows))}
        working = _in_force(document)
        given = [*zip(call.now.features, admitted.columns, strict=True)]
        given += zip(call.now.arms[0].place.layout.context, admitted.context, strict=True)
        found: dict[int, entities.Explanation] = {}
        for arm, places in dealt.items():
            picked = [[values[at] for at in places] for values in admitted.columns]
            columns = dict(zip(call.now.features, picked, strict=True))
            chosen = document.plan.arms[arm]
            needed = decisive.thresholds(
                working, dict(given), version=plan.label(chosen), places=places
            )
            order = self._order(document, chosen, columns, options=options, thresholds=needed)
            rows = await self._room.explain(order)
            found.update(zip(places, rows, strict=True))
        told = entities.Explained(
            model_name=document.deployment,
            generation=document.plan.generation,
            keys=admitted.keys,
            corrections=[one.mark for one in working],
            explanations=[found[at] for at in range(request.n_rows)],
        )
        return answers.json(told)

    def close(self) -> None:
        """Stop the process that explains."""
        self._room.close()

    def _order(
        self,
        document: PlanDocument,
        arm: Arm,
        columns: dict[str, list[Any]],
        *,
        options: entities.Options,
        thresholds: list[float],
    ) -> orders.Order:
        files = {one.version: one for one in document.versions}
        members = sorted(arm.members, key=lambda one: one.version)
        return orders.Order(
            folder=str(self._files),
            members=tuple(_source(files[one.version], one.weight) for one in members),
            columns=columns,
            explain=document.explain,
            protected=document.protected,
            favourable=document.favourable,
            options=options,
            thresholds=thresholds,
            corrector=document.corrector,
        )


def _source(version: VersionFiles, weight: float) -> orders.Source:
    files = dict(version.files)
    if version.description:
        files[described.DESCRIPTION] = version.description
    return orders.Source(
        version=version.version,
        weight=weight,
        digest=version.digest,
        files=files,
        is_trusted=version.is_trusted,
    )


def _is_v2(inputs: Any) -> bool:
    """Tell a list of tensors from a list of rows."""
    return (
        isinstance(inputs, list)
        and bool(inputs)
        and isinstance(inputs[0], dict)
        and {"name", "datatype"} <= inputs[0].keys()
    )


def _in_force(document: PlanDocument) -> list[Correction]:
    at = clock.now_ms()
    return [one for one in document.corrections if one.starts_at <= at < one.expires_at]


def _asked_for(call: asked.Call) -> tuple[entities.Options, bool]:
    """Return what a request asks for, and whether it is one to infer."""
    if v2.HEADER_LENGTH in call.headers:
        return entities.Options(), True
    if call.media not in {"", *asked.JSON}:
        return entities.Options(), False
    peek = asked.decode(_peek, call.body)
    told = {**(peek.params or {}), **(peek.parameters or {})}
    return _options(told), _is_v2(peek.inputs)


def _options(told: dict[str, Any]) -> entities.Options:
    given = {name: told[name] for name in _WORDS if name in told}
    kind = given.pop("kind", None)
    if kind is not None:
        given["kinds"] = kind if isinstance(kind, list) else [kind]
    try:
        return msgspec.convert(given, entities.Options)
    except msgspec.ValidationError as error:
        said, _, at = str(error).partition(" - at ")
        where = at.strip("`").removeprefix("$.") or "what is asked for"
        raise errors.InvalidInputError(
            f"{where}: {asked.lowered(said)}",
            hint="kind: contributions, reasons, counterfactual; top: 1 to 100; "
            "threshold: 0 to 1",
        ) from None
