"""Group work: one pays for all that came together, and one that fails fails alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ichnode.core.group import Group
from tests.peers import wait_until


class Slow:
    """An act that holds its first call back until it is let go; a negative item cannot be done."""

    def __init__(self):
        self.calls: list[list[int]] = []
        self.go = threading.Event()

    def __call__(self, items):
        self.calls.append(list(items))
        if len(self.calls) == 1:
            assert self.go.wait(120)
        if 99 in items:
            raise OSError("the disk is full")
        if any(item < 0 for item in items):
            raise ValueError(f"cannot do {min(items)}")
        return [item * 2 for item in items]


def done_while_the_first_is_held_back(items):
    """What becomes of `items` that wait together behind one other; also the calls of the act."""
    act = Slow()
    group = Group(act, everyones=(OSError,))
    with ThreadPoolExecutor(len(items) + 1) as pool:
        first = pool.submit(group.do, 1)
        wait_until(lambda: act.calls)
        others = [pool.submit(group.do, item) for item in items]
        wait_until(lambda: len(group._waiting) == len(items))
        act.go.set()
        assert first.result(120) == 2
        return [future.exception(120) or future.result() for future in others], act.calls


def test_what_waits_is_done_at_once():
    results, calls = done_while_the_first_is_held_back(list(range(2, 10)))
    assert results == [item * 2 for item in range(2, 10)]
    assert [len(call) for call in calls] == [1, 8]


def test_one_that_cannot_be_done_fails_alone():
    results, calls = done_while_the_first_is_held_back([2, -3, 4])
    assert [r for r in results if not isinstance(r, Exception)] == [4, 8]
    (error,) = [r for r in results if isinstance(r, Exception)]
    assert str(error) == "cannot do -3"
    assert [len(call) for call in calls] == [1, 3, 1, 1, 1]


def test_what_concerns_everyone_is_not_tried_again_for_each():
    results, calls = done_while_the_first_is_held_back([2, 99, 4])
    assert all(isinstance(r, OSError) for r in results)
    assert [len(call) for call in calls] == [1, 3]


def test_one_thread_alone():
    act = Slow()
    act.go.set()
    group = Group(act, everyones=())
    assert [group.do(item) for item in range(3)] == [0, 2, 4]
    with pytest.raises(ValueError, match="cannot do -1"):
        group.do(-1)
    assert group.do(5) == 10


def test_many_threads_each_get_their_own():
    group = Group(lambda items: [item * 2 for item in items], everyones=())
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(group.do, range(500))) == [item * 2 for item in range(500)]
