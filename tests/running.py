"""The real program as a subprocess: start it, wait for what it does, kill it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import tomli_w

from ichnode.worklist import triage_list, views
from ichnode.worklist.database import Worklist
from tests.peers import free_port, wait_until


class RunningNode:
    """``ichnode serve`` with a configuration of its own below `folder`; survives restarts on the same port and data."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.sections = sections
        self.aet = "ICHAI"
        self.port = free_port()  # none that the system gives to others while the node is away
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None
        self._log = folder / "node.log"
        url = sections.get("database", {}).get("url")
        self.worklist = Worklist(url or f"sqlite:///{self.data / 'worklist.sqlite'}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    def configure(self, **other: Any) -> None:
        """Write its configuration; `other` replaces sections of it."""
        sections: dict[str, Any] = {
            "receive": {"low_disk_bytes": 0, "disk_floor_bytes": 0}, "web": {"enabled": False},
            **self.sections, **other,
        }  # fmt: skip
        # Made-up networks are small: preparing OpenVINO would take longer than they ever compute.
        sections["engine"] = {"runtime": "torch", **sections.get("engine", {})}
        sections["node"] = {"aet": self.aet, "port": self.port, "data": str(self.data), **sections.get("node", {})}
        self.config.write_text(tomli_w.dumps(sections))

    def start(self, timeout_s: float = 60) -> RunningNode:
        self.configure()
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ichnode", "serve", "--config", str(self.config)],
                stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "OMP_NUM_THREADS": "2", **self.environment},
            )  # fmt: skip
        said: list[str] = []
        stdout = self._process.stdout
        assert stdout is not None
        threading.Thread(target=_collect, args=(stdout, said), daemon=True).start()
        wait_until(lambda: said or self._process.poll() is not None, timeout_s, "the node listens")
        if not said:
            raise AssertionError(f"the node ended with {self._process.returncode}: {self.log[-3000:]}")
        self.port = int(said[0].split(":")[1].split()[0])
        return self

    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL the node process; its worker finds out by itself."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, timeout_s: float = 180) -> int:
        """SIGTERM and wait for the drain."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise
        return self._process.returncode

    def studies(self) -> list[dict[str, Any]]:
        with self.worklist.read() as tx:
            return triage_list.page(tx, 1000)

    def study(self, study_instance_uid: str) -> dict[str, Any] | None:
        with self.worklist.read() as tx:
            found = views.find_study(tx, study_instance_uid)
            return views.study(tx, found[0]) if found else None

    def series(self) -> list[dict[str, Any]]:
        with self.worklist.read() as tx:
            return [s for row in triage_list.page(tx, 1000) for s in views.study(tx, row["id"])["series"]]

    def settled(self) -> bool:
        """Whether every series has a current result and nothing is on its way."""
        with self.worklist.read() as tx:
            counts = views.counts(tx)
        if any(counts.get(k) for k in ("series.receiving", "jobs.queued", "jobs.running", "deliveries.sending")):
            return False
        return not counts.get("deliveries.pending") and bool(counts)

    def wait_settled(self, timeout_s: float = 120) -> None:
        wait_until(self.settled, timeout_s, "everything settled")


def _collect(stream: IO[str], said: list[str]) -> None:
    with stream:
        for line in stream:
            said.append(line)


def current_results(series: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the results of a series that nothing has superseded."""
    return [r for r in series["results"] if r["superseded_at"] is None]


@contextlib.contextmanager
def running(node: RunningNode) -> Iterator[RunningNode]:
    """Start, and in any case end."""
    try:
        yield node.start()
    finally:
        if node._process is not None and node._process.poll() is None:
            node._process.kill()
            node._process.wait()
        node.worklist.dispose()
