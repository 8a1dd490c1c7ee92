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
from ichnode.inference.bundle import Bundle
from ichnode.inference.engine import Engine

from .grid import keep_array, labels_of
from .pictures import Batch
from .planes import Scan
from .recipe import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """One scan as the CNN has read it.

    Attributes
    ----------
    scan : Scan
    views : float16 array of shape (views, slabs, features)
        A second view of the mirrored slices where the bundle asks for that reading.
    slab_of : array of shape (slices,)
        For every slice of the scan its slab.
    labels, scan_labels : float32 arrays of shape (slabs, 6) and (6,)
        NaN where unknown.
    """

    scan: Scan
    views: NDArray[np.float16]
    slab_of: NDArray[np.intp]
    labels: NDArray[np.float32]
    scan_labels: NDArray[np.float32]


def cnn_digest(bundle: Bundle) -> str:
    """Return what the features depend on besides the series: the CNN's weights, its name and the preprocessing."""
    state = load_file(bundle.weights)
    tensors = [state[name].contiguous().flatten().view(torch.uint8).numpy().tobytes() for name in _of_cnn(state)]
    described = json.dumps([bundle.architecture.backbone, asdict(bundle.preprocessing), _of_cnn(state)])
    return digest_of(described.encode(), *(digest_of(tensor).encode() for tensor in tensors))


def features_of(
    engine: Engine, scans: Sequence[Scan], cache: Path, tell: Callable[[int, int], None] = lambda done, of: None
) -> list[Features]:
    """Compute the features of scans, or find them in the cache.

    Parameters
    ----------
    engine : Engine
        Of the bundle whose CNN is to be kept.
    scans : sequence of Scan
    cache : Path
        Folder; an entry is written whole or not at all, so that a killed run goes on where it was.
    tell : callable
        Called after each scan with (done, of).
    """
    folder = cache / "features" / cnn_digest(engine.bundle)[:32]
    found = []
    for done, scan in enumerate(scans, 1):
        where = json.dumps([scan.spacing_mm, [round(at, 4) for at in scan.positions_mm.tolist()]])
        path = folder / f"{digest_of(scan.digest.encode(), where.encode())[:32]}.npy"
        if not path.exists():
            reading = engine.read(scan.hu(), scan.positions_mm.tolist(), scan.spacing_mm)
            keep_array(path, torch.stack(reading.features).cpu().numpy().astype(np.float16))
        slab_of = slab_indices(scan.positions_mm.tolist(), engine.bundle.preprocessing.slab_mm)
        views = np.load(path, mmap_mode="r", allow_pickle=False)
        found.append(Features(scan, views, slab_of, *labels_of(scan, slab_of)))
        tell(done, len(scans))
    return found


class CachedFeatures:
    """The source of a run on whole scans of cached features; see `ichnode_training.loop.Source`.

    Every scan comes once an epoch, in one of its views. A scan longer than `sampling.length` is cut at random.
    """

    def __init__(self, features: Sequence[Features], recipe: Recipe, seed: int) -> None:
        self._features, self._sampling, self._seed = list(features), recipe.sampling, seed

    def draw(self, step: int, group: int) -> list[tuple[Tensor, Tensor, Tensor, str]]:
        """Draw the sequences of a group: features, labels, scan labels, patient."""
        rng = np.random.default_rng((self._seed, step, group))
        first = step * self._sampling.a_step + group * self._sampling.sequences
        drawn = []
        for place in range(first, first + self._sampling.sequences):
            epoch, turn = divmod(place, len(self._features))
            order = np.random.default_rng((self._seed, epoch)).permutation(len(self._features))
            one = self._features[order[turn]]
            view = np.asarray(one.views[int(rng.integers(len(one.views)))], np.float32)
            start = int(rng.integers(max(1, len(view) - self._sampling.length + 1)))
            part = slice(start, start + self._sampling.length)
            whole = one.scan_labels if len(view) <= self._sampling.length else np.full(6, np.nan, np.float32)
            drawn.append(
                (
                    torch.from_numpy(view[part]), torch.from_numpy(one.labels[part]), torch.from_numpy(whole),
                    one.scan.patient,
                )
            )  # fmt: skip
        return drawn

    def batch(self, drawn: list[tuple[Tensor, Tensor, Tensor, str]], device: torch.device) -> Batch:
        """Put them one after the other, on the device."""
        features, labels, whole, names = zip(*drawn, strict=True)
        return Batch(
            torch.cat(features).to(device), torch.cat(labels).to(device), torch.stack(whole).to(device),
            tuple(map(len, features)), None, torch.zeros(sum(map(len, features)), device=device),
            tuple(frozenset((name,)) for name in names),
        )  # fmt: skip


def _of_cnn(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith("cnn."))
