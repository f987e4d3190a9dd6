"""When plain fits are due and what they learn from."""

from __future__ import annotations

from msgspec import structs

from homeostat.lifecycle.loop import decide, rhythm

END = 20_000


def state(**facts):
    return structs.replace(decide.begin("1", rows=(0, 0), origin_row=0), **facts)


def test_without_a_change_a_refresh_learns_4000_rows():
    assert rhythm.window_first(state(), END) == END - 4000


def test_after_a_change_it_learns_all_rows_since_up_to_8000():
    assert rhythm.window_first(state(change_row=END - 6000), END) == END - 6000
    assert rhythm.window_first(state(change_row=2000), END) == END - 8000


def test_rows_kept_out_are_made_up_for():
    broken = state(quarantined=((17_000, 18_000),))
    assert rhythm.window_first(broken, END) == END - 5000


def test_a_change_that_is_proved_late_is_learned_at_once():
    assert rhythm.burst("minimal", change_block=20, block=23) == (23, 24, 37)
