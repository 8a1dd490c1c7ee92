"""The card of a model that was retrained at one site: from what, on what, how it was split, and how well it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES
from ichnode.core.identity import digest_of
from ichnode.inference.bundle import Bundle

from .evaluation import threshold_for
from .features import Features
from .gate import TestSet, verdicts

RETRAINED = " (retrained)"
LEAST_SUBTYPE_THRESHOLD = 0.5
LEAST_FIGURE = 5
"""Patients with and without a class below which no figure of it stands in the card."""


def operating_points(
    held_out: NDArray[np.float32], labels: NDArray[np.float32], before: Mapping[str, float], target: float
) -> dict[str, float]:
    """Choose thresholds on scan scores of networks that had not seen the patient.

    `any`: the highest threshold that finds the share `target` of the scans with haemorrhage. A subtype: the lowest one,
    but not under that of the model before or 0.5, at which it turns no scan without haemorrhage positive that `any`
    left negative; it then names what `any` found instead of adding false alarms.
    """
    found = {"any": threshold_for(target, labels[:, 0] == 1, held_out[:, 0])}
    quiet = held_out[(labels[:, 0] == 0) & (held_out[:, 0] < found["any"])]
    for column, name in enumerate(CLASSES[1:], start=1):
        highest = float(quiet[:, column].max()) if len(quiet) else 0.0
        found[name] = max(LEAST_SUBTYPE_THRESHOLD, before[name], highest + 0.01)
    return {name: float(np.floor(np.clip(value, 0.001, 0.999) * 1000)) / 1000 for name, value in found.items()}


def measured(test: TestSet, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Return the figures on the local test set: AUC of scans of each class, sensitivity and specificity of verdicts."""
    figures: dict[str, Any] = {
        "how": "on this site's own test set, patients that taught no model here; scan score = highest slice; 95 % "
        "intervals from 2,000 resamplings of the patients",
        "patients": len(set(test.patients)),
        "series": len(test.patients),
    }
    for column, name in enumerate(CLASSES):
        if min(test.count(column, 1), test.count(column, 0)) >= LEAST_FIGURE:
            figure = test.samples(test.candidate, column).auc
            figures[f"auc_{name}"] = test.interval(figure, column).as_json()
        else:
            figures[f"auc_{name}"] = f"too few patients ({test.count(column, 1)} with it)"
    if min(test.count(0, 1), test.count(0, 0)) >= LEAST_FIGURE:
        said = verdicts(test, test.candidate, thresholds)
        for name, share in (("sensitivity", said.sensitivity(0.5)), ("specificity", said.specificity(0.5))):
            figures[name] = test.interval(share, 0).as_json()
    return figures


def local_card(
    active: Bundle, request: Mapping[str, Any], run: Path, training: Sequence[Features], test: Sequence[Features],
    unread: int, thresholds: Mapping[str, float], metrics: Mapping[str, Any], how: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Write everything of the card that can be known; format and digest are `write_bundle`'s."""
    before = active.card
    patients = len({one.patient for one in training})
    slices = sum(bool(np.isfinite(one.scan.labels).any()) for one in training)
    use = f"{patients} patients, {len(training)} series; labels of {slices} of them reach down to slices"
    local = {
        "name": "Labels of this installation (readers' feedback, report outcomes)", "citation": "Not published",
        "licence": "not for distribution", "use": use,
    }  # fmt: skip
    said = "Retrained at one site; its figures are of that site's patients, scanners and readers, and of no others."
    return {
        "name": before["name"].removesuffix(RETRAINED)[: 64 - len(RETRAINED)] + RETRAINED,
        "version": f"{active.version.partition('+')[0]}+{run.name.partition('.')[0]}",
        "intended_use": "Research use only. Retrained on the labels of one site, for that site.",
        "architecture": asdict(active.architecture),
        "preprocessing": active.preprocessing.as_json(),
        "thresholds": dict(thresholds),
        "training_data": [*(d for d in before["training_data"] if d["name"] != local["name"]), local],
        "training": dict(how),
        "metrics": dict(metrics),
        "provenance": {
            "started_from": active.digest,
            "manifest": digest_of((run / "manifest.json").read_bytes()),
            "split": {"training": _part(training), "test": _part(test)},
            "unread_series": unread,
            "target_sensitivity": request["target_sensitivity"],
            "code": f"ichnode {request['code']}",
            "at": request["at"],
        },
        "limitations": [*(line for line in before["limitations"] if line != said), said],
        "is_not": list(before["is_not"]),
    }


def _part(seen: Sequence[Features]) -> dict[str, Any]:
    bleeding = {one.patient for one in seen if one.scan_labels[0] == 1}
    return {
        "digest": digest_of(*(digest.encode() for digest in sorted(one.scan.digest for one in seen))),
        "patients": len({one.patient for one in seen}),
        "with_haemorrhage": len(bleeding),
        "series": len(seen),
    }
