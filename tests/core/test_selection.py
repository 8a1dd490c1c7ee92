from __future__ import annotations

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.geometry import measure
from ichnode.core.selection import Candidate, at_best, choose, preference
from tests.core.made import series


def rank(count=30, step_mm=5.0, **facts):
    slices = series(count, step_mm, **facts)
    return preference(slices, measure(slices))


PAIRS = {
    "soft before unknown": (rank(), rank(kernel=("XYZ",))),
    "unknown before bone": (rank(kernel=("XYZ",)), rank(kernel=("H60s",))),
    "thin soft before thick unknown": (rank(200, 0.8, thickness_mm=0.8), rank(kernel=("XYZ",))),
    "a whole head before a thicker part": (rank(200, 0.8, thickness_mm=0.8), rank(20)),
    "original before derived": (rank(), rank(image_type=("DERIVED", "PRIMARY", "AXIAL"))),
    "5 mm before 0.6 mm": (rank(), rank(250, 0.6, thickness_mm=0.6)),
    "0.6 mm before 10 mm": (rank(250, 0.6, thickness_mm=0.6), rank(15, 10.0, thickness_mm=10.0)),
    "5 mm before 3 mm": (rank(), rank(50, 3.0, thickness_mm=3.0)),
    "more coverage before more slices": (rank(30, 6.0), rank(33, 5.0)),
    "more slices where coverage is about the same": (rank(31), rank(30)),
    "lower series number": (rank(series_number=3), rank(series_number=4)),
    "a series number before none": (rank(series_number=9000), rank(series_number=None)),
    "eligible or not, slices before none": (rank(), rank(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_rule(pair):
    better, worse = pair
    assert better > worse


def test_a_slice_more_does_not_beat_the_better_thickness():
    assert rank(30) > rank(52, 3.0, thickness_mm=3.0)


def test_the_first_key_wins_where_all_else_is_equal():
    assert choose([Candidate(7, rank()), Candidate(3, rank())]).chosen == 3


def test_the_order_of_candidates_does_not_matter():
    candidates = [Candidate(k, pair[1]) for k, pair in enumerate(PAIRS.values())][:5]
    assert len({choose(p) for p in permutations(candidates)}) == 1


def test_none_of_none():
    assert choose([]).chosen is None and choose([]).losers == ()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=8))
def test_one_is_chosen_and_every_other_loses(ranks):
    candidates = [Candidate(key, tuple(map(float, r))) for key, r in enumerate(ranks)]
    choice = choose(candidates)
    assert sorted([choice.chosen, *choice.losers]) == list(range(len(ranks)))
    assert all(candidates[choice.chosen].preference >= c.preference for c in candidates)


def test_the_preference_survives_json():
    assert tuple(json.loads(json.dumps(rank()))) == rank()


@pytest.mark.parametrize(
    "facts", [{}, {"kernel": ("XYZ",)}, {"thickness_mm": 0.8}, {"image_type": ("DERIVED", "PRIMARY")}]
)
@given(here=st.integers(2, 40))
def test_no_slice_that_follows_makes_more_of_a_series_than_its_best(facts, here):
    assert at_best(rank(here, **facts)) >= rank(40, **facts)


def test_a_thin_series_that_arrives_is_never_better_than_a_whole_thick_one():
    assert at_best(rank(40, 0.8, thickness_mm=0.8)) < rank(30)
    assert at_best(rank(10)) > rank(200, 0.8, thickness_mm=0.8)
