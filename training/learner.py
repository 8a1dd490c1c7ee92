"""One network that learns: its loss, its optimiser, the running average of its weights, whom it must not see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ichnode.inference.network import CnnLstm

from .outlines import Outlines
from .pictures import Batch
from .recipe import CLASS_WEIGHTS, Recipe
from .stages import frozen_names, frozen_part, learning_part


class Learner(nn.Module):
    """A network in training.

    Parameters
    ----------
    recipe : Recipe
    start : dict of str to Tensor
        The network's first state.
    held_out : frozenset of str
        Patients it never sees, neither as a head nor as the donor of a bleed.
    device : torch.device

    Attributes
    ----------
    network : CnnLstm
    averaged : AveragedModel or None
    optimiser : torch.optim.AdamW
    """

    def __init__(
        self, recipe: Recipe, start: dict[str, Tensor], held_out: frozenset[str], device: torch.device
    ) -> None:
        super().__init__()
        self._recipe, self._held_out = recipe, held_out
        self.network = CnnLstm.build(recipe.architecture)
        self.network.load_state_dict(start)
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        frozen = frozen_names(recipe.optimisation.frozen_stages)
        for name, parameter in self.network.cnn.named_parameters():
            parameter.requires_grad_(not (recipe.optimisation.frozen_cnn or name.startswith(frozen)))
        widths = _widths(recipe, start) if recipe.losses.outline else []
        self._outlines = Outlines(widths).to(device)
        self.averaged: AveragedModel | None = None
        if recipe.optimisation.averaging:
            average = get_ema_multi_avg_fn(recipe.optimisation.averaging)
            # Not a submodule: nobody trains it, and processes need not exchange it.
            object.__setattr__(self, "averaged", AveragedModel(self.network, multi_avg_fn=average, use_buffers=True))
        self.optimiser = torch.optim.AdamW(
            list(groups(self.network, self._outlines, recipe)), eps=recipe.optimisation.eps, fused=True
        )
        self._peaks = [group["lr"] for group in self.optimiser.param_groups]
        self._anchors: list[tuple[nn.Parameter, Tensor]] = []
        if recipe.optimisation.closeness:
            self._anchors = [(p, p.detach().clone()) for p in self.network.parameters() if p.requires_grad]

    def may_see(self, batch: Batch) -> list[int]:
        """Return the sequences of a batch that bear nothing of a patient held out."""
        return [at for at, sources in enumerate(batch.sources) if not (sources & self._held_out)]

    def forward(self, part: Batch, early: Tensor, of: Sequence[float]) -> Tensor:
        """Return a part's share of the loss of its group.

        Parameters
        ----------
        part : Batch
            Of the group, as much as fits into memory.
        early : tensor
            What the frozen stages made of it, and of what fills it up to a size that comes again
            (`ichnode_training.shapes`).
        of : sequence of float
            Known slice labels, outlined slices and known scan labels of the whole group: `counts`.
        """
        network, losses = self.network, self._recipe.losses
        weights = torch.tensor(CLASS_WEIGHTS, device=part.labels.device)
        maps: list[Tensor] = []
        if part.seen.ndim == 2:
            features = part.seen
        else:
            maps = learning_part(network.cnn, early, self._recipe.optimisation.frozen_stages)
            maps = [one[: len(part.seen)] for one in maps]  # what fills the batch up teaches nothing
            features = network.cnn.forward_head(maps[-1])
        with torch.autocast(features.device.type, enabled=False):  # the sequence costs little and is kept exact
            features = features.float()
            logits, scans = network.read_scans(features, part.lengths)
            loss = losses.slices * _cross_entropy(logits, part.labels, weights).sum() / max(1.0, of[0])
            if network.slice_head is not None and losses.slice_head:
                alone = _cross_entropy(network.slice_head(features), part.labels, weights).sum() / max(1.0, of[0])
                loss = loss + losses.slice_head * alone
            if losses.scan:
                whole = _cross_entropy(scans, part.scan_labels, weights).sum() / max(1.0, of[2])
                loss = loss + losses.scan * whole
            if losses.highest:
                highest = torch.stack([scan.amax(0) for scan in logits.split(list(part.lengths))])
                top = _cross_entropy(highest, part.scan_labels, weights).sum() / max(1.0, of[2])
                loss = loss + losses.highest * top
            if losses.outline and part.blood is not None:
                for outline in self._outlines(maps):
                    seen = functional.adaptive_max_pool2d(part.blood[:, None], outline.shape[-2:])
                    cells = functional.binary_cross_entropy_with_logits(outline, seen, reduction="none")
                    loss = loss + losses.outline * (cells.mean((1, 2, 3)) * part.outlined).sum() / max(1.0, of[1])
        return loss

    def update(self, share: float) -> None:
        """Take one optimiser step with the gradients there are, at `share` of the peak rates."""
        for group, peak in zip(self.optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * share
        with torch.no_grad():
            for parameter, anchor in self._anchors:
                if parameter.grad is not None:
                    parameter.grad.add_(parameter - anchor, alpha=2 * self._recipe.optimisation.closeness)
        if self._recipe.optimisation.clip:
            live = [p for p in self.parameters() if p.grad is not None]
            nn.utils.clip_grad_norm_(live, self._recipe.optimisation.clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)

    def train(self, mode: bool = True) -> Learner:
        """As `Module.train`; a CNN that does not learn keeps its statistics, too, and one that is told to."""
        super().train(mode)
        if self._recipe.optimisation.frozen_cnn:
            self.network.cnn.eval()
        elif self._recipe.optimisation.frozen_statistics:
            for module in self.network.cnn.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def result(self) -> CnnLstm:
        """Return a copy of the network on the CPU, with its averaged weights where there are such, for evaluation."""
        best = self.network if self.averaged is None else self.averaged.module
        copy = CnnLstm.build(self._recipe.architecture)
        copy.load_state_dict({name: tensor.cpu() for name, tensor in best.state_dict().items()})
        return copy.eval()

    def everything(self) -> dict[str, Any]:
        """Return all that it takes to go on from here."""
        averaged = None if self.averaged is None else self.averaged.state_dict()
        return {"learner": self.state_dict(), "optimiser": self.optimiser.state_dict(), "averaged": averaged}

    def go_on_from(self, everything: dict[str, Any]) -> None:
        """Put back what `everything` returned."""
        self.load_state_dict(everything["learner"])
        self.optimiser.load_state_dict(everything["optimiser"])
        if self.averaged is not None:
            self.averaged.load_state_dict(everything["averaged"])


def counts(batch: Batch) -> tuple[float, float, float]:
    """Return how many slice labels, outlined slices and scan labels of a group are known, by which its loss is divided.

    In the same unit for slices and scans: single labels, not rows of six.
    """
    known = [float(labels.isfinite().sum()) for labels in (batch.labels, batch.scan_labels)]
    return known[0], float(batch.outlined.sum()), known[1]


def groups(network: CnnLstm, outlines: nn.Module, recipe: Recipe) -> Iterator[dict[str, object]]:
    """Yield parameter groups for AdamW: two rates, and no weight decay where the recipe says so."""
    how = recipe.optimisation
    fresh = [
        named
        for part in (network.lstm, network.head, network.slice_head, network.attention, outlines)
        if part is not None
        for named in part.named_parameters()
    ]
    for parameters, rate in ((list(network.cnn.named_parameters()), how.rate), (fresh, how.head_rate)):
        live = [(name, p) for name, p in parameters if p.requires_grad]
        bare = [p for name, p in live if ("bias" in name if how.undecayed == "biases" else p.ndim <= 1)]
        kept = {id(p) for p in bare}
        yield {"params": [p for _, p in live if id(p) not in kept], "lr": rate, "weight_decay": how.weight_decay}
        yield {"params": bare, "lr": rate, "weight_decay": 0.0}


def _cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted loss of each logit, 0 where the label is unknown."""
    known = labels.isfinite()
    loss = functional.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), weight=weights, reduction="none")
    return loss * known


def _widths(recipe: Recipe, start: dict[str, Tensor]) -> list[int]:
    network = CnnLstm.build(recipe.architecture)
    network.load_state_dict(start)
    side = min(recipe.preprocessing.matrix, 64)
    with torch.no_grad():
        nothing = torch.zeros(2, recipe.architecture.channels, side, side)
        early = frozen_part(network.cnn.eval(), nothing, recipe.optimisation.frozen_stages)
        return [maps.shape[1] for maps in learning_part(network.cnn, early, recipe.optimisation.frozen_stages)]
