"""``python -m ichnode_training import``: bring a public or a hospital's own data set into planes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from . import ct_ich
from .importing import Refused, Source, bring_in
from .plane_writer import PlaneWriter
from .planes import SPLITS

EPILOG = """Killed or stopped, the same command goes on where it was. Run again with other labels, it changes the labels
only. Exit code 0: everything is in; 1: something was refused, it is listed at the end and in refused.txt, and the rest
is in; 2: the command line is wrong."""


def add_import(commands: Any) -> None:
    """Add the command and its kinds of source to the parser's commands."""
    command = commands.add_parser("import", help="make a data set of planes", epilog=EPILOG)
    kinds = command.add_subparsers(dest="kind", required=True)
    one = _kind(kinds, "ct-ich", "CT-ICH as JPEG: labels.csv, brain/, bone/, masks/")
    one.set_defaults(run=lambda given: _import(given, ct_ich.ABOUT, lambda tell: (ct_ich.sources(given.folder), ())))


def _kind(kinds: Any, name: str, text: str) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = kinds.add_parser(name, help=text, description=text, epilog=EPILOG)
    one.add_argument("folder", type=Path, help="where the data lie")
    one.add_argument("--into", type=Path, required=True, help="folder of the data set")
    one.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="series read at a time")
    one.add_argument(
        "--split", type=float, nargs=3, default=(0.8, 0.1, 0.1), metavar=tuple(SPLITS), help="shares of the patients"
    )
    return one


def _import(
    given: argparse.Namespace,
    about: Mapping[str, str],
    sources: Callable[[Callable[[int, int], None]], tuple[Sequence[Source], tuple[Refused, ...]]],
) -> int:
    console = Console(stderr=True, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with PlaneWriter(given.into, about) as writer, Progress(*columns, console=console) as progress:
        looking = progress.add_task("headers", total=None)
        found, refused = sources(lambda done, of: progress.update(looking, completed=done, total=of))
        progress.update(looking, visible=False)
        reading = progress.add_task("series", total=len(found))
        counts = {"there": 0, "read": 0, "refused": 0}

        def tell(what: str) -> None:
            counts[what] += 1
            progress.advance(reading)

        refused += bring_in(writer, found, given.threads, tell)
        writer.split(dict(zip(SPLITS, given.split, strict=True)))
    console.print(f"{counts['read']} series imported, {counts['there']} were there already. {given.into}", markup=False)
    listed = given.into / "refused.txt"
    listed.write_text("".join(f"{one.name}: {one.why}\n" for one in refused), encoding="utf-8")
    for one in refused:
        console.print(f"[red]refused[/] {escape(one.name)}: {escape(one.why)}")
    return 1 if refused else 0
