"""Slices a second that a receiver takes: the node (durable before it answers), DCMTK's storescp, Orthanc.

One machine, one disk, one sender, rounds interleaved, TCP_NODELAY for all. Nothing is deleted between the rounds: for
five seconds ext4 walks around inodes just freed, at the cost of whoever creates files next.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .bench_node import send, write_series
from .receivers import DURABLE, NODES, Listening, receivers
from .record import Record, median

ASSOCIATIONS = (1, 4, 16)
SLICES = 320


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure the node beside the peers that are installed."""
    return _measured(folder, rounds, say, {"ichnode": NODES["ichnode"]})


def measure_all(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure it also with two receiving processes, and on PostgreSQL."""
    return _measured(folder, rounds, say, NODES)


def _measured(
    folder: Path, rounds: int, say: Callable[[str], None], nodes: Mapping[str, dict[str, Any]]
) -> list[Record]:  # fmt: skip
    series = write_series(folder / "series")
    with receivers(folder / "receive", say, nodes) as found:
        rates: dict[tuple[str, int], list[float]] = {(name, n): [] for name in found for n in ASSOCIATIONS}
        for turn in range(rounds + 1):  # the first is thrown away: caches, first writes
            for associations in ASSOCIATIONS:
                order = list(found)
                for name in order[turn % len(order) :] + order[: turn % len(order)]:
                    os.sync()  # nobody pays for what was written before
                    to, each = found[name], SLICES // associations
                    seed = f"{turn} {associations} {name}"
                    took = send(to.port, to.aet, associations, each, seed, series)["seconds"]
                    if turn:
                        rate = each * associations / took
                        rates[name, associations].append(rate)
                        say(f"round {turn}, {associations} associations, {name}: {rate:.0f} slices/s")
    records = [record for n in ASSOCIATIONS for record in _records(n, rates, found)]
    return [_disk(folder), *records]


def _records(associations: int, rates: dict[tuple[str, int], list[float]], found: dict[str, Listening]) -> list[Record]:
    def of(name: str, title: str, **more: object) -> Record:
        title = f"receive.{associations}-associations.{title}"
        rounds = rates[name, associations]
        part = "receive-all" if name in NODES and name != "ichnode" else "receive"
        return median(title, rounds, "slices/s", f"python -m benchmarks {part}", note=DURABLE[name], **more)

    peers = [of(name, name) for name in found if name not in NODES]
    others = [of(name, name) for name in found if name in NODES and name != "ichnode"]
    value = of("ichnode", "").value
    beside = [
        of("ichnode", f"ichnode-beside-{peer.name.rpartition('.')[2]}", ratio=round(value / peer.value, 2),
           against=f"{found[peer.name.rpartition('.')[2]].title}: {peer.value:g} slices/s")
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
