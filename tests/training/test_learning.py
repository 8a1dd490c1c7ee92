"""A tiny network reaches an AUC on phantoms, and there the sequence beats single slices."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ichnode_training.__main__ import main
from ichnode_training.phantom import make_head
from ichnode_training.plane_writer import PlaneWriter
from ichnode_training.planes import Scan

from .small_data import write_recipe

HEADS, SLICES, SIDE = 64, 24, 64
TINY = """
start = "nothing"

[architecture]
backbone = "test_resnet"
hidden = 24
layers = 1

[preprocessing]
matrix = 64

[sampling]
length = 24
sequences = 4
groups = 1

[augmentation]
kind = "none"
per_slice = false
cutmix = "off"

[optimisation]
steps = 200
rate = 5e-3
head_rate = 5e-3
undecayed = "vectors"
eps = 1e-8
clip = 1.0
averaging = 0.9
judged = 100.0
"""


def write_heads(folder: Path) -> None:
    """Write phantoms small enough for two cores, every other one with a large, dense bleed; mimics as the seed says."""
    with PlaneWriter(folder, {"name": "phantoms", "licence": "none", "citation": "none"}) as writer:
        for seed in range(HEADS):
            kind = ("intraparenchymal", "subdural")[seed // 2 % 2]
            bleed = {kind: 50.0}, {kind: 70.0}
            volumes_ml, densities_hu = bleed if seed % 2 else (None, None)
            made = make_head(
                seed, (kind,) if seed % 2 else (), matrix=SIDE, slices=SLICES, thickness_mm=6.0,
                volumes_ml=volumes_ml, densities_hu=densities_hu,
            )  # fmt: skip
            labels, name = made.labels.astype(np.float32), str(seed)
            along = made.positions_mm[:, 2] - made.positions_mm[0, 2]
            names = tuple(map(str, range(SLICES)))
            scan = Scan(name, name, name, names, made.pixel_spacing_mm, along, labels, labels.max(axis=0))
            writer.add(scan, made.hu)
        writer.split({"train": 0.55, "validation": 0.1, "test": 0.35})


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_tiny_network_learns_and_the_sequence_beats_single_slices(tmp_path, capsys):
    write_heads(tmp_path / "planes")
    recipes = [
        write_recipe(tmp_path / "cnn-lstm.toml", TINY),
        write_recipe(tmp_path / "flat.toml", TINY.replace("layers = 1", "layers = 0")),
    ]
    data, out = str(tmp_path / "planes"), tmp_path / "out"
    assert main(["compare", "--data", data, "--out", str(out), "--recipes", *recipes, "--device", "cpu", "--threads",
                 "1"]) == 0  # fmt: skip
    found = {}
    for row in (out / "table.md").read_text().splitlines()[2:]:
        name, loss, auc, _ = (cell.strip() for cell in row.strip("|").split("|"))
        found[name] = (float(loss.split()[0]), float(auc.split()[0]))
    assert set(found) == {"cnn-lstm", "flat"}
    assert found["cnn-lstm"][1] >= 0.95
    assert found["cnn-lstm"][1] > found["flat"][1]
    assert found["cnn-lstm"][0] < found["flat"][0]
    capsys.readouterr()
    assert main(["scan-level", data, "--bundle", str(out / "cnn-lstm"), "--device", "cpu"]) == 0
    assert "| any | " in capsys.readouterr().out
