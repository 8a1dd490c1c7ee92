"""Fine-tuning of the whole network on labels of scans, for machines with a GPU.

Every scan is seen whole, since nobody said where the blood is; one scan at a time, so that the largest fits, with the
gradients of a batch added up. Normalisation keeps its stored statistics. The prepared Hounsfield planes lie on disk.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ichnode.core.identity import digest_of
from ichnode.inference.bundle import Preprocessing
from ichnode.inference.network import CnnLstm
from ichnode.inference.preprocess import channels, prepare

from .feature_head import balanced, scan_loss, schedule
from .local_data import Seen, volume_of


@dataclass(frozen=True, slots=True)
class CnnRecipe:
    """The numbers of a run.

    Attributes
    ----------
    epochs, batch, least_steps : int
        Passes over the scans, scans a step, and steps at least.
    rate, head_rate : float
        Peaks of the learning rates of the CNN, and of LSTM and heads (AdamW).
    most_slabs : int
        A longer series shows a stretch of that many, another one each time.
    averaging : float
        Decay of the running average of the weights, which is what is kept.
    """

    epochs: int = 5
    batch: int = 4
    least_steps: int = 100
    rate: float = 1e-4
    head_rate: float = 5e-4
    weight_decay: float = 1e-2
    slice_weight: float = 0.5
    most_slabs: int = 64
    averaging: float = 0.98


def fine_tune(
    start: CnnLstm, seen: Sequence[Seen], how: Preprocessing, kept: Path, recipe: CnnRecipe, seed: int, device: str,
    told: Callable[[int, int], None],
) -> CnnLstm:  # fmt: skip
    """Return a copy of `start`, on the CPU, that has learned from the scans.

    Parameters
    ----------
    kept : Path
        Folder for the prepared planes.
    device : str
        Of torch.

    Raises
    ------
    BadObject
        A series cannot be read any more.
    """
    rng = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = copy.deepcopy(start).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    for module in network.cnn.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    optimiser = torch.optim.AdamW(_groups(network, recipe))
    peaks = [group["lr"] for group in optimiser.param_groups]
    learning = list(network.parameters())
    averages = [parameter.detach().clone() for parameter in learning]
    steps = max(recipe.least_steps, recipe.epochs * math.ceil(len(seen) / recipe.batch))
    half = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=torch.device(device).type == "cuda")
    for step in range(steps):
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * schedule(step, steps)
        optimiser.zero_grad()
        for one in balanced(seen, recipe.batch, rng):
            hu, labels = _stretch(_planes(one, how, kept), one.slab_labels, recipe.most_slabs, rng)
            pictures = channels(_varied(hu, rng).to(device), how).contiguous(memory_format=torch.channels_last)
            with half:
                features: Tensor = network.cnn(pictures)
            truth = torch.from_numpy(one.scan.labels)[None].to(device)
            loss = scan_loss(network, features.float(), [len(hu)], truth, labels.to(device), recipe.slice_weight)
            (loss / recipe.batch).backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(averages, learning, 1 - recipe.averaging)
        told(step + 1, steps)
    with torch.no_grad():
        for average, parameter in zip(averages, learning, strict=True):
            parameter.copy_(average)
    return network.cpu().eval()


def tuned_scores(network: CnnLstm, seen: Sequence[Seen], how: Preprocessing, kept: Path) -> NDArray[np.float32]:
    """Return scan scores, shape (scans, 6), as the node would take them with this network; on the CPU."""
    rows = []
    with torch.inference_mode():
        for one in seen:
            pictures = channels(torch.from_numpy(np.array(_planes(one, how, kept), np.float32)), how)
            views = (pictures, pictures.flip(-1)) if how.mirrored else (pictures,)
            features = [torch.cat([network.cnn(part) for part in view.split(4)]) for view in views]
            read = [torch.sigmoid(network.read(view, [len(view)])) for view in features]
            rows.append(torch.stack(read).mean(0).amax(0))
    return torch.stack(rows).numpy()


def _groups(network: CnnLstm, recipe: CnnRecipe) -> list[dict[str, object]]:
    """No weight decay on biases and normalisation."""
    groups: list[dict[str, object]] = []
    own = {id(parameter) for parameter in network.cnn.parameters()}
    for inside, rate in ((True, recipe.rate), (False, recipe.head_rate)):
        chosen = [p for p in network.parameters() if (id(p) in own) is inside]
        groups.append({"params": [p for p in chosen if p.ndim > 1], "lr": rate, "weight_decay": recipe.weight_decay})
        groups.append({"params": [p for p in chosen if p.ndim <= 1], "lr": rate, "weight_decay": 0.0})
    return groups


def _planes(one: Seen, how: Preprocessing, kept: Path) -> NDArray[np.int16]:
    """Return a scan on the network's grid, from disk where it has been prepared before."""
    folder = kept / digest_of(repr(how).encode())[:32]
    file = folder / f"{one.scan.content}.npy"
    if not file.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        hu = prepare(volume_of(one.scan), one.scan.positions_mm, one.scan.spacing_mm, how).hu
        unfinished = file.with_suffix(f".{os.getpid()}.tmp")
        with unfinished.open("wb") as stream:
            np.save(stream, hu.round().short().numpy())
        unfinished.replace(file)
    planes: NDArray[np.int16] = np.load(file, mmap_mode="r")
    return planes


def _stretch(planes: NDArray[np.int16], labels: Tensor, most: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    first = int(torch.randint(max(1, len(planes) - most + 1), (), generator=rng))
    part = slice(first, first + most)
    return torch.from_numpy(np.array(planes[part], np.float32)), labels[part]


def _varied(hu: Tensor, rng: torch.Generator) -> Tensor:
    """Vary a whole scan alike: mirrored, shifted, a little denser or thinner, with noise."""
    draw = torch.rand(6, generator=rng).tolist()
    varied = hu.flip(-1) if draw[0] < 0.5 else hu
    side = hu.shape[-1]
    shifts = (round((draw[1] - 0.5) * 0.1 * side), round((draw[2] - 0.5) * 0.1 * side))
    varied = torch.roll(varied, shifts, (-2, -1))
    varied = torch.where(varied > -200, varied * (1 + 0.04 * (draw[3] - 0.5)) + 6 * (draw[4] - 0.5), varied)
    return varied + torch.randn(varied.shape, generator=rng) * 4 * draw[5] ** 2
