"""The cluster, as this machine belongs to it: joined with a token, watched, and left.

This machine joins as a node of the cluster that takes no work: it has an object store, into which volumes are put and
from which workers take them. Ray's own process for that is a child of this one and ends with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from types import TracebackType
from typing import Self

from ichnode.errors import ConfigError, TransientError
from ichnode.pool_section import PoolSection

CONNECT_S = 3.0
JOIN_S = 180.0
"""Half a minute where nothing else is at work; a machine that is busy takes longer, and joining anew would not help."""
LEAVE_S = 10.0
WATCHED_S = 1.0
MISSED = 3
"""Times in a row that the head did not take a connection before the cluster counts as away."""


class ClusterAway(TransientError):
    """The head does not answer any more. Whoever has joined cannot leave in an orderly way: his process has to end."""

    code = "POOL_AWAY"


def answers(address: str) -> bool:
    """Tell whether the head takes connections."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError:
        return False
    return True


def environment(section: PoolSection) -> dict[str, str]:
    """Return what Ray has to find in its environment: the token, without which it does nothing, and no telemetry."""
    return {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": section.token_file, "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
    }  # fmt: skip


class Cluster:
    """Joined for the length of a ``with``.

    Raises
    ------
    ConfigError
        On entering: Ray is not installed.
    TransientError
        On entering: it does not answer, or does not take the token.
    """

    def __init__(self, section: PoolSection) -> None:
        self._section = section
        self._missed = 0
        self._watched = 0.0
        self._folder = ""
        self._node: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if find_spec("ray") is None:
            raise ConfigError("Ray is not installed. Install ichnode with its extra: pip install 'ichnode[pool]'.")
        os.environ.update(environment(self._section))
        # Names of sockets may not be long. Ray opens the folder it is given to everyone: it lies in a closed one.
        self._folder = tempfile.mkdtemp(prefix="ichnode-", dir="/tmp")
        self._node = subprocess.Popen(
            self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        joined = False
        try:
            self._connect()
            joined = True
        finally:
            if not joined:
                self._leave()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(away=isinstance(error, ClusterAway))

    def watch(self) -> None:
        """Raise `ClusterAway` once the head is away; called as often as one likes."""
        now = time.monotonic()
        if now < self._watched + WATCHED_S:
            return
        self._watched = now
        self._missed = 0 if answers(self._section.address) else self._missed + 1
        if self._missed >= MISSED or (self._node is not None and self._node.poll() is not None):
            raise ClusterAway(f"The cluster at {self._section.address} does not answer any more.")

    def _command(self) -> list[str]:
        section = self._section
        # Ray's process ends its own children when it dies, and dies when this one does, however that ends.
        dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        return [
            *dies_with_us, sys.executable, "-m", "ray.scripts.scripts", "start", "--block",
            f"--address={section.address}", "--num-cpus=0", "--num-gpus=0",
            *([f"--node-ip-address={section.own_address}"] if section.own_address else []),
            f"--object-store-memory={section.store_bytes}", f"--temp-dir={self._folder}/r",
            "--include-log-monitor=false", "--disable-usage-stats",
        ]  # fmt: skip

    def _connect(self) -> None:
        import ray
        from ray.exceptions import RayError

        assert self._node is not None
        deadline = time.monotonic() + JOIN_S
        while not self._is_there():
            if self._node.poll() is not None or time.monotonic() > deadline:
                raise TransientError(
                    f"This machine cannot join the cluster at {self._section.address}. "
                    "Check pool.token_file, pool.own_address, and that the head runs the same version of Ray.",
                    "POOL_REFUSED",
                )
            time.sleep(0.1)
        try:
            ray.init(
                address=self._section.address, _node_ip_address=self._section.own_address or None,
                _temp_dir=f"{self._folder}/r",
                namespace="ichnode",
                configure_logging=False, log_to_driver=False,
            )  # fmt: skip
        except (RayError, OSError, RuntimeError, ValueError) as error:
            raise TransientError(
                f"The cluster at {self._section.address} is not usable ({type(error).__name__}). See `ichnode doctor`.",
                "POOL_REFUSED",
            ) from error

    def _is_there(self) -> bool:
        """Tell whether Ray's process here has opened the socket that this process is served by."""
        return any(name == "raylet" for _, _, names in os.walk(self._folder) for name in names)

    def _leave(self, *, away: bool = False) -> None:
        import ray

        if ray.is_initialized() and not away:
            ray.shutdown()
        if self._node is not None:
            if not away:  # else it would look for its head before it ended
                self._node.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self._node.wait(LEAVE_S)
            if self._node.poll() is None:
                os.killpg(self._node.pid, signal.SIGKILL)  # its agents would look for it for a minute
                self._node.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
