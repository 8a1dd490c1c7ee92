"""What a network in training says of whole scans, as the node's engine would read them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ichnode.inference.bundle import Preprocessing
from ichnode.inference.network import CnnLstm
from ichnode.inference.preprocess import channels, with_neighbours

from .grid import GridScan
from .recipe import CLASS_WEIGHTS

_PIXELS = 4 * 512 * 512
"""In a micro-batch, about: bounds memory; small pictures cost more for being many than for being large."""


def logits_of(network: CnnLstm, scan: GridScan, how: Preprocessing) -> Tensor:
    """Return the logits of every slab, of shape (views, slabs, 6); a second view where the scan is read mirrored."""
    device = network.head.weight.device
    hu = torch.from_numpy(np.array(scan.hu, np.float32))
    rows = with_neighbours(range(len(hu)), len(hu), how)
    read = []
    with torch.inference_mode():
        for mirror in (False, True) if how.mirrored else (False,):
            parts = []
            for some in rows.split(max(1, _PIXELS // how.matrix**2)):
                pictures = channels(hu[some].to(device), how)
                parts.append(network.cnn(pictures.flip(-1) if mirror else pictures))
            read.append(network.read(torch.cat(parts), [len(hu)]))
        return torch.stack(read).cpu()


def score(network: CnnLstm, scan: GridScan, how: Preprocessing) -> NDArray[np.float32]:
    """Return the scores of every slab, shape (slabs, 6)."""
    scores: NDArray[np.float32] = torch.sigmoid(logits_of(network, scan, how)).mean(0).numpy()
    return scores


def weighted_log_loss(logits: Sequence[Tensor], labels: Sequence[NDArray[np.float32]]) -> float:
    """Return the competition's loss over all known labels: `any` counts twice, divided by the sum of the weights.

    Parameters
    ----------
    logits : sequence of tensors of shape (views, slabs, 6)
    labels : sequence of arrays of shape (slabs, 6)
        NaN where unknown.
    """
    truth = torch.from_numpy(np.concatenate(labels))
    scores = torch.cat([torch.sigmoid(one.double()).mean(0) for one in logits]).clamp(1e-15, 1 - 1e-15)
    known = truth.isfinite()
    each = functional.binary_cross_entropy(scores, truth.nan_to_num().double(), reduction="none")
    weights = torch.tensor(CLASS_WEIGHTS).double() * known
    return float((each * weights).sum() / weights.sum())
