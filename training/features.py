"""What a bundle's CNN makes of every slice, kept on disk: computed once, so that what lies above it trains in minutes.

The cache is named by the CNN's weights, the preprocessing and the series, so that it stays good for a candidate that
differs only above the CNN, and nothing stale is ever found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from ichnode.core.identity import digest_of
from ichnode.core.slabs import slab_indices
from ichnode.errors import BadObject
from ichnode.inference.bundle import Bundle
from ichnode.inference.engine import Engine

from .grid import labels_of
from .kept import Array, keep_array, kept_array
from .pictures import Batch
from .planes import Scan
from .recipe import Recipe
from .standard import Standard
from .turns import Turns, around

FIXED = ("cnn.", "evidence.")
"""How the names of the weights begin that make the features."""
_NOISE, _MISSING = 0.05, 0.05
"""Augmentation: noise in units of a feature's own spread; share of the features that are set to their mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """One scan as the CNN has read it.

    Attributes
    ----------
    scan : Scan
    views : float32 array of shape (views, slabs, features)
        On disk. A second view is of the mirrored slices where the bundle asks for that reading.
    slab_of : array of shape (slices,)
        For every slice of the scan its slab.
    labels, scan_labels : float32 arrays of shape (slabs, 6) and (6,)
        NaN where unknown.
    """

    scan: Scan
    views: Array
    slab_of: NDArray[np.intp]
    labels: NDArray[np.float32]
    scan_labels: NDArray[np.float32]

    @property
    def patient(self) -> str:
        """Whose it is."""
        return self.scan.patient

    @property
    def positive(self) -> bool:
        """Whether a slice, or the scan as a whole, is known to bear a haemorrhage."""
        return bool((self.labels[:, 0] > 0).any() or self.scan_labels[0] > 0)


def cnn_digest(bundle: Bundle) -> str:
    """Return what the features depend on besides the series: the CNN's weights, its name and the preprocessing."""
    state = load_file(bundle.weights)
    tensors = [state[name].contiguous().flatten().view(torch.uint8).numpy().tobytes() for name in _fixed(state)]
    described = json.dumps([bundle.architecture.backbone, asdict(bundle.preprocessing), _fixed(state)])
    return digest_of(described.encode(), *(digest_of(tensor).encode() for tensor in tensors))


def features_of(
    bundle: Bundle, scans: Sequence[Scan], cache: Path, device: str = "cpu",
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[Features], list[Scan]]:  # fmt: skip
    """Compute the features of scans, or find them in the cache.

    Parameters
    ----------
    bundle : Bundle
        Whose CNN is to be kept.
    scans : sequence of Scan
    cache : Path
        Folder; an entry is written whole or not at all, so that a killed run goes on where it was.
    device : str
        As `Engine.load` takes it.
    tell : callable
        Called after each scan with (done, of).

    Returns
    -------
    (features, unread)
        Of the scans that could be read, and the scans whose pixels could not.
    """
    folder = cache / cnn_digest(bundle)[:32]
    engine: Engine | None = None
    found, unread = [], []
    for done, scan in enumerate(scans, 1):
        along = scan.positions_mm.tolist()
        where = json.dumps([scan.spacing_mm, [round(at, 4) for at in along]])
        path = folder / f"{digest_of(scan.digest.encode(), where.encode())[:32]}.npy"
        if not path.exists():
            engine = engine or Engine.load(bundle.folder, device)
            try:
                reading = engine.read(scan.hu(), along, scan.spacing_mm)
            except BadObject:
                unread.append(scan)
                continue
            keep_array(path, torch.stack([view.cpu() for view in reading.features]).numpy())
        slab_of = slab_indices(along, bundle.preprocessing.slab_mm)
        views = kept_array(path)
        found.append(Features(scan, views, slab_of, *labels_of(scan, slab_of)))
        tell(done, len(scans))
    return found, unread


class CachedFeatures:
    """The source of a run on cached features; see `ichnode_training.loop.Source`.

    A scan is seen in one of its views; one that is longer than `sampling.length` is cut at random.
    """

    def __init__(self, features: Sequence[Features], standard: Standard, recipe: Recipe, seed: int) -> None:
        self._turns, self._standard, self._recipe, self._seed = Turns(features, recipe, seed), standard, recipe, seed

    def draw(self, step: int, group: int) -> list[tuple[Tensor, Tensor, Tensor, str]]:
        """Draw the sequences of a group: features, labels, scan labels, patient."""
        rng = np.random.default_rng((self._seed, step, group))
        drawn = []
        for one in self._turns.group(step, group, rng):
            view = one.views[int(rng.integers(len(one.views)))]
            part = around(len(view), self._recipe.sampling.length, rng)
            seen = self._standard.of(torch.from_numpy(np.array(view[part], np.float32)))
            if self._recipe.augmentation.kind == "features":
                seen = _varied(seen, rng)
            whole = one.scan_labels if part.stop - part.start == len(view) else np.full(6, np.nan, np.float32)
            drawn.append((seen, torch.from_numpy(one.labels[part]), torch.from_numpy(whole), one.patient))
        return drawn

    def batch(self, drawn: list[tuple[Tensor, Tensor, Tensor, str]], device: torch.device) -> Batch:
        """Put them one after the other, on the device."""
        features, labels, whole, names = zip(*drawn, strict=True)
        return Batch(
            torch.cat(features).to(device), torch.cat(labels).to(device), torch.stack(whole).to(device),
            tuple(map(len, features)), None, torch.zeros(sum(map(len, features)), device=device),
            tuple(frozenset((name,)) for name in names),
        )  # fmt: skip


def _varied(seen: Tensor, rng: np.random.Generator) -> Tensor:
    noise = torch.from_numpy(rng.standard_normal(seen.shape, np.float32))
    there = torch.from_numpy(rng.random(seen.shape, np.float32) >= _MISSING)
    return (seen + _NOISE * noise) * there


def _fixed(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(FIXED))
