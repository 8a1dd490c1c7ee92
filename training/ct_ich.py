"""Importer of the CT-ICH data set: JPEG pairs to Hounsfield volumes, slice labels, lesion masks.

CT-ICH v1.0.0, Hssayeni et al., "Intracranial Hemorrhage Segmentation Using A Deep Convolutional Model", Data 2020,
5(1):14, CC BY 4.0. Folder: ``labels.csv``, ``brain/PPP_SS.jpg``, ``bone/PPP_SS.jpg``, ``masks/PPP_SS.jpg``.

The brain JPEG is a window of level 40 and width 120 HU, the bone JPEG one of level 700 and width 3200 HU; both are
650-pixel renderings of the scanner's 512-pixel matrix. Shift, scale and offset were fitted against slices of the same
patients that exist in Hounsfield units (error within the brain: mean under 0.5 HU, standard deviation about 1 HU).
Slices are 5 mm apart, from inferior to superior. The pixel spacing was not published; 0.45 mm is assumed.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ichnode.core.findings import CLASSES
from ichnode.errors import BadObject

from .dicom_series import headers_of, read_series
from .importing import Material, Source
from .labels import UNKNOWN, labelled
from .planes import DataSetError, Scan

SPACING_MM = (0.45, 0.45)
SLICE_STEP_MM = 5.0
KERNEL, SCANNER = "H31s", ("Siemens", "SOMATOM Definition AS")
CITATION = (
    "Hssayeni M. D. et al., Intracranial Hemorrhage Segmentation Using A Deep Convolutional Model, Data 2020, 5(1):14"
)
ABOUT = {"name": "CT-ICH v1.0.0", "licence": "CC BY 4.0", "citation": CITATION}
_MATRIX = 512
_SCALE = 1 / 0.7951
_SHIFT_ROWS, _SHIFT_COLUMNS = 2.6, 3.58
_AIR_HU = -1000


def sources(folder: Path, labels: Path | None = None) -> list[Source]:
    """Return every patient of the data set in `folder` as a series to import.

    Parameters
    ----------
    folder : Path
        As published: ``brain/`` and so on; or as DICOM, ``PPP/SS.dcm``.
    labels : Path, optional
        ``labels.csv`` where it does not lie in the folder.

    Raises
    ------
    DataSetError
        ``labels.csv`` is missing or has other columns.
    """
    of: dict[str, list[dict[str, str]]] = {}
    for row in _rows(labels or folder / "labels.csv"):
        of.setdefault(row["patient"], []).append(row)
    return [_source(folder, patient, of[patient]) for patient in sorted(of, key=int)]


def _source(folder: Path, patient: str, rows: list[dict[str, str]]) -> Source:
    rows.sort(key=lambda row: int(row["slice"]))
    names = [f"{int(patient):03d}_{int(row['slice']):02d}.jpg" for row in rows]
    slices = {name: np.array([row[c] for c in CLASSES], np.float32) for name, row in zip(names, rows, strict=True)}
    read = partial(_read_pictures, folder, patient, names)
    if not (folder / "brain").is_dir():
        read = partial(_read_dicom, folder / f"{int(patient):03d}", patient)
    return Source(f"patient {patient}", patient, patient, read, lambda scan: labelled(scan, slices))


def _read_pictures(folder: Path, patient: str, names: list[str]) -> Material:
    hu = np.stack([_slice_hu(folder / "brain" / name, folder / "bone" / name) for name in names])
    lesion = np.stack([_lesion(folder / "masks" / name) for name in names])
    positions = np.arange(len(names), dtype=np.float64) * SLICE_STEP_MM
    unknown = np.tile(UNKNOWN, (len(names), 1))
    scan = Scan(
        patient,
        patient,
        patient,
        tuple(names),
        SPACING_MM,
        positions,
        unknown,
        UNKNOWN,
        SLICE_STEP_MM,
        KERNEL,
        *SCANNER,
    )
    return Material(scan, hu, lesion if lesion.any() else None)


def _read_dicom(folder: Path, patient: str) -> Material:
    headers = headers_of(sorted(folder.glob("*.dcm")))
    return read_series(headers, patient, patient, patient, name_of=lambda file, _: f"{folder.name}_{file.stem}.jpg")


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
    except OSError as error:
        raise DataSetError(f"There is no {table}: it comes with CT-ICH.") from error
    if not rows or not {"patient", "slice", *CLASSES} <= rows[0].keys():
        raise DataSetError(f"{table} has to have the columns patient, slice, {', '.join(CLASSES)}.")
    return rows


def _slice_hu(brain: Path, bone: Path) -> NDArray[np.int16]:
    fine = _picture(brain)
    hu = fine / 255 * np.float32(120) - np.float32(20.47)
    if bone.exists():
        coarse = _picture(bone) / 255 * 3200 - 900
        hu = np.where(fine <= 3, np.minimum(coarse, -20), np.where(fine >= 252, np.maximum(coarse, 100), hu))
    return np.clip(np.rint(_on_matrix(hu, _AIR_HU)), -1024, 3071).astype(np.int16)


def _lesion(path: Path) -> NDArray[np.bool_]:
    if not path.exists():
        return np.zeros((_MATRIX, _MATRIX), np.bool_)
    return _on_matrix(_picture(path), 0) > 127


def _picture(path: Path) -> NDArray[np.float32]:
    try:
        return np.asarray(Image.open(path).convert("L"), np.float32)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow calls some broken files a syntax error
        raise BadObject(f"{path.name} is missing or no picture.", "PIXELS_UNREADABLE") from error


def _on_matrix(picture: NDArray[np.floating], outside: float) -> NDArray[np.float32]:
    """Resample a 650-pixel rendering onto the scanner's matrix."""
    centre = 0.5 - 0.5 * _SCALE  # Pillow maps pixel centres, not indices
    affine = (_SCALE, 0, _SHIFT_COLUMNS * _SCALE + centre, 0, _SCALE, _SHIFT_ROWS * _SCALE + centre)
    image = Image.fromarray(picture.astype(np.float32))
    moved = image.transform(
        (_MATRIX, _MATRIX), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR, fillcolor=outside
    )
    return np.asarray(moved, np.float32)
