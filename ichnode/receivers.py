"""The other receiving processes of a node (`receive.processes`): started, started again when they end, drained."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from ichnode.core.retry import backoff_s
from ichnode.errors import TransientError
from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.worklist import associations

FIRST_RESTART_S, LONGEST_RESTART_S = 0.5, 30.0
log = get_logger(__name__)


class Receivers:
    """All but the first, which is the node process itself.

    Parameters
    ----------
    ended_with_slices : callable
        Called when an association has ended through which slices came.
    """

    def __init__(self, node: Node, ended_with_slices: Callable[[], None]) -> None:
        self._node = node
        self._said = ended_with_slices
        self._stopping = threading.Event()
        self._children: dict[int, subprocess.Popen[str]] = {}
        self._guard = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, plain: int | None, secure: int | None) -> None:
        """Let them listen on the ports of the first."""
        for number in range(2, self._node.settings.receive.processes + 1):
            keep = threading.Thread(target=self._keep, args=(number, plain, secure), name=f"receiver {number}")
            self._threads.append(keep)
            keep.start()

    def drain(self) -> None:
        """Let them accept nothing new, and end when their associations have."""
        self._stopping.set()
        with self._guard:
            for child in self._children.values():
                self._tell(child, "drain")

    def stop(self, timeout_s: float) -> None:
        """Wait for their end, and end those that have not come to it within `timeout_s`."""
        for thread in self._threads:
            thread.join(timeout_s)
        with self._guard:
            for child in self._children.values():
                child.kill()
        for thread in self._threads:
            thread.join()

    def _keep(self, number: int, plain: int | None, secure: int | None) -> None:
        failures = 0
        while not self._stopping.is_set():
            if self._run_once(number, plain, secure):
                failures = 0
            if self._stopping.is_set():
                return
            failures += 1
            delay_s = backoff_s(failures, FIRST_RESTART_S, LONGEST_RESTART_S)
            log.error("receiver.ended", receiver=number, again_in_s=delay_s)
            self._lose(number)
            self._stopping.wait(delay_s)

    def _run_once(self, number: int, plain: int | None, secure: int | None) -> bool:
        """Run a child until it ends; tell whether it ever listened."""
        own_session = True  # Ctrl-C in the terminal is the node's to handle
        with (
            suppress(BrokenPipeError),
            subprocess.Popen(
                [sys.executable, "-m", "ichnode.receiver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                start_new_session=own_session,
            ) as child,
        ):  # fmt: skip
            ports = {name: port for name, port in (("plain", plain), ("secure", secure)) if port is not None}
            settings = self._node.settings.model_dump(mode="json")
            with self._guard:
                self._children[number] = child
                self._tell(
                    child,
                    json.dumps({"settings": settings, "boot": self._node.boot_id, "number": number, "ports": ports}),
                )
                if self._stopping.is_set():
                    self._tell(child, "drain")
            listened = False
            assert child.stdout is not None
            for line in child.stdout:
                if line.strip() == "listening":
                    listened = True
                    log.info("receiver.listening", receiver=number)
                else:
                    self._said()
        with self._guard:
            del self._children[number]
        return listened

    def _lose(self, number: int) -> None:
        """What it had open will not be released any more: the series wait no longer for that."""
        node = self._node
        while True:
            try:
                with node.worklist.write() as tx:
                    associations.lose_associations(tx, node.now(), node.boot_id, number)
            except TransientError as error:
                log.warning("receiver.not_noted", code=error.code, remedy=error.sentence)
                if self._stopping.wait(FIRST_RESTART_S):
                    return  # the next boot counts them as lost
            else:
                return

    @staticmethod
    def _tell(child: subprocess.Popen[str], line: str) -> None:
        assert child.stdin is not None
        with suppress(BrokenPipeError, ValueError):  # it has just ended; `_keep` sees to that
            child.stdin.write(line + "\n")
            child.stdin.flush()
