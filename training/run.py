"""A run from a data set to a bundle: scans on the grid, the loop, the best epoch, temperatures, card."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ichnode.core.findings import CLASSES
from ichnode.core.identity import digest_of
from ichnode.inference.bundle import Bundle
from ichnode.inference.network import CnnLstm

from .calibrate import divide, fit_temperatures
from .evaluation import auc
from .grid import GridScan, grid_scan
from .heads import head_from
from .judging import logits_of, weighted_log_loss
from .learner import Learner
from .loop import Setting, train
from .planes import DataSetError, Planes, Scan
from .publish import publish, thresholds_from
from .recipe import Recipe
from .recipe_file import as_values
from .run_state import RunState
from .source import source_of


@dataclass(frozen=True)
class Material:
    """What a run works on.

    Attributes
    ----------
    planes : Planes
    learned, kept : sequence of GridScan
        To learn from, and to choose and calibrate on.
    """

    planes: Planes
    learned: Sequence[GridScan]
    kept: Sequence[GridScan]

    @classmethod
    def of(cls, planes: Planes, recipe: Recipe, cache: Path, tell: Callable[[int, int], None]) -> Material:
        """Bring a data set onto the grid of a recipe.

        Raises
        ------
        DataSetError
            It has not been split, or nothing is in its part ``train``.
        """
        learned, kept = planes.of("train"), planes.of("validation")
        if not learned:
            raise DataSetError(
                f"{planes.folder} has no scans to train on: it has to be split, and not all for testing."
            )
        done, every = 0, len(learned) + len(kept)

        def on_grid(scan: Scan) -> GridScan:
            nonlocal done
            mixed = recipe.sampling.kind == "mixture"
            made = head_from(scan, recipe.preprocessing) if mixed else grid_scan(scan, recipe.preprocessing, cache)
            done += 1
            tell(done, every)
            return made

        return cls(planes, [on_grid(scan) for scan in learned], [on_grid(scan) for scan in kept])


def run_id(recipe: Recipe, planes: Planes, seed: int, start: dict[str, Tensor] | None) -> str:
    """Return what tells one run from another: recipe, data, split, seed and first weights."""
    split = json.dumps([[scan.file, scan.split] for scan in planes])
    first = b"" if start is None else b"".join(bytes(start[name].cpu().contiguous().numpy().data) for name in start)
    described = json.dumps(as_values(recipe), sort_keys=True)
    return digest_of(described.encode(), planes.digest.encode(), split.encode(), str(seed).encode(), first)


class Judge:
    """Judges the network at the end of every epoch on the validation scans, and keeps the best one.

    Parameters
    ----------
    material, recipe
    path : Path
        File of the best weights.
    state : RunState
        Notes which epoch was best, so that a resumed run knows.
    tell : callable
        Told (step, weighted log loss).
    """

    def __init__(
        self, material: Material, recipe: Recipe, path: Path, state: RunState, tell: Callable[[int, float], None]
    ) -> None:
        self._material, self._recipe, self._path, self._state, self._tell = material, recipe, path, state, tell

    def __call__(self, step: int, learner: Learner) -> None:
        """Judge; lower loss is better."""
        if not self._material.kept:
            return
        network = learner.result().to(next(learner.parameters()).device)
        loss = weighted_log_loss(*self.read(network))
        self._tell(step, loss)
        if loss < self._state.notes.get("loss", float("inf")):
            self._state.notes.update(loss=loss, step=step)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_suffix(".part")
            save_file({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}, part)
            part.replace(self._path)

    def read(self, network: CnnLstm) -> tuple[list[Tensor], list[Any]]:
        """Return logits and labels of the validation scans."""
        how = self._recipe.preprocessing
        return [logits_of(network, scan, how) for scan in self._material.kept], [s.labels for s in self._material.kept]

    def best(self, last: CnnLstm) -> CnnLstm:
        """Return the network with the lowest loss, or the last one where there was nothing to judge on."""
        if self._path.exists():
            last.load_state_dict(load_file(self._path))
        return last.eval()


def run(
    recipe: Recipe, material: Material, folder: Path, seed: int, setting: Setting, out: Path,
    judged: Callable[[int, float], None], start: dict[str, Tensor] | None = None, every_s: float = 120.0,
) -> Bundle | None:  # fmt: skip
    """Train by a recipe and write the bundle.

    Parameters
    ----------
    recipe : Recipe
    material : Material
    folder : Path
        Of the run: checkpoint and best weights. A run that was stopped goes on from what is in it.
    seed : int
    setting : Setting
        Its `state`, `judge` and `judge_every` are set here.
    out : Path
        Folder of the bundle.
    judged : callable
        Told of each judgement on the validation scans: (step, weighted log loss).
    start : dict of str to Tensor, optional
        First weights instead of the recipe's.
    every_s : float
        Least time between two checkpoints.

    Returns
    -------
    Bundle or None
        None in all processes but the first.
    """
    steps = recipe.steps(len(material.learned))
    state = RunState(folder / "checkpoint.pt", run_id(recipe, material.planes, seed, start), every_s)
    judge = Judge(material, recipe, folder / "best.safetensors", state, judged)
    every = max(1, round(recipe.optimisation.judged * len(material.learned) / recipe.sampling.a_step))
    ready = replace(setting, state=state, judge=judge, judge_every=every if material.kept else 0)
    source = source_of(material.learned, recipe, seed, folder)
    (learner,) = train(source, recipe, steps, seed, start=start, setting=ready)
    if not setting.processes.first:
        return None
    network = judge.best(learner.result())
    if recipe.calibrated and material.kept:
        logits, labels = judge.read(network)
        divide(network, fit_temperatures(torch.cat(logits, 1), torch.from_numpy(np.concatenate(labels))))
    return publish(out, network, card_of(recipe, material, judge, network, steps, seed, state.notes))


def card_of(
    recipe: Recipe, material: Material, judge: Judge, network: CnnLstm, steps: int, seed: int, notes: dict[str, Any]
) -> dict[str, Any]:
    """Write the card of a run: what was learned from, how, and how it does on the validation scans."""
    about, logits, labels = material.planes.about, *judge.read(network)
    scores = {str(at): torch.sigmoid(one).mean(0).numpy() for at, one in enumerate(logits)}
    truth = {str(at): np.nan_to_num(one) for at, one in enumerate(labels)}
    bleeds = [bool(one[:, 0].any()) for one in truth.values()]
    thresholds = thresholds_from(scores, truth) if any(bleeds) and not all(bleeds) else dict.fromkeys(CLASSES, 0.5)
    metrics: dict[str, Any] = {"how": "no validation scans"}
    if logits:
        metrics = {
            "how": "on the validation scans, on which epoch, temperatures and thresholds were chosen: optimistic",
            "scans": len(logits),
            "slices": sum(map(len, labels)),
            "weighted_log_loss": round(weighted_log_loss(logits, labels), 5),
            "auc_slices": aucs(np.concatenate(list(scores.values())), np.concatenate(labels)),
            "auc_scans": aucs(
                np.stack([one.max(axis=0) for one in scores.values()]), np.stack([s.scan_labels for s in material.kept])
            ),
        }
    return {
        "name": f"ichnode {recipe.name}",
        "version": "1",
        "intended_use": "Research use only. Trained by a recipe of the lab; not for clinical use.",
        "architecture": asdict(recipe.architecture),
        "preprocessing": recipe.preprocessing.as_json(),
        "thresholds": thresholds,
        "training_data": [
            {
                "name": about.get("name", material.planes.folder.name),
                "citation": about.get("citation", "not given"),
                "licence": about.get("licence", "not given"),
                "use": f"{len(material.learned)} scans to learn from, {len(material.kept)} to choose on; digest "
                f"{material.planes.digest}",
            }
        ],
        "training": {"recipe": as_values(recipe), "steps": steps, "seed": seed, "kept_step": notes.get("step", steps)},
        "metrics": metrics,
        "limitations": ["Measured on the data set it was trained on only. Expect it to be worse elsewhere."],
        "is_not": [
            "Not a medical device, and not cleared or approved by any authority.",
            "Not for diagnosis, triage or any decision about a patient.",
        ],
    }


def aucs(scores: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Return the AUC of every class over the known labels of shape (n, 6); None where one kind is missing."""
    found: dict[str, float | None] = {}
    for column, name in enumerate(CLASSES):
        known = np.isfinite(labels[:, column])
        value = auc(labels[known, column] > 0, scores[known, column]) if known.any() else float("nan")
        found[name] = None if np.isnan(value) else round(float(value), 4)
    return found
