"""The data set that is being read: bounded, whole, and in memory that is asked for once."""

from __future__ import annotations

import pytest

from ichnode.dicom.gathering import Gathering
from ichnode.dicom.limits import MemoryBudget
from ichnode.dicom.statuses import Status


def put(gathering, *fragments):
    for fragment in fragments:
        with gathering.place(len(fragment)) as place:
            place[:] = fragment


@pytest.fixture
def budget():
    return MemoryBudget(5 << 20)


@pytest.fixture
def gathering(budget):
    return Gathering(4 << 20, budget)


def test_each_message_is_what_came_whatever_came_before(gathering, budget):
    for fragments in ([b"a" * 1000, b"b" * 7], [b"c" * 40], [], [b"d" * 3, b"", b"e" * 5000]):
        put(gathering, *fragments)
        assert gathering.whole() == b"".join(fragments)
        assert budget.free_bytes == (5 << 20) - sum(map(len, fragments))
        gathering.forget()
        assert budget.free_bytes == 5 << 20


def test_the_memory_of_a_slice_is_used_again_and_that_of_a_volume_given_back(gathering):
    put(gathering, bytes(600_000))
    first = gathering.whole()
    gathering.forget()
    put(gathering, b"x" * 600_000)
    assert gathering.whole() is first
    gathering.forget()
    put(gathering, bytes(2 << 20))
    gathering.forget()
    assert len(gathering.whole()) == 0
    assert gathering.whole() is not first


@pytest.mark.parametrize(("free", "code"), [(5 << 20, "DATA_SET_TOO_LARGE"), (3 << 20, "MEMORY")])
def test_what_does_not_fit_is_refused_to_its_end_and_the_next_is_taken(gathering, budget, free, code):
    assert budget.take((5 << 20) - free)
    for _ in range(3):
        put(gathering, bytes(1 << 20))
    for _ in range(2):
        gathering.place(1 << 20)
    assert gathering.place(1) is None
    assert (gathering.refused.status, gathering.refused.code) == (Status.OUT_OF_RESOURCES, code)
    assert gathering.whole() == b""
    gathering.forget()
    assert budget.free_bytes == free
    put(gathering, b"next")
    assert gathering.whole() == b"next"
