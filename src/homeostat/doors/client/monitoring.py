"""Watch models that are served elsewhere, from Python; one subject of the SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import blake3
import msgspec
import polars as pl

from homeostat.doors.client import data, transport
from homeostat.foundation import errors
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data import schema as schemas
from homeostat.lifecycle.data import tables
from homeostat.lifecycle.monitoring.checks import Check
from homeostat.lifecycle.monitoring.stored import Grain, Role, SummaryWindow
from homeostat.lifecycle.monitoring.unusual import UnusualRow
from homeostat.lifecycle.policy import Policy
from homeostat.lifecycle.predictions.entities import LateLabel, Segment
from homeostat.lifecycle.predictions.observed import Observation
from homeostat.lifecycle.serving.entities import Deployment

CHUNK_ROWS = 5000
LABELS_AT_ONCE = 50_000
SCORE = "score"
ANSWER = "answer"

Table = pl.DataFrame | Path | str


class Monitoring:
    """Models that answer elsewhere and are watched here.

    Parameters
    ----------
    speaking
        The transport of the client.
    """

    def __init__(self, speaking: transport.Transport) -> None:
        self._transport = speaking

    def attach(
        self,
        name: str,
        *,
        reference: Table,
        policy: str | Path = "",
        target: str = "label",
        key: str | None = None,
        time: str | None = None,
    ) -> Deployment:
        """Begin to watch a model that is served elsewhere.

        Parameters
        ----------
        name
            Of the deployment: letters, digits, ``.``, ``_``, ``-``.
        reference
            Rows it was trained on, or better held out: features, and where there are any
            ``score``, ``answer`` and the target. A file or a frame.
        policy
            A homeostat.toml, its path or its text; one is written from the other parameters
            when empty.
        target, key, time
            Columns of the outcome, of what labels join by, and of the instant; only without
            a policy.

        Returns
        -------
        Deployment
            Of the kind ``watched``.

        Raises
        ------
        InvalidInputError
            When the policy asks for retraining, or the reference is not fit to compare with.
        ConflictError
            When the name is taken.
        """
        text = policy.read_text(encoding="utf-8") if isinstance(policy, Path) else policy
        if not text:
            text = written_policy(name, target=target, key=key, time=time)
        policies.parse(text)
        table = _table(reference)
        snapshot = data.Data(self._transport).add(
            table, f"{name}.reference", source=f"reference of {name}", allow_schema_change=True
        )
        body = {"name": name, "policy": text, "snapshot": snapshot.reference}
        return self._transport.call("POST", "/api/watched", body=body, answer=Deployment)

    def observe(
        self,
        name: str,
        rows: Sequence[Observation | dict[str, Any]] | pl.DataFrame,
        *,
        batch: str = "",
    ) -> Segment:
        """Hand over what a watched model answered.

        Parameters
        ----------
        name
            Of the deployment.
        rows
            1 to 10,000: as `Observation`, as dicts of its fields, or a frame with the columns
            of the reference and ``score``.
        batch
            Name of this delivery; the same rows under the same name are taken once.

        Returns
        -------
        Segment
            The part of the log that holds them; they are safe when this returns.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        ConflictError
            When it is served here, or the batch was taken before with other rows.
        InvalidInputError
            When a row is not understood.
        """
        if isinstance(rows, pl.DataFrame):
            rows = observations(rows, self._policy(name))
        path = f"/api/deployments/{transport.part(name)}/observations"
        body = {"rows": rows, "batch": batch}
        return self._transport.call("POST", path, body=body, answer=Segment)

    def send(
        self, name: str, *, predictions: Table | None = None, labels: Table | None = None
    ) -> tuple[int, int]:
        """Hand over files of predictions and of labels, piece by piece.

        Parameters
        ----------
        name
            Of the deployment.
        predictions
            Columns of the reference and ``score``. Where the policy names a time, sending the
            same file again changes nothing.
        labels
            The policy's key and target, and its time where that is a column.

        Returns
        -------
        tuple of int
            How many predictions and labels were sent.

        Raises
        ------
        InvalidInputError
            When a column is missing.
        """
        policy = self._policy(name)
        n_rows = n_labels = 0
        if predictions is not None:
            table = _table(predictions)
            is_timed = policy.data.time in table.columns
            digest = blake3.blake3(tables.encode(table)).hexdigest()[:32] if is_timed else ""
            for first, part in _pieces(table, CHUNK_ROWS):
                batch = f"{digest}:{first}" if digest else ""
                self.observe(name, observations(part, policy), batch=batch)
                n_rows += part.height
        if labels is not None:
            path = f"/api/deployments/{transport.part(name)}/labels"
            for _, part in _pieces(_table(labels), LABELS_AT_ONCE):
                given = _labels(part, policy)
                self._transport.call("POST", path, body={"labels": given}, answer=Segment)
                n_labels += part.height
        return n_rows, n_labels

    def summaries(
        self,
        name: str,
        *,
        by: Grain = "hour",
        since: int = 0,
        role: Role = "stable",
        part: str = "",
        limit: int = 100,
    ) -> list[SummaryWindow]:
        """Return what was served by minute, hour or day, the latest window first.

        Parameters
        ----------
        name
            Of any deployment.
        by
            ``minute`` (kept for two days), ``hour`` (400 days) or ``day``.
        since
            Windows that begin from then on; milliseconds UTC.
        role
            ``stable``, ``canary`` or ``shadow``.
        part
            Rows with that value of a protected column only, such as ``sex=f``; hours and days.
        limit
            At most this many, 1 to 1000.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        """
        query: transport.Query = {
            "by": by,
            "since": since,
            "role": role,
            "part": part,
            "limit": limit,
        }
        path = f"/api/deployments/{transport.part(name)}/summaries"
        return self._transport.call("GET", path, query=query, answer=list[SummaryWindow])

    def check(self, name: str) -> list[Check]:
        """Ask what windows do not say; what found something comes first.

        Parameters
        ----------
        name
            Of any deployment.

        Returns
        -------
        list of Check
            Volume, freshness, duplicates, performance estimated without labels, prior shift,
            fairness by protected column, staleness.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        """
        path = f"/api/deployments/{transport.part(name)}/checks"
        return self._transport.call("GET", path, answer=list[Check])

    def unusual(self, name: str, *, limit: int = 20) -> list[UnusualRow]:
        """Return the newest predictions that the baseline least expected.

        Parameters
        ----------
        name
            Of any deployment.
        limit
            At most this many, 1 to 1000, of the newest 10,000 rows.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        """
        path = f"/api/deployments/{transport.part(name)}/unusual"
        query: transport.Query = {"limit": limit}
        return self._transport.call("GET", path, query=query, answer=list[UnusualRow])

    def _policy(self, name: str) -> Policy:
        path = f"/api/deployments/{transport.part(name)}"
        found = self._transport.call("GET", path, answer=Deployment)
        return policies.parse(found.policy, where=f"policy of {name}")


def written_policy(name: str, *, target: str, key: str | None, time: str | None) -> str:
    """Return the homeostat.toml of a model that is only watched.

    Parameters
    ----------
    name
        Of the model and its deployment.
    target, key, time
        Columns; no line is written for None.

    Examples
    --------
    >>> print(written_policy("credit", target="defaulted", key="id", time=None))
    [model]
    name = "credit"
    target = "defaulted"
    key = "id"
    <BLANKLINE>
    [retraining]
    on = []
    <BLANKLINE>
    """
    lines = ["[model]", f"name = {json.dumps(name)}", f"target = {json.dumps(target)}"]
    lines += [f"key = {json.dumps(key)}"] if key else []
    lines += ["", "[data]", f"time = {json.dumps(time)}"] if time else []
    return "\n".join([*lines, "", "[retraining]", "on = []", ""])


def observations(table: pl.DataFrame, policy: Policy) -> list[Observation]:
    """Return the rows of a table as observations.

    Parameters
    ----------
    table
        Features, ``score``, and where there are any ``answer`` and the policy's columns.
    policy
        Names key, time, target and protected columns.

    Raises
    ------
    InvalidInputError
        When there is no score, or the time is no instant.
    """
    tables.need_column(table.columns, SCORE, role="score")
    named = {policy.model.key, policy.data.time, policy.model.target, SCORE, ANSWER}
    context = [name for name in table.columns if name in policy.data.protected]
    features = [name for name in table.columns if name not in {*named, *context}]
    given: dict[str, list[Any]] = {"score": table[SCORE].cast(pl.Float64).to_list()}
    if ANSWER in table.columns:
        given["answer"] = table[ANSWER].to_list()
    if policy.model.key in table.columns:
        given["key"] = table[policy.model.key].cast(pl.String).to_list()
    if policy.data.time in table.columns:
        given["at"] = _instants(table[policy.data.time])
    given["features"] = _cells(table, features)
    given["context"] = _cells(table, context)
    rows = zip(*given.values(), strict=True)
    return msgspec.convert(
        [dict(zip(given, row, strict=True)) for row in rows], list[Observation]
    )


def _cells(table: pl.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    columns = [_plain(table[name]) for name in names]
    if not columns:
        return [{} for _ in range(table.height)]
    return pl.DataFrame(columns).to_dicts()


def _plain(values: pl.Series) -> pl.Series:
    """Return a column as JSON can say it; NaN counts as missing."""
    if values.dtype.is_float():
        return values.fill_nan(None)
    if values.dtype.is_temporal():
        return values.cast(pl.Datetime("ms")).dt.to_string("iso:strict")
    if values.dtype.is_integer() or values.dtype == pl.Boolean:
        return values
    if values.dtype.is_numeric():
        return values.cast(pl.Float64)
    return values.cast(pl.String)


def _instants(values: pl.Series) -> list[int]:
    if values.dtype == pl.String:
        values = values.str.to_datetime(strict=False)
    if values.dtype.is_temporal():
        values = schemas.as_milliseconds(values)
    if not values.dtype.is_integer() or values.null_count():
        raise errors.InvalidInputError(
            f"column {values.name!r} must hold an instant in every row: a date and time, or "
            f"milliseconds UTC",
            column=values.name,
        )
    return [int(value) for value in values.to_list()]


def _labels(table: pl.DataFrame, policy: Policy) -> list[LateLabel]:
    key, target, time = policy.model.key, policy.model.target, policy.data.time
    for name, role in ((key or "key", "key"), (target, "target")):
        tables.need_column(table.columns, name, role=role)
    keys = table[key or "key"].cast(pl.String).to_list()
    happened: list[int | None] = [None] * table.height
    if time in table.columns:
        happened = [*_instants(table[time])]
    rows = zip(keys, table[target].to_list(), happened, strict=True)
    return [LateLabel(key=one, label=label, event_at=at) for one, label, at in rows]


def _pieces(table: pl.DataFrame, most: int) -> Iterator[tuple[int, pl.DataFrame]]:
    return ((first, table[first : first + most]) for first in range(0, table.height, most))


def _table(table: Table) -> pl.DataFrame:
    return table if isinstance(table, pl.DataFrame) else tables.read(Path(table))
