"""``evaluate DATA --into FOLDER``: figures of a model bundle on a data set, as JSON, as a page, and as a submission."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ichnode.inference.bundle import default_bundle_path
from ichnode.inference.engine import Engine

from ..assessment import Judged, assess
from ..planes import SPLITS, DataSetError, Scan, open_planes
from ..protocol import PROTOCOLS
from ..report_page import page
from ..scoring import score_scans
from ..submission import write_submission
from ..worst import worst


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("data", type=Path, help="a data set of planes: python -m ichnode_training import")
    command.add_argument("--into", type=Path, required=True, help="folder of the report; scores are kept in it")
    command.add_argument("--bundle", type=Path, default=default_bundle_path(), help="the bundle; default: the shipped")
    command.add_argument(
        "--protocol", choices=sorted(PROTOCOLS), default="own", help="the paper's Table 1 (rsna) or Table 2 (cq500)"
    )
    command.add_argument("--part", choices=(*SPLITS, "all"), help="part of the split; default: test where there is one")
    command.add_argument("--rounds", type=int, default=1000, help="resamplings of the patients")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    command.add_argument("--threads", type=int, help="CPU threads")


def run(given: argparse.Namespace) -> int:
    """Score, judge, write."""
    data = open_planes(given.data)
    protocol = PROTOCOLS[given.protocol]
    if protocol.data not in (None, data.about["name"]):
        raise DataSetError(f"The protocol {given.protocol} is about {protocol.data}, not {data.about['name']}.")
    part = given.part or ("test" if data.of("test") else "all")
    scans = data.of(part) if part in SPLITS else data.scans
    if not scans:
        raise DataSetError(f"There is no scan in the part {part} of {given.data}.")
    engine = Engine.load(given.bundle, given.device, given.threads)
    given.into.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True, soft_wrap=True)
    judged = _judged(engine, scans, given.into / "scores", console)
    if data.about["name"] == PROTOCOLS["rsna"].data:
        count = write_submission(given.into / "submission.csv", judged)
        console.print(f"{given.into / 'submission.csv'}: {count} images")
    known = [one for one in judged if one.scan.scan_labels[0] in (0, 1) or (one.scan.labels[:, 0] >= 0).any()]
    if not known:
        console.print("No scan of this part is labelled: there is nothing to judge.")
        return 0 if data.about["name"] == PROTOCOLS["rsna"].data else 1
    figures = assess(known, engine.bundle.thresholds, given.rounds)
    facts = {
        "model": f"{engine.bundle.name} {engine.bundle.version}, {engine.bundle.digest}",
        "data": f"{data.about['name']}, part {part}, {data.digest}",
        "licence of the data": data.about["licence"],
    }
    if any(source.get("name") == data.about["name"] for source in engine.bundle.card.get("training_data", ())):
        facts["warning"] = "The card of this model names these data: what it has seen in training flatters it."
        console.print(f"[yellow]{facts['warning']}[/]")
    (given.into / "evaluation.json").write_text(json.dumps({**facts, **figures}, indent=1), encoding="utf-8")
    html = page(facts, figures, protocol, list(worst(known)))
    (given.into / "report.html").write_text(html, encoding="utf-8")
    table = Table("", *protocol.columns, title=protocol.title, title_justify="left")
    for name, values in protocol.published.items():
        table.add_row(name, *values)
    table.add_row("[b]this model[/]", *protocol.ours(figures))
    Console(width=200).print(table)
    console.print(f"{given.into / 'report.html'} has the rest.", markup=False)
    return 0


def _judged(engine: Engine, scans: tuple[Scan, ...], keep_in: Path, console: Console) -> list[Judged]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("scans", total=len(scans))
        scores = score_scans(engine, scans, keep_in, lambda: progress.advance(task))
    return [Judged(scan, rows) for scan, rows in zip(scans, scores, strict=True)]
