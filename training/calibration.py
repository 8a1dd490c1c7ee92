"""Calibration: a slope, and where asked a shift, of every class's logit, put into the weights of the heads.

Slope alone is temperature scaling (Guo et al., ICML 2017). With a shift it is Platt's: a network that learns from as
many scans with as without haemorrhage takes it for as frequent; fitted on patients that it had not seen, 0.2 means one
in five at that site. A calibrated bundle is an ordinary one: the node knows nothing of it. Ranks, and with them AUC,
stay as they are for every class, but where a mirrored reading is averaged in.

What is fitted is the score that the node gives (`Logits`): of each slice the mean of the scores of its readings, of a
scan its highest slice. A slope that were fitted on the logit of that mean, or on the highest of each reading, would be
another one: the mean of two sigmoids is none, and two readings need not be highest on the same slice.
"""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True, eq=False)
class Logits:
    """What a network says of some slices, or of some scans.

    Attributes
    ----------
    views : tensor of shape (views, slices, 6)
        Logits of every reading; a second one where slices are read mirrored as well.
    lengths : tuple of int or None
        Slices of each scan, one after the other, where scans are meant; None where slices are.
    """

    views: Tensor
    lengths: tuple[int, ...] | None = None

    @classmethod
    def of_slices(cls, scans: Sequence[Tensor]) -> Logits:
        """Take the slices of scans, each of shape (views, slices, 6), one by one."""
        return cls(torch.cat(list(scans), 1))

    @classmethod
    def of_scans(cls, scans: Sequence[Tensor]) -> Logits:
        """Take scans, each of shape (views, slices, 6), as wholes."""
        return cls(torch.cat(list(scans), 1), tuple(one.shape[1] for one in scans))

    def scores(self, calibration: Calibration | None = None) -> NDArray[np.float32]:
        """Return the node's scores, shape (slices, 6) or (scans, 6)."""
        slope, shift = (1.0, 0.0) if calibration is None else (calibration.slope, calibration.shift)
        found: NDArray[np.float32] = self.combined(self.views.double() * slope + shift).float().numpy()
        return found

    def combined(self, views: Tensor) -> Tensor:
        """Return the scores that logits of shape (views, slices, ...) make, of slices or of scans."""
        scores = torch.sigmoid(views).mean(0)
        if self.lengths is None:
            return scores
        scan = torch.repeat_interleave(torch.arange(len(self.lengths)), torch.tensor(self.lengths))
        highest = scores.new_zeros((len(self.lengths), *scores.shape[1:]))
        place = scan.reshape(-1, *(1,) * (scores.ndim - 1)).expand_as(scores)
        return highest.scatter_reduce(0, place, scores, "amax", include_self=False)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Slope and shift of each class's logit, float64 tensors of shape (6,)."""

    slope: Tensor
    shift: Tensor

    def put_into(self, network: CnnLstm) -> None:
        """Change the heads of a network so that its logits come out calibrated."""
        slope = self.slope.float()
        with torch.no_grad():
            for head in (network.head, network.slice_head):
                if head is not None:
                    head.weight.mul_(slope[:, None])
                    head.bias.mul_(slope)
            network.head.bias.add_(self.shift.float())


def fit(said: Logits, labels: NDArray[np.float32], *, shifted: bool) -> Calibration:
    """Fit slope and shift of each class to the scores that the node gives.

    Parameters
    ----------
    said : Logits
    labels : array of shape (n, 6)
        Of the slices or the scans; NaN where unknown.
    shifted : bool
        Fit a shift, too; else it is 0.
    """
    slope, shift = torch.ones(len(CLASSES), dtype=torch.float64), torch.zeros(len(CLASSES), dtype=torch.float64)
    for column in range(len(CLASSES)):
        known = torch.from_numpy(np.isfinite(labels[:, column]))
        truth = torch.from_numpy(labels[:, column]).double()[known]
        if min(float(truth.sum()), float((1 - truth).sum())) >= LEAST:
            slope[column], shift[column] = _fit(said, column, known, truth, shifted)
    return Calibration(slope, shift)


def _fit(said: Logits, column: int, known: Tensor, truth: Tensor, shifted: bool) -> tuple[float, float]:
    views = said.views[..., column].double()
    log_slope, shift = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    search = torch.optim.LBFGS([log_slope, *([shift] if shifted else [])], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        score = said.combined(views * log_slope.exp() + shift)[known].clamp(1e-7, 1 - 1e-7)
        likely = functional.binary_cross_entropy(score, truth, reduction="sum")
        loss: Tensor = likely + _PRIOR * log_slope.square()  # the order stays: the slope is positive
        loss.backward()
        return loss

    search.step(closure)
    return float(log_slope.detach().clamp(-3, 3).exp()), float(shift.detach())
