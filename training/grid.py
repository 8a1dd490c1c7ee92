"""Scans on the network's grid, kept on disk: cut out and resampled once by the node's rules, read slice by slice after.

A scan whose planes need neither cutting nor resampling nor averaging is read from its data set as it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichnode.core.identity import digest_of
from ichnode.core.slabs import slab_indices
from ichnode.inference.bundle import Preprocessing
from ichnode.inference.preprocess import prepare

from .kept import Array, KeptArray, keep_array, kept_array
from .planes import Scan


@dataclass(frozen=True, slots=True)
class GridScan:
    """One scan as training sees it, slabs from inferior to superior.

    Attributes
    ----------
    patient : str
    hu : array of shape (slabs, matrix, matrix)
        Hounsfield units, float32 or int16; may lie on disk.
    labels : float32 array of shape (slabs, 6)
        NaN where unknown.
    scan_labels : float32 array of shape (6,)
        Of the whole scan; NaN where unknown.
    lesion : bool array of the shape of `hu`, or None
        Outlined haemorrhage; may lie on disk.
    """

    patient: str
    hu: Array
    labels: NDArray[np.float32]
    scan_labels: NDArray[np.float32]
    lesion: Array | None

    @property
    def positive(self) -> bool:
        """Whether a slice, or the scan as a whole, is known to bear a haemorrhage."""
        return bool((self.labels[:, 0] > 0).any() or self.scan_labels[0] > 0)


def grid_scan(scan: Scan, how: Preprocessing, cache: Path) -> GridScan:
    """Bring a scan onto the network's grid, or find it there.

    Parameters
    ----------
    scan : Scan
    how : Preprocessing
    cache : Path
        Folder in which what had to be resampled is kept.
    """
    labels, scan_labels = labels_of(scan, slab_indices(scan.positions_mm.tolist(), how.slab_mm))
    path = grid_path(scan, how, cache / "grid")
    if not path.exists():
        planes = scan.hu()
        as_it_is = how.field_of_view_mm is None and planes.shape[1:] == (how.matrix, how.matrix)
        if as_it_is and len(labels) == len(planes) and isinstance(planes, np.memmap):
            there = KeptArray(Path(str(planes.filename)), planes.shape)
            return GridScan(scan.patient, there, labels, scan_labels, None)
        hu = prepare(planes, scan.positions_mm.tolist(), scan.spacing_mm, how).hu.numpy()
        keep_array(path, np.rint(hu).astype(np.int16))
    return GridScan(scan.patient, kept_array(path), labels, scan_labels, None)


def grid_path(scan: Scan, how: Preprocessing, folder: Path, *more: str) -> Path:
    """Return under which name a scan on a grid is kept; `more` is what it depends on besides planes and grid."""
    grid = json.dumps([how.matrix, how.field_of_view_mm, how.slab_mm, how.version, scan.spacing_mm])
    where = json.dumps([round(at, 4) for at in scan.positions_mm.tolist()])
    named = digest_of(scan.digest.encode(), grid.encode(), where.encode(), *(one.encode() for one in more))
    return folder / f"{named[:32]}.npy"


def labels_of(scan: Scan, slab_of: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the labels of the slabs and of the scan, with what follows from each other.

    A slab bears what one of its slices bears. A scan without a haemorrhage has none on any slab; a scan of which every
    slab is known bears what its slabs bear.

    Returns
    -------
    (labels, scan_labels)
        Arrays of shape (slabs, 6) and (6,), NaN where unknown.
    """
    count = int(slab_of.max()) + 1
    highest = np.full((count, scan.labels.shape[1]), -1, np.float32)
    np.maximum.at(highest, slab_of, np.nan_to_num(scan.labels, nan=-1))
    unsure = np.zeros(highest.shape, np.bool_)
    np.logical_or.at(unsure, slab_of, np.isnan(scan.labels))
    labels = np.where(unsure & (highest < 1), np.float32(np.nan), highest)
    labels = np.where(np.isnan(labels) & (scan.scan_labels == 0), np.float32(0), labels)
    told = labels.max(axis=0)  # NaN where a slab is unknown
    return labels.astype(np.float32), np.where(np.isnan(scan.scan_labels), told, scan.scan_labels).astype(np.float32)
