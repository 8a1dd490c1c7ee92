"""The second teacher: outlines read from a pyramid of feature maps; and the device that a run is given."""

from __future__ import annotations

import torch
from ichnode_training.outlines import Outlines
from ichnode_training.processes import processes
from ichnode_training.stages import frozen_part, learning_part
from torch.nn import functional

from ichnode.inference.bundle import Architecture
from ichnode.inference.network import CnnLstm


def test_fine_maps_learn_where_from_what_coarse_ones_see():
    """What lies in each quarter is known to the coarse map alone; the fine map's outline is asked for, and taught."""
    torch.manual_seed(0)
    outlines, fine = Outlines([2, 4]), torch.zeros(8, 2, 16, 16)
    coarse = torch.randn(8, 4, 8, 8)
    truth = (coarse[:, :1] > 0).float().repeat_interleave(2, 2).repeat_interleave(2, 3)
    optimiser = torch.optim.Adam(outlines.parameters(), 0.02)
    for _ in range(60):
        seen = outlines([fine, coarse])
        assert [one.shape for one in seen] == [(8, 1, 16, 16), (8, 1, 8, 8)]
        loss = functional.binary_cross_entropy_with_logits(seen[0], truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(((seen[0] > 0) == (truth > 0)).float().mean()) > 0.9


def test_the_learning_part_gives_the_maps_before_each_halving():
    cnn = CnnLstm.build(Architecture("tf_efficientnet_lite0", hidden=8)).cnn.eval()
    early = frozen_part(cnn, torch.zeros(1, 3, 64, 64), 2)
    assert [tuple(one.shape[1:]) for one in learning_part(cnn, early, 2)] == [
        (24, 16, 16), (40, 8, 8), (112, 4, 4), (1280, 2, 2),
    ]  # fmt: skip


def test_a_gpu_without_a_number_is_the_first(monkeypatch):
    """CUDA wants a number, people do not."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with processes("cuda") as here, processes("cuda:1") as other:
        assert (str(here.device), str(other.device)) == ("cuda:0", "cuda:1")
    assert [str(device) for device in chosen] == ["cuda:0", "cuda:1"]
