"""Figures of parts of a data set: thickness, kernel, scanner, outlined volume; by scan and by slice, for every class.

A group of few patients has no figure: of three bleeding patients who were all found one may not read that all are. The
rows of ``any`` by scan are always there, with their counts; any other row only where it has a figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES
from ichnode.core.kernels import Kernel

from .level import Level

if TYPE_CHECKING:
    from .assessment import Judged

LEAST_PATIENTS = 5
"""With a class below which its sensitivity is not told, without it its specificity, and of either its AUC."""
THICKNESS_MM = (("under 2.5 mm", 0.0, 2.5), ("2.5 to 4 mm", 2.5, 4.0), ("4 to 6 mm", 4.0, 6.0), ("over 6 mm", 6.0, 1e9))
VOLUME_ML = (("under 5 mL", 0.0, 5.0), ("5 to 25 mL", 5.0, 25.0), ("25 mL and more", 25.0, 1e9))
VOLUME = "lesion volume"
_KERNELS = {Kernel.SOFT: "soft tissue", Kernel.BONE: "bone", Kernel.UNKNOWN: "unknown"}
MOST_SCANNERS = 12

Members = NDArray[np.bool_]


def subgroups(
    judged: Sequence[Judged], scans: Level, slices: Level, thresholds: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each group: by scan and by slice, ``any`` before the subtypes.

    Parameters
    ----------
    judged : sequence of Judged
    scans, slices : Level
        Of the scans in this order, and of their slices.
    thresholds : mapping of class to threshold
    """
    lengths = [len(one.scores) for one in judged]
    for level_name, level, repeats in (("scan", scans, [1] * len(judged)), ("slice", slices, lengths)):
        for column, name in enumerate(CLASSES):
            if not level.known(column).any():
                continue
            always = level_name == "scan" and column == 0
            for kind, group, members in _groups(judged, column):
                row = _row(level, column, kind, np.repeat(members, repeats), thresholds[name])
                if always or any(row[figure] for figure in ("auc", "sensitivity", "specificity")):
                    yield {
                        "level": level_name, "class": name, "kind": kind, "name": group, "scans": int(members.sum()),
                        **row,
                    }  # fmt: skip


def _row(level: Level, column: int, kind: str, members: Members, threshold: float) -> dict[str, Any]:
    positive, negative = level.labels[:, column] == 1, level.labels[:, column] == 0
    # Negatives have no volume: all of them stand against each group.
    rows = members & positive | (negative if kind == VOLUME else members & negative)
    samples = level.samples(column, rows)
    bleed, well = level.patients(rows & positive), level.patients(rows & negative)
    enough, quiet = bleed >= LEAST_PATIENTS, well >= LEAST_PATIENTS
    figures = {
        "auc": (samples.auc, enough and quiet),
        "sensitivity": (samples.sensitivity(threshold), enough),
        "specificity": (samples.specificity(threshold), quiet and kind != VOLUME),
    }
    told = {name: level.figure(figure, rows) if there else None for name, (figure, there) in figures.items()}
    if column and not enough:  # how often a subtype is not seen where it is not says nothing of a group without it
        told = dict.fromkeys(told)
    return {"known": int(rows.sum()), "positive": int(samples.truth.sum()), "patients_positive": bleed, **told}


def _groups(judged: Sequence[Judged], column: int) -> Iterator[tuple[str, str, Members]]:
    """Yield kind, name and members of each group that has any scan; `column` says whose volume is meant."""
    for kind, name, members in _every_group(judged, column):
        if members.any():
            yield kind, name, members


def _every_group(judged: Sequence[Judged], column: int) -> Iterator[tuple[str, str, Members]]:
    thickness = np.array([np.nan if j.scan.thickness_mm is None else j.scan.thickness_mm for j in judged])
    for name, low, high in THICKNESS_MM:
        yield "thickness", name, (low <= thickness) & (thickness < high)
    yield "thickness", "unknown", np.isnan(thickness)
    kernels = np.array([j.scan.kernel_kind for j in judged])
    for kernel, name in _KERNELS.items():
        yield "kernel", name, kernels == kernel
    scanners = np.array([j.scan.scanner for j in judged])
    found, counts = np.unique(scanners, return_counts=True)
    for index in np.argsort(-counts, kind="stable")[:MOST_SCANNERS]:
        yield "scanner", str(found[index]), scanners == found[index]
    volume = np.array([j.scan.lesion_ml[column] for j in judged])
    for name, low, high in VOLUME_ML:
        yield VOLUME, name, (volume > 0) & (low <= volume) & (volume < high)
