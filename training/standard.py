"""Features brought to mean 0 and spread 1 for training: how large a CNN's features are must not matter to its head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ichnode.inference.network import CnnLstm

from .kept import Array

_LEAST = 0.01
"""Least spread of a feature, as a share of the median one's."""


class Viewed(Protocol):
    """What has features: `ichnode_training.features.Features`."""

    @property
    def views(self) -> Array:
        """Array of shape (views, slabs, features)."""


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """Mean and spread of each feature over some scans, tensors of shape (features,)."""

    mean: Tensor
    spread: Tensor

    @classmethod
    def over(cls, scans: Sequence[Viewed]) -> Standard:
        """Measure all views of the scans, one after the other: they need not fit into memory together."""
        count, total, squares = 0, 0.0, 0.0
        for scan in scans:
            rows = np.array(scan.views, np.float64).reshape(-1, scan.views.shape[-1])
            count, total, squares = count + len(rows), total + rows.sum(0), squares + (rows**2).sum(0)
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
        # A feature that hardly moves says nothing: blown up, its weights would be too large for any precision.
        spread = spread.clip(max(1e-6, _LEAST * float(np.median(spread))))
        return cls(torch.from_numpy(np.asarray(mean, np.float32)), torch.from_numpy(np.asarray(spread, np.float32)))

    def of(self, features: Tensor) -> Tensor:
        """Return features of shape (slabs, features) at mean 0 and spread 1."""
        return (features - self.mean) / self.spread

    def put_into(self, network: CnnLstm) -> None:
        """Let a network say of standardised features what it said of them as they are."""
        _rescale(network, self.spread, self.mean)

    def take_out_of(self, network: CnnLstm) -> None:
        """Undo `put_into`."""
        _rescale(network, 1 / self.spread, -self.mean / self.spread)


def _rescale(network: CnnLstm, spread: Tensor, mean: Tensor) -> None:
    layers: list[tuple[Tensor, Tensor]] = []
    if network.lstm is not None:
        for way in ("", "_reverse"):
            layers.append((getattr(network.lstm, f"weight_ih_l0{way}"), getattr(network.lstm, f"bias_ih_l0{way}")))
    else:
        layers.append((network.head.weight, network.head.bias))
    if network.slice_head is not None:
        layers.append((network.slice_head.weight, network.slice_head.bias))
    if network.lstm is None and network.attention is not None:
        layers.append((network.attention.weight, network.attention.bias))
    with torch.no_grad():
        for weight, bias in layers:
            bias.add_(weight[:, : len(mean)] @ mean)  # differences to neighbours, behind the features, have no mean
            weight.mul_(spread.repeat(weight.shape[1] // len(spread)))
