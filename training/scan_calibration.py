"""Calibration of scan scores: a slope and a shift of every class's logit, put into the weights of the heads.

A network that learns from as many scans with as without haemorrhage takes it for as frequent. Fitted on scores of
patients that the network had not seen (Platt scaling), so that 0.2 means one in five at this site.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ichnode.core.findings import CLASSES
from ichnode.inference.network import CnnLstm

LEAST = 8
"""Scans with and without a class below which its scores are left as they are."""
_PRIOR = 1.0
"""Weight, in scans, of the wish to keep the slope at 1."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Slope and shift of each class's logit, columns as `CLASSES`."""

    slope: NDArray[np.float64]
    shift: NDArray[np.float64]

    def apply(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated scores of shape (scans, 6)."""
        return np.asarray(1 / (1 + np.exp(-(self.slope * _logit(scores) + self.shift))), np.float32)

    def put_into(self, network: CnnLstm) -> None:
        """Change the heads of a network so that its logits come out calibrated."""
        slope = torch.from_numpy(self.slope).float()
        with torch.no_grad():
            for head in (network.head, network.slice_head):
                if head is not None:
                    head.weight.mul_(slope[:, None])
                    head.bias.mul_(slope)
            network.head.bias.add_(torch.from_numpy(self.shift).float())


def fit(held_out: NDArray[np.float32], labels: NDArray[np.float32]) -> Calibration:
    """Fit slope and shift of each class on scores of scans, shape (scans, 6); labels are nan where not known."""
    slope, shift = np.ones(len(CLASSES)), np.zeros(len(CLASSES))
    for column in range(len(CLASSES)):
        known = ~np.isnan(labels[:, column])
        truth = labels[known, column] == 1
        if min(truth.sum(), (~truth).sum()) >= LEAST:
            slope[column], shift[column] = _platt(_logit(held_out[known, column]), truth)
    return Calibration(slope, shift)


def _platt(logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float]:
    x, y = torch.from_numpy(logits), torch.from_numpy(truth.astype(np.float64))
    log_slope, shift = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    both = [log_slope.requires_grad_(), shift.requires_grad_()]
    optimiser = torch.optim.LBFGS(both, max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        likely = functional.binary_cross_entropy_with_logits(x * log_slope.exp() + shift, y, reduction="sum")
        value = likely + _PRIOR * log_slope.square()  # the order of scans stays: the slope is positive
        value.backward()
        return value

    optimiser.step(loss)
    return float(log_slope.detach().exp()), float(shift.detach())


def _logit(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    inside = np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))
