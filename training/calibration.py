"""Calibration: a slope, and where asked a shift, of every class's logit, put into the weights of the heads.

Slope alone is temperature scaling (Guo et al., ICML 2017). With a shift it is Platt's: a network that learns from as
many scans with as without haemorrhage takes it for as frequent; fitted on patients that it had not seen, 0.2 means one
in five at that site. A calibrated bundle is an ordinary one: the node knows nothing of it. Ranks, and with them AUC,
stay as they are for every class, but where a mirrored reading is averaged in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ichnode.core.findings import CLASSES
from ichnode.inference.network import CnnLstm

LEAST = 8
"""Known samples with and without a class below which its scores are left as they are."""
_PRIOR = 1.0
"""Weight, in samples, of the wish to keep the slope at 1."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Slope and shift of each class's logit, float64 tensors of shape (6,)."""

    slope: Tensor
    shift: Tensor

    def apply(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated scores of shape (n, 6)."""
        calibrated: NDArray[np.float32] = torch.sigmoid(logits(scores) * self.slope + self.shift).float().numpy()
        return calibrated

    def put_into(self, network: CnnLstm) -> None:
        """Change the heads of a network so that its logits come out calibrated."""
        slope = self.slope.float()
        with torch.no_grad():
            for head in (network.head, network.slice_head):
                if head is not None:
                    head.weight.mul_(slope[:, None])
                    head.bias.mul_(slope)
            network.head.bias.add_(self.shift.float())


def fit(views: Tensor, labels: NDArray[np.float32], *, shifted: bool) -> Calibration:
    """Fit slope and shift of each class.

    Parameters
    ----------
    views : tensor of shape (views, n, 6)
        Logits; the score is the mean over the views of the sigmoid.
    labels : array of shape (n, 6)
        NaN where unknown.
    shifted : bool
        Fit a shift, too; else it is 0.
    """
    slope, shift = torch.ones(len(CLASSES), dtype=torch.float64), torch.zeros(len(CLASSES), dtype=torch.float64)
    for column in range(len(CLASSES)):
        known = np.isfinite(labels[:, column])
        truth = torch.from_numpy(labels[known, column]).double()
        if min(float(truth.sum()), float((1 - truth).sum())) >= LEAST:
            seen = views[:, torch.from_numpy(known), column].double()
            slope[column], shift[column] = _fit(seen, truth, shifted)
    return Calibration(slope, shift)


def logits(scores: NDArray[np.float32]) -> Tensor:
    """Return the logits of scores, float64."""
    return torch.logit(torch.from_numpy(scores).double(), eps=1e-6)


def _fit(views: Tensor, truth: Tensor, shifted: bool) -> tuple[float, float]:
    log_slope, shift = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    search = torch.optim.LBFGS([log_slope, *([shift] if shifted else [])], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        score = torch.sigmoid(views * log_slope.exp() + shift).mean(0).clamp(1e-7, 1 - 1e-7)
        likely = functional.binary_cross_entropy(score, truth, reduction="sum")
        loss: Tensor = likely + _PRIOR * log_slope.square()  # the order stays: the slope is positive
        loss.backward()
        return loss

    search.step(closure)
    return float(log_slope.detach().clamp(-3, 3).exp()), float(shift.detach())
