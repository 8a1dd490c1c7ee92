"""Seconds and bytes of every object of one answer: a positive head CT of 34 slices, read by the shipped model.

The objects are made one after the other on one core, as the worker makes them. Reading the slices and the network are
not in the figures (`turnaround` has them), and the heat maps stand apart: two formats draw them, one carries them.
For each object the seconds of the processor are told, for all of them those of the clock as well: where the two differ
much, the machine had something else to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ichnode_training.phantom import make_head
from ichnode_training.phantom_dicom import write_dicom

from ichnode.core.eligibility import SelectionPolicy
from ichnode.core.findings import Verdict
from ichnode.core.identity import derived_uid
from ichnode.dicom.dataset import header_dataset
from ichnode.inference.bundle import default_bundle_path
from ichnode.inference.engine import Engine
from ichnode.reporting.facts import Answer, DeviceFacts, ReportIdentity
from ichnode.reporting.formats import FORMATS
from ichnode.steps.explain import explain
from ichnode.steps.interpret import interpret, with_heat
from ichnode.steps.report import model_facts

from .record import Record, median

SLICES = 34
GOAL_S, GOAL_BYTES = 1.0, 10_000_000
_BLEEDS_ML = {"intraparenchymal": 30.0, "intraventricular": 8.0}
_COMMAND = "python -m benchmarks documents"


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure each format, and all together against the goal."""
    engine = Engine.load(default_bundle_path())
    engine.warm()
    series = folder / "documents"
    write_dicom(make_head(22, tuple(_BLEEDS_ML), slices=SLICES, volumes_ml=_BLEEDS_ML), series)
    explain_s: list[float] = []
    made_s: dict[str, list[float]] = {name: [] for name in FORMATS}
    sizes: dict[str, int] = {}
    all_s: list[float] = []
    for turn in range(rounds + 1):  # the first is thrown away: imports, fonts, first use of memory
        answer, explained = _answer(engine, series)
        took, all_began = {}, time.perf_counter()
        for name in FORMATS:
            began = time.thread_time()
            sizes[name] = len(_made(answer, name))
            took[name] = time.thread_time() - began
        all_took = time.perf_counter() - all_began
        if turn:
            all_s.append(all_took)
            explain_s.append(explained)
            for name, seconds in took.items():
                made_s[name].append(seconds)
            say(f"round {turn}: heat maps {explained:.2f} s, all objects {all_took:.2f} s")
    maps = len(answer.images.heat) if answer.images else 0
    return _records(explain_s, made_s, all_s, sizes, f"{SLICES} slices of 512 x 512, positive, {maps} heat maps")


def _answer(engine: Engine, series: Path) -> tuple[Answer, float]:
    """Read the series, and return its answer and the seconds that the heat maps took."""
    (explained,) = explain(series, SelectionPolicy()).series
    read = with_heat(engine, interpret(engine, explained.look, explained.files))
    if read.outcome.verdict is not Verdict.POSITIVE:
        raise RuntimeError("the shipped model finds nothing in the head of this benchmark: choose another head")
    answer = Answer(
        header=header_dataset(explained.files[0]),
        evidence=tuple((s.sop_class_uid, s.sop_instance_uid) for s in explained.look.slices),
        outcome=read.outcome,
        model=model_facts(engine.bundle),
        device=DeviceFacts(
            observer_uid=derived_uid("device", "benchmark"), name="ICHAI", model="ichnode", serial="benchmark",
            software_version="0", station_aet="ICHAI",
        ),
        images=read.images,
    )  # fmt: skip
    return answer, read.seconds["explain"]


def _made(answer: Answer, name: str) -> bytes:
    form = FORMATS[name]
    identity = ReportIdentity(
        derived_uid(name, "benchmark"), derived_uid(f"{name}-series", "benchmark"), form.series_number, 1,
        datetime(2026, 1, 1, tzinfo=UTC), 1,
    )  # fmt: skip
    content = form.build(answer, identity, [])
    if content is None:
        raise RuntimeError(f"a positive answer with heat maps has nothing to say as {name}")
    return content


def _records(
    explain_s: list[float], made_s: dict[str, list[float]], all_s: list[float], sizes: dict[str, int], note: str
) -> list[Record]:  # fmt: skip
    cpu_s = [sum(seconds) for seconds in zip(*made_s.values(), strict=True)]
    all_bytes = sum(sizes.values())
    of_goal = {"ratio": round(median("", all_s, "s", "").value / GOAL_S, 2), "against": f"goal: {GOAL_S:g} s"}
    of_size = {"ratio": round(all_bytes / GOAL_BYTES, 2), "against": f"goal: {GOAL_BYTES / 1e6:g} MB"}
    return [
        median("documents.heat-maps", explain_s, "s", _COMMAND, note=note),
        *(
            median(f"documents.{name}.processor-time", seconds, "s", _COMMAND, note=note)
            for name, seconds in made_s.items()
        ),
        *(median(f"documents.{name}.size", [size / 1e6], "MB", _COMMAND, note=note) for name, size in sizes.items()),
        median("documents.all.time", all_s, "s", _COMMAND, note=note, **of_goal),
        median("documents.all.processor-time", cpu_s, "s", _COMMAND, note=note),
        median("documents.all.size", [all_bytes / 1e6], "MB", _COMMAND, note=note, **of_size),
    ]
