"""What the service manager (systemd) is told: that the node is ready, that it still moves, that it stops. sd_notify(3).

One datagram to the socket that ``NOTIFY_SOCKET`` names; nothing at all where nobody listens.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from ichnode.log import get_logger

log = get_logger(__name__)


class ServiceManager:
    """The service manager that started this process, or nobody.

    Parameters
    ----------
    environ : mutable mapping
        The process's environment. What concerns the service manager is taken out of it, so that no child process
        speaks for the node.

    Attributes
    ----------
    watchdog_s : float or None
        Seconds after which a silent node is killed and started again; None where nobody watches.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        limit_us, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        meant = pid in ("", str(os.getpid()))
        watched = bool(self._address) and meant and limit_us.isdigit() and int(limit_us) > 0
        self.watchdog_s = int(limit_us) / 1e6 if watched else None

    def ready(self, status: str) -> None:
        """Say that peers may call from now on."""
        self._tell("READY=1", f"STATUS={status}")

    def alive(self) -> None:
        """Say that the node still moves."""
        if self.watchdog_s is not None:
            self._tell("WATCHDOG=1")

    @contextmanager
    def alive_for(self, longest_s: float, every_s: float = 1.0) -> Iterator[None]:
        """Say inside the block again and again that the node still moves, but no longer than this."""
        over, end = threading.Event(), time.monotonic() + longest_s

        def say() -> None:
            while not over.wait(every_s) and time.monotonic() < end:
                self.alive()

        thread = threading.Thread(target=say, name="alive", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def reloading(self) -> None:
        """Say that the node drains to begin anew by another configuration; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=Reloading the configuration")

    def stopping(self) -> None:
        """Say that the node drains."""
        self._tell("STOPPING=1", "STATUS=Draining: associations that are open may finish")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # "@" stands for the zero byte of an abstract address.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.connect(address)
                sender.sendall("\n".join(lines).encode())
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else type(error).__name__
            remedy = "The service manager does not hear the node and may start it again: see NotifyAccess of its unit."
            log.warning("service.not_told", error=why, remedy=remedy)
