"""Reader of the CT-ICH data set: JPEG pairs to Hounsfield volumes, slice labels, lesion masks.

CT-ICH v1.0.0, Hssayeni et al., "Intracranial Hemorrhage Segmentation Using A Deep Convolutional Model", Data 2020,
5(1):14, CC BY 4.0. Folder: ``labels.csv``, ``brain/PPP_SS.jpg``, ``bone/PPP_SS.jpg``, ``masks/PPP_SS.jpg``.

The brain JPEG is a window of level 40 and width 120 HU, the bone JPEG one of level 700 and width 3200 HU; both are
650-pixel renderings of the scanner's 512-pixel matrix. Shift, scale and offset were fitted against slices of the same
patients that exist in Hounsfield units (error within the brain: mean under 0.5 HU, standard deviation about 1 HU).
Slices are 5 mm apart, from inferior to superior. The pixel spacing was not published; 0.45 mm is assumed.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ichnode.core.findings import CLASSES

SPACING_MM = (0.45, 0.45)
SLICE_STEP_MM = 5.0
CITATION = (
    "Hssayeni M. D. et al., Intracranial Hemorrhage Segmentation Using A Deep Convolutional Model, Data 2020, 5(1):14"
)
_MATRIX = 512
_SCALE = 1 / 0.7951
_SHIFT_ROWS, _SHIFT_COLUMNS = 2.6, 3.58
_AIR_HU = -1000


@dataclass(frozen=True, slots=True)
class Scan:
    """One patient's head CT.

    Attributes
    ----------
    patient : str
    hu : int16 array of shape (slices, 512, 512)
    labels : float32 array of shape (slices, 6), columns as `CLASSES`
    lesion : bool array of shape (slices, 512, 512)
        Expert outlines of the haemorrhage; slices that are positive without an outline are false throughout.
    positions_mm : float64 array of shape (slices,)
    """

    patient: str
    hu: NDArray[np.int16]
    labels: NDArray[np.float32]
    lesion: NDArray[np.bool_]
    positions_mm: NDArray[np.float64]


def read_scan(folder: Path, patient: str) -> Scan:
    """Read one patient of the data set in `folder`."""
    rows = sorted((row for row in _rows(folder) if row["patient"] == patient), key=lambda row: int(row["slice"]))
    names = [f"{int(patient):03d}_{int(row['slice']):02d}.jpg" for row in rows]
    hu = np.stack([_slice_hu(folder / "brain" / name, folder / "bone" / name) for name in names])
    lesion = np.stack([_lesion(folder / "masks" / name) for name in names])
    labels = np.array([[float(row[name]) for name in CLASSES] for row in rows], np.float32)
    positions = np.arange(len(rows), dtype=np.float64) * SLICE_STEP_MM
    return Scan(patient, hu, labels, lesion, positions)


def patients(folder: Path) -> list[str]:
    """Return the patients of the data set, ascending."""
    return sorted({row["patient"] for row in _rows(folder)}, key=int)


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _slice_hu(brain: Path, bone: Path) -> NDArray[np.int16]:
    fine = np.asarray(Image.open(brain).convert("L"), np.float32)
    hu = fine / 255 * np.float32(120) - np.float32(20.47)
    if bone.exists():
        coarse = np.asarray(Image.open(bone).convert("L"), np.float32) / 255 * 3200 - 900
        hu = np.where(fine <= 3, np.minimum(coarse, -20), np.where(fine >= 252, np.maximum(coarse, 100), hu))
    return np.clip(np.rint(_on_matrix(hu, _AIR_HU)), -1024, 3071).astype(np.int16)


def _lesion(path: Path) -> NDArray[np.bool_]:
    if not path.exists():
        return np.zeros((_MATRIX, _MATRIX), np.bool_)
    return _on_matrix(np.asarray(Image.open(path).convert("L"), np.float32), 0) > 127


def _on_matrix(picture: NDArray[np.floating], outside: float) -> NDArray[np.float32]:
    """Resample a 650-pixel rendering onto the scanner's matrix."""
    centre = 0.5 - 0.5 * _SCALE  # Pillow maps pixel centres, not indices
    affine = (_SCALE, 0, _SHIFT_COLUMNS * _SCALE + centre, 0, _SCALE, _SHIFT_ROWS * _SCALE + centre)
    image = Image.fromarray(picture.astype(np.float32))
    moved = image.transform(
        (_MATRIX, _MATRIX), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR, fillcolor=outside
    )
    return np.asarray(moved, np.float32)
