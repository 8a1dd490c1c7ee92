"""The shadow's child process: there while the registry has a shadow, gone when it has none; ended without ceremony."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from ichnode.core.retry import backoff_s
from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.worklist import models

FIRST_RESTART_S, LONGEST_RESTART_S = 5.0, 600.0
log = get_logger(__name__)


class ShadowProcess:
    """Keeps one child alive as long as a model is a shadow. Not for several threads at once.

    Parameters
    ----------
    leads : callable
        Tells whether this node is the one that has a shadow; what another one had in hand counts as failed.
    """

    def __init__(self, node: Node, leads: Callable[[], bool]) -> None:
        self._node = node
        self._leads = leads
        self._child: subprocess.Popen[str] | None = None
        self._begun = 0.0
        self._failures = 0
        self._not_before = 0.0

    def look(self) -> None:
        """Start the child where one is wanted and none is there."""
        if self._child is not None and self._child.poll() is not None:
            self._forget(self._child.returncode)
        if not self._leads():
            self.stop()
            return
        if self._child is not None or time.monotonic() < self._not_before:
            return
        with self._node.worklist.read() as tx:
            wanted = models.shadowing(tx) is not None
        if wanted:
            self._start()

    def stop(self) -> None:
        """End the child: what it has in hand is not worth waiting for."""
        if self._child is not None:
            self._child.kill()
            self._forget(0)

    def _start(self) -> None:
        self._begun = time.monotonic()
        own_session = True  # Ctrl-C in the terminal is the node's to handle
        self._child = subprocess.Popen(
            [sys.executable, "-m", "ichnode.shadow"], stdin=subprocess.PIPE, text=True, start_new_session=own_session
        )
        assert self._child.stdin is not None
        task = {"settings": self._node.settings.model_dump(mode="json"), "boot": self._node.boot_id}
        with suppress(BrokenPipeError):  # it has ended already; the next look sees that
            self._child.stdin.write(json.dumps(task) + "\n")
            self._child.stdin.flush()

    def _forget(self, code: int) -> None:
        child, self._child = self._child, None
        assert child is not None and child.stdin is not None
        with suppress(BrokenPipeError):
            child.stdin.close()
        child.wait()
        if code == 0:
            self._failures, self._not_before = 0, 0.0
            return
        lived_s = time.monotonic() - self._begun
        self._failures = 1 if lived_s > LONGEST_RESTART_S else self._failures + 1
        delay_s = backoff_s(self._failures, FIRST_RESTART_S, LONGEST_RESTART_S)
        self._not_before = time.monotonic() + delay_s
        log.error("shadow.ended", again_in_s=delay_s)
