"""A queue of head CTs through the local worker's way: each in its turn, and with the next one made ready meanwhile.

What is measured is `analyse_next`, with claim, decode, network, report and commits, on a worklist of its own; pictures
are not made. The same series come uncompressed, in JPEG-LS and in JPEG 2000. The note says which share of the time the
network was waited for, and which the pixels: with a GPU the second is what it stands idle for. Works on a CPU and on a
GPU alike, whichever the engine takes.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from ichnode_training.phantom import make_head
from ichnode_training.phantom_dicom import write_dicom
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless
from sqlalchemy import select, update

from ichnode.config import Settings
from ichnode.core.identity import derived_uid
from ichnode.dicom.access import Peer
from ichnode.dicom.header import parse_file, split_part10
from ichnode.dicom.scp import Received
from ichnode.engine_section import EngineSection
from ichnode.inference.bundle import default_bundle_path
from ichnode.inference.computing import Computing
from ichnode.inference.engine import Engine
from ichnode.steps.ahead import Ahead, lanes
from ichnode.steps.analyse import analyse_next
from ichnode.steps.assemble import assemble_due
from ichnode.steps.node import Node, open_node, utc_now
from ichnode.steps.receive import receive_slice
from ichnode.worklist import boots, schema

from .record import Record, median

SLICES = 34
SERIES = {"cpu": 8, "cuda": 40}
SYNTAXES = {"uncompressed": ExplicitVRLittleEndian, "jpeg-ls": JPEGLSLossless, "jpeg-2000": JPEG2000Lossless}
_WAYS = {"in-turn": False, "ahead": True}
_COMMAND = "python -m benchmarks ahead"


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure both ways in turns, for each transfer syntax."""
    engine = Engine.load(default_bundle_path(), "auto", None, Computing(EngineSection().runtime, "auto"))
    engine.warm()
    plain = folder / "ahead-plain"
    write_dicom(make_head(22, ("intraparenchymal",), slices=SLICES, volumes_ml={"intraparenchymal": 30.0}), plain)
    records = []
    for name, syntax in SYNTAXES.items():
        with _queue(folder / f"ahead-{name}", plain, syntax, SERIES[engine.device.partition(":")[0]]) as node:
            records += _both(node, engine, name, rounds, say)
    return records


def _both(node: Node, engine: Engine, name: str, rounds: int, say: Callable[[str], None]) -> list[Record]:
    rates: dict[str, list[float]] = {way: [] for way in _WAYS}
    shares: dict[str, dict[str, float]] = {}
    for turn in range(rounds + 1):  # the first is thrown away: children begin, files are read for the first time
        for way, is_ahead in _WAYS.items():
            count, seconds, shares[way] = _emptied(node, engine, is_ahead)
            if turn:
                rates[way].append(60 * count / seconds)
        say(f"{name}, round {turn}: " + ", ".join(f"{way} {values[-1]:.1f}" for way, values in rates.items() if values))
    ratio = round(statistics.median(rates["ahead"]) / statistics.median(rates["in-turn"]), 3)
    about = f"{SLICES} slices of 512 x 512, {engine.computed_by}, {os.cpu_count()} cores"
    return [
        median(
            f"ahead.{name}.{way}", rates[way], "series/min", _COMMAND,
            note=f"{about}; " + ", ".join(f"{stage} {share:.0%}" for stage, share in shares[way].items()),
            **({"ratio": ratio, "against": "in-turn"} if is_ahead else {}),
        )
        for way, is_ahead in _WAYS.items()
    ]  # fmt: skip


def _emptied(node: Node, engine: Engine, is_ahead: bool) -> tuple[int, float, dict[str, float]]:
    """Queue all series again and empty the queue: how many, in which time, and the share of each stage of it."""
    jobs, results = schema.jobs, schema.results
    with node.worklist.write() as tx:
        last = tx.scalar(select(results.c.id).order_by(results.c.id.desc()).limit(1)) or 0
        tx.execute(
            update(jobs).where(jobs.c.kind == "analyse").values(state="queued", attempts=0, not_before=node.now())
        )
    ahead = Ahead(node, lanes(engine.device, os.cpu_count() or 1)) if is_ahead else None
    count, began = 0, time.perf_counter()
    while analyse_next(node, engine, f"{node.boot_id}/worker", None, ahead):
        count += 1
    seconds = time.perf_counter() - began
    if ahead is not None:
        ahead.close()
    with node.worklist.read() as tx:
        stages = list(tx.scalars(select(results.c.seconds).where(results.c.id > last)))
    if len(stages) != count:
        raise RuntimeError(f"{count} analyses began, {len(stages)} have a result")
    spent = {
        said: sum(one[stage] for one in stages) / seconds
        for said, stage in (("pixels", "load"), ("network", "inference"), ("report", "report"))
    }
    return count, seconds, spent


@contextmanager
def _queue(folder: Path, plain: Path, syntax: str, count: int) -> Iterator[Node]:
    """Yield a node that has received some series, all with an analysis to be made."""
    node = open_node(Settings.model_validate({"node": {"data": str(folder)}}))
    with node.worklist.write() as tx:
        node = replace(node, boot_id=boots.begin_boot(tx, node.now(), "benchmark"))
    slices = [dcmread(file) for file in sorted(plain.iterdir())]
    for one in slices if syntax != ExplicitVRLittleEndian else ():
        one.compress(syntax, generate_instance_uid=False)
    file = folder / "sent.dcm"
    for number in range(count):
        for one in slices:
            one.StudyInstanceUID, one.SeriesInstanceUID = (
                derived_uid(kind, str(number)) for kind in ("study", "series")
            )
            one.SOPInstanceUID = derived_uid("image", str(number), str(one.InstanceNumber))
            one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
            one.save_as(file)
            header, (_, encoded) = parse_file(file), split_part10(file.read_bytes())
            peer = Peer("BENCH", "127.0.0.1", "ICHAI")
            receive_slice(
                node, Received(None, peer, header.sop_class_uid, header.sop_instance_uid, syntax, encoded)
            )  # fmt: skip
    while assemble_due(replace(node, now=lambda: utc_now() + timedelta(hours=1)), utc_now()):
        pass
    yield node
    node.worklist.dispose()
