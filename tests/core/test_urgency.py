"""Whose turn it is: urgent first, and nothing else left behind, however much of everything comes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.urgency import PATIENCE_S, Urgency, Waiting, is_urgent_priority, passed_over, turn_of, urgency_of

PATIENCE = PATIENCE_S[Urgency.ROUTINE]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("STAT", True), ("HIGH", True), (" stat ", True), ("ROUTINE", False), ("MEDIUM", False), ("LOW", False),
     ("", False), ("STATIC", False)],
)  # fmt: skip
def test_which_priorities_ask_for_haste(text, expected):
    assert is_urgent_priority(text) is expected


def test_who_waits_for_a_study_decides():
    assert urgency_of(True, False) == urgency_of(True, True) == Urgency.URGENT
    assert urgency_of(False, False) == Urgency.ROUTINE
    assert urgency_of(False, True) == Urgency.ORDERED


@pytest.mark.parametrize("waited_s", [-7200.0, 0.0, PATIENCE, 1e9])
def test_the_most_urgent_goes_first_however_long_another_one_has_waited(waited_s):
    urgent, routine = Waiting(Urgency.URGENT, 0, False), Waiting(Urgency.ROUTINE, waited_s, False)
    assert turn_of([routine, urgent]) == urgent


def test_what_was_passed_over_though_it_waits_too_long_is_next():
    urgent, routine = Waiting(Urgency.URGENT, 0, False), Waiting(Urgency.ROUTINE, PATIENCE + 1, False)
    assert passed_over([urgent, routine]) == [routine]
    owed = replace(routine, passed_over=True)
    assert turn_of([urgent, owed]) == owed
    assert passed_over([urgent, owed]) == []


def test_what_does_not_wait_too_long_is_passed_over_as_often_as_need_be():
    urgent, routine = Waiting(Urgency.URGENT, 0, False), Waiting(Urgency.ROUTINE, PATIENCE, False)
    assert passed_over([urgent, routine]) == []
    assert turn_of([urgent, replace(routine, passed_over=True)]) == urgent


def served(turns: int, flood: list[int]) -> list[int]:
    """The urgencies that are served while there is always more of each of `flood`, all of it late."""
    numbers = count()
    heads = {urgency: [next(numbers), False] for urgency in flood}
    found = []
    for _ in range(turns):
        waiting = [Waiting(urgency, 1e6, late) for urgency, (_, late) in heads.items()]
        for one in passed_over(waiting):
            heads[one.urgency][1] = True
        chosen = turn_of(waiting).urgency
        found.append(chosen)
        heads[chosen] = [next(numbers), False]
    return found


@given(st.sets(st.sampled_from(list(Urgency)), min_size=1), st.integers(1, 60))
def test_of_each_kind_that_comes_without_end_as_much_is_served(flood, rounds):
    found = served(rounds * len(flood), sorted(flood))
    assert Counter(found) == dict.fromkeys(flood, rounds)
    assert found[0] == min(flood)
