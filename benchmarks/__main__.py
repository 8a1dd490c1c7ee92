"""``make bench``, or ``python -m benchmarks [PART]...``: measure, print, write benchmarks/latest.json and draw it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from . import (
    ahead,
    crowd,
    documents,
    engine,
    growth,
    heads,
    inference,
    pages,
    receive,
    record,
    training,
    turnaround,
    viewer,
)
from .plot import draw

LATEST = Path(__file__).with_name("latest.json")
PARTS: dict[str, Callable[[Path, int, Callable[[str], None]], Iterable[record.Record]]] = {
    "receive": receive.measure,
    "heads": heads.measure,
    "crowd": crowd.measure,
    "turnaround": turnaround.measure,
    "inference": inference.measure,
    "documents": documents.measure,
    "engine": engine.measure,
    "ahead": ahead.measure,
    "pages": pages.measure,
    "growth": growth.measure,
    "growth-on-postgresql": growth.measure_on_postgresql,
    "viewer": viewer.measure,
    "training": training.measure,
}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Rounds; medians are kept.")
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), default=Path("build"), show_default=True,
    help="Disk to measure on; some gigabytes are written below it and removed.",
)  # fmt: skip
def main(parts: tuple[str, ...], rounds: int, folder: Path) -> None:
    """Measure the named parts, or all. Each figure is written and printed at once: a run that is cut loses none."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="benchmarks-") as scratch:
        for name in parts or PARTS:
            began = time.monotonic()
            for found in PARTS[name](Path(scratch), rounds, lambda sentence: click.echo(sentence, err=True)):
                record.write([found], LATEST)
                click.echo(f"{found.name}: {found.value:g} {found.unit}")
                records.append(found)
            click.echo(f"{name} took {time.monotonic() - began:.0f} s", err=True)
    record.show(records)
    draw(json.loads(LATEST.read_text())["records"], LATEST.with_suffix(".svg"))


if __name__ == "__main__":
    main()
