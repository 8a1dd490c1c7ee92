"""A tiny network on phantoms: it reaches an AUC, and the sequence is worth something."""

from pathlib import Path

import numpy as np
import pytest
from ichnode_training.__main__ import main
from ichnode_training.phantom import make_head
from ichnode_training.plane_writer import PlaneWriter
from ichnode_training.planes import Scan
from ichnode_training.scan_level import Forest, described, highest

from ichnode.core.findings import CLASSES

from .small_data import write_recipe

HEADS = 24
NOISE_HU = 22.0
"""More than any scanner's: a single slice no longer tells, its neighbours do."""
TINY = """
start = "nothing"

[architecture]
backbone = "test_resnet"
hidden = 24
layers = 1

[preprocessing]
matrix = 48

[sampling]
length = 10
sequences = 5
groups = 1

[augmentation]
kind = "head"
per_slice = false
cutmix = "off"

[optimisation]
steps = 60
rate = 4e-3
head_rate = 4e-3
undecayed = "vectors"
eps = 1e-8
clip = 1.0
averaging = 0.9
judged = 100.0
"""


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    """Heads with and without blood in the parenchyma, noisy, on a coarse matrix."""
    folder = tmp_path_factory.mktemp("phantoms")
    kind = "intraparenchymal"
    with PlaneWriter(folder, {"name": "phantoms", "licence": "none", "citation": "none"}) as writer:
        for seed in range(HEADS):
            bleeds = seed % 2 == 1
            made = make_head(seed, (kind,) if bleeds else (), matrix=48, volumes_ml={kind: 14.0} if bleeds else {})
            rng = np.random.default_rng(seed)
            hu = np.clip(made.hu + rng.normal(0, NOISE_HU, made.hu.shape), -1024, 3071).astype(np.int16)
            labels = np.zeros((len(hu), len(CLASSES)), np.float32)
            if bleeds:
                labels[made.masks[kind].sum((1, 2)) >= 3, :2] = 1
            name, names = str(seed), tuple(map(str, range(len(hu))))
            along = np.arange(len(hu)) * made.protocol.spacing_mm
            spacing = made.pixel_spacing_mm
            writer.add(Scan(name, name, name, names, spacing, along, labels, labels.max(axis=0)), hu)
        writer.split({"train": 0.6, "validation": 0.1, "test": 0.3})
    return folder


@pytest.mark.slow
def test_a_tiny_network_learns_and_the_sequence_beats_single_slices(phantoms, tmp_path, capsys):
    with_lstm = write_recipe(tmp_path / "cnn-lstm.toml", TINY)
    without = write_recipe(tmp_path / "flat.toml", TINY.replace("layers = 1", "layers = 0"))
    arguments = ["--recipes", with_lstm, without, "--device", "cpu"]
    assert main(["compare", "--data", str(phantoms), "--out", str(tmp_path / "out"), *arguments]) == 0
    rows = (tmp_path / "out" / "table.md").read_text().splitlines()[2:]
    names, losses, aucs = [], [], []
    for row in rows:
        name, loss, auc, _ = (cell.strip() for cell in row.strip("|").split("|"))
        names.append(name)
        losses.append(float(loss.split()[0]))
        aucs.append(float(auc.split()[0]))
    assert names == ["cnn-lstm", "flat"]
    assert aucs[0] >= 0.9
    assert aucs[0] > aucs[1] and losses[0] < losses[1]
    capsys.readouterr()
    bundle = str(tmp_path / "out" / "cnn-lstm")
    assert main(["scan-level", str(phantoms), "--bundle", bundle, "--device", "cpu"]) == 0
    assert "| any | " in capsys.readouterr().out


def test_a_forest_reads_scans_of_any_length_by_how_their_slices_score():
    rng = np.random.default_rng(0)
    labels = np.full((60, 6), np.nan, np.float32)
    labels[:, 0] = np.arange(60) % 2
    labels[:, 1] = 0
    scans = []
    for bleeds in labels[:, 0]:
        scores = rng.uniform(0, 0.4, (int(rng.integers(12, 40)), 6)).astype(np.float32)
        scores[int(rng.integers(len(scores))), 0] = 0.95  # one bright artefact in every scan: the maximum sees nothing
        if bleeds:
            scores[3:8, 0] = rng.uniform(0.5, 0.8, 5)
        scans.append(scores)
    found = Forest(scans[:40], labels[:40])(scans[40:])
    truth = labels[40:, 0] > 0
    assert found[truth, 0].min() > found[~truth, 0].max()
    np.testing.assert_array_equal(found[:, 1:], highest(scans[40:])[:, 1:])
    assert described(scans[0]).shape == described(scans[1][:3]).shape
