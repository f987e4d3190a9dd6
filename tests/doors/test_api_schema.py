"""Whatever a client sends, the API answers as its description says, and never fails inside."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, settings

from homeostat.doors.api import openapi, routes

# Those that wait for news: that they end in time is a claim of their own tests.
WAITING = r"/api/events|/api/plans|/plan$"

api = schemathesis.openapi.from_dict(openapi.document(routes.TABLE, version="1"))


@api.exclude(path_regex=WAITING).parametrize()
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_described(case, module_server):
    case.call_and_validate(
        base_url=module_server.url,
        checks=[
            schemathesis.checks.not_a_server_error,
            schemathesis.checks.response_schema_conformance,
            schemathesis.checks.content_type_conformance,
        ],
    )
