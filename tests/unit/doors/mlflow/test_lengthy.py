"""When a question is held to be long: after two long answers in a row, for a while."""

from __future__ import annotations

from homeostat.doors.mlflow import lengthy


def test_one_long_answer_says_nothing_two_in_a_row_do():
    known = lengthy.Questions(rests=3)
    known.add("a")
    assert not known.holds("a")
    known.add("a")
    assert known.holds("a")


def test_a_short_answer_between_forgives_the_first():
    known = lengthy.Questions(rests=3)
    known.add("a")
    known.forgive("a")
    known.add("a")
    assert not known.holds("a")


def test_a_long_question_is_tried_again_after_some_rests():
    known = lengthy.Questions(rests=3)
    known.add("a")
    known.add("a")
    assert [known.holds("a") for _ in range(5)] == [True, True, True, False, False]


def test_the_oldest_questions_are_forgotten_first():
    known = lengthy.Questions(most=2, rests=3)
    for question in "abc":
        known.add(question)
        known.add(question)
    assert [known.holds(question) for question in "abc"] == [False, True, True]
