"""A tick acts when it is due or woken, never twice at once, and survives whatever its act does."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import STATE_RUNNING

from ichnode.errors import TransientError
from ichnode.tick import Tick, end_ticks
from tests.peers import wait_until

SELDOM = 3600.0


@pytest.fixture
def scheduler():
    one = BackgroundScheduler(executors={"default": ThreadPoolExecutor(4)}, timezone="UTC")
    one.start()
    yield one
    one.shutdown(wait=True)


class Act:
    """Counts its calls and notes when two ran at once."""

    def __init__(self, returns=lambda: None):
        self.calls, self.overlaps, self._inside = 0, 0, threading.Lock()
        self.returns = returns

    def __call__(self):
        if not self._inside.acquire(blocking=False):
            self.overlaps += 1
            return None
        try:
            self.calls += 1
            return self.returns()
        finally:
            self._inside.release()


def test_acts_again_and_again(scheduler):
    act = Act()
    Tick("often", act, 0.02).join(scheduler)
    wait_until(lambda: act.calls > 5)


def test_acts_when_woken(scheduler):
    act = Act()
    tick = Tick("woken", act, SELDOM)
    tick.join(scheduler)
    tick.wake()
    wait_until(lambda: act.calls == 1)


def test_acts_at_the_time_it_asked_for(scheduler):
    asked = []

    def once_more():
        if not asked:
            asked.append(datetime.now(UTC) + timedelta(seconds=0.05))
            return asked[0]
        return None

    act = Act(once_more)
    tick = Tick("again", act, SELDOM)
    tick.join(scheduler)
    tick.wake()
    wait_until(lambda: act.calls == 2)
    assert datetime.now(UTC) >= asked[0]


def test_a_time_that_has_passed_is_now(scheduler):
    act = Act(lambda: datetime.now(UTC) - timedelta(seconds=60) if act.calls < 3 else None)
    tick = Tick("past", act, SELDOM)
    tick.join(scheduler)
    tick.wake()
    wait_until(lambda: act.calls == 3)


def test_a_wake_while_it_acts_makes_it_act_once_more(scheduler):
    entered, go = threading.Event(), threading.Event()

    def slow():
        entered.set()
        assert go.wait(20)

    act = Act(slow)
    tick = Tick("slow", act, SELDOM)
    tick.join(scheduler)
    tick.wake()
    assert entered.wait(20)
    for _ in range(5):
        tick.wake()
    go.set()
    wait_until(lambda: act.calls >= 2)
    assert act.overlaps == 0


def test_never_twice_at_once_however_often_it_is_woken(scheduler):
    act = Act()
    tick = Tick("crowd", act, 0.01)
    tick.join(scheduler)
    threads = [threading.Thread(target=lambda: [tick.wake_here() for _ in range(50)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert act.calls > 0
    assert act.overlaps == 0


@pytest.mark.parametrize("error", [TransientError("The disk is full."), RuntimeError("patient DOE^JANE")])
def test_an_error_is_told_and_the_next_call_comes(scheduler, error):
    def fails():
        raise error

    act = Act(fails)
    with structlog.testing.capture_logs() as logged:
        Tick("broken", act, 0.02).join(scheduler)
        wait_until(lambda: act.calls > 3)
    assert {line["event"] for line in logged} == {"tick.failed"}
    assert {line["tick"] for line in logged} == {"broken"}
    assert all(line["remedy"] for line in logged)
    assert "DOE" not in str(logged), "the text of a foreign error is not logged"


def test_a_wake_before_it_has_joined_is_a_hint_and_no_error(scheduler):
    act = Act()
    tick = Tick("early", act, SELDOM)
    tick.wake()
    assert act.calls == 0


def test_after_the_clock_was_set_back_it_counts_from_now(scheduler):
    act = Act()
    tick = Tick("back", act, 0.02)
    tick.join(scheduler)
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    scheduler.modify_job("back", next_run_time=in_an_hour)  # as the scheduler sees it after a step back
    before = act.calls
    tick.join_again()
    wait_until(lambda: act.calls > before + 3)


def test_the_end_waits_for_a_tick_that_asks_for_another_one_meanwhile():
    begun, ending, asked, called = (threading.Event() for _ in range(4))

    class Threads(ThreadPoolExecutor):
        def shutdown(self, wait=True):
            ending.set()
            super().shutdown(wait)

    threads = Threads(2)
    scheduler = BackgroundScheduler(executors={"default": threads}, timezone="UTC")

    def act():
        begun.set()
        assert ending.wait(60)
        scheduler.add_job(called.set, id="another tick")  # as `Tick.wake` does, which saw it run a moment ago
        asked.set()

    scheduler.start()
    scheduler.add_job(act)
    assert begun.wait(60)
    end = threading.Thread(target=end_ticks, args=(scheduler, threads), daemon=True)
    end.start()
    end.join(60)
    assert not end.is_alive()
    assert asked.is_set()
    assert not called.is_set()


def test_what_is_handed_out_while_all_ends_is_called_and_the_scheduler_ends_in_order():
    found, called = threading.Event(), threading.Event()

    class Threads(ThreadPoolExecutor):
        def submit_job(self, job, run_times):
            found.set()
            wait_until(lambda: scheduler.state != STATE_RUNNING, 60)
            super().submit_job(job, run_times)

    threads = Threads(1)
    scheduler = BackgroundScheduler(executors={"default": threads}, timezone="UTC")
    scheduler.start()
    scheduler.add_job(called.set)
    assert found.wait(60)
    end_ticks(scheduler, threads)
    assert called.is_set()
