"""What both benchmarks need: a series of slices, a node with its log as events, the sender as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w
from ichnode_training.phantom import make_head
from ichnode_training.phantom_dicom import write_dicom
from ichnode_training.served_node import ServedNode

from tests.peers import NO_DELAY, wait_until

AET = "ICHAI"
NEVER = {"quiet_s": 86400.0, "settle_s": 86400.0, "max_wait_s": 86400.0}
"""``[completeness]`` with which no series is ever complete: receiving is measured, and nothing runs beside it."""


def write_series(folder: Path) -> Path:
    """Write a synthetic head with a bleed, 32 slices of 512 x 512, and return its folder."""
    if not folder.exists():
        write_dicom(make_head(22, ("intraparenchymal",), volumes_ml={"intraparenchymal": 30}), folder)
    return folder


class BenchNode:
    """A running node: its port, its process, and what it logged."""

    def __init__(self, port: int, pid: int, log: Path) -> None:
        self.port, self.pid, self.log = port, pid, log

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the logged events of that name."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line.get("event") == name]


@contextmanager
def running_node(folder: Path, **sections: Any) -> Iterator[BenchNode]:
    """Run ``ichnode serve`` with its data in `folder`, its worker warm."""
    folder.mkdir(parents=True)
    config = {
        "node": {"aet": AET, "host": "127.0.0.1", "port": 0, "data": str((folder / "data").resolve())},
        "log": {"format": "json"},
    }
    path = folder / "config.toml"
    path.write_text(tomli_w.dumps(config | sections))
    with ServedNode(path, folder / "node.log") as served:
        node = BenchNode(served.port(60), served.pid, folder / "node.log")

        def warm() -> bool:
            if broken := node.events("worker.cannot_work"):
                raise RuntimeError(f"the worker cannot work: {broken[0].get('remedy')}")
            return bool(node.events("worker.ready"))

        wait_until(warm, 120, "the worker is ready")
        yield node


def send(port: int, called: str, associations: int, slices: int, seed: str, series: Path) -> dict[str, Any]:
    """Run the sender and return what it measured."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.sender",
        str(port),
        called,
        str(associations),
        str(slices),
        seed,
        str(series),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=os.environ | NO_DELAY)
    if done.returncode != 0:
        raise RuntimeError(f"the sender failed: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout))
