"""Watch models that are served elsewhere, from Python; one subject of the SDK."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import blake3
import polars as pl

from homeostat.doors.client import data, telling, transport
from homeostat.lifecycle import policy as policies
from homeostat.lifecycle.data import tables
from homeostat.lifecycle.monitoring.checks import Check, Performance
from homeostat.lifecycle.monitoring.entities import Blamed
from homeostat.lifecycle.monitoring.stored import Grain, Role, SummaryWindow
from homeostat.lifecycle.monitoring.unusual import UnusualRow
from homeostat.lifecycle.policy import Policy
from homeostat.lifecycle.predictions.entities import Segment
from homeostat.lifecycle.predictions.observed import Observation, Taken
from homeostat.lifecycle.serving.entities import Deployment

CHUNK_ROWS = 5000
LABELS_AT_ONCE = 50_000
_TOLD = 5


class Sent(NamedTuple):
    """What `Monitoring.send` handed over.

    Parameters
    ----------
    n_predictions, n_labels
        How many were taken.
    lacking
        Features and protected columns that the predictions did not have: a feature that is
        missing is a broken feed to those who watch.
    """

    n_predictions: int
    n_labels: int
    lacking: tuple[str, ...] = ()

    @property
    def warning(self) -> str:
        """What the lacking columns lead to, for people; empty without any."""
        if not self.lacking:
            return ""
        more = len(self.lacking) - _TOLD
        names = ", ".join(self.lacking[:_TOLD]) + (f" and {more} more" if more > 0 else "")
        return (
            f"the predictions lack what the reference has or the policy protects: {names}. A "
            "missing feature is a broken feed to those who watch: name columns that are no "
            "features with --protected, or leave them out of the reference, and attach it "
            "under another name. Fairness by a protected column is not known without it"
        )


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
        reference: telling.Table,
        policy: str | Path = "",
        target: str = "label",
        key: str | None = None,
        time: str | None = None,
        task: str = "classification",
        protected: Sequence[str] = (),
    ) -> Deployment:
        """Begin to watch a model that is served elsewhere.

        Parameters
        ----------
        name
            Of the deployment: letters, digits, ``.``, ``_``, ``-``.
        reference
            Rows it was trained on, or better held out: features, and where there are any
            ``score`` (the number itself of a regression), ``answer`` (needed of three classes
            or more, whose ``score`` is that of the answer) and the target. A file or a frame.
        policy
            A homeostat.toml, its path or its text; one is written from the other parameters
            when empty.
        target, key, time, task
            Columns of the outcome, of what labels join by, and of the instant, and
            ``classification`` or ``regression``; only without a policy.
        protected
            Columns that are no features, by whose values fairness is told and what was served
            is kept; only without a policy.

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
            text = telling.written_policy(
                name, target=target, key=key, time=time, task=task, protected=protected
            )
        told = policies.parse(text)
        table = telling.table_of(reference)
        for column in () if policy else told.data.protected:
            tables.need_column(table.columns, column, role="protected")
        by = told.model.key if told.model.key in table.columns else None
        if by and (table[by].null_count() or table[by].is_duplicated().any()):
            by = None  # rows are not to be told apart: what was served cannot be compared
        snapshot = data.Data(self._transport).add(
            table,
            f"{name}.reference",
            key=by,
            source=f"reference of {name}",
            allow_schema_change=True,
        )
        body = {"name": name, "policy": text, "snapshot": snapshot.reference}
        return self._transport.call("POST", "/api/watched", body=body, answer=Deployment)

    def observe(
        self,
        name: str,
        rows: Sequence[Observation | dict[str, Any]] | pl.DataFrame,
        *,
        batch: str = "",
    ) -> Taken:
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
        Taken
            The part of the log that holds them; they are safe when this returns. It names the
            columns that were lacking.

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
            rows = telling.observations(rows, self._policy(name))
        path = f"/api/deployments/{transport.part(name)}/observations"
        body = {"rows": rows, "batch": batch}
        return self._transport.call("POST", path, body=body, answer=Taken)

    def send(
        self,
        name: str,
        *,
        predictions: telling.Table | None = None,
        labels: telling.Table | None = None,
    ) -> Sent:
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
        Sent
            How many predictions and labels were taken, and columns that were lacking.

        Raises
        ------
        InvalidInputError
            When a column is missing.
        """
        policy = self._policy(name)
        n_rows = n_labels = 0
        lacking: tuple[str, ...] = ()
        if predictions is not None:
            table = telling.table_of(predictions)
            is_timed = policy.data.time in table.columns
            digest = blake3.blake3(tables.encode(table)).hexdigest()[:32] if is_timed else ""
            for first, part in telling.pieces(table, CHUNK_ROWS):
                batch = f"{digest}:{first}" if digest else ""
                lacking = self.observe(
                    name, telling.observations(part, policy), batch=batch
                ).lacking  # of one table, so the same in each piece
                n_rows += part.height
        if labels is not None:
            path = f"/api/deployments/{transport.part(name)}/labels"
            for _, part in telling.pieces(telling.table_of(labels), LABELS_AT_ONCE):
                given = telling.labels(part, policy)
                self._transport.call("POST", path, body={"labels": given}, answer=Segment)
                n_labels += part.height
        return Sent(n_rows, n_labels, lacking)

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

    def blame(self, name: str) -> Blamed:
        """Rank what the harm of a deployment comes from, the likeliest first.

        Parameters
        ----------
        name
            Of any deployment.

        Returns
        -------
        Blamed
            Causes with their share of the rise in loss, evidence, and a command to look.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        """
        path = f"/api/deployments/{transport.part(name)}/blame"
        return self._transport.call("GET", path, answer=Blamed)

    def performance(self, name: str, *, as_of: int | None = None) -> Performance:
        """Measure how well rows were answered whose labels had time to come.

        Parameters
        ----------
        name
            Of any deployment.
        as_of
            Only what was known then counts; milliseconds UTC, now when None.

        Returns
        -------
        Performance
            With 95 % intervals; without metrics where fewer than 30 rows are labelled.

        Raises
        ------
        NotFoundError
            When there is no such deployment.
        """
        path = f"/api/deployments/{transport.part(name)}/performance"
        query: transport.Query = {} if as_of is None else {"as_of": as_of}
        return self._transport.call("GET", path, query=query, answer=Performance)

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
