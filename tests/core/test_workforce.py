"""How many workers are asked for, and how many series are in hand: never more than a person allowed, never none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.workforce import Limits, Workforce, room, wanted

COUNT = st.integers(0, 50)


def test_gpus_are_asked_for_first_and_the_others_read_until_they_are_there():
    limits = Limits(gpu=2, cpu=4, least=1)
    assert wanted(0, 0, limits) == Workforce(1, 1), "the cluster may have no GPU machine at all"
    assert wanted(0, 1, limits) == Workforce(1, 0)
    assert wanted(3, 0, limits) == Workforce(2, 3)
    assert wanted(3, 2, limits) == Workforce(2, 1)
    assert wanted(100, 2, limits) == Workforce(2, 4)


def test_a_pool_without_gpus_grows_and_shrinks_between_its_limits():
    limits = Limits(gpu=0, cpu=3, least=1)
    assert [wanted(series, 0, limits).cpu for series in (0, 1, 2, 3, 9)] == [1, 1, 2, 3, 3]


@given(COUNT, COUNT, COUNT, COUNT)
def test_limits_hold_and_work_is_never_left_without_a_worker(series, gpu, cpu, ready):
    force = wanted(series, min(ready, gpu), Limits(gpu, cpu, least=min(1, gpu + cpu)))
    assert 0 <= force.gpu <= gpu and 0 <= force.cpu <= cpu
    assert force.gpu + force.cpu >= min(1, gpu + cpu)


def test_nothing_is_taken_in_hand_that_no_worker_is_there_for():
    assert [room(ready) for ready in (0, 1, 4)] == [0, 2, 5]
