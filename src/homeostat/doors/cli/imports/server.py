"""Reads an MLflow tracking server over its REST protocol."""

from __future__ import annotations

import collections
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from homeostat.doors.cli.imports import shapes, source
from homeostat.foundation import errors
from homeostat.lifecycle.importing import entities

N_AT_ONCE = 6
RUNS_A_PAGE = 200
POINTS_A_PAGE = 25_000
N_TRIES = 4
_API = "/api/2.0/mlflow/"
_PROXY = "/api/2.0/mlflow-artifacts/artifacts"
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_PROMPTS = "tags.`mlflow.prompt.is_prompt` = 'true'"


class Server:
    """A tracking server; implements `source.Source`.

    Parameters
    ----------
    url
        Such as ``http://127.0.0.1:5000``; a path in it is kept.
    auth
        User and password, or None.
    token
        Bearer token, or empty.
    verify
        Whether certificates are checked.

    Raises
    ------
    UnavailableError
        When nobody answers.
    UnauthenticatedError
        When the server asks for credentials, or refuses them.
    InvalidInputError
        When what answers is no MLflow server.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: tuple[str, str] | None = None,
        token: str = "",
        verify: bool = True,
    ) -> None:
        parts = urlsplit(url)
        if "@" in parts.netloc:
            name, _, secret = parts.netloc.rpartition("@")[0].partition(":")
            auth = auth or (name, secret)
        host = parts.netloc.rpartition("@")[2].lower()
        self.address = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        headers = {"authorization": f"Bearer {token}"} if token and not auth else {}
        self._http = httpx.Client(auth=auth, headers=headers, timeout=60.0, verify=verify)
        self._pool = ThreadPoolExecutor(N_AT_ONCE, thread_name_prefix="import")
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        try:
            answer = self._send("POST", f"{_API}experiments/search", body={"max_results": 1})
        except errors.NotFoundError:
            answer = {}
        if not isinstance(answer.get("experiments", []), list) or not answer:
            raise errors.InvalidInputError(
                f"what answers at {self.address} is no MLflow tracking server",
                hint="give the address that MLFLOW_TRACKING_URI names",
            )

    def count_runs(self) -> int | None:
        """Return None: a server has no count of runs."""
        return None

    def experiments(self) -> Iterator[entities.Experiment]:
        """Yield all experiments, deleted ones too."""
        asked = {"max_results": 1000, "view_type": "ALL", "order_by": ["experiment_id ASC"]}
        for found in self._pages("experiments/search", asked, "experiments"):
            yield shapes.experiment(found)

    def runs(self, experiment_id: str) -> Iterator[list[source.FoundRun]]:
        """Yield the runs of an experiment, oldest first, in pages."""
        asked = {
            "experiment_ids": [experiment_id],
            "run_view_type": "ALL",
            "max_results": RUNS_A_PAGE,
            "order_by": ["attributes.start_time ASC"],
        }
        found = self._pages("runs/search", asked, "runs")
        while page := list(itertools.islice(found, RUNS_A_PAGE)):
            yield [shapes.run(item) for item in page]

    def points(self, found: Sequence[source.FoundRun]) -> Iterator[entities.Points]:
        """Yield all points of some runs; a few pages are asked for at once."""
        wanted = ((one.run.id, key) for one in found for key in one.keys)
        asked: collections.deque[tuple[str, str, Future[Any]]] = collections.deque()
        for run_id, key in wanted:
            asked.append((run_id, key, self._pool.submit(self._history, run_id, key)))
            if len(asked) >= 2 * N_AT_ONCE:
                yield from self._whole(*asked.popleft())
        while asked:
            yield from self._whole(*asked.popleft())

    def _whole(self, run_id: str, key: str, first: Future[Any]) -> Iterator[entities.Points]:
        page = first.result()
        while True:
            points = tuple(shapes.point(item) for item in page.get("metrics", ()))
            yield entities.Points(run_id, points)
            token = page.get("next_page_token")
            if not token:
                return
            page = self._history(run_id, key, token)

    def _history(self, run_id: str, key: str, token: str = "") -> Any:
        query = {"run_id": run_id, "metric_key": key, "max_results": str(POINTS_A_PAGE)}
        if token:
            query["page_token"] = token
        return self._send("GET", f"{_API}metrics/get-history", query=query)

    def logged_models(self, experiment_id: str) -> Iterator[source.FoundModel]:
        """Yield the logged models of an experiment; none where the server knows none."""
        asked = {"experiment_ids": [experiment_id], "max_results": 50}
        try:
            for found in self._pages("logged-models/search", asked, "models"):
                yield shapes.logged_model(found)
        except errors.NotFoundError:
            return  # a server before MLflow 3

    def models(self) -> Iterator[tuple[entities.Model, list[entities.Version]]]:
        """Yield registered models with their versions, prompts too."""
        for only in ("", _PROMPTS):
            asked = {"max_results": "100", **({"filter": only} if only else {})}
            for found in self._listed("registered-models/search", asked, "registered_models"):
                yield shapes.model(found), self._versions(found["name"], only)

    def _versions(self, name: str, only: str) -> list[entities.Version]:
        mark = '"' if "'" in name else "'"
        given = f"name = {mark}{name}{mark}" + (f" AND {only}" if only else "")
        asked = {"max_results": "1000", "filter": given}
        found = self._listed("model-versions/search", asked, "model_versions")
        versions = [shapes.version(item) for item in found]
        return sorted(versions, key=lambda version: version.number)

    def files(self, holder: source.Holder) -> Iterator[source.File]:
        """Yield the files of a run or logged model."""
        folders = [""]
        while folders:
            folder = folders.pop()
            for item in self._entries(holder, folder):
                if item.get("is_dir"):
                    folders.append(item["path"])
                else:
                    yield source.File(item["path"], int(item.get("file_size", -1)))

    def _entries(self, holder: source.Holder, folder: str) -> list[dict[str, Any]]:
        """List a folder; paths are from the root of the run or logged model."""
        if holder.address.startswith("mlflow-artifacts:"):
            root = _below_proxy(holder.address)
            asked = {"path": f"{root}/{folder}" if folder else root}
            found = self._send("GET", _PROXY, query=asked).get("files", [])
            start = f"{folder}/" if folder else ""
            return [{**item, "path": start + item["path"]} for item in found]
        if holder.kind == "run":
            asked = {"run_id": holder.id, **({"path": folder} if folder else {})}
            answer = self._send("GET", f"{_API}artifacts/list", query=asked)
        else:
            asked = {"artifact_directory_path": folder} if folder else {}
            where = f"{_API}logged-models/{holder.id}/artifacts/directories"
            answer = self._send("GET", where, query=asked)
        listed: list[dict[str, Any]] = answer.get("files", [])
        return listed

    def read(self, holder: source.Holder, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file."""
        query: dict[str, str] = {}
        if holder.address.startswith("mlflow-artifacts:"):
            where = f"{_PROXY}/{quote(_below_proxy(holder.address))}/{quote(path)}"
        elif holder.kind == "run":
            where, query = "/get-artifact", {"run_id": holder.id, "path": path}
        else:
            where = f"/ajax-api/2.0/mlflow/logged-models/{holder.id}/artifacts/files"
            query = {"artifact_file_path": path}
        try:
            with self._http.stream("GET", self.address + where, params=query) as answer:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    raise self._refusal(answer)
                yield from answer.iter_bytes(1 << 20)
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def untaken(self) -> list[source.Untaken]:
        """Return what the server has that no import takes."""
        found = []
        for one in self.experiments():
            query = {"experiment_ids": one.id, "max_results": "1"}
            try:
                answer = self._send("GET", f"{_API}traces", query=query)
            except errors.NotFoundError:
                break  # a server of before traces
            except errors.HomeostatError as error:
                found.append(source.Untaken("trace", -1, f"not known: {error.message}"))
                break
            if answer.get("traces"):
                why = f"experiment {one.name!r} has traces; they are not copied"
                found.append(source.Untaken("trace", -1, why))
        return [*found, *self._hooks()]

    def _hooks(self) -> list[source.Untaken]:
        try:
            hooks = self._send("GET", f"{_API}webhooks").get("webhooks", [])
        except errors.NotFoundError:
            return []  # a server of before webhooks
        except errors.HomeostatError as error:
            return [source.Untaken("webhook", -1, f"not known: {error.message}")]
        why = "webhooks are not copied; their secrets cannot be read"
        return [source.Untaken("webhook", len(hooks), why)] if hooks else []

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    def _pages(self, path: str, asked: dict[str, Any], field: str) -> Iterator[dict[str, Any]]:
        body = dict(asked)
        while True:
            answer = self._send("POST", _API + path, body=body)
            yield from answer.get(field, ())
            if not answer.get("next_page_token"):
                return
            body["page_token"] = answer["next_page_token"]

    def _listed(self, path: str, asked: dict[str, str], field: str) -> Iterator[dict[str, Any]]:
        query = dict(asked)
        while True:
            answer = self._send("GET", _API + path, query=query)
            yield from answer.get(field, ())
            if not answer.get("next_page_token"):
                return
            query["page_token"] = answer["next_page_token"]

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> dict[str, Any]:
        """Ask once, and again when that may help: nothing here changes the source."""
        for n in itertools.count(1):
            try:
                answer = self._http.request(
                    method, self.address + path, params=query, json=body
                )
            except (httpx.TransportError, httpx.InvalidURL) as error:
                if n >= N_TRIES or isinstance(error, httpx.ConnectError | httpx.InvalidURL):
                    raise self._silent(error) from error
            else:
                if answer.status_code == httpx.codes.OK:
                    return self._json(answer)
                if n >= N_TRIES or answer.status_code not in _AGAIN:
                    raise self._refusal(answer)
            time.sleep(0.25 * 2**n)
        raise AssertionError

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise errors.InvalidInputError(
                f"what answers at {self.address} is no MLflow tracking server",
                hint="give the address that MLFLOW_TRACKING_URI names",
            )
        return found

    def _refusal(self, answer: httpx.Response) -> errors.HomeostatError:
        status = answer.status_code
        if status in {401, 403}:
            return errors.UnauthenticatedError(
                f"{self.address} answered {status}: it wants credentials, or refuses these",
                hint="give --username and --password, or --token",
            )
        said = answer.text[:200].replace("\n", " ")
        told = f"{self.address} answered {status} to {answer.url.path}: {said}"
        if status == httpx.codes.NOT_FOUND:
            return errors.NotFoundError(told)
        if status in _AGAIN:
            return errors.UnavailableError(told)
        return errors.InvalidInputError(told)

    def _silent(self, error: Exception) -> errors.UnavailableError:
        return errors.UnavailableError(
            f"no answer from {self.address}: {str(error) or type(error).__name__}",
            hint="check the address, and that the server runs",
        )


def _below_proxy(address: str) -> str:
    """Return the path of an ``mlflow-artifacts:`` address, whichever server it names."""
    return urlsplit(address).path.strip("/")
