"""The description of the API is generated, valid, whole and true."""

from __future__ import annotations

import re

import openapi_spec_validator
import pytest

from homeostat.doors.api import openapi, routes


@pytest.fixture
def document():
    return openapi.document(routes.TABLE, version="1")


def test_the_document_is_valid_openapi(document):
    openapi_spec_validator.validate(document)


def test_every_route_is_described(document):
    told = {
        (method.upper(), path) for path, place in document["paths"].items() for method in place
    }
    real = {(r.method, re.sub(r":\w+}", "}", r.path)) for r in routes.TABLE}
    assert told == real


def test_every_operation_has_a_name_of_its_own(document):
    names = [
        one["operationId"] for place in document["paths"].values() for one in place.values()
    ]
    assert len(set(names)) == len(names)


def test_every_parameter_is_described_and_every_answer_has_a_failure(document):
    for path, place in document["paths"].items():
        for method, one in place.items():
            assert "default" in one["responses"], (method, path)
            for parameter in one["parameters"]:
                is_told = parameter["in"] == "path" or parameter["description"]
                assert is_told, (method, path, parameter["name"])


def test_the_document_is_served_at_its_address(client):
    told = client.transport.call("GET", "/api/openapi.json", answer=dict)
    assert told["openapi"] == "3.1.0"
    assert "/api/events" in told["paths"]
