"""``evaluate DATA --into FOLDER``: figures of a model bundle on a data set, as JSON, as a page, and as a submission."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ichnode.core.findings import CLASSES
from ichnode.inference.bundle import default_bundle_path
from ichnode.inference.engine import Engine

from ..assessment import Judged, assess
from ..planes import SPLITS, DataSetError, Planes, Scan, open_planes
from ..protocol import PROTOCOLS
from ..publish import parts_of
from ..report_page import page
from ..rsna import ABOUT as RSNA
from ..scoring import score_scans
from ..submission import images_of, shares, test_images, write_submission
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
    images = test_images(data) if data.about["name"] == RSNA["name"] and part in ("test", "all") else frozenset()
    sent = tuple(scan for scan in data if images.intersection(images_of(scan)))
    if not scans and not sent:
        raise DataSetError(f"There is no scan in the part {part} of {given.data}.")
    engine = Engine.load(given.bundle, given.device, given.threads)
    given.into.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True, soft_wrap=True)
    if part == "test":  # who has images in the competition's test is in this part with those to learn from, too
        whose = {scan.patient for scan in sent}
        scans = tuple(scan for scan in scans if scan in sent or scan.patient not in whose)
    every = tuple(dict.fromkeys((*scans, *sent)))
    judged = dict(zip(every, _judged(engine, every, given.into / "scores", console), strict=True))
    if images:
        _submit(given.into / "submission.csv", data, images, [judged[scan] for scan in sent], console)
    known = [judged[s] for s in scans if s.scan_labels[0] in (0, 1) or (s.labels[:, 0] >= 0).any()]
    if not known:
        console.print("No scan of this part is labelled: there is nothing to judge.")
        return 0 if images else 1
    console.print(f"figures, subgroups, and {given.rounds} resamplings of the patients for each …")
    figures = assess(known, engine.bundle.thresholds, given.rounds)
    facts = {
        "model": f"{engine.bundle.name} {engine.bundle.version}, {engine.bundle.digest}",
        "data": f"{data.about['name']}, part {part}, {data.digest}",
        "licence of the data": data.about["licence"],
    }
    if flattered := _flattered(engine.bundle.card, data, part):
        facts["warning"] = flattered
        console.print(f"[yellow]{flattered}[/]")
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


def _flattered(card: Mapping[str, Any], data: Planes, part: str) -> str | None:
    """Return what makes the figures too good: the model has seen these data, or was chosen on them."""
    if all(source.get("name") != data.about["name"] for source in card.get("training_data", ())):
        return None
    if card.get("provenance", {}).get("split") == parts_of(data):  # trained on this split: nobody is in two parts
        if part == "test":
            return None
        if part == "validation":
            return "On this part the model's epoch, temperatures and thresholds were chosen: that flatters it."
    return "The card of this model names these data: what it has seen in training flatters it."


def _submit(path: Path, data: Planes, images: frozenset[str], judged: list[Judged], console: Console) -> None:
    """Write the submission file of all images of the competition's test, whatever part their patients are in."""
    prior = shares(data)
    filled = write_submission(path, judged, images, prior)
    console.print(f"{path}: {len(images)} images")
    if filled:
        said = ", ".join(f"{name} {share:.4f}" for name, share in zip(CLASSES, prior, strict=True))
        console.print(
            f"{len(filled)} of them could not be read, {filled[0]} among them. They have the share of the labelled "
            f"images that bears each class: {said}."
        )


def _judged(engine: Engine, scans: tuple[Scan, ...], keep_in: Path, console: Console) -> list[Judged]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("scans", total=len(scans))
        scores = score_scans(engine, scans, keep_in, lambda: progress.advance(task))
    return [Judged(scan, rows) for scan, rows in zip(scans, scores, strict=True)]
