"""A process that grows beyond what its versions explain is noticed, a busy one is not."""

from __future__ import annotations

import pytest

from homeostat.lifecycle.serving import weighing

MB = 2**20


@pytest.mark.parametrize(
    ("seen_mb", "is_told"),
    [
        ((600, 900, 900, 900), True),  # it stays
        ((900, 600, 900, 900), False),  # a burst was given back
        ((700, 800, 850, 850), False),  # within budget and room
    ],
)
def test_memory_that_versions_do_not_explain_is_too_much_when_it_stays(seen_mb, is_told):
    looks = iter((100, *seen_mb))
    weight = weighing.Weight(500 * MB, resident=lambda: next(looks) * MB)
    assert weight.most_bytes(400 * MB) == (100 + 500 + 250) * MB
    assert [weight.is_too_much(400 * MB) for _ in seen_mb][-1] is is_told


def test_one_version_larger_than_the_budget_is_no_leak():
    looks = iter((100, 3000, 3000, 3000))
    weight = weighing.Weight(10 * MB, resident=lambda: next(looks) * MB)
    assert not any(weight.is_too_much(2900 * MB) for _ in range(3))
