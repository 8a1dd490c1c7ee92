"""A tick: does what is due, again and again, never twice at once; a wake is a hint and may be lost without harm."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import STATE_RUNNING

from ichnode.errors import IchnodeError
from ichnode.log import get_logger, place_of

log = get_logger(__name__)


def end_ticks(scheduler: BackgroundScheduler, threads: ThreadPoolExecutor) -> None:
    """Call no tick any more, and return when those that are at it have ended.

    In steps: a scheduler that waits itself holds the lock meanwhile that a tick needs to ask for another call, and both
    would wait for ever; one that is shut down while it hands out what is due trips over its own removal of it.
    """
    scheduler.pause()
    scheduler.remove_all_jobs()  # under its lock: what it was handing out has been handed out
    threads.shutdown(wait=True)
    scheduler.shutdown(wait=False)


class Tick:
    """One stateless "do what is due" under APScheduler.

    Parameters
    ----------
    name : str
    act : callable
        Does what is due; returns when it wants to be called next, or None.
    every_s : float
        Longest pause between two calls, in seconds.
    """

    def __init__(self, name: str, act: Callable[[], datetime | None], every_s: float = 1.0) -> None:
        self.name = name
        self._act = act
        self._every_s = every_s
        self._wanted = threading.Event()
        self._running = threading.Lock()
        self._scheduler: Any = None
        self._ended = time.monotonic()

    def silent_s(self) -> float:
        """Return the seconds since a call came to its end, well or not."""
        return time.monotonic() - self._ended

    def join(self, scheduler: BackgroundScheduler) -> None:
        """Hand the tick to the scheduler."""
        self._scheduler = scheduler
        self.join_again()

    def join_once(self, scheduler: BackgroundScheduler) -> None:
        """Hand it to the scheduler for one call, now."""
        self._scheduler = scheduler
        scheduler.add_job(self.wake_here, id=self.name, misfire_grace_time=None)

    def join_again(self) -> None:
        """Count from now: the scheduler goes by the clock, and the clock was set back."""
        self._scheduler.add_job(
            self.wake_here, "interval", seconds=self._every_s, id=self.name, max_instances=2, coalesce=True,
            misfire_grace_time=None, replace_existing=True,
        )  # fmt: skip

    def wake(self) -> None:
        """Ask for a call soon, from any thread."""
        self._wanted.set()
        if self._scheduler is not None and self._scheduler.state == STATE_RUNNING:
            self._scheduler.add_job(
                self.wake_here, id=f"{self.name}.now", replace_existing=True, misfire_grace_time=None
            )

    def wake_here(self) -> None:
        """Act now in this thread, unless another one is at it: then that one acts once more."""
        self._wanted.set()
        while self._wanted.is_set() and self._running.acquire(blocking=False):
            try:
                self._wanted.clear()
                self._once()
            finally:
                self._ended = time.monotonic()
                self._running.release()

    def _once(self) -> None:
        try:
            again_at = self._act()
        except IchnodeError as error:
            log.error("tick.failed", tick=self.name, code=error.code, remedy=error.sentence)
        except Exception as error:  # noqa: BLE001
            # The one broad except of the node process: a tick that fails must not end the node, and the rows it did
            # not get to are due again at the next tick. The type only: the text may quote a data set.
            remedy = f"An unexpected {type(error).__name__}. Report this line."
            log.error("tick.failed", tick=self.name, at=place_of(error), remedy=remedy)
        else:
            if again_at is not None and self._scheduler.state == STATE_RUNNING:
                self._scheduler.add_job(
                    self.wake_here, "date", run_date=again_at, id=f"{self.name}.at", replace_existing=True,
                    misfire_grace_time=None,
                )  # fmt: skip
