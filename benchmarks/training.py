"""Training slices a second on the paper's recipe: eager, compiled, on the CPU and on a GPU where there is one.

The authors' logs: 41 minutes for an epoch of 195,300 slices with ResNet-50, 163 with SE-ResNeXt-50, on one GPU that
they do not name: about 80 and 20 slices a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from shutil import which

import numpy as np
import torch
from ichnode_training.grid import GridScan
from ichnode_training.loop import Setting, train
from ichnode_training.pictures import Pictures
from ichnode_training.processes import Processes
from ichnode_training.recipe_file import changed, read_recipe

from .record import Record, median

AUTHORS = {"paper-resnet50": 80.0, "paper-seresnext50": 20.0}


def measure(scratch: Path, rounds: int, say: Callable[[str], None]) -> Iterator[Record]:
    """Train a few steps on drawn scans and time all but the first; each figure is there as soon as it is measured.

    The GPU comes first: its figures take seconds, those of a CPU minutes.
    """
    if torch.cuda.is_available():
        yield from _measured("cuda:0", False, rounds, say)
        yield from measure_compiled(scratch, rounds, say, "cuda:0")
    yield from _measured("cpu", False, rounds, say)


def measure_compiled(scratch: Path, rounds: int, say: Callable[[str], None], device: str = "cpu") -> Iterator[Record]:
    """Measure the same compiled, which takes a minute a network; left out without the C++ compiler that it needs."""
    if any(map(which, (os.environ.get("CXX", "g++"), "clang++"))):
        yield from _measured(device, True, rounds, say)
    else:
        say("training, compiled: left out, there is no C++ compiler")


def _measured(device: str, compiled: bool, rounds: int, say: Callable[[str], None]) -> Iterator[Record]:
    way = "compiled" if compiled else "eager"
    for name, theirs in AUTHORS.items():
        say(f"training: {name} on {device}, {way}")
        yield _record(name, device, way, _speeds(name, device, compiled, rounds), theirs)


def _record(name: str, device: str, way: str, speeds: list[float], theirs: float) -> Record:
    ratio = float(np.median(speeds)) / theirs
    return median(
        f"training.{name}.{device.partition(':')[0]}.{way}", speeds, "slices/s",
        f"python -m benchmarks training{'-compiled' if (device, way) == ('cpu', 'compiled') else ''}",
        ratio=round(ratio, 3), against=f"the authors' logs, {theirs:g} slices/s on one unnamed GPU",
        note="whole steps of the paper's recipe at 512 x 512, augmentation and CutMix included",
    )  # fmt: skip


def _speeds(name: str, device: str, compiled: bool, rounds: int) -> list[float]:
    """Time single steps after two that warm up; on a CPU with one sequence a group, or a step would take minutes."""
    sequences = 1 if device == "cpu" else 5
    steps = 2 + rounds
    recipe = changed(
        read_recipe(name),
        {
            "start": "nothing", "precision": "auto", "sampling.sequences": sequences, "sampling.groups": 1,
            "optimisation.steps": steps,
        },
    )  # fmt: skip
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 1000, (12, 512, 512)).astype(np.int16)
    labels = np.zeros((12, 6), np.float32)
    scans = [GridScan(str(number), hu, labels, labels[0], None) for number in range(8)]
    ends: list[float] = []

    def tell(*_told: object) -> None:
        if device != "cpu":
            torch.cuda.synchronize()
        ends.append(time.perf_counter())

    setting = Setting(Processes(device=torch.device(device)), compiled, tell=tell)
    train(Pictures(scans, recipe, 0), recipe, steps, 0, setting=setting)
    slices = sequences * recipe.sampling.length
    return [slices / (after - before) for before, after in pairwise(ends[1:])]
