"""Ask the prediction server from Python: for answers, and for why; part of `deployments`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from homeostat.doors.client import carriers, tensors, transport
from homeostat.lifecycle.explanations.entities import Explained, Kind

Row = tensors.Row


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the prediction server said; lists run over rows.

    Attributes
    ----------
    scores
        Probability of the positive class, 0 to 1.
    answers
        The label that follows from it.
    ids, keys
        Names of the predictions in the log, and what their labels are joined by.
    versions
        The members that answered, such as ``3`` or ``3+4``.
    generation
        Of the plan.
    """

    scores: list[float]
    answers: list[Any]
    ids: list[str]
    keys: list[str]
    versions: list[str]
    generation: int


class Asking:
    """What answers at a prediction server.

    Parameters
    ----------
    url
        Its address.
    """

    def __init__(self, url: str) -> None:
        carrier = carriers.HttpCarrier(url, setting="HOMEOSTAT_PREDICT_URL")
        self._predict = transport.Transport(carrier)

    def predict(
        self, name: str, rows: Sequence[Row], *, keys: Sequence[str] | None = None
    ) -> Answer:
        """Ask the prediction server.

        Parameters
        ----------
        name
            A deployment.
        rows
            1 to 10,000: features by name, and the columns named as protected or as key.
        keys
            What late labels will be joined by; one per row.

        Returns
        -------
        Answer
            In the order of `rows`; every one is in the log.

        Raises
        ------
        InvalidInputError
            When a row does not fit the model's schema; names its path.
        UnavailableError
            When no prediction server answers, or its log cannot be written.
        """
        body: dict[str, Any] = {"inputs": tensors.of(rows)}
        if keys is not None:
            body["parameters"] = {"keys": list(keys)}
        path = f"/v2/models/{transport.part(name)}/infer"
        said = self._predict.call("POST", path, body=body, answer=_Inferred)
        outputs = {one.name: one.data for one in said.outputs}
        return Answer(
            scores=outputs["score"],
            answers=outputs["answer"],
            ids=said.parameters.ids,
            keys=said.parameters.keys,
            versions=outputs.get("version", [said.model_version] * len(rows)),
            generation=said.parameters.generation,
        )

    def explain(
        self,
        name: str,
        rows: Sequence[Row],
        *,
        kinds: Sequence[Kind] = ("contributions", "reasons"),
        top: int | None = None,
        threshold: float | None = None,
        keys: Sequence[str] | None = None,
    ) -> Explained:
        """Ask the prediction server why; nothing is predicted or logged.

        Parameters
        ----------
        name, rows, keys
            As for `predict`; 1 to 64 rows.
        kinds
            ``contributions``, ``reasons``, ``counterfactual``.
        top, threshold
            Reasons at most; the score that decides. As policy and corrections say when None.

        Returns
        -------
        Explained
            In the order of `rows`.

        Raises
        ------
        InvalidInputError
            When a row does not fit the model's schema; names its path.
        UnavailableError
            When no prediction server answers, or too much waits to be explained.
        """
        told = {"kinds": list(kinds), "top": top, "threshold": threshold, "keys": keys}
        given = {word: value for word, value in told.items() if value is not None}
        body = {"inputs": tensors.of(rows), "parameters": given}
        path = f"/v2/models/{transport.part(name)}/explain"
        return self._predict.call("POST", path, body=body, answer=Explained)

    def close(self) -> None:
        """Let go of the connections to the prediction server."""
        self._predict.close()


class _Output(msgspec.Struct):
    name: str
    data: list[Any]


class _Told(msgspec.Struct):
    generation: int
    ids: list[str]
    keys: list[str]


class _Inferred(msgspec.Struct):
    model_version: str
    parameters: _Told
    outputs: list[_Output]
