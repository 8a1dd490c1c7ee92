"""The worker child: started, restarted with back-off, ended; what it held when it died is freed at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from ichnode.core.retry import backoff_s
from ichnode.errors import TransientError
from ichnode.log import get_logger
from ichnode.steps.node import Node

FIRST_RESTART_S, LONGEST_RESTART_S = 1.0, 60.0
LONGEST_END_S = 10.0
"""For a child that was killed to be gone, and all that it held to be freed."""
log = get_logger(__name__)


class WorkerProcess:
    """Keeps one worker alive.

    Parameters
    ----------
    died : callable
        Told the owner name of a worker that has ended.
    said : callable
        Told each word the worker says ("ready", "done").
    """

    def __init__(self, node: Node, died: Callable[[str], None], said: Callable[[str], None]) -> None:
        self._node = node
        self._died = died
        self._said = said
        self._stopping = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._guard = threading.Lock()
        self._ready = False
        self.owner = ""
        self._thread = threading.Thread(target=self._keep_alive, name="worker", daemon=True)

    def start(self) -> None:
        """Start the child and keep it alive."""
        self._thread.start()

    def hint(self) -> None:
        """Tell the child that there may be work; a lost hint costs it half a second."""
        self._write("work")

    def end_if_overdue(self, owners: set[str]) -> None:
        """Kill the child when its lease is over: it hangs."""
        if self.owner in owners and self._child is not None:
            log.error("worker.hangs", remedy="ended and restarted; see engine.lease_s")
            self._child.kill()

    def stop(self, timeout_s: float) -> None:
        """Let the child finish what it has in hand, for at most `timeout_s`, then end it."""
        self._stopping.set()
        self._write("stop")
        if self._ready:  # else it is still loading its model and has nothing in hand
            self._thread.join(timeout_s)
        end = time.monotonic() + LONGEST_END_S
        while self._thread.is_alive() and time.monotonic() < end:
            child = self._child  # the keeper may just have started another one
            if child is not None and child.poll() is None:
                child.kill()
            self._thread.join(0.1)

    def _keep_alive(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            begun = time.monotonic()
            worked = self._run_once()
            if self._stopping.is_set():
                return
            failures = 1 if worked or time.monotonic() - begun > LONGEST_RESTART_S else failures + 1
            delay_s = backoff_s(failures, FIRST_RESTART_S, LONGEST_RESTART_S)
            log.error("worker.ended", again_in_s=delay_s)
            self._stopping.wait(delay_s)

    def _run_once(self) -> bool:
        self.owner = f"{self._node.boot_id}/{uuid.uuid4()}"
        worked = self._ready = False
        command = [sys.executable, "-m", "ichnode.worker"]
        own_session = True  # Ctrl-C in the terminal is the node's to handle
        # torch's threads must not spin while they wait: on a busy machine that costs the receiver its cores.
        env = {"OMP_WAIT_POLICY": "passive", **os.environ}
        # A hint that a dead child did not read breaks the pipe a second time when it is closed.
        with (
            suppress(BrokenPipeError),
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=own_session,
                env=env,
            ) as child,
        ):
            self._child = child
            self._write(json.dumps({"settings": self._node.settings.model_dump(mode="json"), "owner": self.owner}))
            if self._stopping.is_set():
                self._write("stop")
            assert child.stdout is not None
            for line in child.stdout:
                self._ready = True
                worked = worked or line.strip() == "done"
                self._said(line.strip())
        self._tell_death()
        return worked

    def _tell_death(self) -> None:
        while True:
            try:
                self._died(self.owner)
            except TransientError as error:
                log.warning("worker.not_freed", code=error.code, remedy=error.sentence)
                if self._stopping.wait(FIRST_RESTART_S):
                    return  # the next boot frees what this worker held
            else:
                return

    def _write(self, line: str) -> None:
        with self._guard:
            child = self._child
            if child is None or child.stdin is None or child.poll() is not None:
                return
            try:
                child.stdin.write(line + "\n")
                child.stdin.flush()
            except (BrokenPipeError, ValueError):
                return  # it has just ended; `_run_once` sees to that
