"""A run from a data set to a bundle: scans on the grid, the loop, the best epoch, temperatures, card."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from ichnode.core.findings import CLASSES
from ichnode.core.identity import digest_of
from ichnode.inference.bundle import Bundle
from ichnode.inference.network import CnnLstm

from .calibration import Logits, fit
from .evaluation import auc
from .figures import Draws, Samples, weighted_log_loss
from .judging import logits_of
from .learner import Learner
from .loop import Setting
from .material import Material
from .planes import Planes
from .publish import parts_of, provenance, publish, thresholds_from
from .recipe import Recipe
from .recipe_file import as_values
from .run_state import RunState

ROUNDS = 500
"""Resamplings of the patients for the intervals of a card."""


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
        network = self._material.network(learner).to(next(learner.parameters()).device)
        loss = self.loss(self.read(network))
        self._tell(step, loss)
        if loss < self._state.notes.get("loss", float("inf")):
            self._state.notes.update(loss=loss, step=step)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_suffix(".part")
            save_file({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}, part)
            part.replace(self._path)

    def read(self, network: CnnLstm) -> list[Tensor]:
        """Return the logits of the validation scans, each of shape (views, slabs, 6)."""
        return [logits_of(network, scan, self._recipe.preprocessing) for scan in self._material.kept]

    def loss(self, logits: Sequence[Tensor]) -> float:
        """Return the weighted log loss over what is labelled: `labelled`."""
        said, labels = labelled(self._material, logits)
        return weighted_log_loss(labels, said.scores())

    def best(self, last: CnnLstm) -> CnnLstm:
        """Return the network with the lowest loss, or the last one where there was nothing to judge on."""
        if self._path.exists():
            last.load_state_dict(load_file(self._path))
        return last.eval()


def run(
    recipe: Recipe, planes: Planes, material: Material, folder: Path, seed: int, setting: Setting, out: Path,
    judged: Callable[[int, float], None], start: dict[str, Tensor] | None = None, every_s: float = 120.0,
    bundle: Bundle | None = None,
) -> Bundle | None:  # fmt: skip
    """Train by a recipe and write the bundle.

    Parameters
    ----------
    recipe : Recipe
    planes : Planes
        The data set.
    material : Material
        Made of it.
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
    bundle : Bundle, optional
        What the run starts from: the card names it, and a CNN that does not learn stays as it is to the bit.

    Returns
    -------
    Bundle or None
        None in all processes but the first.
    """
    named = run_id(recipe, planes, seed, start)
    state = RunState(folder / "checkpoint.pt", named, every_s)
    judge = Judge(material, recipe, folder / "best.safetensors", state, judged)
    every = max(1, round(recipe.optimisation.judged * len(material.learned) / recipe.sampling.a_step))
    ready = replace(setting, state=state, judge=judge, judge_every=every if material.kept else 0)
    network = judge.best(material.teach(recipe, seed, ready, folder, start))
    if not setting.processes.first:
        return None
    if recipe.calibrated and material.kept:
        fit(*labelled(material, judge.read(network)), shifted=False).put_into(network)
    card = card_of(recipe, planes, material, judge, network, seed, state.notes, bundle, named)
    return publish(out, network, card, bundle if recipe.optimisation.frozen_cnn else None)


def card_of(
    recipe: Recipe, planes: Planes, material: Material, judge: Judge, network: CnnLstm, seed: int,
    notes: dict[str, Any], bundle: Bundle | None, run: str,
) -> dict[str, Any]:  # fmt: skip
    """Write the card of a run: what was learned from, how, and how it does on the validation scans."""
    about, steps, logits = planes.about, recipe.steps(len(material.learned)), judge.read(network)
    thresholds = dict.fromkeys(CLASSES, 0.5)
    metrics: dict[str, Any] = {"how": "no validation scans"}
    if logits:
        scores = [torch.sigmoid(one).mean(0).numpy() for one in logits]
        labels, whole = [scan.labels for scan in material.kept], scan_labels(material)
        highest = np.stack([one.max(axis=0) for one in scores])
        thresholds = operating_points(highest, whole, recipe.target_sensitivity)
        loss, patients = judge.loss(logits), [scan.patient for scan in material.kept]
        of_slices = [name for name, one in zip(patients, labels, strict=True) for _ in one]
        metrics = {
            "how": "on the validation scans, on which epoch, temperatures and thresholds were chosen: optimistic",
            "scans": len(scores),
            "slices": sum(map(len, labels)),
            "weighted_log_loss": None if np.isnan(loss) else round(loss, 5),
            "auc_slices": aucs(np.concatenate(scores), np.concatenate(labels)),
            "auc_scans": aucs(highest, whole),
            "intervals": {
                "how": f"95 %, {ROUNDS} resamplings of the patients",
                "auc_slices": intervals(np.concatenate(scores), np.concatenate(labels), of_slices),
                "auc_scans": intervals(highest, whole, patients),
            },
        }
    started = {} if bundle is None else {"started_from": bundle.digest}
    return {
        "name": f"ichnode {recipe.name}",
        "version": "1",
        "intended_use": "Research use only. Trained by a recipe of the lab; not for clinical use.",
        "architecture": asdict(recipe.architecture),
        "preprocessing": recipe.preprocessing.as_json(),
        "thresholds": thresholds,
        "training_data": [
            {
                "name": about.get("name", planes.folder.name),
                "citation": about.get("citation", "not given"),
                "licence": about.get("licence", "not given"),
                "use": f"{len(material.learned)} scans to learn from, {len(material.kept)} to choose on; digest "
                f"{planes.digest}",
            }
        ],
        "training": {
            "recipe": as_values(recipe),
            "steps": steps,
            "seed": seed,
            "kept_step": notes.get("step", steps),
            **started,
        },
        "metrics": metrics,
        "provenance": {**provenance(planes, parts_of(planes)), "run": run},
        "limitations": ["Measured on the data set it was trained on only. Expect it to be worse elsewhere."],
        "is_not": [
            "Not a medical device, and not cleared or approved by any authority.",
            "Not for diagnosis, triage or any decision about a patient.",
        ],
    }


def operating_points(
    scores: NDArray[np.float32], labels: NDArray[np.float32], target_sensitivity: float
) -> dict[str, float]:
    """Return the thresholds from scores and labels of scans, shape (scans, 6); 0.5 where one kind is missing.

    A scan of which nobody knows whether it bleeds has no say: taken for negative, it would raise those of the subtypes.
    """
    known = np.isfinite(labels[:, 0])
    scores, labels = scores[known], labels[known]
    if not (labels[:, 0] > 0).any() or (labels[:, 0] > 0).all():
        return dict.fromkeys(CLASSES, 0.5)
    return thresholds_from(
        {str(at): one[None] for at, one in enumerate(scores)}, {str(at): one[None] for at, one in enumerate(labels)},
        target_sensitivity,
    )  # fmt: skip


def labelled(material: Material, logits: Sequence[Tensor]) -> tuple[Logits, NDArray[np.float32]]:
    """Return logits and labels, of shape (n, 6), of the slices of all validation scans, or of the scans.

    Of the scans where one bleeds of which no slice is labelled so: else only the slices of negative ones would count.
    """
    kept = material.kept
    if any(scan.scan_labels[0] == 1 and not (scan.labels[:, 0] > 0).any() for scan in kept):
        return Logits.of_scans(logits), scan_labels(material)
    return Logits.of_slices(logits), np.concatenate([scan.labels for scan in kept])


def scan_labels(material: Material) -> NDArray[np.float32]:
    """Return the labels of the validation scans, shape (scans, 6)."""
    return np.stack([scan.scan_labels for scan in material.kept])


def aucs(scores: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Return the AUC of every class over the known labels of shape (n, 6); None where one kind is missing."""
    found: dict[str, float | None] = {}
    for column, name in enumerate(CLASSES):
        known = np.isfinite(labels[:, column])
        value = auc(labels[known, column] > 0, scores[known, column]) if known.any() else float("nan")
        found[name] = None if np.isnan(value) else round(float(value), 4)
    return found


def intervals(
    scores: NDArray[np.float32], labels: NDArray[np.float32], patients: Sequence[str]
) -> dict[str, tuple[float, float] | None]:
    """Return the interval of each of `aucs` over the patients, whose each row is."""
    draws, found = Draws.of(patients, ROUNDS), dict[str, tuple[float, float] | None]()
    for column, name in enumerate(CLASSES):
        known = np.isfinite(labels[:, column])
        samples = Samples(labels[known, column] > 0, scores[known, column].astype(np.float64))
        there = samples.truth.any() and not samples.truth.all()
        figure = draws.interval(samples.auc, known) if there else None
        found[name] = None if figure is None or np.isnan(figure.low) else (round(figure.low, 4), round(figure.high, 4))
    return found
