"""Sends applications and late labels to the prediction server over HTTP, for the story."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import polars as pl

from homeostat.doors.cli.demo import lender

CONNECTIONS = 8
ROWS_PER_REQUEST = 4
KINDS = {
    "income": "FP64",
    "debt_ratio": "FP64",
    "history_years": "FP64",
    "utilisation": "FP64",
    "region": "BYTES",
    "sex": "BYTES",
}
KEY = "application_id"


class Traffic:
    """A branch of the lender: asks for scores by key, and reports outcomes when they are known.

    Parameters
    ----------
    url
        Of the prediction server.
    deployment
        Who answers.

    Attributes
    ----------
    n_sent, n_failed
        Applications sent, and those that got no score.
    """

    def __init__(self, url: str, deployment: str) -> None:
        self._loop = asyncio.new_event_loop()
        limits = httpx.Limits(max_connections=CONNECTIONS)
        self._http = httpx.AsyncClient(base_url=url, limits=limits, timeout=30.0)
        self._path = f"/v2/models/{deployment}/infer"
        self._deployment = deployment
        self.n_sent = 0
        self.n_failed = 0
        self.last_failure = ""

    def is_ready(self) -> bool:
        """Say whether the model is loaded and answers."""
        path = self._path.removesuffix("infer") + "ready"
        try:
            answer = self._loop.run_until_complete(self._http.get(path))
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def score(self, applications: pl.DataFrame) -> pl.DataFrame:
        """Ask for the scores of applications, a few at a time over some connections.

        Parameters
        ----------
        applications
            Rows of the lender; the outcome is not sent.

        Returns
        -------
        polars.DataFrame
            The applications that got an answer, with ``score``.
        """
        parts = list(applications.iter_slices(ROWS_PER_REQUEST))
        return pl.concat(self._loop.run_until_complete(self._score_all(parts)))

    def report(self, outcomes: pl.DataFrame) -> None:
        """Report what became of applications.

        Parameters
        ----------
        outcomes
            Rows of the lender with ``defaulted``.

        Raises
        ------
        httpx.HTTPError
            When the labels were not acknowledged.
        """
        labels = [
            {"key": key, "label": label}
            for key, label in outcomes.select(KEY, "defaulted").iter_rows()
        ]
        body = {"deployment": self._deployment, "labels": labels}
        answer = self._loop.run_until_complete(self._http.post("/labels", json=body))
        answer.raise_for_status()

    def close(self) -> None:
        """Close the connections."""
        self._loop.run_until_complete(self._http.aclose())
        self._loop.close()

    async def _score_all(self, parts: list[pl.DataFrame]) -> list[pl.DataFrame]:
        waiting = iter(enumerate(parts))
        answered: dict[int, pl.DataFrame] = {}

        async def branch() -> None:
            for place, part in waiting:
                answered[place] = await self._score(part)

        await asyncio.gather(*(branch() for _ in range(CONNECTIONS)))
        return [answered[place] for place in range(len(parts))]

    async def _score(self, part: pl.DataFrame) -> pl.DataFrame:
        self.n_sent += part.height
        try:
            answer = await self._http.post(self._path, json=_body(part))
        except httpx.HTTPError as error:
            return self._fail(part, f"{type(error).__name__}: {error}")
        if answer.status_code != httpx.codes.OK:
            return self._fail(part, answer.text[:300])
        outputs = {one["name"]: one["data"] for one in answer.json()["outputs"]}
        return part.with_columns(pl.Series("score", outputs["score"], dtype=pl.Float64))

    def _fail(self, part: pl.DataFrame, why: str) -> pl.DataFrame:
        self.n_failed += part.height
        self.last_failure = why
        return part.clear().with_columns(pl.lit(None, dtype=pl.Float64).alias("score"))


def _body(part: pl.DataFrame) -> dict[str, Any]:
    columns = [
        {
            "name": name,
            "datatype": KINDS[name],
            "shape": [part.height],
            "data": part[name].to_list(),
        }
        for name in (*lender.FEATURES, "sex")
    ]
    return {"parameters": {"keys": part[KEY].to_list()}, "inputs": columns}
