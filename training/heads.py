"""A head CT as training sees it: cut out and resampled by the node's own rules, with what is needed to add bleeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.core.slabs import slab_indices
from ichnode.inference.bundle import Preprocessing
from ichnode.inference.preprocess import centre_of_head, in_plane, prepare

from .grid import GridScan, labels_of
from .planes import Scan

_BONE_HU = 150


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

    hu: NDArray[np.float32]
    lesion: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    depth_mm: NDArray[np.float32]
    pixel_mm: float


def head_from(scan: Scan, how: Preprocessing) -> Head:
    """Bring a scan onto the network's grid."""
    planes, outlined = scan.hu(), scan.lesion()
    hu = prepare(planes, scan.positions_mm.tolist(), scan.spacing_mm, how).hu.numpy()
    if outlined is None:
        lesion = np.zeros(hu.shape, np.bool_)
    else:
        centre = centre_of_head(planes.astype(np.float32))
        lesion = in_plane(outlined.astype(np.float32), scan.spacing_mm, how, centre, outside=0).numpy() > 0.5
    pixel_mm = (how.field_of_view_mm or scan.spacing_mm[0] * how.matrix) / how.matrix
    inside = _inside(hu)
    flat = [ndimage.distance_transform_edt(plane) for plane in inside]
    depth = np.asarray(flat, np.float32) * np.float32(pixel_mm)
    labels, scan_labels = labels_of(scan, slab_indices(scan.positions_mm.tolist(), how.slab_mm))
    return Head(scan.patient, hu, labels, scan_labels, lesion, inside, depth, pixel_mm)


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
