"""A Ray cluster of this machine's own: each node a process group, which is killed as a whole.

All of it is on loopback, unless its nodes are told to be on other hosts (`tests.hosts`).
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from ichnode.inference.cluster import answers, environment
from ichnode.pool_section import PoolSection
from tests.hosts import Host
from tests.peers import free_port, wait_until

_OFTEN = {"RAY_health_check_period_ms": "500", "RAY_memory_monitor_refresh_ms": "0"}
"""How often the head asks whether a node is there; for how long it waits for an answer is Ray's own, patient number.
Nobody is killed because other tests need memory."""


class RayCluster:
    """A head and other nodes; every one of them asks for the token.

    Parameters
    ----------
    folder : Path
    hosts : mapping, optional
        Where its nodes are, by their names; others are here, on loopback.
    """

    def __init__(self, folder: Path, hosts: Mapping[str, Host] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._hosts = hosts or {}
        self.address = f"{self._host('head').address}:{self.port}"
        self.token_file = folder / "token"
        self.token_file.write_text(secrets.token_hex(32))
        self._folder = folder
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    def section(self, **more: object) -> dict[str, object]:
        """The node's ``[pool]``."""
        return {
            "address": self.address, "token_file": str(self.token_file), "store_bytes": 80 << 20, "cpus_per_worker": 1,
            **more,
        }  # fmt: skip

    def start(self, cpus: int) -> None:
        """Start the head, and wait until it takes connections."""
        alone = ["--include-dashboard=false", f"--ray-client-server-port={free_port()}", "--no-monitor"]
        self._start("head", cpus, ["--head", f"--port={self.port}", *alone])
        wait_until(lambda: self._lives("head") and answers(self.address), 90, "the head takes connections")

    def add(self, name: str, cpus: int) -> None:
        """Start a node that joins when it can."""
        self._start(name, cpus, [f"--address={self.address}"])

    def kill(self, name: str) -> None:
        """End all processes of a node at once; some of them have a group of their own."""
        node = self._nodes.pop(name)
        tree = _children(node.pid)
        os.killpg(node.pid, signal.SIGKILL)
        for one in tree:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        node.wait()
        wait_until(lambda: all(has_ended(one) for one in tree), 60, "all of it has ended")

    def end(self) -> None:
        for name in list(self._nodes):
            self.kill(name)

    def pids(self) -> list[int]:
        """Of the nodes' first processes."""
        return [node.pid for node in self._nodes.values()]

    def workers(self, name: str) -> list[psutil.Process]:
        """The processes of a node in which a series may be read."""
        node = self._nodes.get(name)
        found = _children(node.pid) if node else []
        return [one for one in found if _title(one).startswith("ray::PoolWorker")]

    def _lives(self, name: str) -> bool:
        ended = self._nodes[name].poll()
        assert ended is None, (self._folder / f"{name}.log").read_text()[-2000:]
        return True

    def _host(self, name: str) -> Host:
        return self._hosts.get(name, Host("127.0.0.1"))

    def _start(self, name: str, cpus: int, more: list[str]) -> None:
        section = PoolSection(address=self.address, token_file=str(self.token_file))
        temporary, here = tempfile.mkdtemp(prefix="ray-", dir=self._folder), self._host(name)
        with (self._folder / f"{name}.log").open("ab") as log:
            self._nodes[name] = subprocess.Popen(
                [
                    *here.within, sys.executable, "-m", "ray.scripts.scripts", "start", "--block",
                    f"--node-ip-address={here.address}", f"--num-cpus={cpus}", "--num-gpus=0",
                    f"--object-store-memory={80 << 20}",
                    f"--temp-dir={temporary}", "--include-log-monitor=false", "--disable-usage-stats",
                    "--min-worker-port=0", "--max-worker-port=0", *more,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **environment(section), **_OFTEN, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip


def has_ended(process: psutil.Process) -> bool:
    """Tell whether a process does nothing any more; whoever it was left to may not have asked yet how it ended."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
