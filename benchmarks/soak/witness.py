"""The witness: looks at the node again and again and writes down what it sees."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Self

import psutil
from sqlalchemy.exc import SQLAlchemyError

from ichnode.errors import IchnodeError
from ichnode.worklist import views
from tests.running import RunningNode

from .troubles import worker_of

EVERY_S = 1.0


@dataclass(frozen=True)
class Look:
    """What was seen at a moment of `time.monotonic`; memory in MiB, None while the process is not there."""

    at: float
    pid: int
    node_mib: float | None
    worker_mib: float | None
    waiting: int
    undelivered: int
    results: int


class Witness:
    """Looks once a second while the ``with`` block runs."""

    def __init__(self, node: RunningNode) -> None:
        self.looks: list[Look] = []
        self._node, self._end = node, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(EVERY_S):
            try:
                with self._node.worklist.read() as tx:
                    seen = views.counts(tx)
            except (SQLAlchemyError, IchnodeError):
                continue  # before the first start there is no worklist
            worker = worker_of(self._node)
            self.looks.append(Look(
                time.monotonic(), self._node.pid, _mib(self._node.pid), _mib(worker.pid) if worker else None,
                sum(seen.get(name, 0) for name in ("series.receiving", "jobs.queued", "jobs.running")),
                sum(seen.get(name, 0) for name in ("deliveries.pending", "deliveries.sending")),
                seen.get("jobs.done", 0),
            ))  # fmt: skip


def _mib(pid: int) -> float | None:
    try:
        return psutil.Process(pid).memory_info().rss / 2**20
    except psutil.Error:
        return None
