"""A tiny network reaches an AUC on small drawn heads, and there the sequence beats single slices.

A bleed goes through six adjacent slices; spots that look just like it stand in single slices of every head, with and
without a bleed. Who sees one slice cannot tell them apart.
"""

import numpy as np
import torch
from ichnode_training.__main__ import main
from ichnode_training.plane_writer import PlaneWriter
from ichnode_training.planes import Scan

from ichnode.core.findings import CLASSES

from .small_data import write_recipe

PATIENTS, SLICES, SIDE = 56, 16, 32
TINY = """
start = "nothing"

[architecture]
backbone = "test_resnet"
hidden = 24
layers = 1

[preprocessing]
matrix = 32

[sampling]
length = 16
sequences = 4
groups = 1

[augmentation]
kind = "none"
per_slice = false
cutmix = "off"

[optimisation]
steps = 120
rate = 5e-3
head_rate = 5e-3
undecayed = "vectors"
eps = 1e-8
clip = 1.0
averaging = 0.9
judged = 100.0
"""


def head(patient: int) -> tuple[np.ndarray, np.ndarray]:
    """HU and slice labels of one head; every other one bleeds."""
    rng = np.random.default_rng(patient)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    hu = np.where(np.hypot(y, x) < 0.42 * SIDE, 35, -1000) + rng.normal(0, 4, (SLICES, SIDE, SIDE))
    labels = np.zeros((SLICES, len(CLASSES)), np.float32)
    free = np.arange(SLICES)

    def spot(index: int, at: np.ndarray) -> None:
        hu[index] += 35 * (np.hypot(y - at[0], x - at[1]) < 0.14 * SIDE)

    if patient % 2:
        first, at = int(rng.integers(0, SLICES - 6)), rng.uniform(-0.2 * SIDE, 0.2 * SIDE, 2)
        for index in range(first, first + 6):
            spot(index, at)
        labels[first : first + 6, :2] = 1
        free = free[(free < first - 1) | (free > first + 6)]
    for index in rng.permutation(free)[:3]:
        spot(int(index), rng.uniform(-0.2 * SIDE, 0.2 * SIDE, 2))
    return hu.astype(np.int16), labels


def test_a_tiny_network_learns_and_the_sequence_beats_single_slices(tmp_path, capsys):
    with PlaneWriter(tmp_path / "planes", {"name": "spots", "licence": "none", "citation": "none"}) as writer:
        for patient in range(PATIENTS):
            hu, labels = head(patient)
            name, names = str(patient), tuple(map(str, range(SLICES)))
            scan = Scan(name, name, name, names, (1.0, 1.0), np.arange(SLICES) * 5.0, labels, labels.max(axis=0))
            writer.add(scan, hu)
        writer.split({"train": 0.5, "validation": 0.1, "test": 0.4})
    recipes = [
        write_recipe(tmp_path / "cnn-lstm.toml", TINY),
        write_recipe(tmp_path / "flat.toml", TINY.replace("layers = 1", "layers = 0")),
    ]
    data, out = str(tmp_path / "planes"), tmp_path / "out"
    threads = str(torch.get_num_threads())
    assert main(["compare", "--data", data, "--out", str(out), "--recipes", *recipes, "--device", "cpu", "--threads",
                 threads]) == 0  # fmt: skip
    found = {}
    for row in (out / "table.md").read_text().splitlines()[2:]:
        name, loss, auc, _ = (cell.strip() for cell in row.strip("|").split("|"))
        found[name] = (float(loss.split()[0]), float(auc.split()[0]))
    assert set(found) == {"cnn-lstm", "flat"}
    assert found["cnn-lstm"][1] >= 0.88
    assert found["cnn-lstm"][1] > found["flat"][1]
    assert found["cnn-lstm"][0] < found["flat"][0]
    capsys.readouterr()
    assert main(["scan-level", data, "--bundle", str(out / "cnn-lstm"), "--device", "cpu"]) == 0
    assert "| any | " in capsys.readouterr().out
