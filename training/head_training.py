"""Head-only training: the CNN of a bundle stays, everything above it learns from a hospital's own labels, on a CPU.

Labels may be of slices, of whole scans, or of both; what is not known takes no part (`ichnode_training.grid.labels_of`
says what follows from what).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from ichnode.inference.bundle import Bundle, write_bundle
from ichnode.inference.engine import Engine
from ichnode.inference.network import CnnLstm, load_state

from .calibrate import divide, fit_temperatures
from .features import CachedFeatures, Features, features_of
from .loop import Setting, train
from .planes import DataSetError, Scan
from .recipe import Augmentation, Losses, Optimisation, Recipe, Sampling


def head_recipe(bundle: Bundle, epochs: float = 20, rate: float = 3e-4) -> Recipe:
    """Return the recipe for what lies above the CNN of a bundle.

    Parameters
    ----------
    bundle : Bundle
        Its network is kept as it is, and its weights are what training starts from.
    epochs : float
        One is every scan once.
    rate : float
        Peak learning rate.
    """
    return Recipe(
        f"head of {bundle.name}", bundle.architecture, bundle.preprocessing,
        Sampling("scans", length=64, sequences=8, groups=1), Augmentation("none", per_slice=False, cutmix="off"),
        Optimisation(
            epochs=epochs, head_rate=rate, weight_decay=0.01, undecayed="vectors", eps=1e-8, clip=1.0, averaging=0.98,
            frozen_cnn=True,
        ),
        Losses(slice_head=0.25 if bundle.architecture.slice_head else 0.0, scan=0.25), start="nothing",
        calibrated=True, precision="fp32",
    )  # fmt: skip


def train_head(
    bundle: Bundle,
    scans: Sequence[Scan],
    validation: Sequence[Scan],
    cache: Path,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str = "cpu",
    reading: Callable[[int, int], None] = lambda done, of: None,
    tell: Callable[[int, int, float, float], None] = lambda step, steps, loss, rate: None,
) -> CnnLstm:
    """Train what lies above the CNN of a bundle.

    Parameters
    ----------
    bundle : Bundle
        What to start from; its CNN, with all its weights, is part of the result.
    scans : sequence of Scan
        To learn from.
    validation : sequence of Scan
        Of other patients: temperatures are fitted on their slices and scans. Empty for none.
    cache : Path
        Folder of the features; a second run with the same CNN finds them there.
    recipe : Recipe, optional
        By default `head_recipe`.
    seed : int
    device : str
        ``"cpu"``, ``"cuda:0"`` and the like.
    reading, tell : callable
        Told of the progress of the features (done, of), and of training (step, steps, loss, rate).

    Returns
    -------
    CnnLstm
        On the CPU, for evaluation: `candidate` makes a bundle of it.

    Raises
    ------
    DataSetError
        No label of any scan is known, or the two sets share a patient.
    """
    shared = {scan.patient for scan in scans} & {scan.patient for scan in validation}
    if shared:
        raise DataSetError(f"{len(shared)} patients are both to learn from and to validate on: split by patient.")
    recipe = recipe or head_recipe(bundle)
    engine = Engine.load(bundle.folder, device)
    everything = features_of(engine, [*scans, *validation], cache, reading)
    learned, kept = everything[: len(scans)], everything[len(scans) :]
    labelled = [one for one in learned if np.isfinite(one.labels).any() or np.isfinite(one.scan_labels).any()]
    if not labelled:
        raise DataSetError("No label of any scan to learn from is known.")
    start = CnnLstm.build(bundle.architecture)
    load_state(start, load_file(bundle.weights))
    source, steps = CachedFeatures(labelled, recipe, seed), recipe.steps(len(labelled))
    (learner,) = train(source, recipe, steps, seed, start=start.state_dict(), setting=Setting(tell=tell))
    network = learner.result()
    if recipe.calibrated and kept:
        divide(network, fit_temperatures(*slice_logits(network, kept)))
    return network


def slice_logits(network: CnnLstm, features: Sequence[Features]) -> tuple[Tensor, Tensor]:
    """Return the logits of every view of every slab, and their labels: tensors of shape (views, n, 6) and (n, 6)."""
    logits, labels = [], []
    with torch.no_grad():
        for one in features:
            seen = [torch.from_numpy(np.asarray(view, np.float32)) for view in one.views]
            logits.append(torch.stack([network.read(view, [len(view)]) for view in seen]))
            labels.append(torch.from_numpy(one.labels))
    return torch.cat(logits, 1), torch.cat(labels)


def scores_of(network: CnnLstm, one: Features) -> NDArray[np.float32]:
    """Return the scores of every slice of a scan, as the node's engine gives them, shape (slices, 6)."""
    logits, _ = slice_logits(network, [one])
    scores: NDArray[np.float32] = torch.sigmoid(logits).mean(0).numpy()
    return scores[one.slab_of]


def candidate(folder: Path, network: CnnLstm, bundle: Bundle, card: Mapping[str, Any]) -> Bundle:
    """Write a bundle of a trained head, with the CNN's weights as they stand in the bundle it came from.

    Parameters
    ----------
    folder : Path
    network : CnnLstm
        From `train_head`.
    bundle : Bundle
        The bundle it came from.
    card : mapping
        What is new in its card: ``name``, ``version``, ``training_data``, ``metrics``, and ``thresholds``, which a new
        head needs anew; the rest is taken from the bundle.
    """
    before = load_file(bundle.weights)
    tensors = {
        name: before[name] if name.startswith("cnn.") else tensor.to(before[name].dtype)
        for name, tensor in network.state_dict().items()
    }
    kept = {key: value for key, value in bundle.card.items() if key not in ("digest", "format")}
    return write_bundle(folder, {**kept, **card}, tensors)
