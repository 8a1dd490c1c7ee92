"""What goes wrong, done to a running node and its neighbours: real signals, an archive that is gone, a full disk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.peers import Storescp
from tests.running import RunningNode

CLOCK_FOLDER = Path(__file__).parent / "clock"
DISK_STEP = 2 << 30
"""Bytes: free space falls that far below `receive.low_disk_bytes` when the disk is nearly full."""
CLOCK_S = 2 * 3600.0


def worker_of(node: RunningNode) -> psutil.Process | None:
    """Return the node's worker process, while there is one."""
    try:
        for child in psutil.Process(node.pid).children():
            if "ichnode.worker" in child.cmdline():
                return child
    except psutil.Error:
        pass
    return None


class Troubles:
    """Does to a hospital what the plan says.

    Parameters
    ----------
    node : RunningNode
        Not yet started: it is given its disk limits and the clock that can be moved.
    pacs : Storescp

    Attributes
    ----------
    outages : list of (float, float)
        When the archive was away, in seconds since 1970 by the node's clock.
    """

    def __init__(self, node: RunningNode, pacs: Storescp) -> None:
        self._node, self._pacs, self.outages = node, pacs, list[tuple[float, float]]()
        self._filler, self._clock = node.folder / "filler", node.folder / "clock"
        self._clock.write_text("0")
        usage = os.statvfs(node.folder)
        free = usage.f_bavail * usage.f_frsize
        if free < 4 * DISK_STEP:
            raise SystemExit(f"The disk of {node.folder} needs {4 * DISK_STEP >> 30} GiB of free space.")
        node.sections["receive"] = {"low_disk_bytes": free - 2 * DISK_STEP, "disk_floor_bytes": free - 4 * DISK_STEP}
        node.environment |= {"PYTHONPATH": str(CLOCK_FOLDER), "SOAK_CLOCK": str(self._clock)}
        self._acts: dict[str, Callable[[float], None]] = {
            "worker killed": self._kill_worker,
            "node killed": self._kill_node,
            "node restarted": self._restart_node,
            "PACS out": self._stop_pacs,
            "disk nearly full": self._fill_disk,
            "clock forward": lambda _: self._set_clock(CLOCK_S),
            "clock back": lambda _: self._set_clock(0.0),
        }

    def do(self, what: str, lasts_s: float) -> None:
        """Let it go wrong, and put right again what does not put itself right."""
        self._acts[what](lasts_s)

    def _kill_worker(self, _: float) -> None:
        if worker := worker_of(self._node):
            worker.kill()

    def _kill_node(self, _: float) -> None:
        self._node.kill()
        self._node.start()

    def _restart_node(self, _: float) -> None:
        self._node.stop()
        self._node.start()

    def _stop_pacs(self, lasts_s: float) -> None:
        began = self._node_time()
        self._pacs.stop()
        threading.Event().wait(lasts_s)
        self.outages.append((began, self._node_time()))
        self._pacs.start()

    def _fill_disk(self, lasts_s: float) -> None:
        with _filled(self._filler):
            threading.Event().wait(lasts_s)

    def _node_time(self) -> float:
        return time.time() + float(self._clock.read_text())

    def _set_clock(self, seconds: float) -> None:
        part = self._clock.with_suffix(".part")
        part.write_text(str(seconds))
        part.replace(self._clock)


@contextmanager
def _filled(file: Path) -> Iterator[None]:
    """Take 3 steps of the disk: between the limit for slices and the one for associations."""
    with file.open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, 3 * DISK_STEP)
    try:
        yield
    finally:
        file.unlink()
