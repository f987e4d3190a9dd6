"""MLflow's door in this process, over a house on either database; asked as its clients ask."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode

import pytest

from homeostat.doors import local
from homeostat.doors.client import carriers
from homeostat.foundation import house, settings

API = "/api/2.0/mlflow/"


class Asking:
    """A small client that speaks MLflow's JSON; paths without a slash are under the 2.0 API."""

    def __init__(self, carrier, opened):
        self._carrier = carrier
        self.house = opened

    def call(self, method, path, *, body=None, raw=None, headers=None, **query):
        """Return status, headers and body of one request."""
        where = path if path.startswith("/") else API + path
        if query:
            where += "?" + urlencode(query, doseq=True)
        given = dict(headers or {})
        content = raw if raw is not None else b""
        if body is not None:
            content = json.dumps(body).encode()
            given.setdefault("content-type", "application/json")
        return self._carrier.ask(method, where, headers=given, body=content)

    def ok(self, method, path, **asked):
        """Return the JSON of an answer that must be well."""
        status, _, content = self.call(method, path, **asked)
        assert status == 200, (status, content[:500])
        return json.loads(content) if content else {}

    def get(self, path, **query):
        return self.ok("GET", path, **query)

    def post(self, path, body=None):
        return self.ok("POST", path, body=body or {})

    def patch(self, path, body=None):
        return self.ok("PATCH", path, body=body or {})

    def delete(self, path, body=None):
        return self.ok("DELETE", path, body=body or {})

    def refused(self, method, path, **asked):
        """Return status, code and message of an answer that must be a refusal."""
        status, _, content = self.call(method, path, **asked)
        assert status >= 400, (status, content[:500])
        told = json.loads(content)
        return status, told["error_code"], told["message"]


class HeaderCarrier(carriers.AppCarrier):
    """Gives the headers of an answer too."""

    def ask(self, method, path, *, headers, body):
        asking = self._http.request(method, path, headers=headers, content=body)
        answer = asyncio.run_coroutine_threadsafe(asking, self._loop).result()
        return answer.status_code, answer.headers, answer.content


@pytest.fixture
def opened(database_url, tmp_path):
    told = settings.Settings(home=tmp_path / "home", database_url=database_url)
    with house.open_house(told) as one:
        yield one


@pytest.fixture
def door(opened):
    """The door over both databases, one after the other."""
    app = local.build(opened)
    carrier = HeaderCarrier(app, on_close=app.close)
    yield Asking(carrier, opened)
    carrier.close()


@pytest.fixture
def experiment_id(door):
    return door.post("experiments/create", {"name": "credit"})["experiment_id"]


@pytest.fixture
def run_id(door, experiment_id):
    made = door.post("runs/create", {"experiment_id": experiment_id, "start_time": 1})
    return made["run"]["info"]["run_id"]
