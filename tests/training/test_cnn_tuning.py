"""Fine-tuning of the whole network from labels of scans, with a tiny one on drawn heads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ichnode_training import cnn_tuning
from ichnode_training.cnn_tuning import CnnRecipe, fine_tune, tuned_scores
from ichnode_training.evaluation import auc
from ichnode_training.local_data import LocalScan, Seen, labels_of
from torch import nn

from ichnode.inference.bundle import Preprocessing
from ichnode.inference.network import CnnLstm
from ichnode.inference.preprocess import channels, prepare
from tests.labelled import PIXEL_MM, drawn_head

HOW = Preprocessing(matrix=48, field_of_view_mm=200.0)
SHORT = CnnRecipe(epochs=1, least_steps=6, batch=3, rate=1e-3, head_rate=2e-2, averaging=0.8, most_slabs=6)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def heads(monkeypatch):
    """Heads of eight slices; reading one again counts."""
    read = []

    def volume(scan):
        read.append(scan.key)
        return drawn_head(int(scan.key), int(scan.key) % 2 == 0)[6:14]

    monkeypatch.setattr(cnn_tuning, "volume_of", volume)
    return read


def head(number):
    labels = np.zeros(6, np.float32)
    labels[:2] = number % 2 == 0
    slabs = torch.full((8, 6), torch.nan) if number % 2 == 0 else torch.zeros((8, 6))
    positions = tuple(5.0 * index for index in range(8))
    scan = LocalScan(
        str(number), f"p{number}", "training", f"content{number}", ("",) * 8, (0,) * 8, positions,
        (PIXEL_MM, PIXEL_MM), labels, np.zeros((8, 6), np.float32),
    )  # fmt: skip
    return Seen(scan, (), slabs)


@pytest.fixture(scope="module")
def start():
    torch.manual_seed(5)
    network = CnnLstm("resnet10t", hidden=8, layers=1, slice_head=True).train()
    norms = [module for module in network.cnn.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0  # as after training: features of a spread of about 1
    with torch.no_grad():
        heads = [prepare(drawn_head(n, n % 2 == 0)[6:14], [5.0 * i for i in range(8)], (PIXEL_MM, PIXEL_MM), HOW).hu
                 for n in range(4)]  # fmt: skip
        network.cnn(channels(torch.cat(heads), HOW))
    return network.eval()


def test_it_learns_and_leaves_what_it_starts_from(start, heads, tmp_path):
    training, fresh = [head(number) for number in range(10)], [head(number) for number in range(50, 58)]
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    told = []
    tuned = fine_tune(start, training, HOW, tmp_path, SHORT, 0, "cpu", lambda *given: told.append(given))
    assert told[-1] == (6, 6)
    assert all(torch.equal(before[name], tensor) for name, tensor in start.state_dict().items())
    changed = {name for name, tensor in tuned.state_dict().items() if not torch.equal(before[name], tensor)}
    assert any(name.startswith("cnn.") for name in changed)
    assert not any("running_" in name for name in changed), "normalisation keeps its statistics"
    truth = labels_of(fresh)[:, 0] == 1
    assert auc(truth, tuned_scores(tuned, fresh, HOW, tmp_path)[:, 0]) > 0.9
    assert len(heads) == len(set(heads)), "every series was prepared once"
    step = replace(SHORT, epochs=0, least_steps=1)
    once, again = (fine_tune(start, training, HOW, tmp_path, step, 0, "cpu", lambda *_: None) for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(once.parameters(), again.parameters(), strict=True))
