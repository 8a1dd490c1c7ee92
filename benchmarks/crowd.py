"""64 associations at once: nobody is refused, no answer waits for long, the node does not grow; also while it analyses.

Each association sends single slices, the next one after the answer, all at the same time. One node never takes a series
for complete, so that nothing else is at work. The other one does: whole heads come beside the crowd, one after the
other, and its worker always has one in hand, on the same cores.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psutil

from tests.peers import wait_until

from .bench_node import AET, NEVER, BenchNode, running_node, send, write_series
from .record import Record, median

ASSOCIATIONS, SLICES = 64, 16
COMMAND = "python -m benchmarks crowd"
_ROOM = {"receive": {"max_associations": 2 * ASSOCIATIONS, "associations_per_peer": 2 * ASSOCIATIONS}}


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure what the sender waits for, and what the node takes; a refusal or an error ends the benchmark."""
    series = write_series(folder / "series")
    found: dict[str, list[float]] = {}
    worklist = folder / "analysing" / "data" / "worklist.sqlite"
    with ExitStack() as stack:
        alone = stack.enter_context(running_node(folder / "alone", **_ROOM, completeness=NEVER))
        analysing = stack.enter_context(running_node(folder / "analysing", **_ROOM))
        for node in (alone, analysing):
            _crowd(node, "first", series)  # its threads and buffers are made
        before = _bytes(alone)
        for turn in range(rounds):
            _told(found, "alone", _crowd(alone, f"{turn} alone", series), say)
            with _heads(analysing, f"{turn}", series):
                wait_until(
                    lambda: _count(worklist, "jobs WHERE kind = 'analyse' AND state = 'running'"), 120, "it works"
                )
                _told(found, "while-analysing", _crowd(analysing, f"{turn} beside", series), say)
        growth = (_bytes(alone) - before) / 2**20
        analysed = _count(worklist, "results WHERE model_name IS NOT NULL")
    note = f"{ASSOCIATIONS} associations of {SLICES} slices each; no refusal, no error; durable before each answer"
    records = [
        median(f"crowd.{name}", values, "slices/s" if name.endswith("second") else "ms", COMMAND, note=note)
        for name, values in found.items()
    ]
    grown = f"of the receiving processes, after {rounds * ASSOCIATIONS * SLICES} slices; the other analysed {analysed}"
    return [*records, median("crowd.growth", [growth], "MiB", COMMAND, note=grown)]


def _told(found: dict[str, list[float]], way: str, told: dict[str, float], say: Callable[[str], None]) -> None:
    for name in ("median_ms", "p99_ms", "longest_ms"):
        found.setdefault(f"{way}.{name}", []).append(told[name])
    rate = ASSOCIATIONS * SLICES / told["seconds"]
    found.setdefault(f"{way}.slices-a-second", []).append(rate)
    say(f"crowd, {way}: {rate:.0f} slices/s, p99 {told['p99_ms']:.0f} ms")


def _count(worklist: Path, what: str) -> int:
    with closing(sqlite3.connect(worklist)) as rows:
        (number,) = rows.execute(f"SELECT count(*) FROM {what}").fetchone()
    return int(number)


def _crowd(node: BenchNode, seed: str, series: Path) -> dict[str, float]:
    return send(node.port, AET, ASSOCIATIONS, SLICES, f"crowd {seed}", series)


def _bytes(node: BenchNode) -> int:
    serving = psutil.Process(node.pid)
    receiving = [serving, *(child for child in serving.children() if "worker" not in " ".join(child.cmdline()))]
    return sum(process.memory_info().rss for process in receiving)


@contextmanager
def _heads(node: BenchNode, seed: str, series: Path) -> Iterator[None]:
    """Send whole heads, one after the other, while the block runs."""
    over = threading.Event()

    def run() -> None:
        number = 0
        while not over.is_set():
            send(node.port, AET, 1, 32, f"head {seed} {number}", series)
            number += 1

    with ThreadPoolExecutor(1) as sender:
        sent = sender.submit(run)
        try:
            yield
        finally:
            over.set()
        sent.result()
