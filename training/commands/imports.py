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

from .. import cq500, ct_ich, dicom_folder, rsna
from ..importing import Refused, Source, bring_in
from ..plane_writer import PlaneWriter
from ..planes import SPLITS, Scan

EPILOG = """Killed or stopped, the same command goes on where it was. Run again with other labels, it changes the labels
only. Exit code 0: everything is in; 1: something was refused, it is listed at the end and in refused.txt, and the rest
is in; 2: the command line is wrong."""


def add(command: argparse.ArgumentParser) -> None:
    """Say which kinds of source there are and what each takes."""
    kinds = command.add_subparsers(dest="kind", required=True)
    one = _kind(kinds, "rsna", "RSNA 2019, unpacked: stage_2_train.csv, stage_2_train/, stage_2_test/", (0.9, 0.1, 0.0))
    one.set_defaults(bring=_rsna)
    one = _kind(kinds, "cq500", "CQ500, unpacked: 'CQ500CT66 CQ500CT66/Unknown Study/CT Plain/*.dcm'", (0.0, 0.0, 1.0))
    one.add_argument("--reads", type=Path, help="reads.csv where it does not lie in the folder")
    one.set_defaults(bring=_cq500)
    one = _kind(kinds, "ct-ich", "CT-ICH: labels.csv, brain/, bone/, masks/; or as DICOM, PPP/SS.dcm", (1.0, 0.0, 0.0))
    one.add_argument("--labels", type=Path, help="labels.csv where it does not lie in the folder")
    one.set_defaults(bring=_ct_ich)
    one = _kind(kinds, "folder", "any folder of DICOM, with a CSV of labels", (0.7, 0.1, 0.2))
    one.add_argument("--labels", type=Path, help="CSV: columns in docs/data-scientist.md")
    one.add_argument("--every-series", action="store_true", help="also series that the node would not read")
    one.add_argument("--name", default=dicom_folder.ABOUT["name"], help="what a card calls these data")
    one.set_defaults(bring=_folder)


def run(given: argparse.Namespace) -> int:
    """Import, with a progress bar."""
    return int(given.bring(given))


def _kind(kinds: Any, name: str, text: str, shares: tuple[float, float, float]) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = kinds.add_parser(name, help=text, description=text, epilog=EPILOG)
    one.add_argument("folder", type=Path, help="where the data lie")
    one.add_argument("--into", type=Path, required=True, help="folder of the data set")
    one.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="series read at a time")
    one.add_argument(
        "--split", type=float, nargs=3, default=shares, metavar=tuple(SPLITS),
        help=f"shares of the patients; default {' '.join(map(str, shares))}",
    )  # fmt: skip
    return one


def _rsna(given: argparse.Namespace) -> int:
    return _import(given, rsna.ABOUT, lambda tell: rsna.sources(given.folder, given.into, tell))


def _cq500(given: argparse.Namespace) -> int:
    reads = given.reads or given.folder / "reads.csv"
    return _import(given, cq500.ABOUT, lambda tell: (*cq500.sources(given.folder, reads, given.into, tell), {}))


def _ct_ich(given: argparse.Namespace) -> int:
    return _import(given, ct_ich.ABOUT, lambda _: (ct_ich.sources(given.folder, given.labels), (), {}))


def _folder(given: argparse.Namespace) -> int:
    return _import(
        given, {**dicom_folder.ABOUT, "name": given.name},
        lambda tell: dicom_folder.sources(given.folder, given.labels, given.every_series, given.into, tell),
        lambda scans: dicom_folder.unplaced(given.labels, given.folder, scans) if given.labels else (),
    )  # fmt: skip


def _import(
    given: argparse.Namespace,
    about: Mapping[str, str],
    sources: Callable[[Callable[[int, int], None]], tuple[Sequence[Source], tuple[Refused, ...], Mapping[str, str]]],
    unplaced: Callable[[Sequence[Scan]], tuple[Refused, ...]] = lambda scans: (),
) -> int:
    console = Console(stderr=True, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with PlaneWriter(given.into, about) as writer, Progress(*columns, console=console) as progress:
        looking = progress.add_task("headers", total=None)
        found, refused, fixed = sources(lambda done, of: progress.update(looking, completed=done, total=of))
        progress.update(looking, visible=False)
        reading = progress.add_task("series", total=len(found))
        counts = {"there": 0, "read": 0, "refused": 0}

        def tell(what: str) -> None:
            counts[what] += 1
            progress.advance(reading)

        refused += bring_in(writer, found, given.threads, tell)
        refused += unplaced(writer.scans)
        if moved := writer.split(dict(zip(SPLITS, given.split, strict=True)), fixed):
            why = f"{len(moved)} patients keep the part they have: import into a new folder to change it. {moved[0]} …"
            refused += (Refused("split", why),)
    console.print(f"{counts['read']} series imported, {counts['there']} were there already. {given.into}", markup=False)
    listed = given.into / "refused.txt"
    listed.write_text("".join(f"{one.name}: {one.why}\n" for one in refused), encoding="utf-8")
    for one in refused:
        console.print(f"[red]refused[/] {escape(one.name)}: {escape(one.why)}")
    return 1 if refused else 0
