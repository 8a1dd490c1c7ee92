"""A spool of many files beside one of a thousand: what a slice costs, a start, and the look through all of it.

    python -m benchmarks.spool --files 1000000

The files are empty and have rows; their names are as long as real ones, which is what the index of a directory cares
for. They came over a hundred days. Each takes an inode, and about 100 bytes of its directory.
"""

from __future__ import annotations

import hashlib
import os
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path

import click
from sqlalchemy import insert

from ichnode.config import Settings
from ichnode.steps.node import Node, open_node, utc_now
from ichnode.steps.recover import begin_boot, end_boot, look_through_spool, recover
from ichnode.worklist import schema

from .growth import CT, LITTLE_ENDIAN
from .pages import fill
from .record import Record, median, show, write

SMALL = 1_000
PUTS = 100
SLICE_BYTES = 512 * 512 * 2
_AT_ONCE = 20_000
DAYS = 100
FIRST_DAY = date(2026, 1, 1).toordinal()
LATEST = Path(__file__).with_name("latest.json")


def _made(folder: Path, files: int) -> Node:
    """Return a node whose spool holds so many files, each with its row."""
    node = open_node(Settings.model_validate({"node": {"data": str(folder)}}), "boot")
    fill(node, 1, 1)
    each = max(1, files // DAYS)
    days = [f"slices/{date.fromordinal(FIRST_DAY + number)}" for number in range(DAYS + 1)]
    names = (f"{days[n // each]}/{hashlib.sha256(str(n).encode()).hexdigest()}.dcm" for n in range(files))
    spool, done = os.fspath(node.spool.root), 0
    for day in days:
        Path(spool, day).mkdir()
    while page := list(islice(names, _AT_ONCE)):
        if not done % 1_000_000 and done:
            click.echo(f"{done:,} of {files:,}", err=True)
        done += len(page)
        for name in page:
            os.close(os.open(f"{spool}/{name}", os.O_CREAT | os.O_WRONLY, 0o600))
        with node.worklist.write() as tx:
            tx.execute(insert(schema.instances), [_row(name) for name in page])
    return node


def _row(name: str) -> dict[str, object]:
    return {
        "series_id": 1, "sop_instance_uid": f"2.25.{int(Path(name).stem[:32], 16)}", "sop_class_uid": CT,
        "transfer_syntax_uid": LITTLE_ENDIAN, "digest": Path(name).stem, "size": 0, "file": name, "slices": [],
        "conflict": False, "received_at": utc_now(),
    }  # fmt: skip


def _put(node: Node) -> float:
    """Put slices of the usual size, their names synced one by one; return the median in milliseconds."""
    took = []
    for _ in range(PUTS):
        content = os.urandom(SLICE_BYTES)
        digest = hashlib.sha256(content).hexdigest()
        began = time.perf_counter()
        name = node.spool.put_slice(b"", content, digest)
        node.spool.settle(name)
        took.append(1000 * (time.perf_counter() - began))
        node.spool.discard(name)
    return statistics.median(took)


def _start(node: Node) -> float:
    """Do what a node does before it opens its port; return seconds."""
    began = time.perf_counter()
    begun = open_node(node.settings)
    begun = replace(begun, boot_id=begin_boot(begun))
    recover(begun)
    took = time.perf_counter() - began
    end_boot(begun)
    begun.worklist.dispose()
    return took


def _look(node: Node) -> float:
    """Look through all of the spool, as a node does while it is at work; return seconds."""
    began = time.perf_counter()
    look_through_spool(node)
    return time.perf_counter() - began


@click.command()
@click.option("--files", default=1_000_000, show_default=True, help="In the large spool.")
@click.option("--rounds", default=3, show_default=True, help="Rounds; medians are kept.")
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), default=Path("build"), show_default=True,
    help="Disk to measure on.",
)  # fmt: skip
def main(files: int, rounds: int, folder: Path) -> None:
    """Measure both, and write the figures beside the others."""
    folder.mkdir(parents=True, exist_ok=True)
    command = f"python -m benchmarks.spool --files {files}"
    with tempfile.TemporaryDirectory(dir=folder, prefix="benchmarks-") as scratch:
        nodes = {}
        for size in (SMALL, files):
            click.echo(f"a spool of {size:,} files is made", err=True)
            nodes[size] = _made(Path(scratch) / str(size), size)
        measures = {"put": ("ms", _put), "start": ("s", _start), "look-through": ("s", _look)}
        records: list[Record] = []
        for name, (unit, act) in measures.items():
            of: dict[int, list[float]] = {size: [] for size in nodes}
            for turn in range(rounds):
                for size, node in nodes.items():
                    of[size].append(act(node))
                    click.echo(f"round {turn + 1}, {name}, {size:,} files: {of[size][-1]:.3f} {unit}", err=True)
            small = statistics.median(of[SMALL])
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            note = f"beside {files:,} files; the process had {peak} MiB at most until then"
            ratio = round(statistics.median(of[files]) / small, 2)
            records.append(median(f"spool.{name}", of[files], unit, command, ratio=ratio,
                                  against=f"{SMALL:,} files: {small:.3g} {unit}", note=note))  # fmt: skip
        for node in nodes.values():
            node.worklist.dispose()
        write(records, LATEST)
        show(records)
        click.echo("removing the files", err=True)


if __name__ == "__main__":
    main()
