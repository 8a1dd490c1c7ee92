"""The training loop: CNN and LSTM end to end on short sequences, with the experts' outlines as a second teacher.

Several networks that differ only in the patients they may see learn in step: drawing, varying and the frozen early
stages of the CNN are done once for all of them. That makes a cross-validation and the final network together cost less
than half of what they cost one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ichnode.inference.network import CnnLstm
from ichnode.inference.preprocess import channels

from .backbone import imagenet_lite0
from .heads import Head
from .recipe import CLASS_WEIGHTS, Recipe
from .sampling import Batch, Sampler
from .stages import frozen_part, learning_part


def train(
    heads: Sequence[Head],
    recipe: Recipe,
    held_out: Sequence[frozenset[str]],
    seed: int,
    tell: Callable[[int, float], None],
) -> list[CnnLstm]:
    """Train one network for each entry of `held_out` and return their averaged weights, in evaluation mode.

    Parameters
    ----------
    heads : sequence of Head
        Cut out with the recipe's own preprocessing.
    recipe : Recipe
    held_out : sequence of frozenset of str
        Patients each network never sees, neither as a head nor as the donor of a bleed; an empty set for a network
        that may see all.
    seed : int
        Start of every random draw: weights, order, augmentation.
    tell : callable
        Called after each step with (step, mean loss of the networks).
    """
    torch.manual_seed(seed)
    first = CnnLstm.build(recipe.architecture)
    if recipe.imagenet:
        first.cnn.load_state_dict(imagenet_lite0(first.cnn))
    shared = first.cnn.eval().to(memory_format=torch.channels_last)
    start = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    learners = [_Learner(recipe, start, patients) for patients in held_out]
    sampler = Sampler(heads, recipe.mixture, seed)
    for step in range(recipe.steps):
        batch = sampler.batch(recipe.sequences)
        pictures = channels(batch.hu, recipe.preprocessing).contiguous(memory_format=torch.channels_last)
        early = frozen_part(shared, pictures, recipe.frozen_stages)
        losses = [learner.step(batch, early, _schedule(step, recipe)) for learner in learners]
        seen = [loss for loss in losses if loss is not None]
        tell(step, sum(seen) / max(1, len(seen)))
    return [learner.result() for learner in learners]


class _Learner:
    """One network with its optimiser, its running average and the patients it must not see."""

    def __init__(self, recipe: Recipe, start: dict[str, Tensor], held_out: frozenset[str]) -> None:
        self._recipe, self._held_out = recipe, held_out
        self._network = CnnLstm.build(recipe.architecture)
        self._network.load_state_dict(start)
        self._network.to(memory_format=torch.channels_last).train()
        for name, parameter in self._network.cnn.named_parameters():
            parameter.requires_grad_(not name.startswith(_frozen_names(recipe)))
        with torch.no_grad():
            side = recipe.preprocessing.matrix
            early = frozen_part(self._network.cnn, torch.zeros(2, 3, side, side), recipe.frozen_stages)
            widths = [maps.shape[1] for maps in learning_part(self._network.cnn, early, recipe.frozen_stages)]
        self._network.load_state_dict(start)  # the look at the widths has moved running statistics
        self._outlines = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths)
        self._averaged = AveragedModel(
            self._network, multi_avg_fn=get_ema_multi_avg_fn(recipe.averaging), use_buffers=True
        )
        self._optimiser = torch.optim.AdamW(list(self._groups()), fused=True)
        self._peaks = [group["lr"] for group in self._optimiser.param_groups]

    def step(self, batch: Batch, early: Tensor, rate: float) -> float | None:
        """Learn from the sequences of the batch that may be seen; None when there is none."""
        allowed = [not (sources & self._held_out) for sources in batch.sources]
        if not any(allowed):
            return None
        rows = torch.repeat_interleave(torch.tensor(allowed), torch.tensor(batch.lengths))
        lengths = [length for length, may in zip(batch.lengths, allowed, strict=True) if may]
        loss = self._loss(early[rows], lengths, batch.labels[rows], batch.blood[rows], batch.outlined[rows])
        for group, peak in zip(self._optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * rate
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in self._network.parameters() if p.grad is not None], 1.0)
        self._optimiser.step()
        self._averaged.update_parameters(self._network)
        return float(loss.detach())

    def result(self) -> CnnLstm:
        """Return the network with its averaged weights."""
        self._network.load_state_dict(self._averaged.module.state_dict())
        return self._network.eval()

    def _loss(self, early: Tensor, lengths: list[int], labels: Tensor, blood: Tensor, outlined: Tensor) -> Tensor:
        recipe, network = self._recipe, self._network
        maps = learning_part(network.cnn, early, recipe.frozen_stages)
        features: Tensor = network.cnn.forward_head(maps[-1])
        weights = torch.tensor(CLASS_WEIGHTS)
        loss = functional.binary_cross_entropy_with_logits(network.read(features, lengths), labels, weight=weights)
        if network.slice_head is not None:
            alone = functional.binary_cross_entropy_with_logits(network.slice_head(features), labels, weight=weights)
            loss = loss + recipe.slice_weight * alone
        for layer, outline in zip(maps, self._outlines, strict=True):
            seen = functional.adaptive_max_pool2d(blood[:, None], layer.shape[-2:])
            cells = functional.binary_cross_entropy_with_logits(outline(layer), seen, reduction="none").mean((1, 2, 3))
            loss = loss + recipe.outline_weight * (cells * outlined).sum() / outlined.sum().clamp(min=1)
        return loss

    def _groups(self) -> Iterator[dict[str, object]]:
        """Yield parameter groups: no weight decay on biases and normalisation."""
        recipe, network = self._recipe, self._network
        fresh = [
            parameter
            for part in (network.lstm, network.head, network.slice_head, self._outlines)
            if part is not None
            for parameter in part.parameters()
        ]
        for parameters, rate in ((list(network.cnn.parameters()), recipe.rate), (fresh, recipe.head_rate)):
            live = [p for p in parameters if p.requires_grad]
            yield {"params": [p for p in live if p.ndim > 1], "lr": rate, "weight_decay": recipe.weight_decay}
            yield {"params": [p for p in live if p.ndim <= 1], "lr": rate, "weight_decay": 0.0}


def _frozen_names(recipe: Recipe) -> tuple[str, ...]:
    if recipe.frozen_stages == 0:
        return ()
    return ("conv_stem.", "bn1.", *(f"blocks.{stage}." for stage in range(recipe.frozen_stages)))


def _schedule(step: int, recipe: Recipe) -> float:
    """Linear warm-up multiplied onto a cosine to zero, per step."""
    rise = min(1.0, (step + 1) / max(1, recipe.warm_up))
    return rise * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
