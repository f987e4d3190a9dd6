"""Only programs and pages of this machine's owner come in."""

from __future__ import annotations

import pytest

from homeostat.foundation import errors
from homeostat.foundation.access import callers

HERE = {"address": "127.0.0.1", "host": "127.0.0.1:5001", "origin": None, "site": None}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"address": None},
        {"address": "::1", "host": "[::1]:5001"},
        {"host": "LOCALHOST:5001", "origin": "http://LOCALHOST:5001", "site": "same-origin"},
        {"site": "none"},
    ],
)
def test_the_owner_comes_in(given):
    callers.admit("POST", **{**HERE, **given})


@pytest.mark.parametrize(
    "host",
    ["", "rebound.example", "localhost.example:80", "127.0.0.1.example", "[::2]", "["],
)
def test_no_other_name_is_answered_to_even_for_reading(host):
    with pytest.raises(errors.NotAllowedError, match="does not answer to the name"):
        callers.admit("GET", **{**HERE, "host": host})


@pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7", "nonsense", ""])
def test_a_caller_from_elsewhere_is_not_known(address):
    with pytest.raises(errors.UnauthenticatedError):
        callers.admit("GET", **{**HERE, "address": address})


@pytest.mark.parametrize(
    "given",
    [
        {"site": "cross-site"},
        {"site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": "http://127.0.0.1:5000"},
        {"origin": "http://evil.example", "site": "same-origin"},
    ],
)
def test_a_page_of_another_site_may_read_but_not_write(given):
    callers.admit("GET", **{**HERE, **given})
    with pytest.raises(errors.NotAllowedError, match="another site"):
        callers.admit("POST", **{**HERE, **given})
