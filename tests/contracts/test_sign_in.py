"""Where sign-in is configured nobody comes in without a key, and a key opens what its role may.

In this process over both databases; `tests/stories/test_sign_in.py` does it over processes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re

import httpx
import pytest

from homeostat.doors import local
from homeostat.doors.api import doorway, routing
from homeostat.doors.mlflow import door
from homeostat.foundation import access, clock, house, keyring, settings
from homeostat.foundation.keyring import lookup

ADA = access.local_owner("ada")
WHERE = "http://localhost"
PUBLIC = {
    "/api/health",
    "/api/version",
    "/api/openapi.json",
    "/static/{name}",
    "/health",
    "/version",
    "/api/3.0/mlflow/server-info",
    "/ajax-api/3.0/mlflow/server-info",
}


class Street:
    """Asks the application as a caller of another machine would."""

    def __init__(self, app, opened):
        self.app = app
        self.house = opened

    def ask(self, method, path, *, key=None, user=None, **given):
        """Return the answer to one request, with a key as Bearer or, for a user, as Basic."""
        headers = dict(given.pop("headers", {}))
        if key is not None:
            headers["authorization"] = bearer(key) if user is None else basic(user, key)

        async def asking():
            transport = httpx.ASGITransport(app=self.app, client=("192.0.2.7", 5))
            async with httpx.AsyncClient(transport=transport, base_url=WHERE) as http:
                return await http.request(method, path, headers=headers, **given)

        return asyncio.run(asking())

    def key(self, name, role, **more):
        made = self.house.write(
            lambda tx: keyring.create(tx, ADA, name, role=access.Role(role), **more)
        )
        self.forget()
        return made

    def forget(self):
        """Let time pass: what is held of the keys is old."""
        self.app._visitor._keys._read_at = float("-inf")


def bearer(key):
    return f"Bearer {key}"


def basic(user, key):
    return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()


@pytest.fixture
def opened(database_url, tmp_path):
    told = settings.Settings(
        home=tmp_path / "home",
        database_url=database_url,
        sign_in="keys",
        host="0.0.0.0",
        allowed_hosts=("models.example",),
    )
    settings.check(told)
    with house.open_house(told) as one:
        yield one


@pytest.fixture
def street(opened):
    app = local.build(opened)
    yield Street(app, opened)
    app.close()


def routes_of(app):
    """Return method and path of every route of every door."""
    native = [(route.method, route.path, route.action) for route in app.table.routes]
    [beside] = [side for side in app.sides if isinstance(side, door.Door)]
    spoken = []
    for route in beside.table.routes:
        places = (
            [route.path[1:]]
            if route.path.startswith("=")
            else [f"/api{route.path}", f"/ajax-api{route.path}"]
        )
        spoken += [(route.method, place, route.action) for place in places]
    return native, spoken


def filled(path):
    return re.sub(r"\{[^}]*:int\}", "1", re.sub(r"\{\w+(:path)?\}", "x", path))


def test_every_route_but_a_few_refuses_who_shows_no_key(street):
    native, spoken = routes_of(street.app)
    assert len(native) > 60
    for method, path, action in native:
        answer = street.ask(method, filled(path))
        if action == routing.PUBLIC:
            assert path in PUBLIC
            assert answer.status_code != 401
            continue
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["www-authenticate"] == 'Basic realm="homeostat"'
        assert answer.json()["code"] == "unauthenticated"
    for method, path, action in spoken:
        answer = street.ask(method, filled(path))
        if action == routing.PUBLIC:
            assert path in PUBLIC
            assert answer.status_code == 200
            continue
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["www-authenticate"] == 'Basic realm="mlflow"'
        if method != "HEAD":
            assert answer.json()["error_code"] == "UNAUTHENTICATED"


def test_what_is_nowhere_is_told_to_nobody_without_a_key(street):
    assert street.ask("GET", "/api/nothing").status_code == 401
    assert street.ask("GET", "/nothing").status_code == 401


@pytest.mark.parametrize("user", [None, "ada", "", "token"])
def test_a_key_opens_as_bearer_and_as_password_of_any_name(street, user):
    key = street.key("bo", "viewer").secret
    assert street.ask("GET", "/api/runs", key=key, user=user).status_code == 200
    answer = street.ask(
        "GET",
        "/api/2.0/mlflow/experiments/get",
        key=key,
        user=user,
        params={"experiment_id": 0},
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Basic",
        "Basic !!!",
        "Basic /////w==",
        "Basic YWRh",
        "Digest username=ada",
        "Bearer hs_" + "0" * 32 + "_" + "A" * 43,
    ],
)
def test_what_is_no_key_opens_nothing_and_nothing_breaks(street, authorization):
    street.key("bo", "owner")
    for path in ("/api/runs", "/runs", "/api/2.0/mlflow/experiments/get?experiment_id=0"):
        answer = street.ask("GET", path, headers={"authorization": authorization})
        assert answer.status_code == 401
        assert "basic realm" in answer.headers["www-authenticate"].lower()


def test_a_person_with_a_browser_sees_a_page_and_is_asked_for_the_key(street):
    answer = street.ask("GET", "/", headers={"accept": "text/html"})
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["www-authenticate"] == 'Basic realm="homeostat"'
    key = street.key("bo", "viewer").secret
    page = street.ask("GET", "/", key=key, user="bo", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "bo" in page.text


def test_a_role_opens_what_it_may_at_each_door(street):
    viewer, worker = street.key("vi", "viewer").secret, street.key("co", "contributor").secret
    made = {"name": "credit"}
    assert street.ask("POST", "/api/runs", key=viewer, json={}).status_code == 403
    refused = street.ask("POST", "/api/2.0/mlflow/experiments/create", key=viewer, json=made)
    assert refused.status_code == 403
    assert refused.json()["error_code"] == "PERMISSION_DENIED"
    assert "vi is 'viewer' here" in refused.json()["message"]
    done = street.ask("POST", "/api/2.0/mlflow/experiments/create", key=worker, json=made)
    assert done.status_code == 200
    assert street.ask("GET", "/api/access/keys", key=worker).status_code == 403
    owner = street.key("ow", "owner").secret
    assert street.ask("GET", "/api/access/keys", key=owner).status_code == 200


def test_what_a_key_does_is_recorded_under_its_name(street):
    key = street.key("bo", "owner").secret
    body = {"name": "cy", "role": "viewer"}
    made = street.ask("POST", "/api/access/keys", key=key, json=body)
    assert made.status_code == 201
    [event] = street.ask(
        "GET", "/api/events", key=key, params={"subject": f"key:{made.json()['key']['id']}"}
    ).json()
    assert (event["actor"], event["kind"]) == ("bo", "key.created")
    assert made.json()["secret"] not in json.dumps(event)


def test_a_key_that_was_revoked_or_expired_opens_nothing(street, monkeypatch):
    taken, short = street.key("bo", "viewer"), street.key("cy", "viewer", expires_at=1 << 50)
    assert street.ask("GET", "/api/runs", key=taken.secret).status_code == 200
    street.house.write(lambda tx: keyring.revoke(tx, ADA, taken.key.id))
    street.app._visitor._keys._read_at -= lookup.FRESH_S
    answer = street.ask("GET", "/api/runs", key=taken.secret)
    assert answer.status_code == 401
    assert "unknown, expired or revoked" in answer.json()["detail"]
    assert street.ask("GET", "/api/runs", key=short.secret).status_code == 200
    monkeypatch.setattr(clock, "now_ms", lambda: 1 << 50)
    assert street.ask("GET", "/api/runs", key=short.secret).status_code == 401


def test_keys_are_not_read_from_the_database_for_each_request(street):
    key = street.key("bo", "viewer").secret
    ring = street.app._visitor._keys
    assert ring.find(key) is not None
    ring._read_at = float("inf")  # fresh for ever
    street.house.database.close()
    assert ring.find(key) is not None


def test_a_key_opens_its_own_project_only(street):
    key = street.key("bo", "viewer").secret
    answer = street.ask("GET", "/api/runs", key=key, headers={"x-homeostat-project": "risk"})
    assert answer.status_code == 403
    assert "opens project 'default', not 'risk'" in answer.json()["detail"]


def test_only_known_names_are_answered_to_and_other_sites_write_nothing_with_a_key_too(street):
    key = street.key("bo", "owner").secret
    known = {"host": "models.example"}
    assert street.ask("GET", "/api/runs", key=key, headers=known).status_code == 200
    other = street.ask("GET", "/api/runs", key=key, headers={"host": "rebound.example"})
    assert other.status_code == 403
    assert "allowed_hosts" in other.json()["hint"]
    foreign = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    body = {"name": "cy", "role": "owner"}
    answer = street.ask("POST", "/api/access/keys", key=key, json=body, headers=foreign)
    assert answer.status_code == 403
    assert "another site" in answer.json()["detail"]


def test_a_client_of_this_very_process_is_the_owner_of_the_home(opened):
    app = local.build(opened, is_inside=True)
    scope = {"method": "GET", "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1)}
    actor, project = app.admit(scope)
    app.close()
    assert actor == access.local_owner("owner")
    assert project == "default"


def test_without_sign_in_a_key_changes_nothing(tmp_path):
    with house.open_house(settings.Settings(home=tmp_path)) as opened:
        visitor = doorway.Visitor(opened)
        scope = {
            "method": "GET",
            "headers": [(b"host", b"localhost"), (b"authorization", b"Bearer hs_x")],
            "client": ("127.0.0.1", 1),
        }
        assert visitor.admit(scope) == (access.local_owner("owner"), "default")
