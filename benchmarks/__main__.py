"""``make bench``, or ``python -m benchmarks [PART]...``: measure, print, write benchmarks/latest.json and draw it.

The whole takes less than 15 minutes on two cores: what needs long has fewer rounds there, and what needs longer still
is measured by name only.
"""

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
    "receive-all": receive.measure_all,
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
    "training-compiled": training.measure_compiled,
}
WHOLE = {
    "receive": 3, "heads": 3, "crowd": 3, "turnaround": 3, "inference": 2, "documents": 3, "pages": 3, "growth": 1,
    "viewer": 1, "training": 1,
}  # fmt: skip
"""Parts of the whole, each with its rounds."""
BY_NAME = 3


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option(
    "--rounds", type=click.IntRange(1), help=f"Rounds; medians are kept. Default: {BY_NAME}; fewer in the whole."
)
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), default=Path("build"), show_default=True,
    help="Disk to measure on; some gigabytes are written below it and removed.",
)  # fmt: skip
def main(parts: tuple[str, ...], rounds: int | None, folder: Path) -> None:
    """Measure the named parts, or the whole. Each figure is written and printed at once: a run that is cut loses none.

    By name only: receive-all, engine, ahead, growth-on-postgresql, training-compiled.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = dict.fromkeys(parts, rounds or BY_NAME) or {name: rounds or few for name, few in WHOLE.items()}
    records, all_began = [], time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder, prefix="benchmarks-") as scratch:
        for name, times in chosen.items():
            began = time.monotonic()
            for found in PARTS[name](Path(scratch), times, lambda sentence: click.echo(sentence, err=True)):
                record.write([found], LATEST)
                click.echo(f"{found.name}: {found.value:g} {found.unit}")
                records.append(found)
            click.echo(f"{name} took {time.monotonic() - began:.0f} s", err=True)
    click.echo(f"all of it took {(time.monotonic() - all_began) / 60:.1f} minutes", err=True)
    record.show(records)
    draw(json.loads(LATEST.read_text())["records"], LATEST.with_suffix(".svg"))


if __name__ == "__main__":
    main()
