"""Small data sets of planes for runs from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ichnode_training.plane_writer import PlaneWriter
from ichnode_training.planes import Planes, Scan, open_planes

from ichnode.core.findings import CLASSES

RECIPE = """
start = "nothing"

[architecture]
backbone = "test_resnet"
hidden = 16
layers = 1

[preprocessing]
matrix = 32

[sampling]
length = 4
sequences = 3
groups = 2

[optimisation]
steps = 8
rate = 3e-3
head_rate = 3e-3
"""


def write_data(folder: Path, patients: int = 12, slices: int = 8, side: int = 32) -> Planes:
    """Write noisy discs, every other one with a bright ball in half of its slices, split by patient."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] - side / 2
    with PlaneWriter(folder, {"name": "discs", "licence": "none", "citation": "none"}) as writer:
        for patient in range(patients):
            hu = np.where(np.hypot(y, x) < 0.4 * side, 35, -1000) + rng.normal(0, 4, (slices, side, side))
            labels = np.zeros((slices, len(CLASSES)), np.float32)
            if patient % 2:
                at = rng.uniform(-0.2 * side, 0.2 * side, 2)
                hu[: slices // 2] += 35 * (np.hypot(y - at[0], x - at[1]) < 0.12 * side)
                labels[: slices // 2, :2] = 1
            name, names = str(patient), tuple(map(str, range(slices)))
            scan = Scan(name, name, name, names, (1.0, 1.0), np.arange(slices) * 5.0, labels, labels.max(axis=0))
            writer.add(scan, hu.astype(np.int16))
        writer.split({"train": 0.5, "validation": 0.25, "test": 0.25})
    return open_planes(folder)


def write_recipe(path: Path, text: str = RECIPE) -> str:
    """Write a recipe file and return its name."""
    path.write_text(text)
    return str(path)
