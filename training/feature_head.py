"""Retraining of what lies behind the CNN, on kept features, with labels of scans and, where there are any, of slices.

Minutes on a CPU. The shape is that of Wu et al. (Radiology: AI 2024): a network that knows single slices learns from
report labels of another hospital's scans. What is not known (nan) teaches nothing.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ichnode.core.findings import CLASSES
from ichnode.inference.network import CnnLstm

from .local_data import Seen, by_patient, labels_of, scan_scores
from .recipe import CLASS_WEIGHTS


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """The numbers of a run.

    Attributes
    ----------
    epochs, batch : int
        Passes over the scans, and scans a step; at least `least_steps` steps are made.
    rate : float
        Peak of the learning rate (AdamW; linear warm-up over the first tenth, then a cosine to 0).
    closeness : float
        Weight of the squared distance to the weights from which it starts: little data move little.
    slice_weight : float
        Weight of the labels of slices beside those of scans.
    noise, dropout : float
        Of the features, in units of their own spread; share that is set to their mean.
    averaging : float
        Decay of the running average of the weights, which is what is kept.
    """

    epochs: int = 30
    least_steps: int = 150
    batch: int = 16
    rate: float = 1e-3
    closeness: float = 1e-3
    slice_weight: float = 0.5
    noise: float = 0.05
    dropout: float = 0.05
    averaging: float = 0.95
    folds: int = 4


def train_head(
    start: CnnLstm, seen: Sequence[Seen], recipe: HeadRecipe, seed: int, told: Callable[[int, int], None]
) -> CnnLstm:
    """Return a copy of `start` whose LSTM and heads have learned from the scans; its CNN is untouched."""
    rng = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = copy.deepcopy(start).train()
    network.cnn.eval().requires_grad_(False)
    spread, mean = torch.std_mean(torch.cat([view for one in seen for view in one.views]), 0)
    spread = spread.clamp(min=1e-6)
    seen = [replace(one, views=tuple((view - mean) / spread for view in one.views)) for one in seen]
    _take_standardised(network, spread, mean)
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    anchors = [parameter.detach().clone() for parameter in learning]
    averages = [parameter.detach().clone() for parameter in learning]  # of what learns alone: the CNN is large
    optimiser = torch.optim.AdamW(learning, lr=recipe.rate, weight_decay=0.0)
    steps = max(recipe.least_steps, recipe.epochs * math.ceil(len(seen) / recipe.batch))
    for step in range(steps):
        chosen = balanced(seen, recipe.batch, rng)
        optimiser.param_groups[0]["lr"] = recipe.rate * schedule(step, steps)
        optimiser.zero_grad()
        loss = _loss(network, chosen, recipe, rng)
        drift = torch.stack([(p - anchor).square().sum() for p, anchor in zip(learning, anchors, strict=True)]).sum()
        (loss + recipe.closeness * drift).backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimiser.step()
        with torch.no_grad():
            for average, parameter in zip(averages, learning, strict=True):
                average.lerp_(parameter, 1 - recipe.averaging)
        told(step + 1, steps)
    with torch.no_grad():
        for average, parameter in zip(averages, learning, strict=True):
            parameter.copy_(average)
    _take_standardised(network, 1 / spread, -mean / spread)
    return network.eval()


def out_of_fold(
    start: CnnLstm, seen: Sequence[Seen], recipe: HeadRecipe, seed: int, told: Callable[[int, int], None]
) -> NDArray[np.float32]:
    """Return scan scores, shape (scans, 6), each from a network that has not seen the patient."""
    scores = np.zeros((len(seen), len(CLASSES)), np.float32)
    for fold, held in enumerate(folds_of(seen, recipe.folds, seed)):
        rest = [one for index, one in enumerate(seen) if index not in held]

        def told_of_fold(done: int, of: int, fold: int = fold) -> None:
            told(fold * of + done, recipe.folds * of)

        network = train_head(start, rest, recipe, seed + fold + 1, told_of_fold)
        scores[sorted(held)] = scan_scores(network, [seen[index] for index in sorted(held)])
    return scores


def folds_of(seen: Sequence[Seen], count: int, seed: int) -> list[set[int]]:
    """Deal the patients out, those with haemorrhage and those without; return the indices of each fold's scans."""
    patients = [indices for _, indices in by_patient(seen)]
    bleeds = [bool((labels_of([seen[i] for i in indices])[:, 0] == 1).any()) for indices in patients]
    order = np.random.default_rng(seed).permutation(len(patients))
    ranked = sorted(order.tolist(), key=lambda place: bleeds[place])
    return [{index for place in ranked[fold::count] for index in patients[place]} for fold in range(count)]


def balanced(seen: Sequence[Seen], count: int, rng: torch.Generator) -> list[Seen]:
    """Draw scans, half of them with haemorrhage: at a hospital's prevalence few batches would hold any."""
    groups = [[one for one in seen if bool(one.scan.labels[0] == 1) is kind] for kind in (True, False)]
    groups = [group for group in groups if group]
    drawn = []
    for place in range(count):
        group = groups[place % len(groups)]
        drawn.append(group[int(torch.randint(len(group), (), generator=rng))])
    return drawn


def _loss(network: CnnLstm, seen: Sequence[Seen], recipe: HeadRecipe, rng: torch.Generator) -> Tensor:
    lengths = [len(one.slab_labels) for one in seen]
    views = [one.views[int(torch.randint(len(one.views), (), generator=rng))] for one in seen]
    features = torch.cat(views)
    features = features + recipe.noise * torch.randn(features.shape, generator=rng)
    features = features * (torch.rand(features.shape, generator=rng) >= recipe.dropout)
    truth, slabs = torch.from_numpy(labels_of(seen)), torch.cat([one.slab_labels for one in seen])
    return scan_loss(network, features, lengths, truth, slabs, recipe.slice_weight)


def scan_loss(
    network: CnnLstm, features: Tensor, lengths: list[int], truth: Tensor, slabs: Tensor, slice_weight: float
) -> Tensor:
    """Return the loss of what a network makes of features.

    Parameters
    ----------
    features : tensor of shape (slabs, features), scans one after the other
    truth : tensor of shape (scans, 6), `slabs` : tensor of shape (slabs, 6)
        nan where it is not known.
    """
    slices, pooled = network.read_scans(features, lengths)
    highest = torch.stack([part.amax(0) for part in slices.split(lengths)])  # what the node takes for the scan
    loss = _known(highest, truth) + slice_weight * _known(slices, slabs)
    return loss if network.attention is None else loss + _known(pooled, truth)


def _known(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean loss over what is known, `any` counted twice."""
    weights = torch.tensor(CLASS_WEIGHTS, device=logits.device).expand_as(logits) * ~truth.isnan()
    losses = functional.binary_cross_entropy_with_logits(logits, truth.nan_to_num(0), reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=1)


def _take_standardised(network: CnnLstm, spread: Tensor, mean: Tensor) -> None:
    """Let a network say of (x - mean) / spread what it said of x: how large a CNN's features are must not matter."""
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


def schedule(step: int, steps: int) -> float:
    """Return the share of the peak rate: linear warm-up over the first tenth, then a cosine to 0."""
    rise = min(1.0, (step + 1) / max(1, steps // 10))
    return rise * 0.5 * (1 + math.cos(math.pi * step / steps))
