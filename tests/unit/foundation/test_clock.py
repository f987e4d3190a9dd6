"""The clock: instants as people read them, and those that no calendar has."""

from __future__ import annotations

import pytest

from homeostat.foundation import clock

LAST = 253_402_300_799_999
FIRST = -62_135_596_800_000


def test_an_instant_is_written_to_the_millisecond():
    assert clock.iso(1_712_345_678_901) == "2024-04-05T19:34:38.901Z"
    assert clock.short(1_712_345_678_901) == "2024-04-05 19:34:38"


def test_instants_before_1970_have_a_date():
    assert clock.iso(-1) == "1969-12-31T23:59:59.999Z"


def test_the_first_and_the_last_date_are_those_of_years_1_and_9999():
    assert clock.iso(FIRST) == "0001-01-01T00:00:00.000Z"
    assert clock.iso(LAST) == "9999-12-31T23:59:59.999Z"
    assert not clock.has_date(FIRST - 1)
    assert not clock.has_date(LAST + 1)


@pytest.mark.parametrize("at", [2**63 - 1, -(2**63), 1_712_345_678_901_000_000, 2**200])
def test_an_instant_without_a_date_is_written_as_its_number(at):
    assert clock.iso(at) == str(at)
    assert clock.short(at) == str(at)
