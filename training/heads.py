"""A head CT as training sees it: cut out and resampled by the node's own rules, with what is needed to add bleeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.core.slabs import average_slabs, slab_indices
from ichnode.inference.bundle import Preprocessing
from ichnode.inference.preprocess import centre_of_head, in_plane, prepare

from .grid import GridScan, grid_path, labels_of
from .kept import Array, keep_array, kept_array
from .planes import Scan

_BONE_HU = 150
_ARRAYS: dict[str, type[np.generic]] = {
    "hu": np.float32, "depth_mm": np.float32, "lesion": np.bool_, "inside": np.bool_,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head(GridScan):
    """One scan on the network's grid, with what is needed to add bleeds; arrays of the shape of `hu`.

    Attributes
    ----------
    lesion : bool
        Outlined haemorrhage.
    inside : bool
        Soft tissue and liquor enclosed by the skull.
    depth_mm : float32
        Distance of an inside voxel from the skull or the edge of the enclosed region, in its own slice.
    pixel_mm : float
    """

    hu: Array
    lesion: Array
    inside: Array
    depth_mm: Array
    pixel_mm: float


def head_from(scan: Scan, how: Preprocessing, cache: Path | None = None) -> Head:
    """Bring a scan onto the network's grid, or find it there.

    Parameters
    ----------
    scan : Scan
    how : Preprocessing
    cache : Path, optional
        Folder in which the arrays are kept and from which they are read slab by slab; without it they stay in memory.
    """
    slab_of = slab_indices(scan.positions_mm.tolist(), how.slab_mm)
    arrays: dict[str, Array]
    if cache is None:
        made = _made(scan, how, slab_of)
        arrays = {name: made[name] for name in _ARRAYS}
    else:
        path = grid_path(scan, how, cache / "heads", str(scan.outlined))
        if not path.exists():
            keep_array(path, _made(scan, how, slab_of))
        kept = kept_array(path)
        arrays = {name: kept.field(name) for name in _ARRAYS}
    labels, scan_labels = labels_of(scan, slab_of)
    return Head(
        scan.patient, arrays["hu"], labels, scan_labels, arrays["lesion"], arrays["inside"], arrays["depth_mm"],
        _pixel_mm(scan, how),
    )  # fmt: skip


def _made(scan: Scan, how: Preprocessing, slab_of: NDArray[np.intp]) -> NDArray[np.void]:
    """Make the arrays, slab by slab in one, so that a head is one file; a plane of each lies in one piece."""
    planes, outlined = scan.hu(), scan.lesion()
    hu = prepare(planes, scan.positions_mm.tolist(), scan.spacing_mm, how).hu.numpy()
    arrays = np.zeros(len(hu), [(name, kind, hu.shape[1:]) for name, kind in _ARRAYS.items()])
    arrays["hu"] = hu
    if outlined is not None:
        # As its labels: a slab bears what one of its slices bears.
        slabs = np.logical_or.reduceat(outlined, np.flatnonzero(np.diff(slab_of, prepend=-1)))
        centre = centre_of_head(average_slabs(planes, slab_of))
        arrays["lesion"] = in_plane(slabs.astype(np.float32), scan.spacing_mm, how, centre, outside=0).numpy() > 0.5
    arrays["inside"] = _inside(hu)
    for made in arrays:
        made["depth_mm"] = ndimage.distance_transform_edt(made["inside"]) * np.float32(_pixel_mm(scan, how))
    return arrays


def _pixel_mm(scan: Scan, how: Preprocessing) -> float:
    return (how.field_of_view_mm or scan.spacing_mm[0] * how.matrix) / how.matrix


def _inside(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    planes = []
    for plane in hu:
        bone = ndimage.binary_closing(plane > _BONE_HU, iterations=2)
        filled = ndimage.binary_fill_holes(bone) & ~(plane > _BONE_HU)
        soft = filled & (plane > -15) & (plane < 130)
        core = ndimage.binary_opening(soft, iterations=3)
        # Back to the bone itself: a dark rim left between skull and an added bleed would give it away.
        planes.append(ndimage.binary_fill_holes(ndimage.binary_dilation(core, iterations=3) & soft))
    stack = np.asarray(planes)
    parts, count = ndimage.label(stack)
    if count == 0:
        return stack
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())
