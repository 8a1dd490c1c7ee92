"""``phantom-suite``: what a bundle finds on phantoms, as suite.json, suite.svg and a table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ichnode.core.findings import CLASSES
from ichnode.inference.bundle import default_bundle_path

from ..phantom_report import curves, plot
from ..phantom_suite import SIZES, judge

TOLD_EVERY = 5
"""Heads between two lines of a log, where no bar can be drawn."""


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("--bundle", type=Path, default=default_bundle_path(), help="the bundle; default: the shipped")
    command.add_argument("--size", choices=SIZES, default="small", help="how many heads (%(default)s)")
    command.add_argument("--device", default="cpu", help="cpu or cuda:0 (%(default)s)")
    command.add_argument("--into", type=Path, default=Path("phantom-suite"), help="folder (%(default)s)")


def run(given: argparse.Namespace) -> int:
    """Judge, write, and print the table."""
    bar = (TextColumn("reading phantoms"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*bar, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None)

        def told(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)
            if not progress.console.is_terminal and done % TOLD_EVERY == 0:
                progress.console.print(f"{done} of {of} heads are read")

        (judged,) = judge([given.bundle], given.size, device=given.device, told=told)
    given.into.mkdir(parents=True, exist_ok=True)
    fitted = curves(judged)
    (given.into / "suite.json").write_text(
        json.dumps(judged.as_json() | {"curves": fitted}, indent=1) + "\n", encoding="utf-8"
    )
    plot(judged, given.into / "suite.svg")
    console = Console(width=110)
    table = Table("", "sensitivity", "named", "specificity", "AUC scan", "AUC slice", "half found at")
    for name in CLASSES:
        figures = (judged.sensitivity, judged.named, judged.specificity, judged.auc_scan, judged.auc_slice)
        half = f"{fitted[name]['half_ml']:.2g} mL" if name in fitted else ""
        table.add_row(name, *(f"{figure[name]:.2f}" for figure in figures), half)
    console.print(table)
    console.print(f"{given.into}: suite.json, suite.svg. Phantoms are not patients. Research use only.", soft_wrap=True)
    return 0
