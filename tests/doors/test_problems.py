"""Every error crosses the API and is raised again as what it was."""

from __future__ import annotations

import asyncio
from typing import Annotated

import httpx
import msgspec
import pytest

from homeostat.doors.api import application, problems, routing
from homeostat.doors.client import carriers, transport
from homeostat.foundation import errors


class Row(msgspec.Struct):
    income: int


class Rows(msgspec.Struct):
    rows: list[Row]


class Wanted(msgspec.Struct):
    limit: Annotated[int, msgspec.Meta(ge=1, le=10)] = 5
    kind: tuple[str, ...] = ()


KINDS = sorted(errors.by_code())


async def fail(call):
    raise errors.by_code()[call.path_params["code"]]("a sentence", hint="do this", n=3)


async def crash(call):
    raise ZeroDivisionError("a secret of ours")


async def echo(call):
    return call.body


async def ask(call):
    return {"limit": call.query.limit, "kind": list(call.query.kind)}


async def count(call):
    return len(call.body)


ROUTES = (
    routing.Route("GET", "/api/fail/{code}", "public", fail),
    routing.Route("GET", "/api/crash", "public", crash),
    routing.Route("POST", "/api/rows", "run.write", echo, body=Rows, answer=Rows),
    routing.Route("GET", "/api/ask", "run.read", ask, answer=dict, query=Wanted),
    routing.Route(
        "PUT", "/api/bytes", "run.write", count, body=bytes, answer=int, limit_bytes=10
    ),
)


@pytest.fixture
def app(opened):
    made = application.Application(opened, ROUTES)
    yield made
    made.close()


@pytest.fixture
def speaking(app):
    made = transport.Transport(carriers.AppCarrier(app))
    yield made
    made.close()


def ask_raw(app, method, path, **given):
    async def inside():
        carrying = httpx.ASGITransport(app=app, client=given.pop("peer", ("127.0.0.1", 1)))
        async with httpx.AsyncClient(transport=carrying, base_url="http://localhost") as http:
            return await http.request(method, path, **given)

    return asyncio.run(inside())


@pytest.mark.parametrize("code", KINDS)
def test_every_error_is_raised_again_as_the_same_class(speaking, code):
    with pytest.raises(errors.HomeostatError) as caught:
        speaking.call("GET", f"/api/fail/{code}")
    assert type(caught.value) is errors.by_code()[code]
    assert caught.value.message == "a sentence"
    assert caught.value.hint == "do this"
    assert caught.value.facts == {"n": 3}


@pytest.mark.parametrize("code", KINDS)
def test_every_error_is_a_problem_of_rfc_9457(app, code):
    reply = ask_raw(app, "GET", f"/api/fail/{code}")
    assert reply.headers["content-type"] == problems.MEDIA_TYPE
    told = reply.json()
    assert reply.status_code == told["status"] == errors.by_code()[code].http_status
    assert {"type", "title", "detail", "instance", "code", "hint", "facts"} <= set(told)


def test_an_unforeseen_fault_gives_an_id_and_no_internals(app):
    reply = ask_raw(app, "GET", "/api/crash")
    assert reply.status_code == 500
    assert "secret" not in reply.text
    assert "ZeroDivision" not in reply.text
    assert reply.json()["facts"]["log_id"] in reply.json()["detail"]


def test_an_unknown_address_is_a_problem(app):
    reply = ask_raw(app, "GET", "/api/nothing")
    assert reply.status_code == 404
    assert reply.json()["code"] == "not-found"


def test_a_wrong_method_names_the_right_ones(app):
    reply = ask_raw(app, "DELETE", "/api/rows")
    assert reply.status_code == 405
    assert reply.headers["allow"] == "POST"
    assert "POST" in reply.json()["hint"]


def test_a_bad_value_in_a_body_is_named_by_its_path(speaking):
    body = {"rows": [{"income": 1}, {"income": "much"}]}
    with pytest.raises(errors.InvalidInputError, match=r"rows\[1\]\.income: expected int") as e:
        speaking.call("POST", "/api/rows", body=body, answer=Rows)
    assert e.value.facts["path"] == "rows[1].income"


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_such_json_is_refused(app, body):
    reply = ask_raw(app, "POST", "/api/rows", content=body)
    assert reply.status_code == 422
    assert reply.json()["code"] == "invalid-input"


def test_a_body_over_its_limit_is_refused(app):
    assert ask_raw(app, "PUT", "/api/bytes", content=b"x" * 10).json() == 10
    reply = ask_raw(app, "PUT", "/api/bytes", content=b"x" * 11)
    assert reply.status_code == 413
    assert reply.json()["facts"]["limit_bytes"] == 10


def test_a_body_that_does_not_announce_its_size_is_bounded_too(app):
    async def parts():
        for _ in range(100):
            yield b"xxxx"

    assert ask_raw(app, "PUT", "/api/bytes", content=parts()).status_code == 413


def test_query_parameters_are_typed_and_repeated_ones_are_all_kept(app):
    reply = ask_raw(app, "GET", "/api/ask?limit=7&kind=a&kind=b")
    assert reply.json() == {"limit": 7, "kind": ["a", "b"]}


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=11", "limt=3"])
def test_a_bad_query_parameter_is_refused(app, query):
    reply = ask_raw(app, "GET", f"/api/ask?{query}")
    assert reply.status_code == 422
    assert "limit" in reply.json()["detail"] + reply.json()["hint"]


def test_a_write_from_another_sites_page_is_refused(app):
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        reply = ask_raw(app, "POST", "/api/rows", json={"rows": []}, headers=headers)
        assert reply.status_code == 403
    own = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
    assert ask_raw(app, "POST", "/api/rows", json={"rows": []}, headers=own).status_code == 200


def test_an_unknown_host_name_is_refused(app):
    reply = ask_raw(app, "GET", "/api/ask", headers={"host": "rebound.example"})
    assert reply.status_code == 403


def test_a_caller_from_elsewhere_is_not_known(app):
    assert ask_raw(app, "GET", "/api/ask", peer=("192.0.2.7", 1)).status_code == 401


def test_public_routes_are_behind_the_doorway_too(app):
    assert ask_raw(app, "GET", "/api/crash", peer=("192.0.2.7", 1)).status_code == 401


def test_the_application_refuses_a_route_without_a_known_action(opened):
    bad = routing.Route("GET", "/api/x", "no.such", ask)
    with pytest.raises(ValueError, match=r"/api/x names no known action: 'no\.such'"):
        application.Application(opened, [bad])


def test_the_application_refuses_two_routes_of_one_address(opened):
    one = routing.Route("GET", "/api/x", "public", ask)
    with pytest.raises(ValueError, match="two routes for GET /api/x"):
        application.Application(opened, [one, one])


def test_a_fixed_address_wins_over_a_parameter():
    table = routing.Table(
        [
            routing.Route("GET", "/api/runs/{id}", "public", ask),
            routing.Route("GET", "/api/runs/search", "public", echo),
        ]
    )
    assert table.find("GET", "/api/runs/search").route.endpoint is echo
    assert table.find("HEAD", "/api/runs/7").path_params == {"id": "7"}


def test_a_malformed_project_is_refused(app):
    reply = ask_raw(app, "GET", "/api/ask", headers={"x-homeostat-project": "../x"})
    assert reply.status_code == 422


def test_every_answer_forbids_sniffing_and_caching(app):
    headers = ask_raw(app, "GET", "/api/ask").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
