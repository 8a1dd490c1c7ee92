"""The receivers that are measured: nodes, DCMTK's storescp and Orthanc, each with a data folder of its own.

The node answers when file, directory entry and row are on disk (three syncs); Orthanc after one fdatasync of the file,
its index being in WAL mode NORMAL, which syncs no commit (seen with strace, 1.10.1); storescp writes the file and
syncs nothing.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import postgresql
from tests.peers import Orthanc, Storescp

from .bench_node import AET, NEVER, running_node

NODES: dict[str, dict[str, Any]] = {
    "ichnode": {},
    "ichnode-2-processes": {"receive": {"processes": 2}},
    "ichnode-on-postgresql": {},
    "ichnode-2-processes-on-postgresql": {"receive": {"processes": 2}},
}
DURABLE = {
    **dict.fromkeys(NODES, "file, directory entry and row synced before 0x0000"),
    "storescp": "nothing synced, no index",
    "Orthanc": "file synced, neither its directory entry nor the index",
}


@dataclass(frozen=True)
class Listening:
    """Where a receiver is, and what it is called with its version."""

    port: int
    aet: str
    title: str


@contextmanager
def receivers(folder: Path, say: Callable[[str], None], nodes: Mapping[str, Any]) -> Iterator[dict[str, Listening]]:
    """Run all receivers that are installed, by name; the nodes of `NODES` that are asked for come first."""
    with ExitStack() as stack:
        found = {name: Listening(port, AET, name) for name, port in _nodes(stack, folder, say, nodes)}
        if program := shutil.which("storescp"):
            options = ("--fork", "--bit-preserving", "--accept-all", "--max-pdu", "131072")
            scp = stack.enter_context(Storescp(folder / "storescp", program, options=options))
            found["storescp"] = Listening(scp.port, scp.aet, f"storescp {_version('storescp')}")
        if program := shutil.which("Orthanc"):
            more = {"SyncStorageArea": True, "DicomThreadsCount": 16, "MaximumPduLength": 131072}
            orthanc = stack.enter_context(Orthanc(folder / "orthanc", program, **more))
            found["Orthanc"] = Listening(orthanc.port, orthanc.aet, f"Orthanc {_version('Orthanc')}")
        for absent in sorted({"storescp", "Orthanc"} - found.keys()):
            say(f"{absent} is not installed: no figure and no ratio for it")
        yield found


def _nodes(
    stack: ExitStack, folder: Path, say: Callable[[str], None], nodes: Mapping[str, Any]
) -> Iterator[tuple[str, int]]:
    """Start the nodes; PostgreSQL syncs, as in service."""
    server = None
    if any(name.endswith("postgresql") for name in nodes):
        programs = postgresql.programs()
        if programs is None:
            say("postgresql is not installed: no figure on it")
        else:
            server = postgresql.Postgresql(programs, durable=True)
            stack.callback(server.stop)
            server.start()
    for name, sections in nodes.items():
        database = {}
        if name.endswith("postgresql"):
            if server is None:
                continue
            database = {"database": {"url": stack.enter_context(server.copied())}}
        node = stack.enter_context(running_node(folder / name, completeness=NEVER, **sections, **database))
        yield name, node.port


def _version(name: str) -> str:
    said = subprocess.run([name, "--version"], capture_output=True, text=True, check=False).stdout
    words = said.replace(",", " ").split()
    return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "")
