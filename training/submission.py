"""The competition's submission file: six lines for each image of its test."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES

from .assessment import Judged
from .dicom_series import catalogued
from .planes import Planes, Scan
from .rsna import TEST

_LEAST = 1e-7


def test_images(data: Planes) -> frozenset[str]:
    """Return the names of all images of the test that the import has met, also of those that it refused."""
    met = {Path(entry.file) for entry in catalogued(data.folder)}
    read = {name for scan in data if scan.description == TEST for name in images_of(scan)}
    return frozenset(read | {file.stem for file in met if file.parent.name == TEST})


def images_of(scan: Scan) -> tuple[str, ...]:
    """Return the names of a scan's images, with those that lie where another one does."""
    return (*scan.instances, *(name for name, _ in scan.duplicates))


def shares(data: Planes) -> NDArray[np.float32]:
    """Return which share of the labelled images bears each class, shape (6,); a half where none is labelled."""
    labels = np.concatenate([scan.labels for scan in data])
    known = np.isfinite(labels).sum(axis=0)
    return np.where(known > 0, np.nansum(labels, axis=0) / np.maximum(known, 1), 0.5).astype(np.float32)


def write_submission(
    path: Path, judged: Sequence[Judged], images: Collection[str], prior: NDArray[np.float32]
) -> tuple[str, ...]:
    """Write ``ID,Label`` for each of `images`, and return those that have no scores and were given `prior`.

    An image that lies where another one does, and was therefore not read, has that one's scores. Scores keep off 0 and
    1, where the competition's loss is infinite.
    """
    scores: dict[str, NDArray[np.float32]] = {}
    for one in judged:
        for name, index in (*zip(one.scan.instances, range(len(one.scores)), strict=True), *one.scan.duplicates):
            scores[name] = one.scores[index]
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("ID", "Label"))
        for name in sorted(images):
            for subtype, value in zip(CLASSES, scores.get(name, prior), strict=True):
                lines.writerow((f"{name}_{subtype}", f"{min(max(float(value), _LEAST), 1 - _LEAST):.7f}"))
    return tuple(sorted(set(images) - scores.keys()))
