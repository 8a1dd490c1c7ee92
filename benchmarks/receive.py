"""Slices a second that a receiver takes: the node (durable before it answers), DCMTK's storescp, Orthanc.

One machine, one disk, one sender, rounds interleaved, TCP_NODELAY for all. The node answers when file, directory
entry and row are on disk (three syncs); Orthanc after one fdatasync of the file, its index being in WAL mode NORMAL,
which syncs no commit (seen with strace, 1.10.1); storescp writes the file and syncs nothing. Nothing is deleted between
the rounds: for five seconds ext4 walks around inodes just freed, at the cost of whoever creates files next.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests import postgresql
from tests.peers import Orthanc, Storescp

from .bench_node import AET, running_node, send, write_series
from .record import Record, median

ASSOCIATIONS = (1, 4, 16)
SLICES = 320
_NEVER = {"quiet_s": 86400.0, "settle_s": 86400.0, "max_wait_s": 86400.0}
"""No series of this benchmark is ever complete: what is measured is receiving, and no analysis runs beside it."""


_SYNCED = "file, directory entry and row synced before 0x0000"
_NODES: dict[str, dict[str, Any]] = {
    "ichnode": {},
    "ichnode-2-processes": {"receive": {"processes": 2}},
    "ichnode-on-postgresql": {},
    "ichnode-2-processes-on-postgresql": {"receive": {"processes": 2}},
}
_NOTES = {
    **dict.fromkeys(_NODES, _SYNCED),
    "storescp": "nothing synced, no index",
    "Orthanc": "file synced, neither its directory entry nor the index",
}


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure all receivers that are installed."""
    series = write_series(folder / "series")
    with ExitStack() as stack:
        ports = dict(_nodes(stack, folder, say))
        if program := shutil.which("storescp"):
            options = ("--fork", "--bit-preserving", "--max-pdu", "131072")
            scp = stack.enter_context(Storescp(folder / "storescp", program, options=options))
            ports["storescp"] = (scp.port, scp.aet)
        if program := shutil.which("Orthanc"):
            more = {"SyncStorageArea": True, "DicomThreadsCount": 16, "MaximumPduLength": 131072}
            orthanc = stack.enter_context(Orthanc(folder / "orthanc", program, **more))
            ports["Orthanc"] = (orthanc.port, orthanc.aet)
        for absent in {"storescp", "Orthanc"} - ports.keys():
            say(f"{absent} is not installed: no figure and no ratio for it")
        names = {name: f"{name} {_version(name)}".strip() for name in ports}
        rates: dict[tuple[str, int], list[float]] = {(name, n): [] for name in ports for n in ASSOCIATIONS}
        for turn in range(rounds + 1):  # the first is thrown away: caches, first writes
            for associations in ASSOCIATIONS:
                order = list(ports)
                for name in order[turn % len(order) :] + order[: turn % len(order)]:
                    os.sync()  # nobody pays for what was written before
                    port, called = ports[name]
                    each = SLICES // associations
                    took = send(port, called, associations, each, f"{turn} {associations} {name}", series)["seconds"]
                    if turn:
                        rate = each * associations / took
                        rates[name, associations].append(rate)
                        say(f"round {turn}, {associations} associations, {name}: {rate:.0f} slices/s")
    records = [record for n in ASSOCIATIONS for record in _records(n, rates, names)]
    return [_disk(folder), *records]


def _nodes(stack: ExitStack, folder: Path, say: Callable[[str], None]) -> Iterator[tuple[str, tuple[int, str]]]:
    """Start the nodes; PostgreSQL syncs, as in service."""
    programs = postgresql.programs()
    if programs is None:
        say("postgresql is not installed: no figure on it")
    else:
        server = postgresql.Postgresql(programs, durable=True)
        stack.callback(server.stop)
        server.start()
    for name, sections in _NODES.items():
        if name.endswith("postgresql"):
            if programs is None:
                continue
            database = {"database": {"url": stack.enter_context(server.copied())}}
        else:
            database = {}
        node = stack.enter_context(running_node(folder / name, completeness=_NEVER, **sections, **database))
        yield name, (node.port, AET)


def _records(associations: int, rates: dict[tuple[str, int], list[float]], names: dict[str, str]) -> list[Record]:
    def of(name: str, title: str, **more: object) -> Record:
        title = f"receive.{associations}-associations.{title}"
        rounds = rates[name, associations]
        return median(title, rounds, "slices/s", "python -m benchmarks receive", note=_NOTES[name], **more)

    peers = [of(name, name) for name in names if name not in _NODES]
    others = [of(name, name) for name in names if name in _NODES and name != "ichnode"]
    value = of("ichnode", "").value
    beside = [
        of("ichnode", f"ichnode-beside-{peer.name.rpartition('.')[2]}", ratio=round(value / peer.value, 2),
           against=f"{names[peer.name.rpartition('.')[2]]}: {peer.value:g} slices/s")
        for peer in peers
    ]  # fmt: skip
    return [*(beside or [of("ichnode", "ichnode")]), *others, *peers]


def _disk(folder: Path, count: int = 60) -> Record:
    """What one sync costs here: it bounds every receiver that syncs."""
    slice_bytes, seconds = os.urandom(512 * 512 * 2), []
    for number in range(count):
        with (folder / f"sync-{number}").open("wb") as file:
            file.write(slice_bytes)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(1000 * (time.perf_counter() - began))
        (folder / f"sync-{number}").unlink()
    return median("receive.disk-sync-of-one-slice", seconds, "ms", "python -m benchmarks receive")


def _version(name: str) -> str:
    if name in _NODES:
        return ""
    said = subprocess.run([name, "--version"], capture_output=True, text=True, check=False).stdout
    words = said.replace(",", " ").split()
    return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "")
