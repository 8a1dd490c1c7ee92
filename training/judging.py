"""What a network in training says of whole scans, as the node's engine would read them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from ichnode.core.findings import CLASSES
from ichnode.inference.bundle import Bundle, Preprocessing
from ichnode.inference.network import CnnLstm, load_state
from ichnode.inference.preprocess import channels, with_neighbours

from .features import Features
from .grid import GridScan
from .shapes import repeated

_PIXELS = 4 * 512 * 512
"""In a micro-batch, about: bounds memory; small pictures cost more for being many than for being large."""


def logits_of(
    network: CnnLstm, scan: GridScan | Features, how: Preprocessing, shaped: bool | None = None
) -> Tensor:  # fmt: skip
    """Return the logits of every slab, of shape (views, slabs, 6); a second view where the scan is read mirrored.

    With `shaped`, by default on a GPU, the CNN sees batches of one shape only (`ichnode_training.shapes`).
    """
    device = network.head.weight.device
    shaped = device.type == "cuda" if shaped is None else shaped
    size = max(1, _PIXELS // how.matrix**2)
    if isinstance(scan, Features):
        with torch.inference_mode():
            views = torch.from_numpy(np.array(scan.views, np.float32)).to(device)
            return torch.stack([network.read(view, [len(view)]) for view in views]).cpu()
    hu = torch.from_numpy(np.array(scan.hu, np.float32))
    rows = with_neighbours(range(len(hu)), len(hu), how)
    read = []
    with torch.inference_mode():
        for mirror in (False, True) if how.mirrored else (False,):
            parts = []
            for some in rows.split(size):
                pictures = repeated(channels(hu[some].to(device), how), size if shaped else 0)
                parts.append(network.cnn(pictures.flip(-1) if mirror else pictures)[: len(some)])
            read.append(network.read(torch.cat(parts), [len(hu)]))
        return torch.stack(read).cpu()


def score(network: CnnLstm, scan: GridScan | Features, how: Preprocessing) -> NDArray[np.float32]:
    """Return the scores of every slab, shape (slabs, 6)."""
    scores: NDArray[np.float32] = torch.sigmoid(logits_of(network, scan, how)).mean(0).numpy()
    return scores


def scan_scores(network: CnnLstm, scans: Sequence[GridScan | Features], how: Preprocessing) -> NDArray[np.float32]:
    """Return the scores of scans as the node takes them, the highest slice's; shape (scans, 6)."""
    found = [score(network, scan, how).max(0) for scan in scans]
    return np.stack(found) if found else np.zeros((0, len(CLASSES)), np.float32)


def network_of(bundle: Bundle) -> CnnLstm:
    """Return a bundle's network in single precision, in evaluation mode, on the CPU."""
    network = CnnLstm.build(bundle.architecture)
    load_state(network, load_file(bundle.weights))
    return network.eval()
