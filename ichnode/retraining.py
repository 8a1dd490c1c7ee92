"""Retraining by schedule: the cron expression of ``retrain.schedule``, under the same rules as every tick."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from apscheduler.schedulers.background import BackgroundScheduler

from ichnode.cron import cron_trigger
from ichnode.log import get_logger
from ichnode.steps.lab_process import paced
from ichnode.steps.node import Node
from ichnode.steps.retrain import retrain
from ichnode.tick import Tick
from ichnode.worklist import audit

log = get_logger(__name__)


def schedule_retraining(
    node: Node, scheduler: BackgroundScheduler, stopping: threading.Event, leads: Callable[[], bool]
) -> None:
    """Hand retraining to the scheduler, where it is asked for.

    Parameters
    ----------
    stopping : threading.Event
        Set when the node stops: a run that is going on is ended.
    leads : callable
        Tells whether this node is the one that retrains.
    """
    section = node.settings.retrain
    if not section.schedule:
        return
    tick = Tick("retrain", partial(_retrain, node, stopping, leads))
    trigger = cron_trigger(section.schedule)
    scheduler.add_job(
        tick.wake_here, trigger, id="retrain", max_instances=1, coalesce=True, misfire_grace_time=None,
        replace_existing=True,
    )  # fmt: skip


def _retrain(node: Node, stopping: threading.Event, leads: Callable[[], bool]) -> None:
    if not leads():
        return

    def told(stage: str, done: int, of: int) -> None:
        log.info("retrain.progress", stage=stage, done=done, of=of)

    log.info("retrain.begins")
    made = retrain(node, audit.NODE, node.settings.retrain.outcomes_file, paced(told), stopping=stopping)
    log.info("retrain.ended", model=made.digest[:12], passed=made.judgement["passed"])
